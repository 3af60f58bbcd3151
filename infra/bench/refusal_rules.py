"""Measures the rules of refusals and of talk about the task on labelled files: precision, recall, intervals.

Run: `python infra/bench/refusal_rules.py [FILE ...]`; the default files are the two halves of the golden set.
It prints counts only, so that nobody tunes the rules on the texts of the untouched half.
Intervals: Wilson, 95 %, of each share.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binomtest
from tabulate import tabulate

from longwriter.talk.poison import meta_talk
from longwriter.talk.refusals import is_refusal

GOLDEN = Path(__file__).parents[2] / "tests/golden"
FILES = (GOLDEN / "refusal_meta_tuned.jsonl", GOLDEN / "refusal_meta_untouched.jsonl")


Row = dict[str, Any]


class Measure(NamedTuple):
    """Hits, false alarms and misses of a rule over `n` rows."""

    n: int
    hits: int
    false_alarms: int
    misses: int

    @property
    def precision(self) -> float:
        """Share of the matches that are labelled true; 1 without matches."""
        return self.hits / (self.hits + self.false_alarms) if self.hits + self.false_alarms else 1.0

    @property
    def recall(self) -> float:
        """Share of the rows labelled true that are matched; 1 without such rows."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 1.0


def matches(row: Row) -> bool:
    """Tell whether the rule of the row's question matches its text."""
    if row["question"] == "refusal":
        return is_refusal(row["text"], row["context"])
    return meta_talk(row["text"], row["context"]) is not None


def measure(rows: Sequence[Row], matches: Callable[[Row], bool] = matches) -> Measure:
    """Return the counts of the rule, or of another test of a row, over the rows."""
    pairs = [(matches(row), row["label"]) for row in rows]
    return Measure(
        len(pairs),
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
    )


def read(file: Path) -> list[Row]:
    """Return the rows of a labelled file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def table(files: Sequence[Path], matches: Callable[[Row], bool] = matches) -> Iterator[list[object]]:
    """Yield a line for each file, question and language, and for both languages together."""
    for file in files:
        rows = read(file)
        for question in ("refusal", "meta"):
            for languages in (["en"], ["zh"], ["en", "zh"], ["fr", "de", "es"]):
                part = [row for row in rows if row["question"] == question and row["language"] in languages]
                if part:
                    counts = measure(part, matches)
                    yield [
                        file.stem,
                        question,
                        "+".join(languages),
                        counts.n,
                        _share(counts.precision, counts.hits, counts.false_alarms),
                        _share(counts.recall, counts.hits, counts.misses),
                    ]


def _share(value: float, hits: int, others: int) -> str:
    """Return a share with its Wilson interval."""
    if not hits + others:
        return "-"
    interval = binomtest(hits, hits + others).proportion_ci(method="wilson")
    return f"{value:.3f} ({interval.low:.3f}-{interval.high:.3f})"


HEADERS = ["file", "question", "language", "n", "precision", "recall"]

if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:]] or list(FILES)
    sys.stdout.write(tabulate(list(table(files)), HEADERS, tablefmt="github") + "\n")
