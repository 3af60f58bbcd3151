"""The measures of one model over a benchmark: each prompt counts once, however many answers it has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from longwriter.evaluation.measures import lengths
from longwriter.evaluation.measures.ruler import Ruler, ruler
from longwriter.records import Score, TextMeasures
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate, Method


class Measured(NamedTuple):
    """Measures of one model; shares in [0, 1]; None where nothing can be measured.

    `accuracy` is MLA and `volatility` LVC; `longest`: words of its longest answer. `distinct`: mean distinct-n by
    n. `beyond_gopher`: share of answers above one of Gopher's thresholds. `redundancy`: mean of the largest
    overlap of two sections, in percent. `repetition_along`, `quality_along`: means by part of the text.
    `ruler`: None if the benchmark has no length levels. `thinking`: mean words of thinking before an answer.
    """

    accuracy: Estimate | None
    volatility: float | None
    longest: int
    distinct: dict[str, float]
    beyond_gopher: Estimate | None
    redundancy: Estimate | None
    repetition_along: list[float]
    quality_along: list[float]
    ruler: Ruler | None
    thinking: float


def summary(scores: Sequence[Score], rows: Sequence[TextMeasures], method: Method) -> Measured:
    """Return the measures of a model from its scores and the measures of its answers."""

    def groups(value: Callable[[TextMeasures], float]) -> list[list[float]]:
        by_prompt: dict[str, list[float]] = {}
        for row in rows:
            by_prompt.setdefault(row.prompt_id, []).append(value(row))
        return list(by_prompt.values())

    ns = rows[0].distinct if rows else {}
    return Measured(
        accuracy=lengths.accuracy(scores, method.confidence),
        volatility=lengths.volatility(scores),
        longest=max((row.words for row in scores), default=0),
        distinct={n: round(sum(row.distinct[n] for row in rows) / len(rows), 4) for n in ns},
        beyond_gopher=intervals.share_interval(
            groups(lambda row: float(bool(row.beyond_gopher))), method.confidence
        ),
        redundancy=intervals.mean_interval(groups(lambda row: 100 * row.redundancy), method.confidence),
        repetition_along=_along([list(row.chunk_repetition) for row in rows]),
        quality_along=_along([row.chunk_quality for row in rows]),
        ruler=ruler(scores, method.confidence, method.seed),
        thinking=round(sum(row.thinking_words for row in rows) / max(1, len(rows)), 4),
    )


def numbers(model: str, measured: Measured) -> dict[str, float]:
    """Return the numbers of one model as {metric name: value}; one that cannot be computed has no key."""
    values: dict[str, float | None] = {
        f"{model}_mla": measured.accuracy and measured.accuracy.value,
        f"{model}_lvc": measured.volatility,
        f"{model}_words_max": measured.longest,
        f"{model}_beyond_gopher_share": measured.beyond_gopher and measured.beyond_gopher.value,
        f"{model}_thinking_words_mean": measured.thinking or None,
        f"{model}_redundancy_percent": measured.redundancy and measured.redundancy.value,
        **{f"{model}_distinct_{n}": value for n, value in measured.distinct.items()},
    }
    if measured.ruler:
        maximum = measured.ruler.maximum
        values |= {
            f"{model}_max_output_words": maximum.value,
            f"{model}_max_output_words_low": maximum.low,
            f"{model}_max_output_words_high": maximum.high,
        }
    return {key: float(value) for key, value in values.items() if value is not None}


def _along(rows: Sequence[Sequence[float | None]]) -> list[float]:
    """Return the mean of each part, over the texts with the largest number of parts; missing values are left out.

    Empty if a part has no value in any text.
    """
    longest = max(map(len, rows), default=0)
    complete = [row for row in rows if len(row) == longest]
    parts = [[value for value in part if value is not None] for part in zip(*complete, strict=True)]
    return [round(sum(part) / len(part), 4) for part in parts] if all(parts) else []
