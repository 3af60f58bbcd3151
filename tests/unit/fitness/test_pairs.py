"""Judges of two texts, over a real socket: one that sees faults is evidence, one that looks at place or length is not."""

import asyncio
from pathlib import Path

import pytest

from longwriter.fitness import pairs
from longwriter.pairwise.asking import compare
from longwriter.records import Unscored
from tests.chat_server.server import chat_server_thread
from tests.unit.fitness.test_fitness import LIMITS, ROOT, originals, section_of

PROMPT = str(ROOT / "src/longwriter/prompts/pairwise.txt")


def fitness_of(folder, monkeypatch, judge, number=20):
    """Return the measures and the verdict on a scripted judge's comparisons of texts with their copies."""
    with chat_server_thread(folder / "requests.jsonl", "--judge", judge) as server:
        section = section_of(server.url)
        monkeypatch.chdir(folder)
        Path(".lw").mkdir()
        questions = pairs.questions(originals(number))
        results, _ = asyncio.run(compare(section, PROMPT, questions, folder / "calls.jsonl.zst", "pairs"))
    measures = pairs.measure(results, LIMITS.confidence)
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
    assert "The original won in both orders: 100% [84%, 100%]" in "\n".join(verdict.lines)


def test_a_judge_that_always_takes_the_first_text_is_no_evidence(tmp_path, monkeypatch):
    measures, verdict = fitness_of(tmp_path, monkeypatch, "always_first", 5)
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
    lost = pairs.measure([Unscored(reason="no_json", detail="")] * 100, 0.95)
    assert (lost.unscored, lost.ranked.value, lost.consistency) == (100, 0.0, None)
    assert len(pairs.verdict(lost, LIMITS).reasons) == 2
    nothing = pairs.measure([], 0.95)
    assert (nothing.ranked, nothing.by_kind) == (None, {})
    assert not pairs.verdict(nothing, LIMITS).is_evidence
    assert pairs.numbers(nothing) == {"pairs": 0.0, "pairs_unscored": 0.0}
