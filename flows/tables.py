"""What a flow run says about its stages: the table on its page, and the last lines on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate


def report(name: str) -> Path:
    """Return the file of a benchmark's report, by the name of its stage."""
    return Path(f"data/report/{name.partition('@')[2]}/report.md")


def budget(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of what each stage did and how long it took."""
    lines = [(row["stage"], row["how"], row["seconds"]) for row in rows]
    total = ("all", "", sum(row["seconds"] for row in rows))
    head = ("stage", "what happened", "seconds")
    return str(tabulate([*lines, total], head, tablefmt="pipe", floatfmt=".1f"))


def overview(rows: list[dict[str, Any]]) -> str:
    """Return the page of a flow run: what each stage did, its seconds and rows, with links to MLflow."""
    head = ("stage", "what happened", "seconds", "rows in", "kept", "rejected")
    lines = [
        (
            f"[{row['stage']}]({row['run']})",
            row["how"],
            row["seconds"],
            row["rows_in"],
            row["kept"],
            row["rejected"],
        )
        for row in rows
    ]
    total = ("all", "", sum(row["seconds"] for row in rows), "", "", "")
    return str(tabulate([*lines, total], head, tablefmt="pipe", floatfmt=".1f"))


def closing_block(rows: list[dict[str, Any]], stages: Sequence[str]) -> str:
    """Return what the command line prints at its end: the time budget, the reports, and what to do next.

    Args:
        rows: What each stage did.
        stages: The stages that write reports.
    """
    written_reports = [path.resolve() for path in map(report, stages) if path.is_file()]
    number = f" --benchmark {written_reports[0].parent.name}" if written_reports else ""
    commands = {
        "bash infra/ui.sh": "MLflow, Prefect and Data Docs",
        "longwriter serve": "the base model and the trained one side by side",
        f"longwriter lineage{number}": "from a number, or a row, back to its LLM calls",
        "dvc metrics show": "all numbers",
    }
    width = max(map(len, commands))
    lines = [
        *(f"report: {path}" for path in written_reports),
        "data: data/<stage>/, models: data/<model>/weights",
        f"next: cd {shlex.quote(str(Path.cwd()))} && source .venv/bin/activate",
        *(f"  {command:{width}}  {meaning}" for command, meaning in commands.items()),
    ]
    return f"{budget(rows)}\n\n" + "".join(f"{line}\n" for line in lines)
