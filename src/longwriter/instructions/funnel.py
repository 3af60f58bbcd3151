"""The funnel of the selection: how many rows enter each step, and how many leave it.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STEPS: Mapping[str, tuple[str, ...]] = {
    "readable": ("malformed",),
    "has words": ("no_instruction", "not_text", "no_words"),
    "fits a prompt": ("prompt_too_short", "prompt_too_long"),
    "language": ("language",),
    "harmless": ("flagged_toxic", "flagged_redacted", "toxic", "scraping"),
    "within the writer's reach": ("too_long_for_writer",),
    "no exact duplicate": ("duplicate",),
    "no near-duplicate": ("near_duplicate",),
    "not in a benchmark": ("contaminated",),
    "not withdrawn": ("withdrawn",),
    "asks for a long text": ("not_stated", "not_long", "unjudged"),
    "chosen": ("over_limit",),
}
"""The steps in order; each with the reasons for which it rejects rows."""


class Step(NamedTuple):
    """One step: rows_in = rows_out + the sum of `rejected`, which counts rows by reason."""

    name: str
    rows_in: int
    rows_out: int
    rejected: dict[str, int]


def funnel(rows: int, reasons: Mapping[str, int]) -> list[Step]:
    """Return the steps with their numbers of rows.

    Args:
        rows: Number of rows before the first step.
        reasons: Number of rejected rows by reason.

    Raises:
        ValueError: a reason belongs to no step of `STEPS`.
    """
    if unknown := set(reasons) - {reason for step in STEPS.values() for reason in step}:
        raise ValueError(f"no step has the reason {', '.join(sorted(unknown))}: add it to funnel.STEPS")
    steps = []
    for name, step_reasons in STEPS.items():
        rejected = {reason: reasons[reason] for reason in step_reasons if reasons.get(reason)}
        rows_out = rows - sum(rejected.values())
        steps.append(Step(name, rows, rows_out, rejected))
        rows = rows_out
    return steps
