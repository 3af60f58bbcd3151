"""`longwriter fetch`: the weights of a registered model, out of DVC's cache or remote, as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert


def fetch(
    alias: Annotated[str, typer.Argument(help="Alias in MLflow's registry, such as candidate")],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty")],
) -> None:
    """Write the weights of a registered version into the folder OUT, as Hugging Face reads them.

    The weights are in DVC once; MLflow's registry knows their digest.

    Example: longwriter fetch candidate my-model, then in Python
    transformers.AutoModelForCausalLM.from_pretrained("my-model"), or: longwriter chat ./my-model
    """
    checkout.require()
    from longwriter import params
    from longwriter.chat import weights
    from longwriter.io import access, files
    from longwriter.tracking import logged_models

    name = params.load().register_.name
    with access.kept_private(files.LOCAL):
        aliases = logged_models.aliases(name)
        if alias not in aliases:
            raise UserError(
                f"{name} has no alias {inert.line(alias)} in MLflow; it has {', '.join(aliases) or 'none'}"
            )
        weights.copy(aliases[alias], out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    typer.echo(f"fetched {name}@{alias} (DVC {aliases[alias]}) into {out}: {size / 1e6:,.0f} MB")
