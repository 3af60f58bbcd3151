"""The comparison of the models on one benchmark: every number with its n and its interval.

Models are compared on the same prompts, pair by pair.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from longwriter.evaluation import statistics
from longwriter.evaluation.statistics import Difference, Estimate, Method
from longwriter.records import Judgement, Score, Unscored

MODELS = {"base_model": "base model", "sft": "SFT", "dpo": "DPO"}
_COMPARED = (("sft", "base_model"), ("dpo", "sft"), ("dpo", "base_model"))
_BOUNDS = (0, 500, 2000, 4000, 20_001)  # LongBench-Write's [0,500) [500,2k) [2k,4k) [4k,20k]
_SHORT_BOUNDS = (0, 200, 300, 500, 2000, 4000, 20_001)  # where most texts asked for are below 500 words


class Bucket(NamedTuple):
    """Length scores of each model over the prompts that ask for [low, high) words; `high` may be inf."""

    low: int
    high: float
    scores: dict[str, Estimate]

    def label(self) -> str:
        """Return the words asked for, such as `below 500`, `500-1,999` or `20,001 and more`."""
        if self.low == 0:
            return f"below {int(self.high):,}"
        return f"{self.low:,} and more" if math.isinf(self.high) else f"{self.low:,}-{int(self.high) - 1:,}"


class Standing(NamedTuple):
    """One model on the benchmark; shares in [0, 1]; None where there is nothing to tell from."""

    length_score: Estimate | None
    ended: Estimate | None
    loop: Estimate | None
    refusal: Estimate | None
    words_mean: float
    quality: Estimate | None
    unscored: dict[str, int]


class Comparison(NamedTuple):
    """All that is known of one benchmark; keys are the names of the models in `MODELS`."""

    benchmark: str
    method: Method
    rows: dict[str, list[Score]]
    standings: dict[str, Standing]
    differences: dict[tuple[str, str], Difference | None]
    ended_p: float | None
    buckets: list[Bucket]


Curve = dict[str, list[float]]


def compare(benchmark: str, rows: Mapping[str, Sequence[Score]], method: Method) -> Comparison:
    """Return the comparison on one benchmark.

    Args:
        benchmark: Its name.
        rows: For each model of `MODELS` its scores; a prompt may stand there once.
        method: How intervals are made.

    Raises:
        ValueError: a model has two scores of one prompt.
    """
    kept = {model: sorted(rows[model], key=lambda row: row.prompt_id) for model in MODELS}
    standings = {model: _standing(kept[model], method) for model in MODELS}
    base, sft = kept["base_model"], kept["sft"]
    return Comparison(
        benchmark=benchmark,
        method=method,
        rows=kept,
        standings=standings,
        differences={pair: _difference(kept[pair[1]], kept[pair[0]], method) for pair in _COMPARED},
        ended_p=statistics.fisher_p(
            sum(row.ended for row in base), len(base), sum(row.ended for row in sft), len(sft)
        ),
        buckets=_buckets(kept, method),
    )


def curve(text: str) -> Curve:
    """Return the columns of a training curve in CSV; an empty cell is NaN.

    Raises:
        ValueError: a cell is no number.
    """
    table = csv.DictReader(text.splitlines())
    columns: Curve = {name: [] for name in table.fieldnames or ()}
    for line in table:
        for name, values in columns.items():
            values.append(float(line[name] or "nan"))
    return columns


def numbers(compared: Comparison) -> dict[str, float]:
    """Return every number of a comparison, flat; what cannot be told has no key."""
    found: dict[str, float | None] = {"n": max(len(rows) for rows in compared.rows.values())}
    for model, standing in compared.standings.items():
        found |= _flat(f"{model}_length_score", standing.length_score, "_mean")
        for name in ("ended", "loop", "refusal"):
            found |= _flat(f"{model}_{name}_share", getattr(standing, name))
        found[f"{model}_words_mean"] = standing.words_mean
        found |= _flat(f"{model}_quality_score", standing.quality, "_mean")
        found[f"{model}_quality_n"] = standing.quality.n if standing.quality else 0
    for (after, before), difference in compared.differences.items():
        name = f"{after}_minus_{before.removesuffix('_model')}_length_score"
        found |= _flat(name, difference)
        found[f"{name}_p"] = difference.p if difference else None
    found["ended_fisher_p"] = compared.ended_p
    return {key: float(value) for key, value in found.items() if value is not None}


def _flat(name: str, estimate: Estimate | Difference | None, suffix: str = "") -> dict[str, float | None]:
    if estimate is None:
        return {}
    return {f"{name}{suffix}": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _standing(rows: Sequence[Score], method: Method) -> Standing:
    judged = [row.quality.quality_score for row in rows if isinstance(row.quality, Judgement)]
    unscored = Counter(row.quality.reason for row in rows if isinstance(row.quality, Unscored))
    ended, loop, refusal = (
        statistics.share_interval(sum(hits), len(rows), method.confidence)
        for hits in ([row.ended for row in rows], [row.loop for row in rows], [row.refusal for row in rows])
    )
    return Standing(
        length_score=statistics.mean_interval([row.length_score for row in rows], method),
        ended=ended,
        loop=loop,
        refusal=refusal,
        words_mean=round(sum(row.words for row in rows) / max(1, len(rows)), 3),
        quality=statistics.mean_interval(judged, method),
        unscored=dict(sorted(unscored.items())),
    )


def _difference(before: Sequence[Score], after: Sequence[Score], method: Method) -> Difference | None:
    """Return after - before in length score over the prompts that both have."""
    one, two = _by_prompt(before), _by_prompt(after)
    shared = sorted(one.keys() & two.keys())
    return statistics.paired_difference([one[key] for key in shared], [two[key] for key in shared], method)


def _by_prompt(rows: Sequence[Score]) -> dict[str, float]:
    found = {row.prompt_id: row.length_score for row in rows}
    if len(found) < len(rows):
        raise ValueError(f"{len(rows)} scores of {len(found)} prompts: a prompt may be scored once a model")
    return found


def _buckets(rows: Mapping[str, Sequence[Score]], method: Method) -> list[Bucket]:
    """Return the buckets that hold a prompt, short lengths first."""
    asked = [row.required_words for scores in rows.values() for row in scores]
    short = sum(words < _BOUNDS[1] for words in asked) * 2 > len(asked)
    bounds = [*(_SHORT_BOUNDS if short else _BOUNDS), math.inf]
    found = []
    for low, high in pairwise(bounds):
        scores = {}
        for model, of_model in rows.items():
            inside = [row.length_score for row in of_model if low <= row.required_words < high]
            if estimate := statistics.mean_interval(inside, method):
                scores[model] = estimate
        if scores:
            found.append(Bucket(int(low), high, scores))
    return found
