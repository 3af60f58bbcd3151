"""The comparison of models on one benchmark: every number with its n and its interval.

Two models are compared on the prompts that both answered, paired by prompt; n is the number of prompts,
also where a prompt has several answers. `compare` in params.yaml names the models and the pairs. Pure.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from longwriter.errors import BadRecord
from longwriter.evaluation.report import statistics
from longwriter.evaluation.report.statistics import Difference, Estimate, Groups, Method
from longwriter.records import Judgement, Score, Unscored

_BOUNDS = (0, 500, 2000, 4000, 20_001)  # LongBench-Write's [0,500) [500,2k) [2k,4k) [4k,20k]
_SHORT_BOUNDS = (
    0,
    200,
    300,
    500,
    2000,
    4000,
    20_001,
)  # for benchmarks that mostly require less than 500 words


class Bucket(NamedTuple):
    """Length scores of each model over the prompts that require [low, high) words; `high` may be inf."""

    low: int
    high: float
    scores: dict[str, Estimate]

    def label(self) -> str:
        """Return the range in words, such as `below 500`, `500-1,999` or `20,001 and more`."""
        if self.low == 0:
            return f"below {int(self.high):,}"
        return f"{self.low:,} and more" if math.isinf(self.high) else f"{self.low:,}-{int(self.high) - 1:,}"


class Standing(NamedTuple):
    """Results of one model on the benchmark; shares in [0, 1]; None where it has no answer or judgement.

    `unscored`: answers without a judgement, counted by reason. `draws`: mean length score of the first answer
    to each prompt, of the second, and so on. `spread`: standard deviation of the length score between answers
    of the same weights to the same prompt; None where each prompt has one.
    """

    length_score: Estimate | None
    ended: Estimate | None
    loop: Estimate | None
    refusal: Estimate | None
    words_mean: float
    quality: Estimate | None
    unscored: dict[str, int]
    draws: list[float]
    spread: float | None


class Comparison(NamedTuple):
    """All results on one benchmark; keys are names of models, in the order of tables and figures.

    `labels`: what the report calls each model, such as `SFT` or `the base model`. `differences`: by
    (after, before), in length score. `ended`: the difference of the first pair in how often answers end by
    themselves. The p values of all of them are corrected together. `tests`: their number. `judge`: the one judge
    of all quality scores; None if there is none.
    """

    benchmark: str
    judge: str | None
    method: Method
    labels: dict[str, str]
    rows: dict[str, list[Score]]
    standings: dict[str, Standing]
    differences: dict[tuple[str, str], Difference | None]
    ended: Difference | None
    tests: int
    buckets: list[Bucket]

    def heading(self, model: str) -> str:
        """Return a model's label without its article, such as `base model`."""
        return self.labels[model].removeprefix("the ")

    def title(self, model: str) -> str:
        """Return a model's heading with a capital, such as `Base model`."""
        return capitalised(self.heading(model))


Curve = dict[str, list[float]]


def capitalised(text: str) -> str:
    """Return `text` with its first letter as a capital; the others stay."""
    return text[0].upper() + text[1:]


def compare(
    benchmark: str,
    rows: Mapping[str, Sequence[Score]],
    method: Method,
    *,
    labels: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
) -> Comparison:
    """Return the comparison of the models on one benchmark.

    Args:
        benchmark: Its name.
        rows: {model: its scores}, one or more for each prompt.
        method: How intervals and tests are made.
        labels: {model: what the report calls it}, in the order of tables and figures.
        pairs: (after, before) models to compare; one pair or more. For the first pair, the shares of
            answers that end by themselves are compared too.

    Raises:
        ValueError: a model has two scores of one answer.
        BadRecord: different judges scored the answers, so that the quality scores do not compare.
    """
    ordered = {model: sorted(rows[model], key=lambda row: row.prompt_id) for model in labels}
    for model, scores in ordered.items():
        if len({row.generation_id for row in scores}) < len(scores):
            raise ValueError(f"an answer of {model} is scored twice")
    judge = _only_judge(ordered)
    differences = {pair: _length_difference(ordered[pair[1]], ordered[pair[0]], method) for pair in pairs}
    after, before = (ordered[model] for model in pairs[0])
    ended = statistics.paired_shares(*_shared(before, after, lambda row: row.ended), method)
    *corrected, ended = _corrected([*differences.values(), ended])
    return Comparison(
        benchmark=benchmark,
        judge=judge,
        method=method,
        labels=dict(labels),
        rows=ordered,
        standings={model: _standing(scores, method.confidence) for model, scores in ordered.items()},
        differences=dict(zip(differences, corrected, strict=True)),
        ended=ended,
        tests=sum(test is not None for test in (*corrected, ended)),
        buckets=_buckets(ordered, method.confidence),
    )


def curve(text: str) -> Curve:
    """Return the columns of a training curve in CSV; an empty cell becomes NaN.

    Raises:
        ValueError: a cell is not a number.
    """
    table = csv.DictReader(text.splitlines())
    columns: Curve = {name: [] for name in table.fieldnames or ()}
    for line in table:
        for name, values in columns.items():
            values.append(float(line[name] or "nan"))
    return columns


def numbers(compared: Comparison) -> dict[str, float]:
    """Return every number of a comparison as {metric name: value}; one that cannot be computed has no key."""
    values: dict[str, float | None] = {
        "n": max(len({row.prompt_id for row in rows}) for rows in compared.rows.values())
    }
    for model, standing in compared.standings.items():
        values |= _flat(f"{model}_length_score", standing.length_score, "_mean")
        for name in ("ended", "loop", "refusal"):
            values |= _flat(f"{model}_{name}_share", getattr(standing, name))
        values[f"{model}_words_mean"] = standing.words_mean
        values |= _flat(f"{model}_quality_score", standing.quality, "_mean")
        values[f"{model}_quality_n"] = standing.quality.n if standing.quality else 0
    for (after, before), difference in compared.differences.items():
        name = f"{after}_minus_{before.removesuffix('_model')}_length_score"
        values |= _flat(name, difference)
        values |= _p_values(name, difference)
    values |= _p_values("ended", compared.ended)
    return {key: float(value) for key, value in values.items() if value is not None}


def _flat(name: str, estimate: Estimate | Difference | None, suffix: str = "") -> dict[str, float | None]:
    if estimate is None:
        return {}
    return {f"{name}{suffix}": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _p_values(name: str, difference: Difference | None) -> dict[str, float | None]:
    return {f"{name}_p": difference.p, f"{name}_p_holm": difference.p_holm} if difference else {}


def _standing(rows: Sequence[Score], confidence: float) -> Standing:
    judged = [row for row in rows if isinstance(row.quality, Judgement)]
    lengths = _groups(rows, lambda row: row.length_score)
    unscored = Counter(row.quality.reason for row in rows if isinstance(row.quality, Unscored))
    ended, loop, refusal = (
        statistics.share_interval(list(_groups(rows, hit).values()), confidence)
        for hit in (lambda row: row.ended, lambda row: row.loop, lambda row: row.refusal)
    )
    draws = [
        [group[draw] for group in lengths.values() if draw < len(group)]
        for draw in range(max(map(len, lengths.values()), default=0))
    ]
    return Standing(
        length_score=statistics.mean_interval(list(lengths.values()), confidence),
        ended=ended,
        loop=loop,
        refusal=refusal,
        words_mean=round(sum(row.words for row in rows) / max(1, len(rows)), 3),
        quality=statistics.mean_interval(list(_groups(judged, _quality_score).values()), confidence),
        unscored=dict(sorted(unscored.items())),
        draws=[round(sum(scores) / len(scores), 3) for scores in draws],
        spread=statistics.spread(list(lengths.values())),
    )


def _only_judge(rows: Mapping[str, Sequence[Score]]) -> str | None:
    qualities = [row.quality for scores in rows.values() for row in scores]
    judges = sorted({quality.judge for quality in qualities if isinstance(quality, Judgement)})
    if len(judges) > 1:
        raise BadRecord(
            f"quality was scored by {len(judges)} judges, whose scores do not compare: {'; '.join(judges)}; "
            "run `dvc repro -f -s score@MODEL-BENCHMARK` for each model"
        )
    return judges[0] if judges else None


def _quality_score(row: Score) -> float:
    return row.quality.quality_score if isinstance(row.quality, Judgement) else math.nan


def _length_difference(before: Sequence[Score], after: Sequence[Score], method: Method) -> Difference | None:
    """Return after - before in length score over the prompts that both have."""
    return statistics.paired_difference(*_shared(before, after, lambda row: row.length_score), method)


def _groups(rows: Sequence[Score], value: Callable[[Score], float]) -> dict[str, list[float]]:
    """Return {prompt id: the value of each of its rows}."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.prompt_id, []).append(float(value(row)))
    return groups


def _shared(
    before: Sequence[Score], after: Sequence[Score], value: Callable[[Score], float]
) -> tuple[Groups, Groups]:
    """Return the values of both models by prompt, for the prompts that both have."""
    old, new = _groups(before, value), _groups(after, value)
    shared = sorted(old.keys() & new.keys())
    return [old[key] for key in shared], [new[key] for key in shared]


def _corrected(tests: Sequence[Difference | None]) -> list[Difference | None]:
    """Return the tests with p values that are corrected for their number."""
    made = [test for test in tests if test is not None]
    corrected = iter(statistics.holm([test.p for test in made]))
    return [test and test._replace(p_holm=next(corrected)) for test in tests]


def _buckets(rows: Mapping[str, Sequence[Score]], confidence: float) -> list[Bucket]:
    """Return the buckets that hold a prompt, short lengths first."""
    lengths = [row.required_words for scores in rows.values() for row in scores]
    mostly_short = sum(words < _BOUNDS[1] for words in lengths) * 2 > len(lengths)
    bounds = [*(_SHORT_BOUNDS if mostly_short else _BOUNDS), math.inf]
    buckets = []
    for low, high in pairwise(bounds):
        scores = {}
        for model, model_rows in rows.items():
            inside = [row for row in model_rows if low <= row.required_words < high]
            groups = _groups(inside, lambda row: row.length_score)
            if estimate := statistics.mean_interval(list(groups.values()), confidence):
                scores[model] = estimate
        if scores:
            buckets.append(Bucket(int(low), high, scores))
    return buckets
