"""`longwriter promote` and `longwriter rollback`: let a person move the champion's alias, with a reason."""

from __future__ import annotations

from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError

Reason = Annotated[str, typer.Option(help="Why; both versions say it in their tags and descriptions")]


def promote(
    version: Annotated[int, typer.Argument(min=1, help="Number of the version in MLflow's registry")],
    reason: Reason,
) -> None:
    """Make a version the champion, whatever the gate says; the former champion gets an alias of its own.

    Example: longwriter promote 3 --reason "its stories read better"
    """
    checkout.require()
    checkout.require_runs()
    _move(version, reason, "promoted")


def rollback(reason: Reason) -> None:
    """Make the former champion the champion again; a second rollback undoes the first.

    Example: longwriter rollback --reason "version 3 repeats itself"
    """
    checkout.require()
    checkout.require_runs()
    from longwriter import params as parameters
    from longwriter.tracking import logged_models

    register = parameters.load().register_
    former = logged_models.version_of(register.name, register.former_alias)
    if former is None:
        raise UserError(
            f"{register.name} has no version with the alias {register.former_alias}: "
            "name one, `longwriter promote VERSION`"
        )
    _move(int(former.version), reason, "rolled back")


def _move(version: int, reason: str, word: str) -> None:
    from longwriter import params as parameters
    from longwriter.tracking import logged_models

    if not reason.strip():
        raise UserError("--reason is empty: say why the champion changes")
    register = parameters.load().register_
    before = logged_models.crown(
        register.name, register.champion_alias, register.former_alias, version, "a person", reason.strip()
    )
    if before == version:
        typer.echo(f"version {version} of {register.name} is already {register.champion_alias}")
        return
    former = f"; version {before} is {register.former_alias}" if before else ""
    typer.echo(f"{word}: version {version} of {register.name} is {register.champion_alias}{former}")
