"""Scores grouped by prompt, and by the length that a prompt asks for. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from longwriter.records import Score
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate, Groups

_BOUNDS = (0, 500, 2000, 4000, 20_001)  # LongBench-Write's [0,500) [500,2k) [2k,4k) [4k,20k]
_SHORT_BOUNDS = (0, 200, 300, *_BOUNDS[1:])  # for benchmarks that mostly require less than 500 words


class Bucket(NamedTuple):
    """Mean scores of each model over the prompts that require [low, high) words; `high` may be inf."""

    low: int
    high: float
    scores: dict[str, Estimate]

    def label(self) -> str:
        """Return the range in words, such as `below 500`, `500-1,999` or `20,001 and more`."""
        if self.low == 0:
            return f"below {int(self.high):,}"
        return f"{self.low:,} and more" if math.isinf(self.high) else f"{self.low:,}-{int(self.high) - 1:,}"


Value = Callable[[Score], float | None]
"""Returns a number of a row; None if the row has none, such as a length score if its prompt asks for no length."""


def by_prompt(rows: Sequence[Score], value: Value) -> dict[str, list[float]]:
    """Return {prompt id: values of its rows}; rows without a value are left out."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        number = value(row)
        if number is not None:
            groups.setdefault(row.prompt_id, []).append(float(number))
    return groups


def shared(before: Sequence[Score], after: Sequence[Score], value: Value) -> tuple[Groups, Groups]:
    """Return the values of both models by prompt, for the prompts that both have."""
    old, new = by_prompt(before, value), by_prompt(after, value)
    prompts = sorted(old.keys() & new.keys())
    return [old[prompt] for prompt in prompts], [new[prompt] for prompt in prompts]


def buckets(rows: Mapping[str, Sequence[Score]], value: Value, confidence: float) -> list[Bucket]:
    """Return the buckets that hold at least one prompt, shortest lengths first, with each model's mean of `value`."""
    lengths = [
        row.required_words for scores in rows.values() for row in scores if row.required_words is not None
    ]
    mostly_short = sum(words < _BOUNDS[1] for words in lengths) * 2 > len(lengths)
    bounds = [*(_SHORT_BOUNDS if mostly_short else _BOUNDS), math.inf]
    result = []
    for low, high in pairwise(bounds):
        scores = {}
        for model, model_rows in rows.items():
            inside = [
                row
                for row in model_rows
                if row.required_words is not None and low <= row.required_words < high
            ]
            groups = by_prompt(inside, value)
            if estimate := intervals.mean_interval(list(groups.values()), confidence):
                scores[model] = estimate
        if scores:
            result.append(Bucket(int(low), high, scores))
    return result
