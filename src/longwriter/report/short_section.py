"""The part of a report about short prompts, whose answers code checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from longwriter.comparison.comparison import Comparison
from longwriter.records import ShortAnswer
from longwriter.report.phrases import share, table
from longwriter.statistics import intervals, short_prompts
from longwriter.statistics.intervals import Difference, Estimate, Method, shown

Answers = Mapping[str, Sequence[ShortAnswer]]
"""{model: its answers to the short prompts}; the first model is the one that the others are compared with."""


def section(compared: Comparison, answers: Answers) -> str:
    """Return the section: right answers of each model, and the difference from the first one; empty without answers."""
    if not any(answers.values()):
        return ""
    first, *_ = compared.labels
    kinds = list(dict.fromkeys(row.type for rows in answers.values() for row in rows))
    lines = [["", "n", "right", f"difference from {compared.labels[first]} (points)", *kinds]]
    changes = differences(answers, compared.method)
    for model in compared.labels:
        rows = answers[model]
        groups = short_prompts.by_type(rows)
        lines.append(
            [
                compared.title(model),
                str(len(rows)),
                share(
                    intervals.share_interval(
                        [[float(row.is_right)] for row in rows], compared.method.confidence
                    )
                ),
                _difference(changes.get(model)) if model != first else "",
                *(_count(groups.get(kind, [])) for kind in kinds),
            ]
        )
    return "\n\n".join(
        [
            "## Short prompts",
            "What a model may lose by learning to write long texts: simple tasks with short answers, which code "
            "checks. One answer to each prompt; differences are paired by prompt, and their intervals (Agresti and Min) "
            "hold for one comparison alone.",
            table(lines),
        ]
    )


def differences(answers: Answers, method: Method) -> dict[str, Difference | None]:
    """Return {model: share of its right answers minus the share of the first model}, without the first model."""
    first, *others = answers
    return {
        model: intervals.paired_shares(*short_prompts.shared(answers[first], answers[model]), method)
        for model in others
    }


def numbers(answers: Answers, method: Method) -> dict[str, float]:
    """Return the shares of right answers and their differences as {metric name: value}."""
    values: dict[str, float | None] = {}
    for model, rows in answers.items():
        estimate = intervals.share_interval([[float(row.is_right)] for row in rows], method.confidence)
        if estimate:
            name = f"{model}_short_prompts_right"
            values |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    first = next(iter(answers), "")
    for model, difference in differences(answers, method).items():
        if difference:
            name = f"{model}_minus_{first.removesuffix('_model')}_short_prompts_right"
            values |= {name: difference.value, f"{name}_low": difference.low, f"{name}_high": difference.high}
            values[f"{name}_p"] = difference.p
    return {name: float(value) for name, value in values.items() if value is not None}


def _difference(difference: Difference | None) -> str:
    if difference is None or difference.low is None or difference.high is None:
        return "-"
    change = Estimate(*difference[:3], difference.n).in_points()
    return f"{shown(change.value, '+.0f')}{change.bounds('+.0f')}"


def _count(rows: Sequence[ShortAnswer]) -> str:
    return f"{sum(row.is_right for row in rows)} of {len(rows)}"
