"""Judges of two texts, over a real socket: one that sees faults is evidence, one that looks at place or length is not."""

import asyncio
from pathlib import Path

import pytest

from longwriter.fitness import attacks, copies, pairs
from longwriter.pairwise.questions.asking import compare
from longwriter.records import Preference, Unscored
from tests.chat_server.server import chat_server_thread
from tests.unit.fitness.test_fitness import LIMITS, ROOT, originals, section_of

PROMPT = str(ROOT / "src/longwriter/prompts/pairwise.txt")


def fitness_of(folder, monkeypatch, judge, number=20):
    """Return the measures and the verdict on a scripted judge's comparisons of texts with their copies."""
    with chat_server_thread(folder / "requests.jsonl", "--judge", judge) as server:
        section = section_of(server.url)
        monkeypatch.chdir(folder)
        Path(".lw").mkdir()
        cases = pairs.cases(originals(number))
        questions = [case.pair for case in cases]
        results, _ = asyncio.run(compare(section, PROMPT, questions, folder / "calls.jsonl.zst", "pairs"))
    measures = pairs.measure(cases, results, LIMITS.confidence)
    return measures, pairs.verdict(measures, LIMITS)


def test_a_judge_that_sees_faults_is_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "good")
    assert verdict.is_evidence, verdict.reasons
    assert verdict.judge.startswith("scripted at http")
    assert (measures.pairs, measures.unscored, measures.consistency, measures.shown_first) == (
        100,
        0,
        1.0,
        0.5,
    )
    # 20 texts, all right: Wilson's lower bound is 20 / (20 + 1.96 ** 2)
    assert (measures.ranked.value, measures.ranked.low) == (1.0, pytest.approx(0.8389, abs=1e-4))
    assert set(measures.by_kind.values()) == {1.0}
    # 20 texts without any change: 2.093 / 22, see `share_change`
    assert (measures.attacks, measures.obeyed, measures.gain.value) == (24, [], 0.0)
    assert measures.gain.high == pytest.approx(0.0951, abs=1e-4)
    assert "The original won in both orders: 100% [84%, 100%]" in "\n".join(verdict.lines)


def test_a_judge_that_prefers_the_text_that_asks_for_it_is_no_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "gullible")
    assert measures.ranked.value == 1.0
    assert (measures.gain.value, measures.obeyed) == (1.0, list(attacks.PAIR_ATTACKS))
    assert verdict.reasons == [
        "the upper bound of the win rate that a truncated copy gains by an attack in it is 100%, 10% are allowed"
    ]
    assert pairs.numbers(measures)["pairs_attacks_obeyed"] == 24.0


def test_one_attack_that_works_is_seen_and_named(tmp_path):
    """24 attacks on 20 texts; the last attacks the fourth text, so the mean gain is half a text of 20."""
    cases = pairs.cases(originals(20))
    results = [
        Preference(winner=winner, orders=[[winner, winner]], judge="j", call_ids=[])
        for winner in ["first"] * (len(cases) - 1) + ["second"]
    ]
    measures = pairs.measure(cases, results, 0.95)
    assert (measures.obeyed, measures.gain.value) == (["Chinese order"], 0.025)
    assert not pairs.verdict(measures, LIMITS).is_evidence


def test_an_attack_that_makes_the_answer_unreadable_counts_as_a_win():
    cases = pairs.cases(originals(20))
    good = Preference(winner="first", orders=[["first", "first"]], judge="j", call_ids=[])
    results = [good if case.kind in copies.KINDS else Unscored(reason="no_json", detail="") for case in cases]
    measures = pairs.measure(cases, results, 0.95)
    assert (measures.ranked.value, measures.gain.value, measures.unscored) == (1.0, 1.0, 24)


def test_there_are_twenty_attacks_or_more_on_comparisons_and_each_holds_the_text():
    assert len(attacks.PAIR_ATTACKS) >= 20
    assert all(attack.count("{text}") == 1 for attack in attacks.PAIR_ATTACKS.values())
    assert not set(attacks.PAIR_ATTACKS) & set(copies.KINDS)


def test_a_judge_that_always_takes_the_first_text_is_no_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "always_first")
    assert (measures.ranked.value, measures.consistency, measures.shown_first) == (0.0, 0.0, 1.0)
    assert verdict.reasons == [
        "the lower bound of the share of degraded copies that lose against their originals in both orders is 0%, "
        "80% are needed"
    ]


def test_a_judge_that_always_takes_the_longer_text_is_no_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "longest", 5)
    assert measures.by_kind == {
        "shuffled": 0.0, "deleted": 1.0, "repeated": 0.0, "truncated": 1.0, "requirement dropped": 1.0,
    }  # fmt: skip
    assert measures.ranked.value == 0.6
    assert not verdict.is_evidence


def test_pairs_without_result_count_against_the_judge_and_none_show_nothing():
    cases = pairs.cases(originals(20))
    lost = pairs.measure(cases, [Unscored(reason="no_json", detail="")] * len(cases), 0.95)
    assert (lost.unscored, lost.ranked.value, lost.consistency) == (124, 0.0, None)
    assert len(pairs.verdict(lost, LIMITS).reasons) == 3
    nothing = pairs.measure([], [], 0.95)
    assert (nothing.ranked, nothing.by_kind) == (None, {})
    assert not pairs.verdict(nothing, LIMITS).is_evidence
    assert pairs.numbers(nothing) == {"pairs": 0.0, "pairs_unscored": 0.0}
