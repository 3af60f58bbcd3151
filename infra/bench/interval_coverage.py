"""Measure how often 95 % intervals cover the truth, and how often they see a difference where there is none.

Run: python infra/bench/interval_coverage.py (some minutes; `--rounds 500` for a first look)

Scores scatter as those of one run of the demo (24 prompts), with noise of eight points; `skewed` are scores
of which one in five is 0 and most others are high.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from longwriter.comparison import standings
from longwriter.pairwise.questions.question import preference
from longwriter.records import PairwiseRow
from longwriter.statistics import intervals

BASE = [32, 40, 35, 26, 29, 46, 32, 35, 39, 37, 37, 33, 93, 29, 99, 27, 72, 52, 0, 29, 37, 28, 28, 33]
SFT = [48, 36, 100, 62, 96, 53, 31, 26, 60, 87, 73, 91, 81, 39, 76, 94, 87, 40, 78, 88, 89, 86, 86, 76]
DPO = [99, 57, 72, 29, 14, 80, 72, 90, 99, 88, 78, 84, 97, 63, 59, 79, 92, 93, 80, 95, 82, 89, 91, 68]
PROMPTS = (8, 24, 120)
CONFIDENCE = 0.95
NOISE = 8.0

Draw = Callable[[tuple[int, int]], np.ndarray]
Interval = tuple[float, float]


def populations(rng: np.random.Generator) -> Iterator[tuple[str, Draw, float]]:
    """Yield name, sampler and true mean of each population of scores or differences."""
    known = {"SFT - base": np.subtract(SFT, BASE), "DPO - SFT": np.subtract(DPO, SFT), "SFT": np.asarray(SFT)}
    for name, values in known.items():
        yield (
            name,
            lambda size, v=values: rng.choice(v, size) + rng.normal(0, NOISE, size),
            float(values.mean()),
        )  # type: ignore[misc]
    yield "skewed", lambda size: np.where(rng.random(size) < 0.2, 0.0, 100 * rng.beta(6, 1.5, size)), 64.0


def student(row: np.ndarray) -> Interval:
    """Return Student's interval."""
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(row) - 1) * row.std(ddof=1) / np.sqrt(len(row))
    return row.mean() - half, row.mean() + half


def bootstrap(row: np.ndarray, rng: np.random.Generator, *, studentised: bool) -> Interval:
    """Return the percentile interval, or that of the bootstrap-t."""
    draws = row[rng.integers(0, len(row), (999, len(row)))]
    means, ends = draws.mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    if not studentised:
        low, high = np.quantile(means, ends)
        return low, high
    errors = draws.std(1, ddof=1)
    low, high = np.quantile((means[errors > 0] - row.mean()) / errors[errors > 0], ends)
    return row.mean() - high * row.std(ddof=1), row.mean() - low * row.std(ddof=1)


def hall(row: np.ndarray) -> Interval:
    """Return Student's interval, corrected for skewness by Hall's transformation (1992)."""
    n, skew = len(row), float(stats.skew(row)) or 1e-6
    ends = []
    for sign in (1, -1):
        t = sign * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) / np.sqrt(n)
        ends.append(3 / skew * (np.cbrt(1 + skew * (t - skew / (6 * n))) - 1))
    return row.mean() - ends[0] * row.std(ddof=1), row.mean() - ends[1] * row.std(ddof=1)


def log_odds(row: np.ndarray) -> Interval:
    """Return Student's interval of the log odds of the mean, which stays within 0 and 100."""
    mean = row.mean() / 100
    error = row.std(ddof=1) / np.sqrt(len(row)) / 100 / (mean * (1 - mean))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(row) - 1) * error
    odds = np.log(mean / (1 - mean))
    return 100 / (1 + np.exp(half - odds)), 100 / (1 + np.exp(-half - odds))


def halves(row: np.ndarray) -> Interval:
    """Return Student's interval with half a prompt added at 0 and half a prompt at 100."""
    n = len(row) + 1
    mean = (row.sum() + 50) / n
    error = np.sqrt(((row**2).sum() + 100**2 / 2) / n - mean**2) / np.sqrt(n)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(row) - 1) * error
    return mean - half, mean + half


def mean_coverage(rounds: int, rng: np.random.Generator) -> None:
    """Write the coverage of intervals of the mean; the last three are for scores from 0 to 100 only."""
    say("coverage of the mean, %  prompts    Student percentile bootstrap-t    Hall   log odds  halves")
    methods: list[Callable[[np.ndarray], Interval]] = [
        student,
        lambda row: bootstrap(row, rng, studentised=False),
        lambda row: bootstrap(row, rng, studentised=True),
    ]
    for_scores = [*methods, hall, log_odds, halves]
    for name, draw, truth in populations(rng):
        for n in PROMPTS:
            rows = draw((rounds, n))
            hits = [
                np.mean([low <= truth <= high for low, high in map(method, rows)])
                for method in (methods if " - " in name else for_scores)
            ]
            say(f"{name:25}{n:7}" + "".join(f"{100 * share:11.1f}" for share in hits))


def share_coverage(rounds: int, rng: np.random.Generator) -> None:
    """Write the coverage of the interval of a paired change of shares."""
    say("coverage of a change of shares, %: chance to become a hit, to stop being one, prompts")
    for gain, loss in ((0.02, 0.02), (0.15, 0.15), (0.2, 0.0), (0.6, 0.1)):
        for n in PROMPTS:
            changes = rng.choice([1.0, -1.0, 0.0], p=[gain, loss, 1 - gain - loss], size=(rounds, n))
            results = [intervals.share_change([[0.0]] * n, [[x] for x in row], CONFIDENCE) for row in changes]
            covered = np.mean([result.low <= gain - loss <= result.high for result in results])
            say(f"{gain:.2f} {loss:.2f} {n:4} {100 * covered:6.1f}")


def pairwise_coverage(rounds: int, rng: np.random.Generator) -> None:
    """Write the coverage of the intervals of a win rate and of a Bradley-Terry score of two models."""
    say("coverage of win rate and Bradley-Terry score, %: chance to win, to tie, prompts")
    method = intervals.Method(CONFIDENCE, 1000, 0)
    for win, tie in ((0.5, 0.0), (0.4, 0.2), (0.7, 0.2), (0.9, 0.05)):
        truth = win + tie / 2
        score = 1000 + 400 * np.log10(truth / (1 - truth))
        for n in PROMPTS:
            rates, scores = 0, 0
            for _ in range(rounds):
                winners = rng.choice(["second", "tie", "first"], p=[win, tie, 1 - win - tie], size=n)
                rows = [comparison(place, str(winner)) for place, winner in enumerate(winners)]
                result = standings.standings(rows, ["a", "b"], "a", method)
                rate, own = result.rates["b", "a"].share, result.scores["b"]
                rates += rate.low <= truth <= rate.high
                scores += own.low <= score <= own.high
            say(f"{win:.2f} {tie:.2f} {n:4} {100 * rates / rounds:6.1f} {100 * scores / rounds:6.1f}")


def comparison(prompt: int, winner: str) -> PairwiseRow:
    """Return the comparison of models a and b on a prompt."""
    verdict = preference([(winner, winner)], "judge", ["call"])
    return PairwiseRow(
        benchmark="b", prompt_id=str(prompt), first="a", second="b", generation_ids=[], verdict=verdict
    )


def false_alarms(rounds: int, rng: np.random.Generator) -> None:
    """Write how often 24 prompts with four answers each show a difference that is not there."""
    by_prompt, by_answer = 0, 0
    for _ in range(rounds):
        change = rng.normal(0, 20, (24, 1)) + rng.normal(0, 10, (24, 4))  # of the prompt, and of decoding
        result = intervals.mean_change([[0.0] * 4] * 24, change.tolist(), CONFIDENCE)
        by_prompt += result.low > 0 or result.high < 0
        low, high = student(change.ravel())
        by_answer += low > 0 or high < 0
    say(
        f"false alarms of four answers a prompt, %: {100 * by_prompt / rounds:.1f} with prompts as groups, "
        f"{100 * by_answer / rounds:.1f} with answers as independent rows"
    )


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Write all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    false_alarms(rounds, rng)
    pairwise_coverage(rounds // 8, rng)
    share_coverage(rounds, rng)
    mean_coverage(rounds, rng)


if __name__ == "__main__":
    main()
