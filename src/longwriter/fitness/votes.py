"""Compares a judge with people: the judge scores the pairs of answers on which people voted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sklearn.metrics import cohen_kappa_score

from longwriter.records import Judgement, Unscored, Vote
from longwriter.statistics import intervals
from longwriter.statistics.agreement import alpha
from longwriter.statistics.intervals import Estimate

Text = tuple[str, str]
"""A prompt and an answer to it."""
Marks = Mapping[Text, Judgement | Unscored]
_LABELS = ("first", "second", "tie")


class Agreement(NamedTuple):
    """How a judge agrees with people; `votes` and `pairs` count what the judge could score.

    `accuracy`: share of votes for the answer that the judge prefers, over pairs. `kappa`: Cohen's kappa of judge and
    votes. `alpha`: Krippendorff's alpha of all raters and the judge; `people`: of the raters alone. None = not defined.
    """

    votes: int
    pairs: int
    accuracy: Estimate | None
    kappa: float | None
    alpha: float | None
    people: float | None


def texts(votes: Sequence[Vote]) -> list[Text]:
    """Return each text that was voted on, once."""
    return list(dict.fromkeys((vote.prompt, text) for vote in votes for text in (vote.first, vote.second)))


def agreement(votes: Sequence[Vote], marks: Marks, confidence: float) -> Agreement:
    """Return how the judge agrees with the people; pairs that it did not mark are left out.

    Args:
        votes: The votes. The texts of a pair may stand in either order; a rater may vote once on a pair.
        marks: The judge's marks of all texts.
        confidence: Level of the interval of the accuracy.
    """
    raters = sorted({vote.rater for vote in votes})
    units: dict[tuple[str, str, str], dict[str, str]] = {}
    verdicts: dict[tuple[str, str, str], str] = {}
    for vote in votes:
        low, high = sorted((vote.first, vote.second))
        pair = (vote.prompt, low, high)
        verdict = _verdict(marks.get((vote.prompt, low)), marks.get((vote.prompt, high)))
        if verdict is None:
            continue
        verdicts[pair] = verdict
        units.setdefault(pair, {})[vote.rater] = _swapped(vote.vote, low != vote.first)
    people = [(label, verdicts[pair]) for pair, labels in units.items() for label in labels.values()]
    hits = [[float(label == verdicts[pair]) for label in labels.values()] for pair, labels in units.items()]
    by_rater = [[_number(labels.get(rater)) for rater in raters] for labels in units.values()]
    with_judge = [
        [*unit, _number(verdict)] for unit, verdict in zip(by_rater, verdicts.values(), strict=True)
    ]
    return Agreement(
        votes=len(people),
        pairs=len(units),
        accuracy=intervals.share_interval(hits, confidence),
        kappa=_kappa(people),
        alpha=alpha(with_judge, "nominal"),
        people=alpha(by_rater, "nominal"),
    )


def _verdict(first: Judgement | Unscored | None, second: Judgement | Unscored | None) -> str | None:
    if not isinstance(first, Judgement) or not isinstance(second, Judgement):
        return None
    if first.quality_score == second.quality_score:
        return "tie"
    return "first" if first.quality_score > second.quality_score else "second"


def _swapped(label: str, is_swapped: bool) -> str:
    return {"first": "second", "second": "first"}.get(label, label) if is_swapped else label


def _number(label: str | None) -> float | None:
    return None if label is None else float(_LABELS.index(label))


def _kappa(people: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa; None where it is not defined, because judge and people use only one label."""
    if len({label for pair in people for label in pair}) < 2:
        return None
    human, judge = zip(*people, strict=True)
    return round(float(cohen_kappa_score(human, judge)), 4)
