"""`longwriter cache`: what the replay cache holds, and how to remove answers from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.io import files
from longwriter.text import inert

app = typer.Typer(invoke_without_command=True)

_CALL_LOGS = "The call logs (data/*/calls.jsonl.zst) are outputs of their stages and are kept, for audits."
_NO_MODEL = '"" (stored before the cache recorded models)'


@app.callback()
def show(context: typer.Context) -> None:
    """Show what the replay cache holds, by model; `prune` removes from it.

    Example: longwriter cache
    """
    if context.invoked_subcommand is not None:
        return
    checkout.require()
    from longwriter.calls import replay

    sizes = replay.sizes(files.REPLAY)
    disk_mb = sum(file.stat().st_size for file in files.REPLAY.parent.glob(f"{files.REPLAY.name}*")) / 1e6
    lines = [
        f"{files.REPLAY}: {amount(sum(row.answers for row in sizes), 'answer')}, {disk_mb:,.1f} MB on disk"
    ]
    if sizes:
        lines.append(f"{'answers':>10}  {'MB':>9}  {'oldest (UTC)':<16}  {'newest (UTC)':<16}  model")
    for row in sizes:
        times = "  ".join(time[:16].replace("T", " ") for time in (row.oldest, row.newest))
        lines.append(
            f"{row.answers:>10,}  {row.bytes / 1e6:>9,.1f}  {times}  {inert.line(row.model) or _NO_MODEL}"
        )
    typer.echo("\n".join([*lines, _CALL_LOGS]))


@app.command(
    help=f"Remove answers from the replay cache; the next request for a removed answer is paid for again. {_CALL_LOGS}"
    "\n\nExample: longwriter cache prune --older-than 90d"
)
def prune(
    older_than: Annotated[str | None, typer.Option(help="Age such as 90d, 12h or 4w")] = None,
    model: Annotated[
        str | None, typer.Option(help="Only this model's, as `longwriter cache` names it")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")] = False,
) -> None:
    """Remove answers by age, by model, or by both."""
    checkout.require()
    from longwriter.calls import replay

    if older_than is None and model is None:
        raise UserError(
            "say what to remove: --older-than 90d, --model NAME, or both (0d: answers of any age)"
        )
    before = None if older_than is None else datetime.now(UTC) - checkout.age(older_than)
    models = [row.model for row in replay.sizes(files.REPLAY)]
    if model is not None and model not in models:
        raise UserError(
            f"{files.REPLAY} holds no answer of {model}; it has {', '.join(filter(None, models)) or 'none'}"
        )
    with checkout.no_stage_running():
        pass  # a running stage is reported before the question, not after it
    if not yes:
        age = f" older than {older_than}" if older_than is not None else ""
        typer.confirm(f"Remove the answers of {model or 'every model'}{age}?", abort=True)
    with checkout.no_stage_running():
        answers, freed_bytes = replay.prune(files.REPLAY, before=before, model=model)
    typer.echo(f"removed {amount(answers, 'answer')}, freed {freed_bytes / 1e6:,.1f} MB. {_CALL_LOGS}")
