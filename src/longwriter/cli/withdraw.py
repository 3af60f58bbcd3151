"""`longwriter withdraw`: takes a text out of all data sets, and says what holds it and which stages run again."""

from __future__ import annotations

from typing import Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

_COPIES = """\
copies   that the next run does not remove:
  {origins}: the source itself
  earlier versions of data sets and models: `dvc gc --workspace` after the run; also `--cloud`, if you pushed
  stored answers: `longwriter cache prune`; traces and tables in MLflow; registered versions; exported folders"""


def withdraw(
    row_id: Annotated[
        str, typer.Argument(help="Any id of the row: instruction_id, sample_id, generation_id …")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what holds it")] = False,
) -> None:
    """Take a row out of all data sets on the next run, for example because its author asks for it.

    Says what holds the row and which stages run again, and adds its id to src/longwriter/seeds/withdrawn.txt. The
    instruction is withdrawn with every text that was written to it.

    Example: longwriter withdraw 2ba1e1b0c1a1e1b0 --dry-run
    """
    checkout.require()
    from longwriter.audit import holders
    from longwriter.exclusions import withdrawn

    holding = holders.of_row(row_id)
    if not holding.withdrawable:
        raise UserError(
            f"row {row_id} is in no training data, only in {', '.join(list(holding.data)[:3])}: "
            f"remove it from its source{', ' + ', '.join(holding.origins) if holding.origins else ''}"
        )
    added = [] if dry_run else withdrawn.add(holding.withdrawable)
    lines = [
        *(f"data     {path}: {amount(count, 'row')}" for path, count in holding.data.items()),
        *(f"model    {path} was trained on it" for path in holding.models),
        *(f"number   {path} was computed from it" for path in holding.numbers),
        f"stale    {', '.join(holding.stale)}",
        *_COPIES.format(
            origins=", ".join(holding.origins) or "the files of dataset.general_source"
        ).splitlines(),
    ]
    if dry_run:
        lines.append(
            f"nothing is changed; without --dry-run: {', '.join(holding.withdrawable)} in {withdrawn.FILE}"
        )
    elif added:
        lines.append(f"withdrawn: {', '.join(added)} in {withdrawn.FILE}; now commit it and run the pipeline")
    else:
        lines.append(f"it is in {withdrawn.FILE} already: run the pipeline")
    for line in lines:
        typer.echo(inert.terminal(line))
