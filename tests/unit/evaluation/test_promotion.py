"""The gate table: constructed situations and what the gate says."""

import numpy as np
import pytest

from longwriter.evaluation import promotion
from longwriter.evaluation.promotion import Margins, Rules
from longwriter.records import Check, ShortPrompt, Unscored
from longwriter.statistics.intervals import Estimate
from tests.unit.comparison.test_comparison import judged, score
from tests.unit.evaluation.short.test_short_prompts import answer

RULES = Rules(0.95, Margins(10.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1), 60, 0.05, believes_judge=True)
GATES = {"validate": True, "preferences": True}


def model(shift=0, n=120, seed=0, **fields):
    """Return scores near 60 points: `shift` moves them, `seed` scatters them."""
    noise = np.random.default_rng(seed).normal(0, 10, n)
    level = np.random.default_rng(99).normal(60, 10, n)
    values = np.clip(level + noise + shift, 0, 100)
    rows = [score(k, length_score=float(values[k])) for k in range(n)]
    changes = {key: value if callable(value) else lambda k, v=value: v for key, value in fields.items()}
    return [row.model_copy(update={key: f(k) for key, f in changes.items()}) for k, row in enumerate(rows)]


def unscored(share):
    lost = Unscored(reason="no_json", detail="")
    return lambda k: lost if k % 10 < share * 10 else judged(60.0)


def every(k, n):
    return k % n == 0


def short(right, n=60):
    """Return answers to n short prompts, of which the first `right` are right."""
    rows = [ShortPrompt(prompt=f"Say {k}.", type="one_word", check=Check(one_of=[f"{k}"])) for k in range(n)]
    return [answer(row, str(k) if k < right else "x") for k, row in enumerate(rows)]


AS_BEFORE = (short(48), short(48))


def decide(new, old, gates=GATES, rules=RULES, answers=AS_BEFORE):
    """Return (candidate given, champion given, all reasons); `old` is parent and champion."""
    first = promotion.candidate(new, old, "SFT", gates, rules, short=answers)
    second = promotion.champion(new, old, "the champion", first, rules, short=answers)
    return first.is_given, second.is_given, " | ".join([*first.reasons, *second.reasons])


PLAIN = model()
JUDGED = model(quality=lambda k: judged(60.0))


@pytest.mark.parametrize(
    ("name", "new", "old", "gates", "found", "reason"),
    [
        ("better", model(20, seed=1), PLAIN, GATES, (True, True), ""),
        ("worse", model(-20, seed=1), PLAIN, GATES, (False, False), "may be worse than SFT in length score: gain -"),
        ("as good", model(0, seed=1), PLAIN, GATES, (True, False), "not shown to be better"),
        ("the same weights twice", PLAIN, PLAIN, GATES, (True, False), "gain +0.0 (all equal)"),
        ("slightly worse, within the margin", model(-3, seed=1), PLAIN, GATES, (True, False), "better"),
        (
            "better but loops more",
            model(20, seed=1, loop=lambda k: every(k, 5)),
            PLAIN, GATES, (False, False), "answers without loop: gain -20 ",
        ),
        (
            "better but ends less often",
            model(20, seed=1, ended=lambda k: not every(k, 5)),
            PLAIN, GATES, (False, False), "answers that end by themselves: gain -20 ",
        ),
        (
            "better but refuses more",
            model(20, seed=1, refusal=lambda k: every(k, 5)),
            PLAIN, GATES, (False, False), "answers that are no refusal: gain -20 ",
        ),
        (
            "30 % unscored",
            model(20, seed=1, quality=unscored(0.3)),
            JUDGED, GATES, (False, False), "30% of its answers are unscored, 5% are allowed",
        ),
        (
            "40 % of the model before are unscored",
            model(20, seed=1, quality=lambda k: judged(60.0)),
            model(quality=unscored(0.4)),
            GATES, (False, False), "40% of the answers of the champion are unscored, 5% are allowed",
        ),
        (
            "another judge",
            model(20, seed=1, quality=lambda k: judged(90.0).model_copy(update={"judge": "other"})),
            JUDGED, GATES, (False, False), "judged by other, SFT by j: scores of different judges",
        ),
        ("24 prompts", model(30, n=24, seed=1), model(n=24), GATES, (True, False), "24 prompts in common"),
        ("one prompt", model(30, n=1), model(n=1), GATES, (False, False), "no interval with 1 prompt"),
        ("no common prompt", model(30, seed=1), [], GATES, (False, False), "0 prompts in common"),
        (
            "a gate stopped",
            model(20, seed=1), PLAIN, {**GATES, "validate": False}, (False, False),
            "the gate of validate did not pass",
        ),
        (
            "longer but of lower quality",
            model(20, seed=1, quality=lambda k: judged(40.0)),
            JUDGED, GATES, (False, False), "quality score: gain -20.0",
        ),
    ],
)  # fmt: skip
def test_the_gate_says_what_is_shown(name, new, old, gates, found, reason):
    candidate, champion, reasons = decide(new, old, gates)
    assert (candidate, champion) == found, (name, reasons)
    assert reason in reasons, name


@pytest.mark.parametrize(
    ("answers", "is_given", "reason"),
    [
        ((short(48), short(48)), True, ""),
        ((short(48), short(20)), False, "may be worse than SFT in short prompts answered right: gain -47 "),
        ((short(48), short(46)), True, ""),
        ((short(48), short(43)), False, "short prompts answered right: gain -8 "),
        (([], []), True, ""),
        (([], short(48)), False, "short prompts answered right: no interval with 0 prompts"),
        ((short(48), []), False, "short prompts answered right: no interval with 0 prompts"),
    ],
)
def test_a_better_model_that_lost_short_prompts_gets_no_alias(answers, is_given, reason):
    candidate, champion, reasons = decide(model(20, seed=1), PLAIN, answers=answers)
    assert (candidate, champion) == (is_given, is_given)
    assert reason in reasons


@pytest.mark.parametrize(
    ("old", "n"),
    [
        (model(quality=lambda k: judged(60.0) if k < 40 else Unscored(reason="no_json", detail="")), 40),
        (model(length_score=lambda k: 60.0 if k < 30 else None, quality=judged(60.0)), 30),
    ],
)
def test_prompts_without_a_score_of_both_models_do_not_count_for_a_champion(old, n):
    new = model(20, seed=1, quality=judged(80.0))
    _, is_champion, reasons = decide(new, old)
    assert not is_champion
    assert (
        f"{n} prompts in common with the champion, 60 are needed; those without an overall score" in reasons
    )


def test_a_judge_that_is_not_believed_does_not_decide():
    rules = RULES._replace(believes_judge=False)
    assert decide(model(20, seed=1, quality=lambda k: judged(0.0)), JUDGED, rules=rules)[:2] == (True, True)


def test_margins_of_the_whole_scale_let_every_model_be_candidate():
    rules = RULES._replace(margins=Margins(100.0, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    assert decide(model(n=1), model(n=1), rules=rules)[0]


def test_a_model_no_better_than_the_champion_replaces_it_in_one_night_of_forty():
    """The lower bound of a 95 % interval is above 0 by chance in 2.5 % of cases."""
    wins = 0
    for seed in range(1, 401):
        gain = promotion.overall_gain(model(seed=seed), model(seed=seed + 5000), RULES)
        wins += gain.low > 0
    assert wins / 400 == pytest.approx(0.025, abs=0.02)


def test_the_decisions_are_readable_as_markdown_and_as_tags():
    new = model(20, seed=1, loop=lambda k: every(k, 5))
    first = promotion.candidate(new, PLAIN, "SFT", GATES, RULES, short=AS_BEFORE)
    text = promotion.markdown({"candidate": first}, [], RULES)
    assert text.startswith(
        "**candidate: not given**, compared with SFT.\n\nWhy not:\n\n- may be worse than SFT"
    )
    assert text.count("answers without loop") == 1
    passed = text.partition("Passed:\n\n")[2]
    assert passed.startswith("- length score: gain +")
    assert "In brackets: 95 % intervals." in passed
    assert text.endswith("No judge: quality is not part of this, so the overall score is the length score.")
    given = promotion.markdown({"candidate": first._replace(reasons=[])}, ["j"], RULES)
    assert "Why not" not in given
    assert given.endswith("Judge: j. The overall score is the mean of length score and quality score.")
    weak = promotion.markdown({"candidate": first}, ["j"], RULES._replace(believes_judge=False))
    assert "Judge: j; what it says is no evidence" in weak
    tags = promotion.tags({"candidate": first}, ["j"])
    assert (tags["gate.candidate"], tags["gate.judge"]) == ("not given", "j")
    assert tags["gate.candidate.reasons"].startswith("may be worse than SFT in answers without loop")


def test_a_margin_of_zero_has_no_minus():
    measure = promotion.Measure("overall score", Estimate(3.0, 1.0, 5.0, 24), 0.0, is_share=False)
    assert measure.text() == "overall score: gain +3.0 [+1.0, +5.0], n = 24, allowed +0.0"
