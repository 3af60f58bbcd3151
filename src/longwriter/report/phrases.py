"""Sentences, numbers and tables of a report. Pure."""

from __future__ import annotations

from longwriter.amounts import amount
from longwriter.comparison.comparison import capitalised
from longwriter.records import JudgeFitness
from longwriter.statistics.intervals import Difference, Estimate, shown

_WHOLE_SCALE = 100.0


def sentence(after: str, before: str, difference: Difference | None, confidence: float) -> str:
    """Return a sentence: is the length score of model `after` better than that of `before`? Both are labels."""
    after = capitalised(after)
    if difference is None or difference.low is None or difference.high is None:
        n = 0 if difference is None else difference.n
        return f"{after} and {before} cannot be compared: they have {amount(n, 'prompt')} in common with such a score, 2 are needed."
    alone = ""
    if not difference.is_shown(confidence):
        verdict = f"{after} is not shown to be better or worse than {before}"
        if difference.low != difference.high and (difference.low > 0 or difference.high < 0):
            alone = (
                " (the interval holds for this comparison alone, p is corrected for all tests of this report)"
            )
    else:
        verdict = f"{after} is {'better' if difference.value > 0 else 'worse'} than {before}"
    interval = (
        f"{confidence * 100:.3g} % CI {shown(difference.low, '+.1f')} to {shown(difference.high, '+.1f')}"
    )
    if difference.low == difference.high:
        interval = "the same for every prompt, so without interval"
    return (
        f"{verdict}: difference {difference.value:+.1f}, {interval}, "
        f"{p_value(difference.p_holm)}{alone}, n = {difference.n}{_smallest(difference)}."
    )


def _smallest(difference: Difference) -> str:
    """Return which difference this n shows; empty if it would show any difference."""
    if not difference.smallest:
        return ""
    if difference.smallest > _WHOLE_SCALE:
        return "; n is too small: this comparison misses even the largest true difference in more than one of five cases"
    return (
        f"; this comparison alone finds a true difference of {difference.smallest:.1f} in four of five cases, a smaller "
        "one less often"
    )


def score(estimate: Estimate | None, digits: int = 1) -> str:
    """Return a score with its interval; `-` if there is none."""
    if estimate is None:
        return "-"
    form = f".{digits}f"
    return f"{estimate.value:{form}}{estimate.bounds(form)}"


def share(estimate: Estimate | None) -> str:
    """Return a share in percent with its interval; `-` if there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"


def p_value(value: float) -> str:
    """Return a p value as text."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def fitness_text(fitness: JudgeFitness) -> str:
    """Return whether what a judge says is evidence, why not, and what was measured."""
    if fitness.is_evidence:
        head = "**The judge was tested and what it says here is evidence.**"
    else:
        head = f"**Not evidence: {'; '.join(fitness.reasons)}.**"
    return "\n".join([head, *(["", *(f"- {line}" for line in fitness.lines)] if fitness.lines else [])])


def table(lines: list[list[str]]) -> str:
    """Return lines of cells as a table; the first line is its head."""
    rule = ["---"] + ["---:"] * (len(lines[0]) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
