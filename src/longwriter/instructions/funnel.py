"""The funnel of a selection: how many rows come into each step, and how many go on.

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
    "asks for a long text": ("not_stated", "not_long", "unjudged"),
    "chosen": ("over_limit",),
}
"""Steps in their order, each with the reasons of its rejections."""


class Step(NamedTuple):
    """One step: rows in = rows out + rejected rows, these by reason."""

    name: str
    rows_in: int
    rows_out: int
    rejected: dict[str, int]


def funnel(rows: int, reasons: Mapping[str, int]) -> list[Step]:
    """Return the steps that `rows` rows went through.

    Raises:
        ValueError: a reason belongs to no step.
    """
    if unknown := set(reasons) - {reason for step in STEPS.values() for reason in step}:
        raise ValueError(f"no step rejects for {', '.join(sorted(unknown))}")
    steps = []
    for name, own in STEPS.items():
        rejected = {reason: reasons[reason] for reason in own if reasons.get(reason)}
        left = rows - sum(rejected.values())
        steps.append(Step(name, rows, left, rejected))
        rows = left
    return steps
