"""A comparison as Markdown: the verdict, then tables with n and intervals.

A sentence says better or worse only if the interval of the difference excludes 0 and the test, corrected for
the number of tests in the report, agrees. With five prompts or fewer the test cannot reach p < 0.05, whatever
the interval says. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from longwriter.amounts import amount
from longwriter.comparison.comparison import Comparison, capitalised
from longwriter.comparison.repeats import Repeat
from longwriter.comparison.standings import Standings
from longwriter.evaluation.measures.summary import Measured
from longwriter.records import JudgeFitness, ShortAnswer
from longwriter.report import measures_section, pairwise_section, quality_section, short_section
from longwriter.report.phrases import p_value, score, sentence, share, table
from longwriter.statistics import intervals
from longwriter.text import inert


def markdown(
    compared: Comparison,
    *,
    fitness: JudgeFitness,
    judged_pairs: bool = False,
    max_unscored_share: float,
    dpo: Mapping[str, float],
    figures: list[str],
    measured: Mapping[str, Measured] = MappingProxyType({}),
    pairwise: Standings | None = None,
    short: Mapping[str, Sequence[ShortAnswer]] = MappingProxyType({}),
    repeats: Sequence[Repeat] = (),
) -> str:
    """Return the report as Markdown.

    Args:
        compared: The comparison.
        fitness: Result of the test of the judge; the report says if its scores are no evidence.
        judged_pairs: Whether a judge of the benchmark also chose the preference pairs.
        max_unscored_share: Share of answers without quality score above which the report warns.
        dpo: Metrics of the DPO stage; `test_reward_accuracy` and `test_pairs` are shown if present.
        figures: Paths of the figures, relative to the report.
        measured: The measures of each model; empty = not shown.
        pairwise: What a judge says of the answers two by two; None = not shown.
        short: The answers of each model to the short prompts; empty = not shown.
        repeats: Trainings of one recipe.
    """
    labels = {model: inert.markdown(label) for model, label in compared.labels.items()}
    compared = compared._replace(labels=labels)
    parts = [
        f"# Benchmark `{compared.benchmark}`",
        _verdict(compared),
        quality_section.no_evidence(fitness, has_scores=compared.quality is not None),
        pairwise_section.no_evidence(pairwise, fitness),
        quality_section.warning(compared, max_unscored_share),
        _introduction(compared),
        _models(compared),
        quality_section.section(compared, fitness=fitness, judged_pairs=judged_pairs),
        pairwise_section.section(pairwise, labels, fitness),
        _repeatability(compared),
        _trainings(compared, repeats),
        "## Length score by length asked for",
        _buckets(compared),
        measures_section.sections(compared, measured) if measured else "",
        short_section.section(compared, short),
        _training(dpo, compared.method.confidence),
        "## Figures",
        "\n\n".join(f"![{path}]({path})" for path in figures),
        "## How the numbers are made",
        _method(compared),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(compared: Comparison) -> str:
    """Return a sentence for each pair of models, and one about how answers end."""
    labels, confidence = compared.labels, compared.method.confidence
    lines = [
        f"- In length score: {sentence(labels[after], labels[before], difference, confidence)}"
        for (after, before), difference in compared.differences.items()
    ]
    return "\n".join([*lines, f"- {_ending(compared)}"] if lines else [])


def _introduction(compared: Comparison) -> str:
    level = f"{compared.method.confidence * 100:.3g} %"
    return (
        "Better and worse refer to the **length score S_l**: 100 for a text of the length asked for, 0 for "
        f"one four times as long or a third as long. {_counts(compared)} In brackets: {level} confidence intervals."
    )


def _counts(compared: Comparison) -> str:
    """Return the number of prompts of each model, and of answers where a prompt has several."""
    counts = []
    for model, rows in compared.rows.items():
        prompts = len({row.prompt_id for row in rows})
        answers = f" ({amount(len(rows), 'answer')})" if len(rows) > prompts else ""
        counts.append(f"{compared.heading(model)} {prompts}{answers}")
    return f"Prompts: {', '.join(counts)}."


def _repeatability(compared: Comparison) -> str:
    """Return how much the answers of one model to one prompt differ; empty if each prompt has one answer."""
    lines = [
        f"- {compared.title(model)}: S_l of answers to the same prompt differs by {standing.spread:.1f} (standard "
        f"deviation); mean S_l of the first answers, of the second, and so on: "
        f"{', '.join(f'{mean:.1f}' for mean in standing.draws)}."
        for model, standing in compared.standings.items()
        if standing.spread is not None
    ]
    return "\n\n".join(["## Several answers to the same prompt", "\n".join(lines)]) if lines else ""


def _trainings(compared: Comparison, repeats: Sequence[Repeat]) -> str:
    """Return how far trainings of one recipe lie apart, beside decodings of the same weights; empty without any."""
    lines = []
    for item in repeats:
        names = ", ".join(
            f"{compared.heading(model)} {mean:.1f}"
            for model, mean in zip(item.models, item.means, strict=True)
        )
        if item.decoding is None:
            decoding = "between decodings unknown, because each prompt has one answer (`generate.samples`)"
        else:
            decoding = f"between decodings of the same weights {item.decoding:.1f}"
        lines.append(
            f"- {names} (n = {item.n}): standard deviation of the mean S_l between {len(item.models)} trainings "
            f"{item.between:.1f}, {decoding}."
        )
    if not lines:
        return ""
    note = (
        "A difference of two recipes that were each trained once may come from training alone if it is not well above "
        "the first number. Few trainings measure it coarsely."
    )
    return "\n\n".join(["## The same recipe trained again", "\n".join(lines), note])


def _method(compared: Comparison) -> str:
    return (
        "Words as LongBench-Write counts them. Each prompt counts once, whatever its number of answers. Means "
        "and differences: Student's t over prompts; where every prompt has the same value (all equal), an interval "
        "cannot be estimated. An interval of a mean of few prompts is too narrow where most scores are alike and some lie "
        "far off: if one score in five is 0 and the others are high, a 95 % interval holds the true mean in 87 % of cases "
        "with 8 prompts, 94 % with 24 and 95 % with 120; intervals of differences hold it in 94 to 96 %. "
        "Differences are paired by prompt, their p values come from a "
        f"permutation test within prompts ({compared.method.resamples:,} permutations, seed "
        f"{compared.method.seed}). Shares: Wilson intervals, compared by McNemar's exact test (with several answers to a prompt by permutations). p values are "
        f"corrected for the {compared.tests} tests in the lists of this report (Holm). "
        "How answers end is tested for the first pair only. Intervals hold for one comparison alone. They allow for other "
        "prompts, not for another training: the same recipe, trained again, may differ by more. Ended: the model "
        "stopped by itself below its cap (`generate.max_tokens_per_word` times the words asked for, and the hard "
        "cap). An answer that did not end was cut at its cap, and its S_l is that of the cut text, so it depends on the "
        "cap. Loop: more than `score.max_repeated_share` of the 5-grams of the answer occurred earlier in it. Refusal: "
        "found by rules and small trained models, which make errors."
    )


def _models(compared: Comparison) -> str:
    head = ["", "n", "S_l", "ended", "loops", "refusals", "mean words"]
    lines = [
        [
            compared.title(model),
            str(len({row.prompt_id for row in compared.rows[model]})),
            score(standing.length_score),
            share(standing.ended),
            share(standing.loop),
            share(standing.refusal),
            f"{standing.words_mean:,.0f}" if compared.rows[model] else "-",
        ]
        for model, standing in compared.standings.items()
    ]
    return table([head, *lines])


def _ending(compared: Comparison) -> str:
    """Return a sentence: which model of the first pair ends by itself more often?"""
    after, before = next(iter(compared.differences))
    new = compared.standings[after].ended
    old = compared.standings[before].ended
    both = f"{compared.title(before)} and {compared.heading(after)}"
    if old is None or new is None or compared.ended is None:
        return f"{both} cannot be compared in how they end: they have no prompt in common."
    values = [f"{old.value:.0%}", f"{new.value:.0%}"]
    if not compared.ended.is_shown(compared.method.confidence):
        verdict = f"{both} are not shown to differ in how often they end by themselves"
    else:
        values.reverse()  # in the order of the sentence
        more = "more" if new.value > old.value else "less"
        label = capitalised(compared.labels[after])
        verdict = f"{label} ends by itself {more} often than {compared.labels[before]}"
    return f"{verdict}: {' against '.join(values)} of the answers, {p_value(compared.ended.p_holm)}."


def _buckets(compared: Comparison) -> str:
    models = list(compared.labels)
    head = ["words asked for", *(f"{compared.title(model)} S_l" for model in models)]
    lines = [
        [bucket.label()]
        + [
            f"{score(bucket.scores[model])}, n = {bucket.scores[model].n}" if model in bucket.scores else "-"
            for model in models
        ]
        for bucket in compared.buckets
    ]
    return table([head, *lines])


_MIN_PAIRS = 6  # with fewer, even if all are right, a sign test has p above 0.05 (2 / 2 ** 5)


def _training(dpo: Mapping[str, float], confidence: float) -> str:
    """Return in how many held-out pairs DPO moved towards the chosen answer; empty without such pairs."""
    if "test_pairs" not in dpo:
        return ""
    n = round(dpo["test_pairs"])
    if n < _MIN_PAIRS:
        trained = amount(int(dpo["train_pairs"]), "pair") if "train_pairs" in dpo else "its pairs"
        return (
            f"## DPO\n\nDPO was trained on {trained} and measured on {n}: too few to say "
            "whether it learned anything."
        )
    right = round(n * dpo["test_reward_accuracy"])
    hits = intervals.share_interval([[float(place < right)] for place in range(n)], confidence)
    is_chance = hits is not None and hits.low is not None and hits.low <= 0.5 <= (hits.high or 0.0)
    unproven = ", so this does not show that DPO learned the preference" if is_chance else ""
    return (
        "## DPO\n\nDPO raised the probability of the chosen answer more than that of the rejected one in "
        f"{right} of {n} held-out pairs: {share(hits)}; 50% would be chance{unproven}."
    )
