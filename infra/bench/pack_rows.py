"""Measures the tokenising and packing of many rows: seconds, peak memory of all processes, packs, and packs of TRL.

The rows are made up of words: one in 30 is long, as in LongWriter's mixture of 6,000 long texts and 180,000
general chats (119 million tokens in packs of 32,768).

Run: `nice python infra/bench/pack_rows.py MODEL_FOLDER [ROWS]`; MODEL_FOLDER is data/base_model/weights.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from longwriter.io import files
from longwriter.io import packs as packs_file
from longwriter.records import Example
from longwriter.tokens import encoding, packing, tokenizer

CAPACITY = 32_768
WORDS = [
    line.split()
    for line in [
        "the tide came in over the harbour and nobody had counted the boats that winter because",
        "every lantern along the quay was lit long before the old clock struck seven again tonight",
    ]
]


def main(model: Path, count: int) -> None:
    """Print one JSON line: what `count` rows took in one process (a tenth of them) and in all."""
    folder = Path(tempfile.mkdtemp(prefix="pack-rows-"))
    try:
        _write(folder / "rows.jsonl", count)
        rows = files.indexed(
            folder / "rows.jsonl", Example, lambda row: sum(len(m.content) for m in row.messages)
        )
        with _Peak() as peak:
            start = time.monotonic()
            (folder / "ids").mkdir()
            sequences, rejected = encoding.encode(rows, model, CAPACITY, folder / "ids", "rows")
            encoded = time.monotonic()
            packs = packing.best_fit_decreasing(sequences.lengths, CAPACITY)
            packs_file.write(folder / "packs.parquet", encoding.pack_columns(sequences, packs))
            done = time.monotonic()
        coder = tokenizer.Coder(tokenizer.load(model))
        some = range(0, count, max(1, count // 2000))
        alone = time.monotonic()
        tokens = sum(len(coder.chat(rows[i].messages, CAPACITY, "", "")[0].input_ids) for i in some)
        one_process = tokens / (time.monotonic() - alone)
        total = sum(sequences.lengths)
        result = {
            "rows": count, "rejected": len(rejected), "tokens": total, "packs": len(packs),
            "bound": -(-total // CAPACITY), "packs_of_trl": packs_of_trl(list(sequences.lengths)), "encode_s": round(encoded - start, 1), "pack_and_write_s": round(done - encoded, 1),
            "tokens_per_s": round(total / (encoded - start)), "tokens_per_s_one_process": round(one_process),
            "peak_mib": round(peak.bytes / 2**20), "peak_shared_once_mib": round(peak.shared_once / 2**20),
        }  # fmt: skip
        sys.stdout.write(json.dumps(result) + "\n")
    finally:
        shutil.rmtree(folder)


def packs_of_trl(lengths: list[int]) -> int:
    """Return how many packs TRL's `bfd` makes of rows of these lengths; it packs each thousand rows by themselves."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    ends = [0, *itertools.accumulate(lengths)]
    tokens = pa.array(np.zeros(ends[-1], dtype=np.int8))  # one byte a token: only the lengths count
    rows = pa.ListArray.from_arrays(pa.array(ends, type=pa.int32()), tokens)
    return len(pack_dataset(Dataset(pa.table({"input_ids": rows})), CAPACITY, "bfd"))


def _write(path: Path, count: int) -> None:
    """Write rows of random words."""
    random_ = random.Random(0)
    words = [word for line in WORDS for word in line]
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            length = random_.randint(2000, 12_000) if number % 30 == 0 else random_.randint(50, 700)
            text = " ".join(random_.choice(words) for _ in range(length))
            turns = [
                {"role": "user", "content": f"Write text {number}."},
                {"role": "assistant", "content": text},
            ]
            row = {
                "sample_id": f"{number:016x}",
                "instruction_id": None,
                "kind": "general",
                "language": "en",
                "type": "x",
                "messages": turns,
                "required_words": None,
                "words": length,
                "call_ids": [],
            }
            out.write(json.dumps(row) + "\n")


class _Peak:
    """The largest memory of this process and those below it, measured ten times a second."""

    def __enter__(self) -> _Peak:
        self.bytes = self.shared_once = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.1):
            rss = pss = 0
            for one in [me, *me.children(recursive=True)]:
                try:
                    memory = one.memory_full_info()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                rss, pss = rss + memory.rss, pss + memory.pss
            self.bytes, self.shared_once = max(self.bytes, rss), max(self.shared_once, pss)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 186_000)
