"""Tests whether a judge that compares two texts prefers originals to their degraded copies. Pure.

The judge compares each pair in both orders. A judge that always takes the first text names no winner, and a judge
that always takes the longer text prefers copies in which sections are repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.fitness.copies import KINDS, Original
from longwriter.fitness.fitness import Limits, share_text
from longwriter.pairwise.question import Pair
from longwriter.records import JudgeFitness, Preference, Unscored
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate


class Measures(NamedTuple):
    """What was measured; shares in [0, 1].

    `ranked`: share of pairs in which the original wins in both orders, over texts; `by_kind`: the same by kind,
    without interval. `consistency`: share of pairs with the same answer in both orders. `shown_first`: share of the
    text that is shown first, of the answers that name one.
    """

    judges: list[str]
    pairs: int
    unscored: int
    ranked: Estimate | None
    by_kind: dict[str, float]
    consistency: float | None
    shown_first: float | None


def questions(originals: Sequence[Original]) -> list[Pair]:
    """Return each original with each of its copies, in the order of KINDS; the original is first."""
    return [
        Pair(original.instruction, original.text, original.copies[kind])
        for original in originals
        for kind in KINDS
    ]


def measure(results: Sequence[Preference | Unscored], confidence: float) -> Measures:
    """Return what the judge's answers to `questions` show; a pair without result counts as wrong."""
    right = [float(isinstance(result, Preference) and result.winner == "first") for result in results]
    groups = [right[start : start + len(KINDS)] for start in range(0, len(right), len(KINDS))]
    scored = [result for result in results if isinstance(result, Preference)]
    orders = [order for result in scored for order in result.orders]
    named_first = [
        answer == place
        for order in orders
        for answer, place in zip(order, ("first", "second"), strict=True)
        if answer != "tie"
    ]
    return Measures(
        judges=sorted({result.judge for result in scored}),
        pairs=len(results),
        unscored=len(results) - len(scored),
        ranked=intervals.share_interval(groups, confidence),
        by_kind={
            kind: sum(hits) / len(hits) for kind, hits in zip(KINDS, zip(*groups, strict=True), strict=False)
        },
        consistency=sum(first == second for first, second in orders) / len(orders) if orders else None,
        shown_first=sum(named_first) / len(named_first) if named_first else None,
    )


def verdict(measures: Measures, limits: Limits) -> JudgeFitness:
    """Return whether the judge's comparisons are evidence, why not, and the measures as lines of Markdown."""
    reasons = []
    if len(measures.judges) != 1:
        reasons.append(f"the comparisons come from {len(measures.judges)} judges, not from one")
    low = measures.ranked.low if measures.ranked else None
    if low is None or low < limits.min_ranked_right:
        reasons.append(
            f"the lower bound of the share of degraded copies that lose against their originals in both orders is "
            f"{share_text(low)}, {limits.min_ranked_right:.0%} are needed"
        )
    return JudgeFitness(
        judge=measures.judges[0] if len(measures.judges) == 1 else None,
        is_evidence=not reasons,
        reasons=reasons,
        lines=_lines(measures),
    )


def numbers(measures: Measures) -> dict[str, float]:
    """Return the measures as metrics; one that is not known has no key."""
    values = {
        "pairs": measures.pairs,
        "pairs_unscored": measures.unscored,
        "pairs_ranked_right": measures.ranked and measures.ranked.value,
        "pairs_ranked_right_low": measures.ranked and measures.ranked.low,
        "pairs_consistency": measures.consistency,
        "pairs_shown_first": measures.shown_first,
    }
    return {name: round(float(value), 4) for name, value in values.items() if value is not None}


def _lines(measures: Measures) -> list[str]:
    lines = [
        f"Compared {measures.pairs} degraded copies with their originals in both orders, {measures.unscored} of them "
        "without result."
    ]
    if measures.ranked is not None:
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in measures.by_kind.items())
        lines.append(
            f"The original won in both orders: {measures.ranked.value:.0%} "
            f"[{share_text(measures.ranked.low)}, {share_text(measures.ranked.high)}] ({kinds})."
        )
    lines.append(
        f"The same answer in both orders: {share_text(measures.consistency)}; of the answers that name a text, "
        f"{share_text(measures.shown_first)} name the one that was shown first."
    )
    return lines
