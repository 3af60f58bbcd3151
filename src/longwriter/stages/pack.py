"""Tokenise the training rows and put them into packs for the ranks.

Reads   data/dataset/train.jsonl, test.jsonl, the base model's tokenizer, the gate's verdict
Writes  data/pack/: train.parquet, test.parquet (input_ids, labels, seq_lengths, sample_ids),
        rejected.jsonl, tokens.csv, metrics.json
Source  LongWriter (arXiv:2408.07055), section 4: packing to the context, loss on the answers only
Run     dvc repro pack
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.io import files, startup
from longwriter.io import packs as packs_file
from longwriter.params import Params
from longwriter.records import Example, Rejection
from longwriter.text import histogram
from longwriter.tokens import encoding, packing

_DATA = files.DATA / "dataset"
_MODEL = files.DATA / "base_model" / "weights"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Pack both splits; a row that does not fit is rejected, not cut."""
    verdicts.check_examples()
    capacity = params.pack.max_length
    numbers: dict[str, float] = {}
    rejected: list[Rejection] = []
    tokens: list[int] = []
    rows_in = 0
    scratch = files.LOCAL / "tmp" / "pack"
    for split in ("train", "test"):
        rows = files.indexed(_DATA / f"{split}.jsonl", Example, _characters)
        rows_in += len(rows)
        shutil.rmtree(scratch, ignore_errors=True)  # of a killed run, or of the other split
        scratch.mkdir(parents=True)
        sequences, rejections = encoding.encode(rows, _MODEL, capacity, scratch, split)
        rejected += rejections
        tokens += sequences.lengths
        packs = packing.best_fit_decreasing(sequences.lengths, capacity)
        packs_file.write(folder / f"{split}.parquet", encoding.pack_columns(sequences, packs))
        numbers |= {
            f"{split}_packs": len(packs),
            f"{split}_tokens": sum(sequences.lengths),
            f"{split}_target_tokens": sequences.targets,
            f"{split}_fill_share": round(packing.fill_share(sequences.lengths, len(packs), capacity), 4),
        }
    shutil.rmtree(scratch)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    table = histogram.histogram_csv("tokens,rows\n", tokens, histogram.TOKEN_BINS)
    (folder / "tokens.csv").write_text(table, encoding="utf-8")
    reasons = Counter(row.reason for row in rejected)
    return runner.Summary(rows_in, rows_in - len(rejected), dict(reasons), numbers)


def _characters(row: Example) -> int:
    return sum(len(message.content) for message in row.messages)


if __name__ == "__main__":
    startup.without_torch()
    runner.main("pack", work)
