"""Histograms of lengths, as rows and as CSV.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WORD_BINS = (0, 50, 100, 200, 300, 500, 1000, 2000, 4000, 8000, 16_000, 32_000)
"""Lower bounds of the histogram of answers, in words; the last bin has no upper one."""
TOKEN_BINS = (0, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
"""Lower bounds of the histogram of whole rows, in tokens of the base model."""


def histogram(values: Iterable[int], bins: Sequence[int]) -> list[int]:
    """Return how many values lie in each bin; a value on a bound is in the upper bin.

    Raises:
        ValueError: a value is below the first bound.
    """
    counts = [0] * len(bins)
    for value in values:
        if value < bins[0]:
            raise ValueError(f"{value} is below {bins[0]}")
        counts[sum(bound <= value for bound in bins) - 1] += 1
    return counts


def histogram_csv(header: str, values: Iterable[int], bins: Sequence[int]) -> str:
    """Return a histogram as CSV: `header` (a line that names bin and rows), then one line for each bin."""
    counts = enumerate(histogram(values, bins))
    return header + "".join(f"{bin_name(bins, i)},{count}\n" for i, count in counts)


def bin_name(bins: Sequence[int], i: int) -> str:
    """Return a bin as text, such as "200-299" or "32000+"."""
    return f"{bins[i]}-{bins[i + 1] - 1}" if i + 1 < len(bins) else f"{bins[i]}+"
