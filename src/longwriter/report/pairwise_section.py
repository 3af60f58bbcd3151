"""The part of a report about pairs of answers that a judge compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from longwriter.amounts import amount
from longwriter.comparison.comparison import title
from longwriter.comparison.standings import Standings
from longwriter.records import JudgeFitness
from longwriter.report.phrases import fitness_text, score, share, table
from longwriter.text import inert


def section(result: Standings | None, labels: Mapping[str, str], fitness: JudgeFitness) -> str:
    """Return the section; empty if no answers were compared.

    Args:
        result: The comparisons on the benchmark.
        labels: Label of each model, as Markdown.
        fitness: What the stage `fitness` found about the judge.
    """
    if result is None:
        return ""
    models = [model for model in labels if any(model in pair for pair in result.rates)]
    titles = {model: title(labels[model]) for model in models}
    parts = [
        "## Answers compared two by two",
        fitness_text(evidence(result, fitness)),
        _summary(result, len(labels)),
    ]
    if models:
        parts += [_scores(result, titles), "How often the model of a line wins against that of a column:"]
        parts.append(_matrix(result, titles))
    return "\n\n".join(parts)


def evidence(result: Standings, fitness: JudgeFitness) -> JudgeFitness:
    """Return whether the comparisons are evidence, by the test of the judge; without a test they are not."""
    if fitness.pairs is None:
        reason = "the judge was not tested with pairs: set `pairwise.pairs` and run `dvc repro fitness`"
        return JudgeFitness(judge=None, is_evidence=False, reasons=[reason], lines=[])
    return fitness.pairs.of([result.judge] if result.judge else [])


def no_evidence(result: Standings | None, fitness: JudgeFitness) -> str:
    """Return a sentence for the top of the report if the comparisons in it are no evidence, else nothing."""
    if result is None:
        return ""
    tested = evidence(result, fitness)
    if tested.is_evidence:
        return ""
    return (
        f"> **WARNING: the judge's comparisons are no evidence**: {'; '.join(tested.reasons)}. The win rates and "
        "Bradley-Terry scores below do not show which model is better."
    )


def _summary(result: Standings, models: int) -> str:
    unscored = result.unscored
    judge = f" by the judge {inert.markdown(result.judge)}" if result.judge else ""
    reasons = ", ".join(f"{reason} {count}" for reason, count in unscored.reasons.items())
    reason_list = f" ({inert.markdown(reasons)})" if reasons else ""
    first = ""
    if result.shown_first is not None:
        first = (
            f" Of its answers that name a text, {result.shown_first:.0%} name the one that was shown first; if "
            "the order did not matter, it would be 50%."
        )
    return (
        f"Compared{judge}, each in both orders: {amount(unscored.answers, 'pair')} of answers of {models} models to "
        f"{amount(result.prompts, 'prompt')}; a text wins only if both answers name it, else the pair is a tie. Without result: "
        f"{unscored.unscored} of {unscored.answers}{reason_list}; these count neither as wins nor as ties. Position "
        f"consistency (the same answer in both orders): {share(result.consistency)}.{first}"
    )


def _scores(result: Standings, titles: Mapping[str, str]) -> str:
    lines = [["", "Bradley-Terry score (Elo points)", "prompts"]]
    for model in sorted(titles, key=lambda model: -_points(result, model)):
        estimate = result.scores[model]
        is_anchor = model == result.anchor
        text = f"{score(estimate, digits=0)}{' by definition' if is_anchor else ''}"
        lines.append([titles[model], text, str(estimate.n) if estimate else "-"])
    return (
        f"{table(lines)}\n\n100 points more: 64 % of the comparisons won. Ties are half a win. Intervals: bootstrap over "
        "prompts; scores differ where an interval leaves out "
        f"the {_points(result, result.anchor):,.0f} of {titles.get(result.anchor, inert.markdown(result.anchor))}."
    )


def _points(result: Standings, model: str) -> float:
    estimate = result.scores[model]
    return estimate.value if estimate else 0.0


def _matrix(result: Standings, titles: Mapping[str, str]) -> str:
    lines = [["", *titles.values()]]
    for model, name in titles.items():
        cells = []
        for other in titles:
            rate = result.rates.get((model, other))
            if rate is None:
                cells.append("-")
                continue
            cells.append(f"{share(rate.share)}; {rate.wins} won, {rate.ties} tied, {rate.losses} lost")
        lines.append([name, *cells])
    return table(lines)
