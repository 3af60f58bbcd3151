"""LongWrite-Ruler's curve: how long answers are at each length level, and the length that no answers exceed.

The maximum output length is where the curve bends: up to some level, answers have the length asked for times a
constant factor, and above it they all have one length. Both are fitted to logarithms by least squares. The interval
is Student's t with the scatter of a bootstrap over the prompts of each level. With eight prompts a level it
covers 92-97 % instead of 95 % (simulated; the percentile bootstrap covers 89-95 %).
Source: LongWriter (arXiv:2408.07055), figure 1. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from longwriter.records import Score
from longwriter.statistics.intervals import Estimate

_MIN_LEVELS = 3
_MIN_PROMPTS = 4  # of a level; LongWrite-Ruler has 8
_MIN_SPAN = 8  # smallest ratio of the largest to the smallest level for which a curve says something
_GRID = 60  # bends that are tried between two levels
_DRAWS = 1000
_FREE = 1.05  # a bend so near to the largest level does not count: the curve may still rise

Array = NDArray[np.float64]


class Level(NamedTuple):
    """Answers to the prompts that ask for `required` words; `words` is their mean length over prompts."""

    required: int
    words: Estimate


class Ruler(NamedTuple):
    """The curve of one model. `maximum`: the maximum output length in words, over n prompts.

    `is_reached`: whether the curve bends below the largest level. If it does not, the model may be able to write
    more than the benchmark asks for, and the maximum is only a lower bound.
    """

    levels: list[Level]
    maximum: Estimate
    is_reached: bool


def has_levels(rows: Sequence[Score]) -> bool:
    """Tell whether the prompts ask for few lengths, and equally many prompts for each, as in LongWrite-Ruler."""
    levels = _by_level(rows)
    counts, lengths = [len(prompts) for prompts in levels.values()], list(levels)
    return (
        all(row.required_words is not None for row in rows)
        and len(counts) >= _MIN_LEVELS
        and min(counts) == max(counts) >= _MIN_PROMPTS
        and lengths[-1] >= _MIN_SPAN * lengths[0]
    )


def ruler(rows: Sequence[Score], confidence: float, seed: int) -> Ruler | None:
    """Return the curve of one model's answers; None if the benchmark has no levels.

    Args:
        rows: Its scores, one or more for each prompt. The answers to one prompt count as their mean.
        confidence: Level of the intervals, in (0, 1).
        seed: Seed of the bootstrap.
    """
    if not has_levels(rows):
        return None
    groups = _by_level(rows)
    levels = []
    for required, prompts in groups.items():
        words = [float(np.mean(lengths)) for lengths in prompts.values()]
        levels.append(Level(required, _mean_length(words, confidence)))
    required_lengths = np.log([required for required, prompts in groups.items() for _ in prompts])
    written = np.asarray(
        [
            math.log(max(1.0, float(np.mean(lengths))))
            for prompts in groups.values()
            for lengths in prompts.values()
        ]
    )
    sizes = [len(prompts) for prompts in groups.values()]
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes[:-1]])
    draws = np.concatenate(
        [rng.integers(0, size, (_DRAWS, size)) + start for size, start in zip(sizes, starts, strict=True)],
        axis=1,
    )
    maxima, bends = _fit(required_lengths, written[None, :])
    resampled, _ = _fit(required_lengths, written[draws])
    value = float(maxima[0])
    scatter = float(np.std(np.log(resampled), ddof=1)) * math.sqrt(sizes[0] / (sizes[0] - 1))
    factor = math.exp(float(stats.t.ppf((1 + confidence) / 2, len(written) - len(sizes))) * scatter)
    if not any(row.words for row in rows):  # a logarithm takes no text for one word
        value = 0.0
    maximum = Estimate(round(value), round(value / factor), round(value * factor), len(written))
    return Ruler(levels, maximum, float(bends[0]) * _FREE < levels[-1].required)


def _fit(required: Array, written: Array) -> tuple[Array, Array]:
    """Return (length above the bend, length asked for at the bend) of each row of `written`, in words.

    Args:
        required: Logarithm of the length asked for, shape (n,).
        written: Logarithm of the length written, shape (draws, n).
    """
    levels = np.unique(required)
    steps = (len(levels) - 1) * _GRID + 1
    bends = np.interp(np.linspace(0, len(levels) - 1, steps), np.arange(len(levels)), levels)
    curves = np.minimum(required[None, :], bends[:, None])  # (bends, n)
    curve_means = curves.mean(axis=1)
    written_means = written.mean(axis=1)
    covariance = written @ curves.T / len(required) - written_means[:, None] * curve_means[None, :]
    errors = (
        curves.var(axis=1)[None, :] - 2 * covariance
    )  # without the variance of `written`, the same for all bends
    best = np.argmin(errors, axis=1)
    shift = written_means - curve_means[best]
    return np.exp(shift + bends[best]), np.exp(bends[best])


def _by_level(rows: Sequence[Score]) -> dict[int, dict[str, list[int]]]:
    """Return {required words: {prompt id: lengths of its answers}}, short levels first."""
    groups: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: (row.required_words or 0, row.prompt_id)):
        if row.required_words is not None:
            groups[row.required_words][row.prompt_id].append(row.words)
    return groups


def _mean_length(values: Sequence[float], confidence: float) -> Estimate:
    """Return the mean of lengths with its interval by Student's t, not below 0."""
    n, mean = len(values), float(np.mean(values))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(round(mean, 1), round(max(0.0, mean - half), 1), round(mean + half, 1), n)
