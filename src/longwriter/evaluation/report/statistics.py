"""Confidence intervals and significance tests, by scipy; seeded, and never NaN. Pure.

A value that cannot be computed is None, such as the interval of one value or a test without rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

_DIGITS = 4  # the last digits of a float differ between processors
_BATCH = 1000  # resamples in memory at once


class Method(NamedTuple):
    """How intervals are computed: confidence level in (0, 1), number of bootstrap resamples, seed."""

    confidence: float
    resamples: int
    seed: int


class Estimate(NamedTuple):
    """A value with its interval over n rows; `low` and `high` are None if n is 1."""

    value: float
    low: float | None
    high: float | None
    n: int


class Difference(NamedTuple):
    """Mean of after - before over n pairs, with its interval; `p` is the p value of "no difference"."""

    value: float
    low: float | None
    high: float | None
    p: float
    n: int


def mean_interval(values: Sequence[float], method: Method) -> Estimate | None:
    """Return the mean with its bootstrap interval; None if there are no values."""
    if not values:
        return None
    mean = _rounded(np.mean(values))
    return Estimate(mean, *_bootstrap(values, method), len(values))


def paired_difference(before: Sequence[float], after: Sequence[float], method: Method) -> Difference | None:
    """Return the mean difference of pairs, with bootstrap interval and permutation test; None without pairs.

    The bootstrap resamples pairs; the permutation test swaps before and after within pairs at random.

    Raises:
        ValueError: `before` and `after` differ in length.
    """
    changes = [new - old for old, new in zip(before, after, strict=True)]
    if not changes:
        return None
    low, high = _bootstrap(changes, method)
    p = _permutation_p(before, after, method) if len(changes) > 1 else 1.0
    return Difference(_rounded(np.mean(changes)), low, high, p, len(changes))


def _permutation_p(before: Sequence[float], after: Sequence[float], method: Method) -> float:
    test = stats.permutation_test(
        (np.asarray(after, dtype=float), np.asarray(before, dtype=float)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=method.resamples,
        batch=_BATCH,
        rng=np.random.default_rng(method.seed),
    )
    return _p(test.pvalue)


def share_interval(hits: int, n: int, confidence: float) -> Estimate | None:
    """Return the share of hits with its Wilson interval, all in [0, 1]; None if n is 0."""
    if n == 0:
        return None
    interval = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return Estimate(_rounded(hits / n), _rounded(interval.low), _rounded(interval.high), n)


def fisher_p(hits_a: int, n_a: int, hits_b: int, n_b: int) -> float | None:
    """Return the p value of "both shares are equal" by Fisher's exact test; None if a side has no rows."""
    if n_a == 0 or n_b == 0:
        return None
    return _p(stats.fisher_exact([[hits_a, n_a - hits_a], [hits_b, n_b - hits_b]]).pvalue)


def _bootstrap(values: Sequence[float], method: Method) -> tuple[float | None, float | None]:
    """Return the percentile interval of the mean; the more exact BCa interval is NaN for equal resamples."""
    if len(values) == 1:
        return None, None
    interval = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        confidence_level=method.confidence,
        n_resamples=method.resamples,
        batch=_BATCH,
        method="percentile",
        rng=np.random.default_rng(method.seed),
    ).confidence_interval
    return _rounded(interval.low), _rounded(interval.high)


def _p(value: float) -> float:
    """Return a p value with three significant digits, so that a small one does not become 0."""
    return float(f"{value:.3g}")


def _rounded(value: Any) -> float:
    """Return a float that JSON can hold.

    Raises:
        ValueError: the value is NaN or infinite.
    """
    if not np.isfinite(value):
        raise ValueError(f"a statistic is {value}, not a finite number")
    return round(float(value), _DIGITS)
