"""The data card: where the rows come from, what each filter refused, and what the data set holds.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.records import Example
from longwriter.text.histogram import WORD_BINS, bin_name, histogram


class Source(NamedTuple):
    """Where rows come from, how many were read, and on what terms."""

    name: str
    rows: int
    licence: str


class Step(NamedTuple):
    """One filter of the funnel: rows that came, that were refused, that went on."""

    stage: str
    filter: str
    rows_in: int
    refused: int

    @property
    def rows_out(self) -> int:
        """Return how many rows went on."""
        return self.rows_in - self.refused


def funnel(stages: Sequence[tuple[str, int, Mapping[str, int]]]) -> list[Step]:
    """Return the filters in the order they are applied, of all stages, also those that refused nothing.

    Args:
        stages: (stage, rows that came to it, {filter: rows it refused}), in the order of the pipeline.
    """
    steps = []
    for stage, rows, refusals in stages:
        for name, refused in refusals.items():
            steps.append(Step(stage, name, rows, refused))
            rows -= refused
    return steps


def refusals(metrics: Mapping[str, float]) -> dict[str, int]:
    """Return {filter: rows it refused} of a stage's metrics.json, by name; limits come last."""
    keys = sorted(
        (key for key in metrics if key.startswith("rejected_")), key=lambda key: ("limit" in key, key)
    )
    return {key.removeprefix("rejected_"): int(metrics[key]) for key in keys}


def card(
    *,
    train: Sequence[Example],
    test: Sequence[Example],
    sources: Sequence[Source],
    steps: Sequence[Step],
    digests: Mapping[str, str],
) -> str:
    """Return the data card as Markdown; the same rows give the same text.

    Args:
        train: Rows of the training split.
        test: Rows that are held out.
        sources: Where the rows come from.
        steps: The funnel.
        digests: {path: DVC's digest} of the data set's files.
    """
    rows = [*train, *test]
    long = [row for row in rows if row.kind != "general"]
    parts = [
        "# Data card",
        f"{len(train):,} training rows and {len(test):,} held-out rows in the `messages` format: "
        f"{len(long):,} long texts and {len(rows) - len(long):,} general chats. The split is by the hash of "
        "the instruction, so that a row never changes sides when the data set grows.",
        "## Sources",
        _table(("source", "rows read", "licence"), sources),
        "## Funnel",
        "A row is refused by the first filter that it fails. They stand in the order in which they look; "
        "those of `plan` and `write` by name.",
        _table(
            ("stage", "filter", "in", "refused", "out"),
            [(step.stage, step.filter, step.rows_in, step.refused, step.rows_out) for step in steps],
        ),
        "## Rows",
        *(
            _table((name, "train", "test"), _counted(train, test, name))
            for name in ("kind", "language", "type")
        ),
        "## Length of the long texts, in words",
        _lengths(long),
        "## Files",
        _table(("file", "md5 (DVC)"), digests.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _counted(train: Sequence[Example], test: Sequence[Example], field: str) -> list[tuple[str, int, int]]:
    sides = [Counter(str(getattr(row, field)) for row in side) for side in (train, test)]
    return [(name, sides[0][name], sides[1][name]) for name in sorted(sides[0] | sides[1])]


def _lengths(long: Sequence[Example]) -> str:
    """Return the histogram with a bar a bin; empty bins at both ends are left out."""
    counts = histogram((row.words for row in long), WORD_BINS)
    filled = [i for i, count in enumerate(counts) if count]
    if not filled:
        return "None."
    most = max(counts)
    shown = range(filled[0], filled[-1] + 1)
    return _table(
        ("words", "rows", ""),
        [(bin_name(WORD_BINS, i), counts[i], "█" * round(30 * counts[i] / most)) for i in shown],
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; integers have thousands separators, pipes in texts are escaped."""
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in line]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *cells))
