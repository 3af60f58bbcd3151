"""How much the results of one recipe differ from training to training, and from decoding to decoding. Pure."""

from __future__ import annotations

import math
import statistics as sample
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longwriter.comparison.groups import by_prompt
from longwriter.records import Score
from longwriter.statistics import intervals


class Repeat(NamedTuple):
    """Results of trainings of one recipe, over the n prompts that all of them answered.

    `means`: mean length score of each model. `between`: the standard deviation of these means. `decoding`: the
    standard deviation that the mean of one model would have if it answered again with the same weights. It is None
    if each prompt has only one answer.
    """

    models: list[str]
    n: int
    means: list[float]
    between: float
    decoding: float | None


def repeat(models: Sequence[str], rows: Mapping[str, Sequence[Score]]) -> Repeat | None:
    """Return how much the trainings of a recipe differ; None if they share no prompt that asks for a length.

    Args:
        models: Names of two models or more that one recipe trained.
        rows: {model: its scores}.
    """
    groups = [by_prompt(rows[model], lambda row: row.length_score) for model in models]
    prompts = sorted(set.intersection(*(set(group) for group in groups)))
    if not prompts:
        return None
    means = [sample.fmean(sample.fmean(group[prompt]) for prompt in prompts) for group in groups]
    answers = [[group[prompt] for prompt in prompts] for group in groups]
    spread = intervals.spread([values for group in answers for values in group])
    decoding = None
    if spread is not None:
        variance = (
            sample.fmean(sum(1 / len(values) for values in group) for group in answers) / len(prompts) ** 2
        )
        decoding = round(spread * math.sqrt(variance), 4)
    return Repeat(
        list(models),
        len(prompts),
        [round(mean, 4) for mean in means],
        round(sample.stdev(means), 4),
        decoding,
    )
