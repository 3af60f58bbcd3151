"""`longwriter export`: writes the gated data set as a folder that other trainers read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.export import formats as interchange


def export(
    out: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty")],
    format: Annotated[
        interchange.Format, typer.Option(help="Format that the other trainer reads")
    ] = "messages",
) -> None:
    """Write the data set that passed the gate for other trainers, into the folder OUT.

    The folder has train.jsonl, test.jsonl, datacard.md, and dataset_info.json for LLaMA-Factory (`dataset_dir: OUT`).
    TRL (messages): load_dataset("OUT"). ms-swift: --dataset OUT/train.jsonl. axolotl: path OUT/train.jsonl,
    ds_type json, type chat_template; for sharegpt also field_messages conversations and
    message_property_mappings {role: from, content: value}.

    Example: longwriter export --format sharegpt my-data
    """
    checkout.require()
    from longwriter.export.folder import write  # here: it imports dvc, which would slow down `--help`

    rows = write(out, format)
    counts = ", ".join(f"{split}.jsonl {amount(count, 'row')}" for split, count in rows.items())
    typer.echo(
        f"exported the gated data set as {format} into {out}: {counts}; dataset_info.json, datacard.md"
    )
