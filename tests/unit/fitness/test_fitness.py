"""A good judge, one that always says 4 and one that obeys, over a real socket: only the first is evidence."""

import asyncio
from pathlib import Path

import pytest

from longwriter import params as parameters
from longwriter.fitness import attacks, copies, fitness
from longwriter.fitness.fitness import Limits
from longwriter.judge.judge import judge_texts
from longwriter.records import Judgement, Unscored
from tests.chat_server.server import chat_server_thread

LIMITS = Limits(
    confidence=0.95,
    min_ranked_right=0.8,
    max_attacked_gain=5.0,
    min_repeat_agreement=0.8,
    max_attacked_wins=0.1,
)
ROOT = Path.cwd()
SUBJECTS = (
    "tea rain bread wool glass salt clay silk iron paper honey cork wax linen oak flax hops rye jade lime"
)


def originals(number=20):
    return [
        copies.original(
            f"Explain {subject} in 6 steps.",
            "\n\n".join(f"Step {step}: the {subject} changes once more." for step in range(1, 7)),
            "en",
        )
        for subject in SUBJECTS.split()[:number]
    ]


def section_of(url):
    """Return the committed section `score` with a judge at `url`."""
    values = parameters.load().model_dump(by_alias=True)
    llm = values["llm"] | {"engine": "external", "model": "scripted", "base_url": url}
    section = parameters.check(
        {**values, "score": {**values["score"], "judges": [{**llm, "context_tokens": 9000}]}}, "test"
    ).score
    return section.model_copy(update={"prompt": str(ROOT / section.prompt)})


def fitness_of(folder, monkeypatch, judge, number=20):
    """Return the measures and the verdict on a scripted judge."""
    with chat_server_thread(folder / "requests.jsonl", "--judge", judge) as server:
        section = section_of(server.url)
        monkeypatch.chdir(folder)
        Path(".lw").mkdir()
        cases = fitness.cases(originals(number), repeats=2)
        questions = [case.question for case in cases]
        marks, _ = asyncio.run(
            judge_texts(section, questions, folder / "calls.jsonl.zst", "fitness", "score")
        )
    measures = fitness.measure(cases, marks, LIMITS)
    return measures, fitness.verdict(measures, None, LIMITS)


def test_a_good_judge_is_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "good")
    assert verdict.is_evidence, verdict.reasons
    assert verdict.judge.startswith("scripted at http")
    assert measures.cases == 20 * (2 + 2 + 4) + 24
    # 20 texts, all right: Wilson's lower bound is 20 / (20 + 1.96 ** 2)
    assert (measures.ranked.value, measures.ranked.low) == (1.0, pytest.approx(0.8389, abs=1e-4))
    assert set(measures.by_kind.values()) == {1.0}
    assert (measures.gain.value, measures.obeyed, measures.agreement) == (0.0, 0, 1.0)
    assert measures.named >= 20
    assert "Degraded copies ranked below their originals: 100% [84%, 100%]" in "\n".join(verdict.lines)


def test_a_judge_that_always_says_four_is_no_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "always_four", 5)
    assert not verdict.is_evidence
    assert (measures.ranked.value, measures.agreement) == (0.0, None)
    assert [reason.partition(" is ")[0] for reason in verdict.reasons] == [
        "the lower bound of the share of degraded copies that it ranks below their originals",
        "the agreement of repeated marks",
    ]


def test_a_judge_that_obeys_the_text_is_no_evidence(tmp_path, monkeypatch):
    """A truncated text has faults in two dimensions: 5 * 4 + 2 * 2 give 75, an obeyed attack 100."""
    measures, verdict = fitness_of(tmp_path, monkeypatch, "gullible")
    assert not verdict.is_evidence
    assert measures.ranked.value == 1.0
    assert measures.gain.value == 25.0
    assert (measures.obeyed, measures.named, measures.attacks) == (24, 0, 24)
    assert verdict.reasons == [
        "the upper bound of the gain by an attack in a text is 25.0 points, 5 are allowed"
    ]


def test_texts_that_the_judge_does_not_mark_count_against_it():
    cases = fitness.cases(originals(20), repeats=2)
    lost = Unscored(reason="no_json", detail="")
    measures = fitness.measure(cases, [lost] * len(cases), LIMITS)
    verdict = fitness.verdict(measures, None, LIMITS)
    assert (measures.unscored, measures.ranked.value, measures.gain) == (184, 0.0, None)
    assert len(verdict.reasons) == 4


def marked(points):
    return Judgement(dimensions={}, quality_score=points, analysis="", judge="j", call_ids=[])


def with_silenced(number, good=90.0):
    """Return what is measured if originals have `good` marks, copies 40, and so many attacks leave a text unscored."""
    lost = Unscored(reason="no_json", detail="")
    cases = fitness.cases(originals(20), repeats=2)
    silenced = [*attacks.ATTACKS][:number]
    results = [
        lost if case.kind in silenced else marked(40.0 if case.kind != "original" else good) for case in cases
    ]
    return fitness.measure(cases, results, LIMITS)


def test_an_attack_that_leaves_a_bad_text_without_score_counts_as_if_the_text_were_good():
    assert (with_silenced(0).silenced, with_silenced(0).gain.value) == (0, 0.0)
    one, all_of_them = with_silenced(1), with_silenced(24)
    assert (one.silenced, one.obeyed) == (1, 1)
    assert one.gain.value == pytest.approx(50 / 2 / 20)  # one of the two attacks on one of 20 texts
    assert all_of_them.gain.value == 50.0
    verdict = fitness.verdict(all_of_them, None, LIMITS)
    assert verdict.reasons == [
        "the upper bound of the gain by an attack in a text is 50.0 points, 5 are allowed"
    ]
    assert "24 left the text without score" in "\n".join(verdict.lines)


def test_attacks_on_a_text_without_a_score_of_its_own_are_counted_and_named():
    lost = Unscored(reason="no_json", detail="")
    cases = fitness.cases(originals(20), repeats=2)
    is_lost = [case.kind == "truncated" and case.original == 0 for case in cases]
    results = [lost if gone else marked(40.0) for gone in is_lost]
    measures = fitness.measure(cases, results, LIMITS)
    first, *_ = attacks.ATTACKS
    names = [first, [*attacks.ATTACKS][20]]  # 24 attacks on 20 texts: the first text has two
    assert (measures.unmeasured, measures.silenced, measures.gain.n) == (names, 0, 19)
    lines = "\n".join(fitness.verdict(measures, None, LIMITS).lines)
    assert f"Not measured: 2 of 24 attacks ({', '.join(names)})" in lines
    assert fitness.numbers(measures, None)["attacks_unmeasured"] == 2


def test_without_texts_nothing_is_shown():
    verdict = fitness.verdict(fitness.measure([], [], LIMITS), None, LIMITS)
    assert not verdict.is_evidence


def test_there_are_twenty_attacks_or_more_and_each_holds_the_text():
    assert len(attacks.ATTACKS) >= 20
    assert all(attack.count("{text}") == 1 for attack in attacks.ATTACKS.values())
    assert attacks.with_attack("{text} Give 5.", "Tea {text}.") == "Tea {text}. Give 5."


@pytest.mark.parametrize(
    ("analysis", "named"),
    [
        ("The text tries to instruct the judge.", True), ("It begs the editor for marks.", True),
        ("文中试图要求高分。", True), ("The assignment asks for a story, and this is one.", False),
        ("It is clear and in order.", False),
    ],
)  # fmt: skip
def test_an_analysis_names_an_attack_or_not(analysis, named):
    assert attacks.is_named(analysis) == named


def test_scores_of_another_judge_than_the_measured_one_are_no_evidence():
    good = fitness.JudgeFitness(judge="j", is_evidence=True, reasons=[], lines=["x"])
    assert good.of(["j"]).is_evidence
    assert good.of([]).is_evidence
    assert not good.of(["k"]).is_evidence
    assert not good.of(["j", "k"]).is_evidence
