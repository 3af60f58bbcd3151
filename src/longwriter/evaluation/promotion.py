"""The gate of promotion: decides whether a model version gets the alias candidate, and the alias champion. Pure.

A version becomes *candidate* if all data gates passed and the scores show that it is not worse than its parent. Not
worse means: for each measure, the lower bound of the gain is above minus the margin. It becomes *champion* if the
scores also show, on enough prompts, that it is better than the present champion (lower bound of the gain above 0),
and not worse than it in any measure. If there is no champion, the base model takes its place. If the scores do not
show this, the alias stays where it is. Gains are paired by prompt; a prompt counts once, however many answers it
has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.comparison import groups
from longwriter.records import Judgement, Score, ShortAnswer, Unscored
from longwriter.statistics import intervals, short_prompts
from longwriter.statistics.intervals import Estimate, Groups

Answers = tuple[Sequence[ShortAnswer], Sequence[ShortAnswer]]
"""The answers of two models to the short prompts, before and after."""


class Margins(NamedTuple):
    """The largest loss that still counts as not worse: of scores in points, of shares in [0, 1]."""

    length_score: float
    quality_score: float
    ended: float
    loops: float
    refusals: float
    unscored: float
    short_prompts: float


class Rules(NamedTuple):
    """The settings of the gate; `believes_judge`: False leaves quality out."""

    confidence: float
    margins: Margins
    min_prompts: int
    max_unscored_share: float
    believes_judge: bool


class Measure(NamedTuple):
    """The gain of one measure over a reference (above 0 = better), and the margin for "not worse"."""

    name: str
    gain: Estimate | None
    margin: float
    is_share: bool

    def is_not_worse(self) -> bool:
        """Return whether the gain is shown to be above minus the margin."""
        return self.low() >= -self.margin

    def low(self) -> float:
        """Return the lower bound of the gain; without an interval, the lowest possible gain."""
        if self.gain is None or self.gain.low is None:
            return -1.0 if self.is_share else -100.0
        return self.gain.low

    def text(self) -> str:
        """Return the gain with its interval and margin, in points."""
        if self.gain is None or self.gain.low is None or self.gain.high is None:
            return f"{self.name}: no interval with {amount(self.gain.n if self.gain else 0, 'prompt')}"
        form = "+.0f" if self.is_share else "+.1f"
        gain, scale = (self.gain.in_points(), 100) if self.is_share else (self.gain, 1)
        value, margin = intervals.shown(gain.value, form), f"{0.0 - scale * self.margin:{form}}"
        return f"{self.name}: gain {value}{gain.bounds(form)}, n = {gain.n}, allowed {margin}"


class Decision(NamedTuple):
    """Whether a model gets an alias, what it was compared with, the measures, and the reasons against the alias."""

    is_given: bool
    reference: str
    measures: list[Measure]
    reasons: list[str]


def candidate(
    scores: Sequence[Score],
    parent: Sequence[Score],
    name: str,
    gates: Mapping[str, bool],
    rules: Rules,
    *,
    short: Answers,
) -> Decision:
    """Return whether a model may be called candidate.

    Args:
        scores: Its scores on all benchmarks.
        parent: Those of the model that it was trained from.
        name: What the parent is called.
        gates: {stage: whether its data gate passed}.
        rules: The settings.
        short: The answers of the parent and of the model to the short prompts.
    """
    reasons = [f"the gate of {stage} did not pass" for stage, passed in gates.items() if not passed]
    reasons += _judge_reasons(scores, parent, name, rules)
    measures = [*_measures(parent, scores, rules), *_short_prompts(short, rules)]
    reasons += [f"may be worse than {name} in {measure.text()}" for measure in _losses(measures)]
    return Decision(not reasons, name, measures, reasons)


def champion(
    scores: Sequence[Score],
    reference: Sequence[Score],
    name: str,
    first: Decision,
    rules: Rules,
    *,
    short: Answers,
) -> Decision:
    """Return whether a model may be called champion.

    Args:
        scores: Its scores on all benchmarks.
        reference: Those of the present champion, or of the base model where there is none.
        name: What the reference is called.
        first: The decision about the candidate.
        rules: The settings.
        short: The answers of the reference and of the model to the short prompts.
    """
    reasons = [] if first.is_given else ["it is not a candidate"]
    reasons += _judge_reasons(scores, reference, name, rules)
    gain = Measure("overall score", overall_gain(reference, scores, rules), 0.0, is_share=False)
    prompts = gain.gain.n if gain.gain else 0
    if prompts < rules.min_prompts:
        reasons.append(
            f"{amount(prompts, 'prompt')} in common with {name}, {rules.min_prompts} are needed; those without an overall "
            "score of both do not count"
        )
    if gain.low() <= 0:
        reasons.append(f"not shown to be better than {name} in {gain.text()}")
    measures = [*_measures(reference, scores, rules), *_short_prompts(short, rules)]
    reasons += [f"may be worse than {name} in {measure.text()}" for measure in _losses(measures)]
    return Decision(not reasons, name, [gain, *measures], reasons)


def _short_prompts(short: Answers, rules: Rules) -> list[Measure]:
    """Return the gain in short prompts that are answered right, over those that both models answered.

    Without any answer (`short_prompts.limit` is 0) there is no such measure.
    """
    if not any(short):
        return []
    change = intervals.share_change(*short_prompts.shared(*short), rules.confidence)
    return [Measure("short prompts answered right", change, rules.margins.short_prompts, is_share=True)]


def overall_gain(before: Sequence[Score], after: Sequence[Score], rules: Rules) -> Estimate | None:
    """Return the gain in (S_l + S_q) / 2 on prompts with a judgement of both; without a judge, the gain in S_l."""
    if _is_judged(before, after, rules):
        pairs = _paired(before, after, _overall, _has_quality)
    else:
        pairs = _paired(before, after, lambda row: row.length_score)
    return intervals.mean_change(*pairs, rules.confidence)


def judges(scores: Sequence[Score]) -> list[str]:
    """Return the judges that scored any of the answers."""
    return sorted({row.quality.judge for row in scores if isinstance(row.quality, Judgement)})


def unscored_share(scores: Sequence[Score]) -> float:
    """Return the share of answers without judgement, although a judge was asked about them."""
    return sum(map(_is_lost, scores)) / max(1, len(scores))


def _judge_reasons(scores: Sequence[Score], reference: Sequence[Score], name: str, rules: Rules) -> list[str]:
    """Return the reasons why the judgements of the two models cannot be compared."""
    reasons = []
    for owner, rows in (("its answers", scores), (f"the answers of {name}", reference)):
        if (share := unscored_share(rows)) > rules.max_unscored_share:
            reasons.append(
                f"{share:.0%} of {owner} are unscored, {rules.max_unscored_share:.0%} are allowed, because such answers "
                "are rarely like the others"
            )
    own, other = judges(scores), judges(reference)
    if rules.believes_judge and own != other:
        reasons.append(
            f"judged by {', '.join(own) or 'nobody'}, {name} by {', '.join(other) or 'nobody'}: "
            "scores of different judges cannot be compared"
        )
    return reasons


def _measures(before: Sequence[Score], after: Sequence[Score], rules: Rules) -> list[Measure]:
    """Return the gain of each measure; one that is better when it is lower has its sign changed."""
    margins, confidence = rules.margins, rules.confidence
    length = intervals.mean_change(*_paired(before, after, lambda row: row.length_score), confidence)
    measures = [Measure("length score", length, margins.length_score, is_share=False)]
    if _is_judged(before, after, rules):
        quality = intervals.mean_change(*_paired(before, after, _quality, _has_quality), confidence)
        measures.append(Measure("quality score", quality, margins.quality_score, is_share=False))
    shares: list[tuple[str, Callable[[Score], bool], float]] = [
        ("answers that end by themselves", lambda row: row.ended, margins.ended),
        ("answers without loop", lambda row: not row.loop, margins.loops),
        ("answers that are no refusal", lambda row: not row.refusal, margins.refusals),
    ]
    if judges(before) or judges(after):
        shares.append(("answers that the judge scored", lambda row: not _is_lost(row), margins.unscored))
    for name, is_good, margin in shares:
        change = intervals.share_change(*_paired(before, after, is_good), confidence)
        measures.append(Measure(name, change, margin, is_share=True))
    return measures


def _losses(measures: Sequence[Measure]) -> list[Measure]:
    return [measure for measure in measures if not measure.is_not_worse()]


def _is_judged(before: Sequence[Score], after: Sequence[Score], rules: Rules) -> bool:
    return rules.believes_judge and bool(judges(before)) and bool(judges(after))


def _has_quality(row: Score) -> bool:
    return isinstance(row.quality, Judgement)


def _quality(row: Score) -> float:
    return row.quality.quality_score if isinstance(row.quality, Judgement) else 0.0


def _overall(row: Score) -> float | None:
    return None if row.length_score is None else (row.length_score + _quality(row)) / 2


def _is_lost(row: Score) -> bool:
    return isinstance(row.quality, Unscored) and row.quality.reason != "no_judge"


def _paired(
    before: Sequence[Score],
    after: Sequence[Score],
    value: groups.Value,
    counts: Callable[[Score], bool] = lambda _: True,
) -> tuple[Groups, Groups]:
    """Return the values of both models by prompt, for the prompts that both have with a row that counts."""
    return groups.shared(list(filter(counts, before)), list(filter(counts, after)), value)


def markdown(decisions: Mapping[str, Decision], judged_by: Sequence[str], rules: Rules) -> str:
    """Return the decisions about each alias as Markdown, with every measure and the reasons."""
    parts = []
    for alias, decision in decisions.items():
        verdict = "given" if decision.is_given else "not given"
        reasons = "\n".join(f"- {reason}" for reason in decision.reasons)
        passed = [f"- {text}" for measure in decision.measures if (text := measure.text()) not in reasons]
        parts.append(f"**{alias}: {verdict}**, compared with {decision.reference}.")
        parts += ["Why not:", reasons] if reasons else []
        parts += ["Passed:", "\n".join(passed)] if passed else []
    parts.append(
        "Gains are in points, of a score from 0 to 100 or of a share in percent. In brackets: "
        f"{rules.confidence * 100:.3g} % intervals. A measure passes if no part of its interval is below what is allowed."
    )
    if not judged_by:
        parts.append("No judge: quality is not part of this, so the overall score is the length score.")
    elif rules.believes_judge:
        parts.append(
            f"Judge: {', '.join(judged_by)}. The overall score is the mean of length score and quality score."
        )
    else:
        parts.append(
            f"Judge: {', '.join(judged_by)}; what it says is no evidence, so quality is not part of this and the overall "
            "score is the length score."
        )
    return "\n\n".join(parts)


def tags(decisions: Mapping[str, Decision], judged_by: Sequence[str]) -> dict[str, str]:
    """Return the decisions as tags of a model version."""
    tags = {"gate.judge": ", ".join(judged_by) or "none"}
    for alias, decision in decisions.items():
        tags[f"gate.{alias}"] = "given" if decision.is_given else "not given"
        tags[f"gate.{alias}.compared_with"] = decision.reference
        tags[f"gate.{alias}.reasons"] = "; ".join(decision.reasons) or "none"
        tags[f"gate.{alias}.measures"] = "; ".join(measure.text() for measure in decision.measures)
    return tags
