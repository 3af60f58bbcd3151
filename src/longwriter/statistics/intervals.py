"""Confidence intervals and significance tests; every prompt counts once, however many answers it has. Pure.

The answers to one prompt resemble each other, so they do not count as independent. They form a group, and the mean
of a group is one value. Intervals and tests are computed over groups. If four answers to each prompt counted as
independent, there would be 30 % false alarms instead of 5 %. The interval of a mean is Student's t. The percentile
bootstrap covers 88-90 % instead of 95 % with eight prompts; `infra/bench/interval_coverage.py` compares the
methods. For the mean of eight very skewed scores Student's t covers 87 %, and no method that was tried keeps 93-97
% for every shape. A value that cannot be computed is None, such as the interval of one value or a test without
rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_DIGITS = 4  # the last digits of a float differ between processors
_BATCH = 1000  # permutations in memory at once
_POWER = 0.8
_PSEUDO_PROMPTS = 2  # Agresti and Min (2005): half a pair in each of the four cells

Groups = Sequence[Sequence[float]]
"""The values of each prompt; no group is empty. Two that are compared have the same prompts in the same order."""


def shown(value: float, form: str) -> str:
    """Return a value as text; one that would round to 0 keeps a digit, so that its sign is seen: `-0.03`."""
    text = f"{value:{form}}"
    is_lost = value != 0 and not any(digit in text for digit in "123456789") and not form.endswith("%")
    return f"{value:{'+' if form.startswith('+') else ''}.1g}" if is_lost else text


class Method(NamedTuple):
    """How tests are made: confidence level in (0, 1), number of permutations, seed."""

    confidence: float
    resamples: int
    seed: int


class Estimate(NamedTuple):
    """A value with its interval over n prompts; `low` and `high` are None if n is 1."""

    value: float
    low: float | None
    high: float | None
    n: int

    def bounds(self, form: str) -> str:
        """Return the interval as text, such as ` [10.0, 20.0]`; empty if there is none.

        Equal values do not show how much other prompts would differ, so they have no interval: ` (all equal)`.

        Args:
            form: Format of a bound, such as `.1f`.
        """
        if self.low is None or self.high is None:
            return ""
        return (
            " (all equal)"
            if self.low == self.high
            else f" [{shown(self.low, form)}, {shown(self.high, form)}]"
        )

    def in_points(self) -> Estimate:
        """Return an estimate of a share, or of its change, in points: 0.04 becomes 4."""
        low, high = (None if bound is None else 100 * bound for bound in (self.low, self.high))
        return Estimate(100 * self.value, low, high, self.n)


class Difference(NamedTuple):
    """Mean of after - before over n prompts, with its interval; `p` is the p value of "no difference".

    `p` is of this test alone, `p_holm` is corrected for the other tests of a report. `smallest`: the smallest
    true difference that this test, with n such prompts, shows with 80 % probability.
    """

    value: float
    low: float | None
    high: float | None
    p: float
    n: int
    smallest: float | None
    p_holm: float

    def is_shown(self, confidence: float) -> bool:
        """Return whether there is a difference: the corrected p value and the interval both say so."""
        excludes_zero = self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)
        return excludes_zero and self.p_holm <= 1 - confidence


def mean_interval(
    groups: Groups, confidence: float, scale: tuple[float, float] = (0.0, 100.0)
) -> Estimate | None:
    """Return the mean of scores with its interval by Student's t; None if there are no prompts.

    Args:
        groups: The scores.
        confidence: Level of the interval.
        scale: The lowest and the highest possible score; the interval does not leave it.
    """
    if not groups:
        return None
    return _t_interval(_means(groups), confidence, scale)


def mean_change(before: Groups, after: Groups, confidence: float) -> Estimate | None:
    """Return the mean of after - before of scores in [0, 100] with its interval by Student's t.

    Raises:
        ValueError: `before` and `after` differ in length.
    """
    changes = _changes(before, after)
    return _t_interval(changes, confidence, (-100.0, 100.0)) if len(changes) else None


def share_interval(groups: Groups, confidence: float) -> Estimate | None:
    """Return the share of hits (values 0 or 1) with its interval in [0, 1]; None if there are no prompts.

    The interval is Wilson's, for the number of independent answers that would scatter like these groups. That number
    is at least the number of prompts (all answers to a prompt are alike), and at most the number of answers (all are
    independent).
    """
    if not groups:
        return None
    means, n = _means(groups), len(groups)
    share, independent = float(np.mean(means)), float(n)
    if n > 1 and 0 < share < 1:
        scatter = float(np.var(means, ddof=1)) / n
        answers = sum(map(len, groups))
        independent = answers if scatter == 0 else min(answers, max(n, share * (1 - share) / scatter))
    z2 = float(stats.norm.ppf((1 + confidence) / 2)) ** 2
    centre = (share + z2 / (2 * independent)) / (1 + z2 / independent)
    half = math.sqrt(z2 * (share * (1 - share) / independent + z2 / (4 * independent**2)))
    half /= 1 + z2 / independent
    return Estimate(_rounded(share), _rounded(max(0.0, centre - half)), _rounded(min(1.0, centre + half)), n)


def share_change(before: Groups, after: Groups, confidence: float) -> Estimate | None:
    """Return the change of a share (values 0 or 1), paired by prompt, with its interval in [-1, 1].

    The interval is the one of Agresti and Min (2005, Statistics in Medicine 24:729): two prompts are added, half a
    prompt for each outcome (hit or not, before and after). So eight prompts without any change do not prove that
    there is no change.
    """
    changes = _changes(before, after)
    if not len(changes):
        return None
    n = len(changes) + _PSEUDO_PROMPTS
    mean = float(np.sum(changes)) / n
    variance = (float(np.sum(changes**2)) + 1) / n - mean**2
    quantile = float(stats.t.ppf((1 + confidence) / 2, max(1, len(changes) - 1)))
    half = quantile * math.sqrt(max(0.0, variance) / n)
    low, high = max(-1.0, mean - half), min(1.0, mean + half)
    return Estimate(_rounded(np.mean(changes)), _rounded(low), _rounded(high), len(changes))


def paired_difference(before: Groups, after: Groups, method: Method) -> Difference | None:
    """Return the mean difference of scores, paired by prompt; None without prompts.

    The test is a permutation test, which swaps before and after within prompts at random.

    Raises:
        ValueError: `before` and `after` differ in length.
    """
    change = mean_change(before, after, method.confidence)
    if change is None:
        return None
    return _difference(change, _permutation_p(before, after, method), before, after, method)


def paired_shares(before: Groups, after: Groups, method: Method) -> Difference | None:
    """Return the difference of shares (values 0 or 1), paired by prompt; None without prompts.

    The test is McNemar's exact test; with several answers to a prompt, the permutation test of their means.

    Raises:
        ValueError: `before` and `after` differ in length.
    """
    change = share_change(before, after, method.confidence)
    if change is None:
        return None
    changes = _changes(before, after)
    gains, losses = int(np.sum(changes == 1)), int(np.sum(changes == -1))
    if all(len(group) == 1 for group in (*before, *after)):
        p = _p(stats.binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0
    else:
        p = _permutation_p(before, after, method)
    return _difference(change, p, before, after, method)


def _difference(change: Estimate, p: float, before: Groups, after: Groups, method: Method) -> Difference:
    return Difference(*change[:3], p, change.n, _smallest(before, after, method), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for their number (Holm 1979), in the same order.

    Then at most one in twenty reports without a true difference has a corrected p value below 0.05.
    """
    ordered = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(ordered):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = _p(largest)
    return corrected


def spread(groups: Groups) -> float | None:
    """Return the standard deviation of repeated answers to the same prompt; None if no prompt has two."""
    repeated = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    if not repeated:
        return None
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in repeated)
    return _rounded(math.sqrt(squares / sum(len(group) - 1 for group in repeated)))


def _means(groups: Groups) -> NDArray[np.float64]:
    return np.asarray([np.mean(group) for group in groups], dtype=float)


def _changes(before: Groups, after: Groups) -> NDArray[np.float64]:
    pairs = zip(before, after, strict=True)
    return np.asarray([np.mean(new) - np.mean(old) for old, new in pairs], dtype=float)


def _t_interval(values: NDArray[np.float64], confidence: float, bounds: tuple[float, float]) -> Estimate:
    mean, n = _rounded(np.mean(values)), len(values)
    if n == 1:
        return Estimate(mean, None, None, n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(mean, _rounded(max(bounds[0], mean - half)), _rounded(min(bounds[1], mean + half)), n)


def _permutation_p(before: Groups, after: Groups, method: Method) -> float:
    if len(before) < 2:
        return 1.0
    test = stats.permutation_test(
        (_means(after), _means(before)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=method.resamples,
        batch=_BATCH,
        rng=np.random.default_rng(method.seed),
    )
    return _p(test.pvalue)


def _smallest(before: Groups, after: Groups, method: Method) -> float | None:
    """Return the smallest difference that is shown with 80 % probability, by the t test; None for one prompt."""
    n = len(before)
    if n < 2:
        return None
    quantiles = stats.t.ppf((1 + method.confidence) / 2, n - 1) + stats.t.ppf(_POWER, n - 1)
    return _rounded(quantiles * np.std(_changes(before, after), ddof=1) / math.sqrt(n))


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
