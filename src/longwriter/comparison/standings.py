"""Win rates and Bradley-Terry scores of models, from comparisons of their answers. Pure.

A tie counts as half a win. Each prompt counts once, whatever its number of answers. The scores are in Elo points: a
model with 100 more than another wins 64 % of the comparisons with it. They come from a logistic regression. In it,
each pair of models starts with half a win for each model, so that a model that won everything has a finite score
(Haldane 1956, Anscombe 1956). Their intervals are percentiles of a bootstrap over prompts. Each draw gets two more
prompts: the first model of each pair wins one, the second model the other; `intervals.share_change` gives the
reason. `infra/bench/interval_coverage.py` measures how often the intervals are right.
Source: Bradley and Terry, Biometrika 39 (1952) 324.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from longwriter.comparison.quality import Unjudged
from longwriter.errors import BadRecord
from longwriter.records import PairwiseRow, Preference, Unscored
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate, Method

_PRIOR = 0.5  # wins of each model of a pair before the first prompt
_ELO = 400 / np.log(10)
_BASE = 1000.0  # Elo points of the model to which the others are compared
_MOST_RESAMPLES = 1000  # a fit takes 2 ms
_HALVES = {"first": (1.0, 1.0), "tie": (1.0, 0.0), "second": (0.0, 0.0)}  # two half wins of the first model


class WinRate(NamedTuple):
    """How often a model wins against another; `share` counts a tie as half, over prompts."""

    share: Estimate | None
    wins: int
    ties: int
    losses: int


class Standings(NamedTuple):
    """What the comparisons on one benchmark say.

    `anchor`: the model that has 1,000 Elo points by definition. `scores`: None for a model that no chain of
    comparisons connects with the anchor. `consistency`: share of comparisons in which a judge names the same winner
    in both orders; `shown_first`: of the answers that name a text, the share that name the text shown first.
    """

    judge: str | None
    anchor: str
    rates: dict[tuple[str, str], WinRate]
    scores: dict[str, Estimate | None]
    consistency: Estimate | None
    shown_first: float | None
    unscored: Unjudged
    prompts: int


def standings(
    compared: Sequence[PairwiseRow], models: Sequence[str], anchor: str, method: Method
) -> Standings | None:
    """Return the standings by the comparisons; None if there are none, or no judge was asked.

    Args:
        compared: The comparisons on one benchmark.
        models: All models, in the order of the tables.
        anchor: The model that gets 1,000 points.
        method: Level of the intervals, resamples and seed.

    Raises:
        BadRecord: the comparisons come from several judges, which are no panel.
    """
    reasons = Counter(row.verdict.reason for row in compared if isinstance(row.verdict, Unscored))
    if not compared or reasons["no_judge"] == len(compared):
        return None
    scored = [(row, row.verdict) for row in compared if isinstance(row.verdict, Preference)]
    answers = [answer for _, verdict in scored if verdict.call_ids for answer in _names_first(verdict)]
    places = Counter(answers)
    return Standings(
        judge=_only_judge([verdict for _, verdict in scored]),
        anchor=anchor,
        rates=_rates(scored, models, method.confidence),
        scores=_scores(scored, models, anchor, method),
        consistency=intervals.share_interval(_consistent(scored), method.confidence),
        shown_first=places[True] / places.total() if places else None,
        unscored=Unjudged(reasons.total(), len(compared), dict(sorted(reasons.items()))),
        prompts=len({row.prompt_id for row, _ in scored}),
    )


def numbers(result: Standings) -> dict[str, float]:
    """Return the results as metrics; one that is not known has no key."""
    values: dict[str, float | None] = {
        "n": result.prompts,
        "compared": result.unscored.answers,
        "unscored": result.unscored.unscored,
        "position_consistency": result.consistency and result.consistency.value,
        "shown_first_share": None if result.shown_first is None else round(result.shown_first, 4),
    }
    for model, score in result.scores.items():
        if score is not None:
            values[f"{model}_elo"] = score.value
            values |= {f"{model}_elo_low": score.low, f"{model}_elo_high": score.high}
    return {name: float(value) for name, value in values.items() if value is not None}


def bradley_terry(wins: NDArray[np.float64], anchor: int = 0) -> NDArray[np.float64]:
    """Return the Bradley-Terry scores as log odds relative to `anchor`, by maximum likelihood.

    Args:
        wins: wins[a, b] = how often a won against b; ties are half a win for both. No model that is connected with
            the anchor may have won, or lost, all its comparisons.
        anchor: The model with score 0.

    Returns:
        One score per model; NaN for a model that no chain of comparisons connects with the anchor.
    """
    scores = np.full(len(wins), np.nan)
    members = _connected(wins + wins.T > 0, anchor)
    scores[anchor] = 0.0
    others = [model for model in members if model != anchor]
    pairs = [(a, b) for a, b in combinations(members, 2) if wins[a, b] + wins[b, a] > 0]
    if not pairs:
        return scores
    design = np.zeros((2 * len(pairs), len(others)))
    weights = np.zeros(2 * len(pairs))
    for place, (a, b) in enumerate(pairs):
        for model, sign in ((a, 1.0), (b, -1.0)):
            if model != anchor:
                design[2 * place : 2 * place + 2, others.index(model)] = sign
        weights[2 * place : 2 * place + 2] = wins[a, b], wins[b, a]
    results = np.tile([1, 0], len(pairs))
    fit = LogisticRegression(
        C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-9, max_iter=200
    ).fit(design, results, sample_weight=weights)
    scores[others] = fit.coef_[0]
    return scores


@lru_cache(maxsize=4096)
def _fit(wins: tuple[tuple[float, ...], ...], anchor: int) -> tuple[float, ...]:
    """Return `bradley_terry` of a table, from a cache: with two models, many resamples have equal tables."""
    return tuple(bradley_terry(np.array(wins), anchor).tolist())


def _connected(edges: NDArray[np.bool_], start: int) -> list[int]:
    """Return the models that a chain of comparisons connects with `start`, in order."""
    members, new = {start}, [start]
    while new:
        new = [int(other) for model in new for other in np.flatnonzero(edges[model]) if other not in members]
        members |= set(new)
    return sorted(members)


Scored = Sequence[tuple[PairwiseRow, Preference]]


def _names_first(verdict: Preference) -> list[bool]:
    """Return, for each answer that names a text, whether it is the one that was shown first."""
    return [
        answer == place
        for pair in verdict.orders
        for answer, place in zip(pair, ("first", "second"), strict=True)
        if answer != "tie"
    ]


def _consistent(scored: Scored) -> list[list[float]]:
    """Return for each prompt whether each judge named the same winner in both orders; equal texts do not count."""
    groups: dict[str, list[float]] = {}
    for row, verdict in scored:
        if verdict.call_ids:
            groups.setdefault(row.prompt_id, []).extend(float(a == b) for a, b in verdict.orders)
    return list(groups.values())


def _only_judge(verdicts: Sequence[Preference]) -> str | None:
    judges = sorted({verdict.judge for verdict in verdicts if verdict.judge})
    if len(judges) > 1:
        raise BadRecord(
            f"the answers were compared by {len(judges)} judges, whose results do not mix: {'; '.join(judges)}; pin "
            "the judge's model, so that its endpoint cannot serve another one, and run `dvc repro -f -s pairwise`"
        )
    return judges[0] if judges else None


def _rates(scored: Scored, models: Sequence[str], confidence: float) -> dict[tuple[str, str], WinRate]:
    """Return the win rate of each model against each other model with which it was compared."""
    rates = {}
    for model in models:
        for other in models:
            own = [
                (row.prompt_id, verdict.winner if row.first == model else _swapped(verdict.winner))
                for row, verdict in scored
                if (row.first, row.second) in ((model, other), (other, model))
            ]
            if not own:
                continue
            groups: dict[str, list[float]] = {}
            for prompt_id, winner in own:  # two values for each result, so that a tie is as certain as a win
                groups.setdefault(prompt_id, []).extend(_HALVES[winner])
            counts = Counter(winner for _, winner in own)
            share = intervals.share_interval(list(groups.values()), confidence)
            rates[model, other] = WinRate(share, counts["first"], counts["tie"], counts["second"])
    return rates


def _swapped(winner: str) -> str:
    return {"first": "second", "second": "first"}.get(winner, winner)


def _scores(scored: Scored, models: Sequence[str], anchor: str, method: Method) -> dict[str, Estimate | None]:
    """Return the Elo points of each model with their interval; the anchor has none."""
    wins = _wins(scored, models)
    total, start, count = wins.sum(axis=0), models.index(anchor), len(wins)
    prior = np.where(total + total.T > 0, _PRIOR, 0.0)
    points = _BASE + _ELO * bradley_terry(total + prior, start)
    low: NDArray[np.float64] | None = None
    if count > 1:
        first_wins = np.triu(2 * prior)  # a prompt that the first model of each pair wins
        resamples = _resamples(np.concatenate([wins, [first_wins], [first_wins.T]]), count, method) + prior
        fits = np.array([_fit(tuple(map(tuple, sums)), start) for sums in resamples.tolist()])
        tail = (1 - method.confidence) / 2
        low, high = _BASE + _ELO * np.quantile(fits, [tail, 1 - tail], axis=0)
    scores: dict[str, Estimate | None] = {}
    for place, model in enumerate(models):
        n = int(np.count_nonzero((wins[:, place] + wins[:, :, place]).sum(axis=1)))
        if np.isnan(points[place]):
            scores[model] = None
        elif low is None or model == anchor:
            scores[model] = Estimate(round(float(points[place]), 4), None, None, n)
        else:
            interval = round(float(low[place]), 4), round(float(high[place]), 4)
            scores[model] = Estimate(round(float(points[place]), 4), *interval, n)
    return scores


def _wins(scored: Scored, models: Sequence[str]) -> NDArray[np.float64]:
    """Return for each prompt a matrix of wins, in which each pair of models has 1 together, or 0."""
    prompts = {
        prompt_id: place for place, prompt_id in enumerate(sorted({row.prompt_id for row, _ in scored}))
    }
    wins = np.zeros((len(prompts), len(models), len(models)))
    for row, verdict in scored:
        prompt, first, second = prompts[row.prompt_id], models.index(row.first), models.index(row.second)
        gain = sum(_HALVES[verdict.winner]) / 2
        wins[prompt, first, second] += gain
        wins[prompt, second, first] += 1 - gain
    games = wins + wins.transpose(0, 2, 1)
    return wins / np.where(games > 0, games, 1.0)


def _resamples(prompts: NDArray[np.float64], size: int, method: Method) -> NDArray[np.float64]:
    """Return the sums of `size` prompts that are drawn with replacement, once for each resample."""
    generator = np.random.default_rng(method.seed)
    share = np.full(len(prompts), 1 / len(prompts))
    counts = generator.multinomial(size, share, size=min(method.resamples, _MOST_RESAMPLES))
    return np.tensordot(counts.astype(float), prompts, axes=1)
