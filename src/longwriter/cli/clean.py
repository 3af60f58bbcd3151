"""`longwriter clean`: lists and removes what the checkout no longer needs in `.lw`."""

from __future__ import annotations

from typing import Annotated

import typer
from tabulate import tabulate

from longwriter.cli import checkout
from longwriter.text import inert

_OTHERS = (
    "This list leaves out stored answers (longwriter cache) and old versions in DVC's cache "
    "(dvc gc --workspace --all-branches --all-tags, which keeps what any branch or tag needs)."
)


def clean(
    older_than: Annotated[str, typer.Option(help="Least age of logs and damaged files, such as 90d")] = "30d",
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only listed")] = False,
) -> None:
    """List what is no longer needed: checkpoints of finished trainings, converted weights, old logs.

    The checkpoints of a training that is not finished are never listed. Nothing is removed while a stage runs.

    Example: longwriter clean --yes
    """
    checkout.require()
    from longwriter.doctor import leftovers

    items = leftovers.find(checkout.age(older_than))
    rows = [(f"{item.bytes / 1e6:,.1f}", str(item.path), item.what) for item in items]
    if rows:
        typer.echo(
            inert.terminal(
                tabulate(rows, ("MB", "path", "what it is"), colalign=("right",), disable_numparse=True)
            )
        )
    total = f"{sum(item.bytes for item in items) / 1e9:,.2f} GB in {len(items)} files and folders"
    if yes:
        with checkout.no_stage_running():
            leftovers.remove(items)
    typer.echo(f"{total} {'removed' if yes else 'can be removed: longwriter clean --yes'}\n{_OTHERS}")
