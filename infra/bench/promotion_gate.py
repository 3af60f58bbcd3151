"""Simulate the gate of promotion: how often it moves an alias that it should not, and what it says in eleven situations.

Run: python -m infra.bench.promotion_gate (some minutes; `--rounds 500` for a first look, `--prompts 120 --samples 4`
for one size)

A false alarm of `champion` is a better verdict for a model that is no better. A false alarm of `candidate` is a
"not worse" for a model whose true loss is exactly the margin. Both are nominally 2.5 %, half of 5 %, because the
lower bound of a 95 % interval decides. Answers to one prompt resemble each other: prompts differ by 20 points,
decodings of one prompt by 10.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np

from longwriter.evaluation import promotion
from longwriter.evaluation.promotion import Margins, Rules
from longwriter.hashing import short_id
from longwriter.records import Judgement, Score, ShortAnswer, Unscored

MARGIN = 10.0
SHARES = 0.1
RULES = Rules(
    0.95, Margins(MARGIN, MARGIN, SHARES, SHARES, SHARES, SHARES, SHARES), 60, 0.05, believes_judge=True
)
OPEN = RULES._replace(
    margins=Margins(MARGIN, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0)
)  # only the length score decides
PROMPTS = (24, 60, 120)
SAMPLES = (1, 4)
GATES = {"validate": True}
NO_JUDGE = Unscored(reason="no_judge", detail="")
LOST = Unscored(reason="no_json", detail="")


def judged(points: float, judge: str = "j") -> Judgement:
    """Return a judgement of `points`."""
    return Judgement(dimensions={}, quality_score=points, analysis="", judge=judge, call_ids=[])


def score(prompt: int, sample: int, points: float) -> Score:
    """Return a score of an answer that ended well and has no judge."""
    return Score(
        generation_id=f"{prompt}-{sample}", prompt_id=f"{prompt:04}", type="t", language="en", required_words=100,
        words=100, length_score=points, ended=True, loop=False, refusal=False, repeated_share=0.0, quality=NO_JUDGE,
    )  # fmt: skip


def pair(rng: np.random.Generator, n: int, k: int, gain: float) -> tuple[list[Score], list[Score]]:
    """Return the scores of two models on the same n prompts, k answers each; `gain` is the true difference."""
    change = (
        gain + rng.normal(0, 20, (n, 1)) + rng.normal(0, 10, (n, k))
    )  # far from 0 and 100: nothing is cut
    before = [score(prompt, sample, 50.0) for prompt in range(n) for sample in range(k)]
    after = [
        score(prompt, sample, 50.0 + change[prompt, sample]) for prompt in range(n) for sample in range(k)
    ]
    return before, after


def short(right: int, n: int = 60) -> list[ShortAnswer]:
    """Return answers to n short prompts, of which the first `right` are right."""
    return [
        ShortAnswer(
            task_id=short_id(k), prompt=f"{k}", type="t", language="en", text="", finish_reason="stop",
            is_right=k < right, call_ids=[],
        )
        for k in range(n)
    ]  # fmt: skip


AS_BEFORE = (short(48), short(48))


def loose(rows: Sequence[Score]) -> list[Score]:
    """Return the scores as if each answer had a prompt of its own."""
    return [row.model_copy(update={"prompt_id": row.generation_id}) for row in rows]


def false_alarms(
    rounds: int, rng: np.random.Generator, sizes: Sequence[int] = PROMPTS, samples: Sequence[int] = SAMPLES
) -> None:
    """Write the false alarms of both aliases for each number of prompts and of answers to a prompt."""
    say("| prompts | answers a prompt | champion | candidate | champion, answers as independent rows |")
    say("|---:|---:|---:|---:|---:|")
    for n in sizes:
        for k in samples:
            better, not_worse, rows = 0, 0, 0
            for _ in range(rounds):
                before, after = pair(rng, n, k, 0.0)
                gain = promotion.overall_gain(before, after, OPEN)
                better += gain is not None and gain.low is not None and gain.low > 0
                gain = promotion.overall_gain(loose(before), loose(after), OPEN)
                rows += gain is not None and gain.low is not None and gain.low > 0
                before, after = pair(rng, n, k, -MARGIN)
                not_worse += promotion.candidate(after, before, "SFT", GATES, OPEN, short=AS_BEFORE).is_given
            cells = (f"{100 * count / rounds:.1f} %" for count in (better, not_worse, rows))
            say(f"| {n} | {k} | {' | '.join(cells)} |")


def model(
    seed: int, shift: float = 0.0, n: int = 120, **fields: Callable[[int], object] | object
) -> list[Score]:
    """Return scores near 60 points; a function in `fields` gets the number of the prompt."""
    level = np.random.default_rng(99).normal(60, 10, n)
    values = np.clip(level + np.random.default_rng(seed).normal(0, 10, n) + shift, 0, 100)
    rows = [score(k, 0, float(values[k])) for k in range(n)]
    return [
        row.model_copy(update={key: value(k) if callable(value) else value for key, value in fields.items()})
        for k, row in enumerate(rows)
    ]


Situation = tuple[str, Sequence[Score], Sequence[Score], tuple[list[ShortAnswer], list[ShortAnswer]]]


def situations() -> list[Situation]:
    """Return name, new model, model before and answers to short prompts of each situation."""
    plain, marked = model(0), model(0, quality=judged(60.0))
    return [
        ("better by 20 points", model(1, 20), plain, AS_BEFORE),
        ("worse by 20 points", model(1, -20), plain, AS_BEFORE),
        ("as good", model(1), plain, AS_BEFORE),
        ("the same weights twice", plain, plain, AS_BEFORE),
        ("worse by 3 points, within the margin", model(1, -3), plain, AS_BEFORE),
        ("better, but one answer in five loops", model(1, 20, loop=lambda k: k % 5 == 0), plain, AS_BEFORE),
        ("better, but 30 % of its answers are unscored",
         model(1, 20, quality=lambda k: LOST if k % 10 < 3 else judged(60.0)), marked, AS_BEFORE),
        ("better, but 40 % of the answers of the model before are unscored",
         model(1, 20, quality=judged(60.0)), model(0, quality=lambda k: LOST if k % 10 < 4 else judged(60.0)), AS_BEFORE),
        ("better, but scored by another judge", model(1, 20, quality=judged(90.0, "other")), marked, AS_BEFORE),
        ("better by 30 points on 24 prompts", model(1, 30, 24), model(0, 0, 24), AS_BEFORE),
        ("better, but right in 20 of 60 short prompts instead of 48", model(1, 20), plain, (short(48), short(20))),
    ]  # fmt: skip


def verdicts() -> None:
    """Write what the gate says in each situation; the model before is parent and champion."""
    say("| situation | candidate | champion | why not |")
    say("|---|---|---|---|")
    for name, new, before, answers in situations():
        first = promotion.candidate(new, before, "SFT", GATES, RULES, short=answers)
        second = promotion.champion(new, before, "the champion", first, RULES, short=answers)
        reasons = first.reasons or second.reasons
        given = ["given" if decision.is_given else "stays" for decision in (first, second)]
        say(f"| {name} | {' | '.join(given)} | {'; '.join(reasons)} |")


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS)
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    options = parser.parse_args()
    verdicts()
    say("")
    false_alarms(options.rounds, np.random.default_rng(0), options.prompts, options.samples)


if __name__ == "__main__":
    main()
