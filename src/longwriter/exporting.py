"""`longwriter export`: the gated data set as a folder that other trainers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from longwriter.core import interchange
from longwriter.edges import files
from longwriter.errors import UserError
from longwriter.records import Example

_SPLITS = {"longwriter": "train", "longwriter_test": "test"}


def export(
    out: Annotated[Path, typer.Argument(help="Folder that is made; it must not hold files yet")],
    format: Annotated[interchange.Format, typer.Option(help="What the other trainer reads")] = "messages",
) -> None:
    """Write the data set that passed the gate for other trainers, into the folder OUT.

    train.jsonl, test.jsonl, datacard.md, and dataset_info.json for LLaMA-Factory (`dataset_dir: OUT`).
    TRL (messages): load_dataset("OUT"). ms-swift: --dataset OUT/train.jsonl. axolotl: path OUT/train.jsonl,
    ds_type json, type chat_template; for sharegpt also field_messages conversations and
    message_property_mappings {role: from, content: value}.
    """
    write(out, format)


def write(out: Path, format: interchange.Format) -> None:
    """Write the gated data set to `out`.

    Raises:
        UserError: `out` holds files.
        GateStopped: the gate has not passed this data set.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds files already: name a new folder")
    from longwriter.stages import pack

    pack.check_verdict()
    out.mkdir(parents=True, exist_ok=True)
    for split in _SPLITS.values():
        rows = files.read_jsonl(files.DATA / "dataset" / f"{split}.jsonl", Example)
        with (out / f"{split}.jsonl").open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(interchange.ROWS[format](row.messages), ensure_ascii=False) + "\n")
    info = interchange.dataset_info({name: f"{split}.jsonl" for name, split in _SPLITS.items()}, format)
    files.write_json(out / "dataset_info.json", info)
    card = (files.DATA / "dataset" / "datacard.md").read_text(encoding="utf-8")
    (out / "datacard.md").write_text(card, encoding="utf-8")
