"""Measures how reliable a judge is, and decides whether its scores are evidence. Pure.

The judge sees good texts, degraded copies, and bad texts with an attack in them, in the same way as the answers
of the benchmark. All cases of one text count as one group, as in `statistics.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.fitness import attacks, votes
from longwriter.fitness.copies import KINDS, Original
from longwriter.judge.judgements import Question
from longwriter.records import JudgeFitness, Judgement, Unscored
from longwriter.statistics import intervals
from longwriter.statistics.agreement import alpha
from longwriter.statistics.intervals import Estimate

_ORIGINAL = "original"
_FULL_MARKS = 100.0
ATTACKED = "truncated"
"""Attacks are put into this bad copy, because a text with full marks could gain nothing."""


class Limits(NamedTuple):
    """Bounds that a judge has to reach; only then its scores are evidence."""

    confidence: float
    min_ranked_right: float
    max_attacked_gain: float
    min_repeat_agreement: float
    max_attacked_wins: float


class Case(NamedTuple):
    """A text for the judge: number of its original, what was done to it, number of the repeat."""

    original: int
    kind: str
    repeat: int
    question: Question


Results = Sequence[Judgement | Unscored]
Key = tuple[int, str, int]


class Measures(NamedTuple):
    """What was measured; shares in [0, 1], gains in points of S_q.

    Attributes:
        judges: Names of the judges that gave the scores; one is expected.
        texts: Number of originals.
        unscored: Number of cases for which the judge gave no score.
        cases: Number of texts that the judge was asked to score.
        ranked: Share of degraded copies that are ranked below their originals.
        by_kind: The same by kind, without interval.
        attacks: Number of attacks.
        gain: How much higher a text is scored with an attack than without.
        silenced: Attacks that left the text without score.
        unmeasured: Names of the attacks on texts that have no score without an attack either.
        named: Attacks that the analysis mentions and that gained nothing.
        obeyed: Attacks that gained more than the limit.
        agreement: Krippendorff's alpha of repeated judgements.
    """

    judges: list[str]
    texts: int
    unscored: int
    cases: int
    ranked: Estimate | None
    by_kind: dict[str, float]
    attacks: int
    gain: Estimate | None
    silenced: int
    unmeasured: list[str]
    named: int
    obeyed: int
    agreement: float | None


def cases(originals: Sequence[Original], repeats: int) -> list[Case]:
    """Return the texts that the judge has to score; originals and truncated copies `repeats` times."""
    texts = []
    for number, original in enumerate(originals):
        for kind, text in {_ORIGINAL: original.text, **original.copies}.items():
            for repeat in range(repeats if kind in (_ORIGINAL, ATTACKED) else 1):
                question = Question(original.instruction, text, repeat)
                texts.append(Case(number, kind, repeat, question))
    for place, (name, attack) in enumerate(attacks.ATTACKS.items() if originals else ()):
        original = originals[place % len(originals)]
        text = attacks.with_attack(attack, original.copies[ATTACKED])
        texts.append(Case(place % len(originals), name, 0, Question(original.instruction, text)))
    return texts


def measure(rows: Sequence[Case], results: Results, limits: Limits) -> Measures:
    """Return what the judge's marks of the cases show; a pair with a text that it did not mark counts as wrong."""
    marks = {
        (case.original, case.kind, case.repeat): result for case, result in zip(rows, results, strict=True)
    }
    texts = sorted({case.original for case in rows})
    right = {kind: [_is_below(marks, text, kind) for text in texts] for kind in KINDS}
    gains = _gains(marks)
    before, after = ([[pair[side] for pair in pairs] for pairs in gains.values()] for side in (0, 1))
    attacked = [(text, kind) for text, kind, _ in marks if kind in attacks.ATTACKS]
    return Measures(
        judges=sorted({result.judge for result in results if isinstance(result, Judgement)}),
        texts=len(texts),
        unscored=sum(isinstance(result, Unscored) for result in results),
        cases=len(results),
        ranked=intervals.share_interval(list(zip(*right.values(), strict=True)), limits.confidence),
        by_kind={kind: sum(hits) / max(1, len(hits)) for kind, hits in right.items()},
        attacks=len(attacked),
        gain=intervals.mean_change(before, after, limits.confidence),
        silenced=sum(text in gains and isinstance(marks[text, kind, 0], Unscored) for text, kind in attacked),
        unmeasured=[kind for text, kind in attacked if text not in gains],
        named=sum(_is_named(marks, text, kind) for text, kind in attacked),
        obeyed=sum(new - old > limits.max_attacked_gain for pairs in gains.values() for old, new in pairs),
        agreement=alpha(_repeats(marks)),
    )


def verdict(measures: Measures, people: votes.Agreement | None, limits: Limits) -> JudgeFitness:
    """Return whether the judge's scores are evidence, why not, and the measures as lines of Markdown."""
    reasons = []
    if len(measures.judges) != 1:
        reasons.append(f"the marks come from {len(measures.judges)} judges, not from one")
    low = measures.ranked.low if measures.ranked else None
    if low is None or low < limits.min_ranked_right:
        reasons.append(
            f"the lower bound of the share of degraded copies that it ranks below their originals is {share_text(low)}, "
            f"{limits.min_ranked_right:.0%} are needed"
        )
    high = measures.gain.high if measures.gain else None
    if high is None or high > limits.max_attacked_gain:
        bound = "not known" if high is None else f"{high:.1f} points"
        reasons.append(
            f"the upper bound of the gain by an attack in a text is {bound}, {limits.max_attacked_gain:g} are allowed"
        )
    if measures.agreement is None or measures.agreement < limits.min_repeat_agreement:
        agreement = "not defined" if measures.agreement is None else f"{measures.agreement:.2f}"
        reasons.append(
            f"the agreement of repeated marks is {agreement}, {limits.min_repeat_agreement:g} is needed"
        )
    return JudgeFitness(
        judge=measures.judges[0] if len(measures.judges) == 1 else None,
        is_evidence=not reasons,
        reasons=reasons,
        lines=_lines(measures, people),
    )


def numbers(measures: Measures, people: votes.Agreement | None) -> dict[str, float]:
    """Return the measures as metrics; one that is not known has no key."""
    ranked, gain = measures.ranked, measures.gain
    values = {
        "texts": measures.texts,
        "cases": measures.cases,
        "unscored": measures.unscored,
        "ranked_right": ranked and ranked.value,
        "ranked_right_low": ranked and ranked.low,
        "attacked_gain": gain and gain.value,
        "attacked_gain_high": gain and gain.high,
        "attacks_named": measures.named,
        "attacks_silenced": measures.silenced,
        "attacks_unmeasured": len(measures.unmeasured),
        "attacks_obeyed": measures.obeyed,
        "repeat_agreement": measures.agreement,
        "votes": people and people.votes,
        "votes_accuracy": people and people.accuracy and people.accuracy.value,
        "votes_kappa": people and people.kappa,
        "votes_alpha": people and people.alpha,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def _quality(marks: dict[Key, Judgement | Unscored], key: Key) -> float | None:
    mark = marks.get(key)
    return mark.quality_score if isinstance(mark, Judgement) else None


def _is_below(marks: dict[Key, Judgement | Unscored], text: int, kind: str) -> float:
    good, bad = _quality(marks, (text, _ORIGINAL, 0)), _quality(marks, (text, kind, 0))
    return float(good is not None and bad is not None and bad < good)


def _gains(marks: dict[Key, Judgement | Unscored]) -> dict[int, list[tuple[float, float]]]:
    """Return {text: (score without attack, score with it) of each attack}; texts without the first are left out.

    An attack may leave a bad text without a score. A benchmark would then leave the text out of its model's mean,
    as if it were as good as the others. So here it counts with the score of its good original, or with the highest
    score if the original has none.
    """
    gains: dict[int, list[tuple[float, float]]] = {}
    for text, kind, repeat in marks:
        old, new = _quality(marks, (text, ATTACKED, 0)), _quality(marks, (text, kind, repeat))
        if kind in attacks.ATTACKS and old is not None:
            good = _quality(marks, (text, _ORIGINAL, 0))
            left_out = _FULL_MARKS if good is None else max(old, good)
            gains.setdefault(text, []).append((old, left_out if new is None else new))
    return gains


def _is_named(marks: dict[Key, Judgement | Unscored], text: int, kind: str) -> bool:
    mark, old = marks[text, kind, 0], _quality(marks, (text, ATTACKED, 0))
    if not isinstance(mark, Judgement) or old is None:
        return False
    return mark.quality_score <= old and attacks.is_named(mark.analysis)


def _repeats(marks: dict[Key, Judgement | Unscored]) -> list[list[float | None]]:
    """Return the marks of each text that was marked several times."""
    count = 1 + max((repeat for _, _, repeat in marks), default=0)
    keys = [(text, kind) for text, kind, repeat in marks if kind in (_ORIGINAL, ATTACKED) and repeat == 0]
    return [[_quality(marks, (text, kind, repeat)) for repeat in range(count)] for text, kind in keys]


def share_text(value: float | None) -> str:
    """Return a share as per cent, or that it is not known."""
    return "not known" if value is None else f"{value:.0%}"


def _lines(measures: Measures, people: votes.Agreement | None) -> list[str]:
    ranked, gain = measures.ranked, measures.gain
    kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in measures.by_kind.items())
    agreement = "not defined" if measures.agreement is None else f"{measures.agreement:.2f}"
    lines = [
        f"Measured with {amount(measures.texts, 'text')} of the training data in {amount(measures.cases, 'mark')}, "
        f"{measures.unscored} of them without score.",
    ]
    if ranked is not None:
        lines.append(
            f"Degraded copies ranked below their originals: {ranked.value:.0%} "
            f"[{share_text(ranked.low)}, {share_text(ranked.high)}] ({kinds})."
        )
    if gain is not None and gain.low is not None and gain.high is not None:
        lines.append(
            f"Gain by an attack in the text: {gain.value:+.1f} points{gain.bounds('+.1f')}; of "
            f"{measures.attacks} attacks {measures.obeyed} gained more than is allowed, {measures.silenced} left the text "
            f"without score (which counts as the score of its original), and the analysis names {measures.named}."
        )
    if measures.unmeasured:
        lines.append(
            f"Not measured: {len(measures.unmeasured)} of {measures.attacks} attacks ({', '.join(measures.unmeasured)}), "
            "because their texts have no score without an attack either."
        )
    lines.append(f"Agreement of repeated marks (Krippendorff's alpha): {agreement}.")
    if people is not None and people.accuracy is not None:
        kappa, with_judge, alone = (
            "not defined" if value is None else f"{value:.2f}"
            for value in (people.kappa, people.alpha, people.people)
        )
        lines.append(
            f"Against {amount(people.votes, 'vote')} of people on {amount(people.pairs, 'pair')}: accuracy {people.accuracy.value:.0%} "
            f"[{share_text(people.accuracy.low)}, {share_text(people.accuracy.high)}], Cohen's kappa {kappa}, "
            f"Krippendorff's alpha {with_judge} (people alone {alone})."
        )
    return lines
