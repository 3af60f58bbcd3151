"""Right answers to short prompts: their share for one model, and the tasks that two models share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from longwriter.records import ShortAnswer
from longwriter.statistics import intervals


def numbers(rows: Sequence[ShortAnswer], confidence: float) -> dict[str, float]:
    """Return the share of right answers with its interval, and the shares by type."""
    values: dict[str, float] = {"n": float(len(rows))}
    if share := intervals.share_interval([[float(row.is_right)] for row in rows], confidence):
        values |= {"right_share": share.value, "right_low": share.low or 0.0, "right_high": share.high or 0.0}
    for kind, answers in by_type(rows).items():
        values[f"right_share_{kind}"] = round(sum(row.is_right for row in answers) / len(answers), 4)
    return values


def by_type(rows: Sequence[ShortAnswer]) -> dict[str, list[ShortAnswer]]:
    """Return the answers by type, in the order of their first rows."""
    groups: dict[str, list[ShortAnswer]] = {}
    for row in rows:
        groups.setdefault(row.type, []).append(row)
    return groups


def shared(
    before: Sequence[ShortAnswer], after: Sequence[ShortAnswer]
) -> tuple[list[list[float]], list[list[float]]]:
    """Return whether the answers of both models are right (1 or 0), for the tasks that both have."""
    sides: list[Mapping[str, float]] = [
        {row.task_id: float(row.is_right) for row in rows} for rows in (before, after)
    ]
    tasks = sorted(sides[0].keys() & sides[1].keys())
    return [[sides[0][task]] for task in tasks], [[sides[1][task]] for task in tasks]
