"""The gated data set as a folder that other trainers read: what `longwriter export` writes."""

from __future__ import annotations

import json
from pathlib import Path

from longwriter.errors import UserError
from longwriter.export import formats as interchange
from longwriter.gates.suite import verdicts
from longwriter.io import files
from longwriter.records import Example

_SPLITS = {"longwriter": "train", "longwriter_test": "test"}


def write(out: Path, format: interchange.Format) -> dict[str, int]:
    """Write the gated data set to `out`: train.jsonl, test.jsonl, dataset_info.json and datacard.md.

    Args:
        out: A new folder, or an empty one.
        format: Format of the rows; see `formats`.

    Returns:
        {split: number of its rows}

    Raises:
        UserError: `out` is a file, or a folder that is not empty.
        GateStopped: the gate has not passed this data set.
        BadRecord: a file of the data set is missing or has a bad line.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds files already: name a new folder")
    verdicts.check_examples()
    card = files.read_text(files.DATA / "dataset" / "datacard.md")
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for split in _SPLITS.values():
        rows = files.read_jsonl(files.DATA / "dataset" / f"{split}.jsonl", Example)
        counts[split] = len(rows)
        with (out / f"{split}.jsonl").open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(interchange.ROWS[format](row.messages), ensure_ascii=False) + "\n")
    info = interchange.dataset_info({name: f"{split}.jsonl" for name, split in _SPLITS.items()}, format)
    files.write_json(out / "dataset_info.json", info)
    (out / "datacard.md").write_text(card, encoding="utf-8")
    return counts
