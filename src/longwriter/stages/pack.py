"""Tokenise the training rows and put them into packs for the ranks.

Reads   data/dataset/train.jsonl, test.jsonl, the base model's tokenizer, the gate's verdict
Writes  data/pack/: train.parquet, test.parquet (input_ids, labels, seq_lengths, sample_ids),
        rejected.jsonl, tokens.csv, metrics.json
Source  LongWriter (arXiv:2408.07055), section 4: packing to the context, loss on the answers only
Run     dvc repro pack
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from longwriter.gates.suite import verdicts
from longwriter.io import files
from longwriter.io import packs as packs_file
from longwriter.params import Params
from longwriter.records import Example, Rejection
from longwriter.stages import runner
from longwriter.text import histogram
from longwriter.training.tokens import packing, tokenizer

_DATA = files.DATA / "dataset"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Pack both splits; a row that does not fit is rejected, not cut."""
    verdicts.check_examples()
    coder = tokenizer.Coder(tokenizer.load(files.DATA / "base_model" / "weights"))
    numbers: dict[str, float] = {}
    rejected: list[Rejection] = []
    tokens: list[int] = []
    rows_in = 0
    for split in ("train", "test"):
        rows = files.read_jsonl(_DATA / f"{split}.jsonl", Example)
        rows_in += len(rows)
        kept, refused = _encoded(coder, rows, params.pack.max_length, split)
        rejected += refused
        lengths = [len(row.input_ids) for _, row in kept]
        tokens += lengths
        packs = packing.best_fit_decreasing(lengths, params.pack.max_length)
        packs_file.write(folder / f"{split}.parquet", (_columns(kept, pack) for pack in packs))
        targets = sum(label != packing.IGNORE_INDEX for _, row in kept for label in row.labels)
        numbers |= {
            f"{split}_packs": len(packs),
            f"{split}_tokens": sum(lengths),
            f"{split}_target_tokens": targets,
            f"{split}_fill_share": round(packing.fill_share(lengths, len(packs), params.pack.max_length), 4),
        }
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    table = histogram.histogram_csv("tokens,rows\n", tokens, histogram.TOKEN_BINS)
    (folder / "tokens.csv").write_text(table, encoding="utf-8")
    reasons = Counter(row.reason for row in rejected)
    return runner.Summary(rows_in, rows_in - len(rejected), dict(reasons), numbers)


def _encoded(
    coder: tokenizer.Coder, rows: list[Example], max_length: int, split: str
) -> tuple[list[tuple[str, packing.Encoded]], list[Rejection]]:
    kept, rejected = [], []
    for row in tqdm(rows, desc=f"tokenise {split}", mininterval=10):
        coded = coder.chat(row.messages, max_length, row.sample_id, "pack")
        if isinstance(coded, Rejection):
            rejected.append(coded)
        else:
            kept += [(row.sample_id, sequence) for sequence in coded]
    return kept, rejected


def _columns(kept: list[tuple[str, packing.Encoded]], pack: list[int]) -> dict[str, Any]:
    rows = [kept[i] for i in pack]
    return {
        "input_ids": [token for _, row in rows for token in row.input_ids],
        "labels": [label for _, row in rows for label in row.labels],
        "seq_lengths": [len(row.input_ids) for _, row in rows],
        "sample_ids": [sample_id for sample_id, _ in rows],
    }


if __name__ == "__main__":
    runner.main("pack", work)
