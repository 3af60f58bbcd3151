"""Compares nights: seconds, rows, tokens and dollars of each flow, as metrics in MLflow and as a page in Prefect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from longwriter.retention import old_runs
from longwriter.text import inert
from longwriter.tracking import runs as tracking

_SHOWN = 30  # flows on the page
_USAGE = ("prompt_tokens", "completion_tokens", "cost_usd")


def usage(stage: str) -> dict[str, float]:
    """Return the tokens and dollars of a stage that has just run; empty for a stage that calls no model."""
    file = Path(f"data/{stage.replace('@', '/')}/summary.json")
    if not file.is_file():
        return {}
    numbers = json.loads(file.read_text(encoding="utf-8"))
    return {key: float(numbers[key]) for key in _USAGE if numbers.get(key) is not None}


def metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the numbers of a flow: `seconds/STAGE`, `rows/STAGE` of stages that ran, and the sums of all.

    Args:
        rows: What each stage did, as `pipeline` notes it.
    """
    ran = [row for row in rows if row["how"] == "executed"]
    numbers = {f"seconds/{row['stage'].replace('@', '/')}": float(row["seconds"]) for row in ran}
    numbers |= {f"rows/{row['stage'].replace('@', '/')}": float(row["kept"]) for row in ran}
    sums = {key: sum(row.get(key, 0.0) for row in ran) for key in _USAGE}
    return {**numbers, **sums, "seconds": sum(row["seconds"] for row in rows), "stages_executed": len(ran)}


def page(runs: Sequence[Any], url: Callable[[str], str]) -> str:
    """Return a Markdown table with one flow in each row.

    Args:
        runs: MLflow's pipeline runs, the newest first.
        url: Returns the page of a run.
    """
    head = (
        "started",
        "flow",
        "ended as",
        "minutes",
        "stages that ran",
        "tokens in",
        "tokens out",
        "USD",
        "longest stage",
    )
    lines = []
    for run in runs:
        numbers = run.data.metrics
        seconds = {
            name.removeprefix("seconds/"): value
            for name, value in numbers.items()
            if name.startswith("seconds/")
        }
        longest = max(seconds, key=lambda name: seconds[name], default=None)
        lines.append(
            (
                f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d %H:%M}",
                f"[{inert.markdown(run.info.run_name)}]({url(run.info.run_id)})",
                run.info.status,
                f"{numbers['seconds'] / 60:,.1f}" if "seconds" in numbers else "",
                f"{numbers.get('stages_executed', 0):.0f}",
                f"{numbers.get('prompt_tokens', 0):,.0f}",
                f"{numbers.get('completion_tokens', 0):,.0f}",
                f"{numbers.get('cost_usd', 0):,.2f}",
                f"{longest} {seconds[longest] / 60:,.1f} min" if longest else "",
            )
        )
    return str(tabulate(lines, head, tablefmt="pipe", disable_numparse=True))


def latest() -> str:
    """Return the page of the last flows."""
    return page(old_runs.of_flows(_SHOWN), tracking.run_url)
