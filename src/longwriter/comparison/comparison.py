"""The comparison of models on one benchmark: every number with its n and its interval.

Two models are compared on the prompts that both answered, paired by prompt; n is the number of prompts,
also where a prompt has several answers. `compare` in params.yaml names the models and the pairs. Pure.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longwriter.comparison import groups, quality
from longwriter.comparison.groups import Bucket, by_prompt, shared
from longwriter.comparison.quality import Quality
from longwriter.errors import BadRecord
from longwriter.records import Judgement, Score
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Difference, Estimate, Method


class Standing(NamedTuple):
    """Results of one model on the benchmark; shares in [0, 1]; None where it has no answer.

    `draws`: mean length score of the first answer to each prompt, of the second answer, and so on. `spread`:
    standard deviation of the length score over several answers to the same prompt; None if each prompt has one.
    """

    length_score: Estimate | None
    ended: Estimate | None
    loop: Estimate | None
    refusal: Estimate | None
    words_mean: float
    draws: list[float]
    spread: float | None


class Comparison(NamedTuple):
    """All results on one benchmark; keys are names of models, in the order of tables and figures.

    `labels`: what the report calls each model, such as `SFT` or `the base model`. `differences`: by
    (after, before), in length score. `ended`: the difference of the first pair in how often answers end by
    themselves. `tests`: number of all these tests; their p values are corrected together. `judge`: the one judge
    of all quality scores; None if there is none. `quality`: None if no judge was asked.
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
    quality: Quality | None

    def heading(self, model: str) -> str:
        """Return a model's label without its article, such as `base model`."""
        return self.labels[model].removeprefix("the ")

    def title(self, model: str) -> str:
        """Return a model's label for a table, such as `Base model`."""
        return title(self.labels[model])


Curve = dict[str, list[float]]


def capitalised(label: str) -> str:
    """Return a model's label for the start of a sentence, such as `The base model`; `qwen3` stays as it is."""
    return f"The {label[4:]}" if label.startswith("the ") else label


def title(label: str) -> str:
    """Return a model's label for a table, such as `Base model` for `the base model`; `qwen3` stays as it is."""
    heading = label.removeprefix("the ")
    return heading if heading == label else heading[:1].upper() + heading[1:]


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
        pairs: (after, before) models to compare; may be empty. For the first pair, the shares of answers that end
            by themselves are compared too.

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
    ended = _ended_difference(ordered, pairs[0], method) if pairs else None
    judged = quality.of_models(ordered, method, pairs)
    overall = judged.differences if judged else {}
    *corrected, ended = _corrected([*differences.values(), *overall.values(), ended])
    differences = dict(zip(differences, corrected, strict=False))
    overall = dict(zip(overall, corrected[len(differences) :], strict=True))
    return Comparison(
        benchmark=benchmark,
        judge=judge,
        method=method,
        labels=dict(labels),
        rows=ordered,
        standings={model: _standing(scores, method.confidence) for model, scores in ordered.items()},
        differences=differences,
        ended=ended,
        tests=sum(test is not None for test in (*corrected, ended)),
        buckets=groups.buckets(ordered, lambda row: row.length_score, method.confidence),
        quality=judged._replace(differences=overall) if judged else None,
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
        values[f"{model}_words_mean"] = standing.words_mean if compared.rows[model] else None
        values |= _quality_numbers(model, compared.quality)
    for (after, before), difference in compared.differences.items():
        name = f"{after}_minus_{before.removesuffix('_model')}_length_score"
        values |= _flat(name, difference)
        values |= _p_values(name, difference)
    for (after, before), difference in compared.quality.differences.items() if compared.quality else ():
        name = f"{after}_minus_{before.removesuffix('_model')}_overall_score"
        values |= _flat(name, difference)
        values |= _p_values(name, difference)
    values |= _p_values("ended", compared.ended)
    return {key: float(value) for key, value in values.items() if value is not None}


def _quality_numbers(model: str, judged: Quality | None) -> dict[str, float | None]:
    """Return S_q, S_bar, the prompts that count for them, and the share of unscored answers of a model."""
    if judged is None:
        return {f"{model}_quality_n": 0}
    return {
        **_flat(f"{model}_quality_score", judged.quality[model], "_mean"),
        **_flat(f"{model}_overall_score", judged.overall[model], "_mean"),
        f"{model}_quality_n": judged.scored,
        f"{model}_unscored_share": round(judged.unjudged[model].share(), 4),
    }


def _flat(name: str, estimate: Estimate | Difference | None, suffix: str = "") -> dict[str, float | None]:
    if estimate is None:
        return {}
    return {f"{name}{suffix}": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _p_values(name: str, difference: Difference | None) -> dict[str, float | None]:
    return {f"{name}_p": difference.p, f"{name}_p_holm": difference.p_holm} if difference else {}


def _standing(rows: Sequence[Score], confidence: float) -> Standing:
    lengths = by_prompt(rows, lambda row: row.length_score)
    ended, loop, refusal = (
        intervals.share_interval(list(by_prompt(rows, value).values()), confidence)
        for value in (lambda row: row.ended, lambda row: row.loop, lambda row: row.refusal)
    )
    draws = [
        [group[draw] for group in lengths.values() if draw < len(group)]
        for draw in range(max(map(len, lengths.values()), default=0))
    ]
    return Standing(
        length_score=intervals.mean_interval(list(lengths.values()), confidence),
        ended=ended,
        loop=loop,
        refusal=refusal,
        words_mean=round(sum(row.words for row in rows) / max(1, len(rows)), 3),
        draws=[round(sum(scores) / len(scores), 3) for scores in draws],
        spread=intervals.spread(list(lengths.values())),
    )


def _only_judge(rows: Mapping[str, Sequence[Score]]) -> str | None:
    qualities = [row.quality for scores in rows.values() for row in scores]
    judges = sorted({quality.judge for quality in qualities if isinstance(quality, Judgement)})
    if len(judges) > 1:
        raise BadRecord(
            f"quality was scored by {len(judges)} judges, whose scores do not compare: {'; '.join(judges)}; "
            "let one judge score all of them. `longwriter benchmark`: leave out --judged. Pipeline: pin the judge's "
            "model, so that its endpoint cannot serve another one, and run `dvc repro -f -s score@MODEL-BENCHMARK` "
            "for each model"
        )
    return judges[0] if judges else None


def _ended_difference(
    rows: Mapping[str, Sequence[Score]], pair: tuple[str, str], method: Method
) -> Difference | None:
    """Return after - before in how often answers end by themselves."""
    after, before = (rows[model] for model in pair)
    return intervals.paired_shares(*shared(before, after, lambda row: row.ended), method)


def _length_difference(before: Sequence[Score], after: Sequence[Score], method: Method) -> Difference | None:
    """Return after - before in length score over the prompts that both have."""
    return intervals.paired_difference(*shared(before, after, lambda row: row.length_score), method)


def _corrected(tests: Sequence[Difference | None]) -> list[Difference | None]:
    """Return the tests with p values that are corrected for their number."""
    p_values = [test.p for test in tests if test is not None]
    corrected = iter(intervals.holm(p_values))
    return [test and test._replace(p_holm=next(corrected)) for test in tests]
