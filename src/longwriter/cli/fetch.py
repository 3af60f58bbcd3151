"""`longwriter fetch`: copies the weights of a registered model from DVC's cache or remote into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert


def fetch(
    version: Annotated[
        str, typer.Argument(help="Alias or number of a version in MLflow's registry: candidate, or 3")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty")],
) -> None:
    """Write the weights of a registered version into the folder OUT, as Hugging Face reads them.

    MLflow's registry knows the digest of the weights, DVC has the weights. README.md is the model's card; it also has
    what the registry knows about this version: its origin, its numbers with intervals, and why aliases moved or not.

    Example: longwriter fetch candidate my-model, then in Python
    transformers.AutoModelForCausalLM.from_pretrained("my-model"), or: longwriter chat ./my-model
    """
    checkout.require()
    checkout.require_runs()
    from longwriter import params
    from longwriter.chat import weights
    from longwriter.io import access, files
    from longwriter.tracking import logged_models

    name = params.load().register_.name
    with access.kept_private(files.LOCAL):
        digests = logged_models.aliases(name) | logged_models.versions(name)
        if version not in digests:
            raise UserError(
                f"{name} has no version or alias {inert.line(version)} in MLflow; "
                f"it has {', '.join(digests) or 'none'}"
            )
        card = logged_models.card_of(name, version)
        weights.copy(digests[version], out, card)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    typer.echo(f"fetched {name}, {version} (DVC {digests[version]}), into {out}: {size / 1e6:,.0f} MB")
