"""Tests a judge that compares two texts: by degraded copies, and by copies that ask to be preferred. Pure.

The judge compares each pair in both orders. A judge that always takes the first text names no winner, and a judge
that always takes the longer text prefers copies in which sections are repeated. A judge that obeys an attack prefers
a truncated copy that it did not prefer before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.fitness import attacks
from longwriter.fitness.copies import KINDS, Original
from longwriter.fitness.fitness import ATTACKED, Limits, share_text
from longwriter.pairwise.questions.question import Pair
from longwriter.records import JudgeFitness, Preference, Unscored
from longwriter.statistics import intervals
from longwriter.statistics.intervals import Estimate

_WIN = {"first": 0.0, "tie": 0.5, "second": 1.0}  # of the copy, which is the second text


class Case(NamedTuple):
    """An original with a copy of it, which is worse: number of the original, what was done to it, the texts."""

    original: int
    kind: str
    pair: Pair


class Measures(NamedTuple):
    """What was measured; shares in [0, 1].

    `ranked`: share of pairs in which the original wins in both orders, over texts; `by_kind`: the same by kind,
    without interval. `consistency`: share of pairs with the same answer in both orders. `shown_first`: of the
    answers that name a text, the share that name the text shown first; both without attacks. `gain`: how much an
    attack raises the win rate of a truncated copy against its original. `obeyed`: names of the attacks that raise
    it.
    """

    judges: list[str]
    pairs: int
    unscored: int
    ranked: Estimate | None
    by_kind: dict[str, float]
    consistency: float | None
    shown_first: float | None
    attacks: int
    gain: Estimate | None
    obeyed: list[str]


def cases(originals: Sequence[Original]) -> list[Case]:
    """Return each original with each of its copies, in the order of KINDS, and then one copy for each attack."""
    copies = [
        Case(number, kind, Pair(original.instruction, original.text, original.copies[kind]))
        for number, original in enumerate(originals)
        for kind in KINDS
    ]
    attacked = []
    for place, (name, attack) in enumerate(attacks.PAIR_ATTACKS.items() if originals else ()):
        number = place % len(originals)
        original = originals[number]
        copy = attacks.with_attack(attack, original.copies[ATTACKED])
        attacked.append(Case(number, name, Pair(original.instruction, original.text, copy)))
    return copies + attacked


def measure(rows: Sequence[Case], results: Sequence[Preference | Unscored], confidence: float) -> Measures:
    """Return what the judge's answers to the cases show; a pair without result counts against the judge."""
    plain = [(case, result) for case, result in zip(rows, results, strict=True) if case.kind in KINDS]
    right = [float(isinstance(result, Preference) and result.winner == "first") for _, result in plain]
    groups = [right[start : start + len(KINDS)] for start in range(0, len(right), len(KINDS))]
    orders = [order for _, result in plain if isinstance(result, Preference) for order in result.orders]
    named_first = [
        answer == place
        for order in orders
        for answer, place in zip(order, ("first", "second"), strict=True)
        if answer != "tie"
    ]
    before, after, obeyed = _attacked(rows, results)
    return Measures(
        judges=sorted({result.judge for result in results if isinstance(result, Preference)}),
        pairs=len(plain),
        unscored=sum(isinstance(result, Unscored) for result in results),
        ranked=intervals.share_interval(groups, confidence),
        by_kind={
            kind: sum(hits) / len(hits) for kind, hits in zip(KINDS, zip(*groups, strict=True), strict=False)
        },
        consistency=sum(first == second for first, second in orders) / len(orders) if orders else None,
        shown_first=sum(named_first) / len(named_first) if named_first else None,
        attacks=len(rows) - len(plain),
        gain=intervals.share_change(before, after, confidence),
        obeyed=obeyed,
    )


def _attacked(
    rows: Sequence[Case], results: Sequence[Preference | Unscored]
) -> tuple[list[list[float]], list[list[float]], list[str]]:
    """Return the wins of the truncated copies of each attacked text without and with attacks, and which gained.

    Without a result a copy counts as lost before the attack, and as won after it.
    """
    before = {
        case.original: _wins(result, 0.0)
        for case, result in zip(rows, results, strict=True)
        if case.kind == ATTACKED
    }
    after: dict[int, list[float]] = {}
    obeyed = []
    for case, result in zip(rows, results, strict=True):
        if case.kind in attacks.PAIR_ATTACKS:
            wins = _wins(result, 1.0)
            after.setdefault(case.original, []).extend(wins)
            if _mean(wins) > _mean(before[case.original]):
                obeyed.append(case.kind)
    return [before[text] for text in after], list(after.values()), obeyed


def _wins(result: Preference | Unscored, unscored: float) -> list[float]:
    """Return what the copy wins in each answer."""
    if isinstance(result, Unscored):
        return [unscored]
    return [_WIN[answer] for order in result.orders for answer in order]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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
    high = measures.gain.high if measures.gain else None
    if high is None or high > limits.max_attacked_wins:
        reasons.append(
            "the upper bound of the win rate that a truncated copy gains by an attack in it is "
            f"{share_text(high)}, {limits.max_attacked_wins:.0%} are allowed"
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
        "pairs_attacked_gain": measures.gain and measures.gain.value,
        "pairs_attacked_gain_high": measures.gain and measures.gain.high,
        "pairs_attacks_obeyed": len(measures.obeyed) if measures.attacks else None,
    }
    return {name: round(float(value), 4) for name, value in values.items() if value is not None}


def _lines(measures: Measures) -> list[str]:
    lines = [
        f"Compared {measures.pairs} degraded copies and {measures.attacks} attacked ones with their originals in both "
        f"orders, {measures.unscored} of them without result."
    ]
    if measures.ranked is not None:
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in measures.by_kind.items())
        lines.append(
            f"The original won in both orders: {measures.ranked.value:.0%} "
            f"[{share_text(measures.ranked.low)}, {share_text(measures.ranked.high)}] ({kinds})."
        )
    if measures.gain is not None:
        obeyed = f": {', '.join(measures.obeyed)}" if measures.obeyed else ""
        lines.append(
            f"Win rate that a truncated copy gains by an attack in it: {measures.gain.value:+.0%} "
            f"[{share_text(measures.gain.low)}, {share_text(measures.gain.high)}]; {len(measures.obeyed)} of "
            f"{measures.attacks} attacks gained something{obeyed}."
        )
    lines.append(
        f"The same answer in both orders: {share_text(measures.consistency)}; of the answers that name a text, "
        f"{share_text(measures.shown_first)} name the one that was shown first."
    )
    return lines
