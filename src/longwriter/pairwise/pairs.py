"""Which models and which answers are compared two by two. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from longwriter.pairwise.questions.question import Pair
from longwriter.records import Generation, PairwiseRow, Unscored


def matches(models: Sequence[str], which: str, reference: str) -> list[tuple[str, str]]:
    """Return the pairs of models to compare; `which` as in `pairwise.pairs`: `none`, `reference` or `all`."""
    if which == "none":
        return []
    if which == "all":
        return list(combinations(models, 2))
    return [(reference, model) for model in models if model != reference]


def rows(
    benchmark: str, answers: Mapping[str, Sequence[Generation]], matches: Sequence[tuple[str, str]]
) -> list[tuple[PairwiseRow, Pair]]:
    """Return the comparisons. If two models have several answers to a prompt, their first ones are compared, and so on.

    Returns:
        (a row that has no verdict yet, the texts to compare).
    """
    pending = Unscored(reason="pending", detail="")
    by_prompt = {model: _by_prompt(generations) for model, generations in answers.items()}
    return [
        (
            PairwiseRow(
                benchmark=benchmark, prompt_id=prompt_id, first=first, second=second,
                generation_ids=[answer.generation_id, rival.generation_id], verdict=pending,
            ),
            Pair(answer.prompt, answer.text, rival.text),
        )
        for first, second in matches
        for prompt_id, draws in by_prompt[first].items()
        for answer, rival in zip(draws, by_prompt[second].get(prompt_id, []), strict=False)
    ]  # fmt: skip


def _by_prompt(generations: Sequence[Generation]) -> dict[str, list[Generation]]:
    groups: dict[str, list[Generation]] = {}
    for generation in generations:
        groups.setdefault(generation.prompt_id, []).append(generation)
    return groups
