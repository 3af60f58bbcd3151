"""Quality of the compared models, on prompts whose answers are scored for all of them. Pure.

If a judge cannot score long or bad answers, a model's worst answers are left out, and its mean goes up. So a prompt
counts only if all answers of all models to it are scored. For the other prompts there are bounds: the values that
S_bar = (S_l + S_q) / 2 would have if each unscored answer had the worst or the best quality.
Source: LongWriter (arXiv:2408.07055), section 2: S_l, S_q and S_bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longwriter.comparison.groups import Bucket, Value, buckets, by_prompt, shared
from longwriter.records import Judgement, Score, Unscored
from longwriter.statistics import agreement, intervals
from longwriter.statistics.intervals import Difference, Estimate, Method

Rows = Mapping[str, Sequence[Score]]
Pair = tuple[str, str]
_WORST, _BEST = 0.0, 100.0
_MARKS = (1.0, 5.0)  # of a dimension


class Unjudged(NamedTuple):
    """How many answers of a model have no quality score, how many answers it has, and {reason: number}."""

    unscored: int
    answers: int
    reasons: dict[str, int]

    def share(self) -> float:
        """Return the share of answers without quality score; 0 if there are no answers."""
        return self.unscored / max(1, self.answers)


class Quality(NamedTuple):
    """Quality of each model; scores are in [0, 100], dimensions from 1 to 5.

    `shared`: number of prompts that all models answered. `scored`: how many of them count, because all their
    answers are scored. `bounds` and `difference_bounds`: lowest and highest mean of S_bar over all shared
    prompts, whatever quality the unscored answers have. `agreement`: Krippendorff's alpha of a panel's S_q;
    None if there is no panel. `differences`: by (after, before), in S_bar.
    """

    shared: int
    scored: int
    unjudged: dict[str, Unjudged]
    quality: dict[str, Estimate | None]
    overall: dict[str, Estimate | None]
    bounds: dict[str, tuple[float, float] | None]
    dimensions: dict[str, dict[str, Estimate]]
    buckets: list[Bucket]
    agreement: float | None
    differences: dict[Pair, Difference | None]
    difference_bounds: dict[Pair, tuple[float, float] | None]


def of_models(rows: Rows, method: Method, pairs: Sequence[Pair]) -> Quality | None:
    """Return the quality of the models; None if no judge was asked."""
    qualities = [row.quality for scores in rows.values() for row in scores]
    if all(isinstance(quality, Unscored) and quality.reason == "no_judge" for quality in qualities):
        return None
    prompts = set.intersection(*({row.prompt_id for row in scores} for scores in rows.values()))
    unscored = {row.prompt_id for scores in rows.values() for row in scores if not _is_scored(row)}
    answered = _only(rows, prompts)
    scored = _only(rows, prompts - unscored)
    confidence = method.confidence
    return Quality(
        shared=len(prompts),
        scored=len(prompts - unscored),
        unjudged={model: _unjudged(scores) for model, scores in rows.items()},
        quality={model: _mean(scores, _quality, confidence) for model, scores in scored.items()},
        overall={model: _mean(scores, _overall, confidence) for model, scores in scored.items()},
        bounds={model: _bounds(scores) for model, scores in answered.items()},
        dimensions=_dimensions(scored, confidence),
        buckets=buckets(scored, _overall, confidence),
        agreement=_agreement(qualities),
        differences={
            (after, before): intervals.paired_difference(
                *shared(scored[before], scored[after], _overall), method
            )
            for after, before in pairs
        },
        difference_bounds={
            (after, before): _difference_bounds(_bounds(answered[after]), _bounds(answered[before]))
            for after, before in pairs
        },
    )


def _only(rows: Rows, prompts: set[str]) -> dict[str, list[Score]]:
    return {model: [row for row in scores if row.prompt_id in prompts] for model, scores in rows.items()}


def _is_scored(row: Score) -> bool:
    return isinstance(row.quality, Judgement)


def _quality(row: Score, unscored: float = _WORST) -> float:
    return row.quality.quality_score if isinstance(row.quality, Judgement) else unscored


def _overall(row: Score, unscored: float = _WORST) -> float | None:
    """Return S_bar of an answer; `unscored` is its quality if it has none. None if it has no length score."""
    if row.length_score is None:
        return None
    return (row.length_score + _quality(row, unscored)) / 2


def _mean(scores: Sequence[Score], value: Value, confidence: float) -> Estimate | None:
    return intervals.mean_interval(list(by_prompt(scores, value).values()), confidence)


def _unjudged(scores: Sequence[Score]) -> Unjudged:
    reasons = Counter(row.quality.reason for row in scores if isinstance(row.quality, Unscored))
    return Unjudged(reasons.total(), len(scores), dict(sorted(reasons.items())))


def _bounds(scores: Sequence[Score]) -> tuple[float, float] | None:
    """Return the mean of S_bar over prompts if all unscored answers had the worst quality, and if they had the best."""
    if not scores:
        return None
    means = []
    for unscored in (_WORST, _BEST):
        groups = by_prompt(scores, lambda row, quality=unscored: _overall(row, quality)).values()  # type: ignore[misc]
        if not groups:
            return None
        means.append(round(sum(sum(group) / len(group) for group in groups) / len(groups), 4))
    return means[0], means[1]


def _difference_bounds(
    after: tuple[float, float] | None, before: tuple[float, float] | None
) -> tuple[float, float] | None:
    if after is None or before is None:
        return None
    return round(after[0] - before[1], 4), round(after[1] - before[0], 4)


def _agreement(qualities: Sequence[Judgement | Unscored]) -> float | None:
    """Return the agreement of a panel's members on S_q."""
    panels = [quality.members for quality in qualities if isinstance(quality, Judgement) and quality.members]
    return agreement.alpha([[member.quality_score for member in members] for members in panels])


def _dimensions(scored: Rows, confidence: float) -> dict[str, dict[str, Estimate]]:
    """Return {dimension: {model: its mean}}, in the order of the judge's schema."""
    judgements = [
        row.quality for scores in scored.values() for row in scores if isinstance(row.quality, Judgement)
    ]
    names = dict.fromkeys(name for judgement in judgements for name in judgement.dimensions)
    means: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    for name in names:
        for model, scores in scored.items():
            marks = by_prompt(scores, lambda row, key=name: row.quality.dimensions[key])  # type: ignore[misc]
            if estimate := intervals.mean_interval(list(marks.values()), confidence, _MARKS):
                means[name][model] = estimate
    return means
