"""`longwriter clean`: lists and removes what the checkout no longer needs: files, answers, prompts, data, and the DVC remote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from tabulate import tabulate

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

_PARTS = ("files", "answers", "prompts", "data", "remote")
Row = tuple[int | None, str, str]
"""(bytes, place, what it is)"""


class _Part(NamedTuple):
    """What can be removed, and how."""

    rows: list[Row]
    remove: Callable[[], object]


def clean(
    parts: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(_PARTS)}; none = files")] = None,
    older_than: Annotated[
        str,
        typer.Option(help="Smallest age of logs, damaged files, answers, prompts and remote, such as 90d"),
    ] = "30d",
    nights: Annotated[
        int, typer.Option(min=1, help="Number of newest nightly branches whose data stays")
    ] = 30,
    others: Annotated[
        list[Path] | None,
        typer.Option("--checkout", help="remote: another checkout that uses it; may be repeated"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without --yes it is only listed")] = False,
) -> None:
    """List what is no longer needed, and remove it with --yes. Nothing is removed while a stage runs.

    files: checkpoints of finished trainings, converted weights, old logs in .lw. answers: old stored answers of
    LLMs, which are paid for again when they are requested again. prompts: old versions of prompt templates in MLflow.
    data: files of DVC's cache that no branch, tag, experiment or recent nightly branch needs. remote: the same in
    the DVC remote; there, what came in the last 30 days also stays, and --checkout names other checkouts that use
    the remote.

    Data and prompts behind the models in the registry stay.

    Example: longwriter clean files data --nights 14 --yes
    """
    checkout.require()
    if unknown := set(parts or ()) - set(_PARTS):
        raise UserError(f"{', '.join(sorted(unknown))}: allowed are {', '.join(_PARTS)}")
    size, number = 0, 0
    with checkout.no_stage_running() if yes else nullcontext():
        for name in parts or ["files"]:
            part = _find(name, older_than, nights, others or [])
            if yes:
                part.remove()
            if part.rows:
                typer.echo(_table(part.rows))
            size += sum(row[0] or 0 for row in part.rows)
            number += len(part.rows)
    if not number:
        typer.echo(f"nothing to remove of {', '.join(parts or ['files'])}")
        return
    total = f"{size / 1e9:,.2f} GB in {amount(number, 'place')}"
    typer.echo(f"{total} {'removed' if yes else 'can be removed: the same command with --yes'}")


def _table(rows: list[Row]) -> str:
    lines = [
        ("" if size is None else f"{size / 1e6:,.1f}", place, description)
        for size, place, description in rows
    ]
    head = ("MB", "place", "what it is")
    return inert.terminal(tabulate(lines, head, colalign=("right",), disable_numparse=True))


def _find(name: str, older_than: str, nights: int, others: list[Path]) -> _Part:
    """Return what can be removed of one part."""
    from longwriter.io import files
    from longwriter.retention import leftovers, old_data, old_remote, old_runs, policy

    age = checkout.age(older_than)
    if name == "files":
        items = leftovers.find(age)
        return _Part(
            [(item.bytes, str(item.path), item.description) for item in items],
            lambda: leftovers.remove(items),
        )
    if name == "answers":
        answers, size = policy.old_answers(age)
        rows: list[Row] = [(size, str(files.REPLAY), amount(answers, "stored answer"))] if answers else []
        return _Part(rows, lambda: policy.old_answers(age, only_count=False))
    if name == "prompts":
        versions = policy.old_prompts(age)
        rows = [(None, "MLflow", f"version {number} of prompt {prompt}") for prompt, number in versions]
        return _Part(rows, lambda: old_runs.delete_prompts(versions))
    needed = policy.needed_digests()
    if name == "remote":
        there = old_remote.find(nights, needed, others, age)
        rows = [(there.bytes, there.url, amount(len(there.paths), "file"))] if there.paths else []
        return _Part(rows, lambda: old_remote.remove(nights, needed, others, age))
    old = old_data.find(nights, needed)
    rows = [
        (old.bytes, ".dvc/cache", f"{amount(len(old.objects), 'file')}, {len(old.entries):,} entries of runs")
    ]
    return _Part(rows if old.bytes else [], lambda: old_data.remove(nights, needed))
