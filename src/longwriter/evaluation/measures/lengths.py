"""More measures of length: how much it varies over samples, and how near it is to the length asked for. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from longwriter.records import Score
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate


def volatility(rows: Sequence[Score]) -> float | None:
    """Return LVC, the length volatility: standard deviation over mean of the lengths of answers to one prompt.

    It is the mean over the prompts that have several answers; None if there are none. A prompt whose answers
    are all empty counts as 0.
    """
    groups = [lengths for lengths in _lengths(rows).values() if len(lengths) > 1]
    if not groups:
        return None
    return round(
        float(np.mean([float(np.std(words, ddof=1)) / max(1.0, float(np.mean(words))) for words in groups])),
        4,
    )


def accuracy(rows: Sequence[Score], confidence: float) -> Estimate | None:
    """Return MLA, the mean length accuracy in [0, 100]: 100 for a text of the length asked for.

    An answer loses one point for each percent by which its length differs from the length asked for. So an empty
    answer has 0 points, and so has an answer of twice the length or more. Several answers to a prompt count as
    their mean. Returns None if no answered prompt asks for a length.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.required_words is None:
            continue
        off = abs(row.words - row.required_words) / row.required_words
        groups[row.prompt_id].append(100 * max(0.0, 1 - off))
    return intervals.mean_interval(list(groups.values()), confidence)


def _lengths(rows: Sequence[Score]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        groups[row.prompt_id].append(row.words)
    return groups
