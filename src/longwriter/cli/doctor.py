"""`longwriter doctor`: shows what is wrong on this machine, in this checkout, or with the services."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import BadParams, UserError
from longwriter.text import inert


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Check packages, parameters, memory, disk, GPUs, git, DVC's remote, MLflow, Prefect, endpoints and clock.

    Each problem is followed by what to do. It changes nothing: in DVC's remote it writes a small object and
    removes it. Exit code 2 if there is an error. Secrets are neither shown nor sent.

    Example: longwriter doctor
    """
    checkout.require()
    from longwriter import params
    from longwriter.doctor import finding, machine, services

    try:
        values = params.load()
    except BadParams:  # one of the findings
        values = None
    findings = [*machine.checks(values), *services.checks(values)]
    if as_json:
        text = json.dumps([row._asdict() for row in findings], ensure_ascii=False, indent=2)
    else:
        text = finding.table(findings)
    typer.echo(inert.terminal(text))
    if any(row.state == "error" for row in findings):
        raise typer.Exit(UserError.exit_code)
