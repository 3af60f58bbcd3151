"""`longwriter capacity`: whether the training of params.yaml fits this machine, or another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.io import startup
from longwriter.text import inert


def capacity(
    profile: Annotated[
        str | None, typer.Option(help="Use params.yaml as it would be with this profile applied")
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(help="GPUs of another machine: NUMBERxGIB, such as 8x80, or with a name, 8x80:A100"),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Use this config.json instead of the one of base_model.source")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Train LoRA of this rank instead of all weights")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
) -> None:
    """Compare what SFT and DPO need with what the machine has: context, memory, disk, packages; trains nothing.

    Exit code 2 if something does not fit. A flow that will train makes the same check before its first stage.

    Example: longwriter capacity --profile paper --gpus 8x80
    """
    checkout.require()
    with startup.imports():
        from longwriter import params
        from longwriter.capacity import check, machine, table
        from longwriter.cli import profile as profiles
        from longwriter.settings import yaml_file

    if profile is None:
        values, is_of_checkout = params.load(), True
    else:
        values = params.complete(yaml_file.parse(profiles.applied(profile), f"profile {profile}"))
        is_of_checkout = values.base_model == params.load().base_model
    target = machine.from_text(gpus) if gpus is not None else machine.this()
    report = check.report(values, target, check.model_of(values, model, is_of_checkout), lora)
    text = json.dumps(report, ensure_ascii=False, indent=2) if as_json else table.text(report)
    typer.echo(inert.terminal(text))
    if report["errors"]:
        raise typer.Exit(UserError.exit_code)
