"""The data card: the sources of the rows, the number of rows that each filter refused, and the final data set.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tabulate import tabulate

from longwriter.amounts import amount
from longwriter.records import Example
from longwriter.text import inert
from longwriter.text.histogram import WORD_BINS, bin_name, histogram


class Source(NamedTuple):
    """A source of rows: its name, the number of rows that were read, and its licence."""

    name: str
    rows: int
    licence: str


class FilterCount(NamedTuple):
    """The number of rows that a filter checked, and the number that it refused."""

    stage: str
    filter: str
    rows_in: int
    rows_rejected: int

    @property
    def rows_out(self) -> int:
        """Return the number of rows that passed."""
        return self.rows_in - self.rows_rejected


def filter_counts(stages: Sequence[tuple[str, int, Mapping[str, int]]]) -> list[FilterCount]:
    """Return the counts of all filters, in the order of the pipeline; filters that refused no row are included.

    Args:
        stages: (stage, number of rows that it read, {filter: number of rows that it refused}) of each stage.
    """
    counts = []
    for stage, rows, reasons in stages:
        for name, rows_rejected in reasons.items():
            counts.append(FilterCount(stage, name, rows, rows_rejected))
            rows -= rows_rejected
    return counts


def refusals(metrics: Mapping[str, float]) -> dict[str, int]:
    """Return {filter: number of refused rows} from a stage's metrics.json, sorted by name; limits come last."""
    rejected = [key for key in metrics if key.startswith("rejected_")]
    keys = sorted(rejected, key=lambda key: ("limit" in key, key))
    return {key.removeprefix("rejected_"): int(metrics[key]) for key in keys}


def card(
    *,
    train: Sequence[Example],
    test: Sequence[Example],
    sources: Sequence[Source],
    filters: Sequence[FilterCount],
    digests: Mapping[str, str],
) -> str:
    """Return the data card as Markdown; equal rows give equal text.

    Args:
        train: Rows of the training split.
        test: Rows of the held-out split.
        sources: Sources of the rows.
        filters: The counts of all filters.
        digests: {path: DVC's digest} of the data set's files.
    """
    rows = [*train, *test]
    long = [row for row in rows if row.kind != "general"]
    parts = [
        "# Data card",
        f"{amount(len(train), 'training row')} and {amount(len(test), 'held-out row')} in the `messages` format: "
        f"{amount(len(long), 'long text')} and {amount(len(rows) - len(long), 'general chat')}. The split is by the hash of "
        "the instruction, so that a row never changes sides when the data set grows.",
        "## Sources",
        _table(("source", "rows read", "licence"), sources),
        "## Funnel",
        "The first filter that a row fails refuses it. The filters are in the order in which they check a row; "
        "those of `plan` and `write` are sorted by name.",
        _table(
            ("stage", "filter", "in", "refused", "out"),
            [(item.stage, item.filter, item.rows_in, item.rows_rejected, item.rows_out) for item in filters],
        ),
        "## Rows",
        *(
            _table((name, "train", "test"), _counts(train, test, name))
            for name in ("kind", "language", "type")
        ),
        "## Length of the long texts, in words",
        _lengths(long),
        "## Files",
        _table(("file", "md5 (DVC)"), digests.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _counts(train: Sequence[Example], test: Sequence[Example], field: str) -> list[tuple[str, int, int]]:
    """Return (value of the field, training rows, held-out rows), sorted by value."""
    in_train = Counter(str(getattr(row, field)) for row in train)
    in_test = Counter(str(getattr(row, field)) for row in test)
    return [(name, in_train[name], in_test[name]) for name in sorted(in_train | in_test)]


def _lengths(long: Sequence[Example]) -> str:
    """Return the histogram with a bar for each bin, without the empty bins at both ends."""
    counts = histogram((row.words for row in long), WORD_BINS)
    filled = [i for i, count in enumerate(counts) if count]
    if not filled:
        return "None."
    most = max(counts)
    bins = range(filled[0], filled[-1] + 1)
    return _table(
        ("words", "rows", ""),
        [(bin_name(WORD_BINS, i), counts[i], "█" * round(30 * counts[i] / most)) for i in bins],
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; integers have thousands separators, texts stay texts."""
    rows = list(lines)
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else inert.markdown(str(cell)) for cell in row] for row in rows
    ]
    align = ["right" if rows and isinstance(cell, int) else "left" for cell in (rows[0] if rows else head)]
    return str(tabulate(cells, head, tablefmt="pipe", disable_numparse=True, colalign=align))
