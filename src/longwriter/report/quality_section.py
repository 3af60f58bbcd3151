"""The part of a report about quality: answers without score, S_q and S_bar, and the test of the judge.

Pure.
"""

from __future__ import annotations

from longwriter.amounts import amount
from longwriter.comparison.comparison import Comparison
from longwriter.comparison.quality import Quality, Unjudged
from longwriter.records import JudgeFitness
from longwriter.report.phrases import fitness_text, score, sentence, table
from longwriter.text import inert

_SAME_JUDGE = (
    "**The judge of the preference pairs is a judge of this benchmark too**: a model that was trained to please it "
    "gets good scores from it, also for bad texts. Set another model in `score.judges`."
)


def warning(compared: Comparison, max_unscored_share: float) -> str:
    """Return a sentence for the top of the report if too many answers have no quality score, else nothing."""
    if compared.quality is None:
        return ""
    bad = {
        model: unjudged
        for model, unjudged in compared.quality.unjudged.items()
        if unjudged.share() > max_unscored_share
    }
    if not bad:
        return ""
    models = "; ".join(f"{compared.heading(model)} {_missing(unjudged)}" for model, unjudged in bad.items())
    return (
        f"> **WARNING: too many answers have no quality score** ({models}; at most {max_unscored_share:.0%} are "
        "allowed). The answers that a judge cannot score are rarely like the others, so S_q and S̄ below do not "
        "decide which model is better."
    )


def no_evidence(fitness: JudgeFitness, *, has_scores: bool) -> str:
    """Return a sentence for the top of the report if a judge failed its test, else nothing.

    Args:
        fitness: Result of the test of the judge.
        has_scores: Whether the report shows scores of a judge.
    """
    if fitness.is_evidence or not has_scores:
        return ""
    return (
        f"> **WARNING: what the judge says is no evidence**: {'; '.join(fitness.reasons)}. Its scores "
        "below do not show which model is better, and no alias moves because of them."
    )


def section(compared: Comparison, *, fitness: JudgeFitness, judged_pairs: bool) -> str:
    """Return the section on quality; one sentence if there is no judge.

    Args:
        compared: The comparison.
        fitness: Result of the test of the judge; it is printed before the scores.
        judged_pairs: Whether a judge of this benchmark also chose the preference pairs.
    """
    quality = compared.quality
    if quality is None:
        return "Quality is not scored: there is no judge."
    judge = (
        f"S_q is the quality score by the judge {inert.markdown(compared.judge)}. " if compared.judge else ""
    )
    text = (
        f"{judge}S̄ = (S_l + S_q) / 2. All models answered "
        f"{amount(quality.shared, 'prompt')}; the table is over the prompts whose answers are scored for all models "
        f"({quality.scored:,}). At worst and at "
        "best: S̄ over all prompts if each answer without score had S_q 0, and if it had 100."
    )
    parts = [
        "## Quality",
        fitness_text(fitness),
        text,
        _panel(quality),
        _SAME_JUDGE if judged_pairs else "",
        _models(compared, quality),
        _differences(compared, quality),
        _buckets(compared, quality),
        _dimensions(compared, quality),
    ]
    return "\n\n".join(part for part in parts if part)


def _panel(quality: Quality) -> str:
    if quality.agreement is None:
        return ""
    return (
        f"S_q is the mean over a panel of judges, who agree by Krippendorff's alpha = {quality.agreement:.2f} (1 = "
        "always, 0 = by chance; below 0.67 is usually not accepted)."
    )


def _missing(unjudged: Unjudged) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in unjudged.reasons.items())
    share = f"{unjudged.unscored} of {unjudged.answers} ({unjudged.share():.0%})"
    return f"{share}: {inert.markdown(reasons)}" if reasons else share


def _models(compared: Comparison, quality: Quality) -> str:
    lines = [["", "answers without score", "S_q", "S̄", "S̄ at worst and at best"]]
    for model in compared.labels:
        bounds = quality.bounds[model]
        lines.append(
            [
                compared.title(model),
                _missing(quality.unjudged[model]),
                score(quality.quality[model]),
                score(quality.overall[model]),
                f"{bounds[0]:.1f} to {bounds[1]:.1f}" if bounds else "-",
            ]
        )
    return table(lines)


def _differences(compared: Comparison, quality: Quality) -> str:
    lines = []
    for (after, before), difference in quality.differences.items():
        labels = compared.labels[after], compared.labels[before]
        bounds = quality.difference_bounds[after, before]
        line = f"- In S̄: {sentence(*labels, difference, compared.method.confidence)}"
        if bounds and quality.scored < quality.shared:
            line += f" Over all prompts, whatever the unscored answers are worth: from {bounds[0]:+.1f} to {bounds[1]:+.1f}."
        lines.append(line)
    return "\n".join(lines)


def _buckets(compared: Comparison, quality: Quality) -> str:
    if not quality.buckets:
        return ""
    lines = [["words asked for", *(f"{compared.title(model)} S̄" for model in compared.labels)]]
    for bucket in quality.buckets:
        cells = [
            f"{score(bucket.scores[model])}, n = {bucket.scores[model].n}" if model in bucket.scores else "-"
            for model in compared.labels
        ]
        lines.append([bucket.label(), *cells])
    return table(lines)


def _dimensions(compared: Comparison, quality: Quality) -> str:
    if not quality.dimensions:
        return ""
    lines = [["mark from 1 to 5", *map(compared.title, compared.labels)]]
    for name, means in quality.dimensions.items():
        lines.append(
            [inert.markdown(name), *(score(means.get(model), digits=2) for model in compared.labels)]
        )
    return table(lines)
