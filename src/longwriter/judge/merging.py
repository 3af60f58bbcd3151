"""Merges several judgements of one text: those of a panel of judges, or of the chunks of a long text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from longwriter.judge.judgements import quality_score
from longwriter.records import Judgement, Unscored

_DIGITS = 4


def panel(members: Sequence[Judgement | Unscored]) -> Judgement | Unscored:
    """Return the mean judgement of a panel; with one member, its judgement.

    If a member has no judgement, the text is Unscored with that member's reason, because a mean over the others
    could not be compared with the means of other texts.
    """
    if len(members) == 1:
        return members[0]
    judgements = _judgements(members)
    if isinstance(judgements, Unscored):
        return judgements
    judge = " + ".join(judgement.judge for judgement in judgements)
    return _mean(judgements, [1] * len(judgements), judge).model_copy(update={"members": judgements})


def chunks(parts: Sequence[Judgement | Unscored], weights: Sequence[int]) -> Judgement | Unscored:
    """Return the mean judgement of a text's chunks, weighted by their lengths.

    If one of its chunks is Unscored, the text is too. If the endpoint served different models for the chunks, the
    text is Unscored with `judge_changed`.
    """
    if len(parts) == 1:
        return parts[0]
    judgements = _judgements(parts)
    if isinstance(judgements, Unscored):
        return judgements
    judges = list(dict.fromkeys(judgement.judge for judgement in judgements))
    if len(judges) > 1:
        call_ids = [call_id for judgement in judgements for call_id in judgement.call_ids]
        detail = f"{' and '.join(judges)} scored parts of the text"
        return Unscored(reason="judge_changed", detail=detail, call_ids=call_ids)
    return _mean(judgements, weights, judges[0]).model_copy(update={"chunks": len(judgements)})


def _judgements(values: Sequence[Judgement | Unscored]) -> list[Judgement] | Unscored:
    """Return the values if all are judgements, else the first one that is not, with the calls of all."""
    call_ids = [call_id for value in values for call_id in value.call_ids]
    for value in values:
        if isinstance(value, Unscored):
            return value.model_copy(update={"call_ids": call_ids})
    return [value for value in values if isinstance(value, Judgement)]


def _mean(judgements: Sequence[Judgement], weights: Sequence[int], judge: str) -> Judgement:
    total = sum(weights)
    dimensions = {
        name: round(
            sum(
                judgement.dimensions[name] * weight
                for judgement, weight in zip(judgements, weights, strict=True)
            )
            / total,
            _DIGITS,
        )
        for name in judgements[0].dimensions
    }
    return Judgement(
        dimensions={**dimensions},
        quality_score=quality_score(dimensions),
        analysis="\n\n".join(judgement.analysis for judgement in judgements),
        judge=judge,
        call_ids=[call_id for judgement in judgements for call_id in judgement.call_ids],
    )
