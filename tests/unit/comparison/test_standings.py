"""Win rates and Bradley-Terry scores from comparisons."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwriter.comparison import standings as pairwise
from longwriter.errors import BadRecord
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.pairwise import pairs
from longwriter.pairwise.questions.question import preference
from longwriter.records import PairwiseRow, Unscored
from longwriter.statistics.intervals import Method

METHOD = Method(0.95, 200, 0)
SAME = {"first": ("first", "first"), "second": ("second", "second"), "tie": ("tie", "tie")}


def row(prompt, winner, first="a", second="b", judge="j"):
    """Return a comparison; a winner that is none of the three is the reason why there is none."""
    orders = winner if isinstance(winner, tuple) else SAME.get(winner)
    verdict = preference([orders], judge, ["call"]) if orders else Unscored(reason=winner, detail="")
    return PairwiseRow(
        benchmark="small", prompt_id=str(prompt), first=first, second=second, generation_ids=[], verdict=verdict,
    )  # fmt: skip


def of(rows, models=("a", "b"), anchor="a", method=METHOD):
    return pairwise.standings(rows, models, anchor, method)


def maximum_likelihood(wins):
    """Return Bradley-Terry scores by Hunter's MM iteration (Annals of Statistics 32, 2004), with the first at 0."""
    games, strength = wins + wins.T, np.ones(len(wins))
    for _ in range(2_000):
        share = games / (strength[:, None] + strength[None, :])
        strength = wins.sum(1) / share.sum(1)
    return np.log(strength / strength[0])


def test_two_models_differ_by_the_log_odds_of_a_win():
    scores = pairwise.bradley_terry(np.array([[0.0, 6.0], [2.0, 0.0]]))
    assert scores == pytest.approx([0.0, math.log(2 / 6)], abs=1e-6)


def test_in_a_chain_of_three_models_the_log_odds_add_up():
    wins = np.array([[0, 3, 0], [1, 0, 8], [0, 2, 0]], dtype=float)
    assert pairwise.bradley_terry(wins, 1) == pytest.approx([math.log(3), 0.0, math.log(2 / 8)], abs=1e-6)


@given(st.lists(st.integers(1, 40), min_size=12, max_size=12))
@settings(max_examples=8, deadline=None)
def test_the_scores_are_those_of_the_published_iteration(counts):
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = np.array(counts) / 2
    assert pairwise.bradley_terry(wins) == pytest.approx(maximum_likelihood(wins), abs=1e-6)


def test_a_model_without_a_chain_of_comparisons_has_no_score():
    result = of([row(1, "first"), row(2, "tie")], ("a", "b", "c"))
    assert result.scores["c"] is None
    assert result.scores["a"].value == 1000.0
    assert ("a", "c") not in result.rates


def test_a_tie_is_half_a_win_and_each_model_starts_with_half_a_win():
    result = of([row(1, "second"), row(2, "second"), row(3, "tie")])
    rate = result.rates["b", "a"]
    assert (rate.wins, rate.ties, rate.losses, round(rate.share.value, 3)) == (2, 1, 0, 0.833)
    assert result.rates["a", "b"].share.value == pytest.approx(1 - rate.share.value, abs=1e-4)
    elo = 1000 + 400 * math.log10((2.5 + 0.5) / (0.5 + 0.5))
    assert result.scores["b"].value == pytest.approx(elo, abs=1e-3)


def test_a_model_that_wins_everything_has_a_finite_score_with_an_interval():
    score = of([row(prompt, "second") for prompt in range(8)]).scores["b"]
    assert 1000 < score.low < score.value <= score.high < 2500


def test_a_judge_that_always_takes_the_first_text_makes_everything_a_tie():
    result = of([row(prompt, ("first", "second")) for prompt in range(10)])
    assert (result.consistency.value, result.shown_first) == (0.0, 1.0)
    assert (result.rates["a", "b"].ties, result.rates["a", "b"].share.value) == (10, 0.5)
    assert result.scores["b"].value == 1000.0


def test_an_unscored_comparison_is_counted_with_its_reason_and_is_no_tie():
    result = of([row(1, "first"), row(2, "no_json"), row(3, "no_json"), row(4, "empty")])
    assert (result.unscored.unscored, result.unscored.reasons) == (3, {"empty": 1, "no_json": 2})
    assert (result.rates["a", "b"].ties, result.rates["a", "b"].share.n, result.prompts) == (0, 1, 1)


def test_several_answers_to_a_prompt_count_as_one_prompt():
    draws = [row(1, "first"), row(1, "first"), row(1, "second"), row(1, "first"), row(2, "second")]
    rate = of(draws).rates["a", "b"]
    assert (rate.share.n, rate.share.value) == (2, 0.375)


def test_where_no_judge_was_asked_there_is_no_result():
    assert of([row(1, "no_judge"), row(2, "no_judge")]) is None
    assert of([]) is None


def test_where_nothing_could_be_scored_the_result_says_so():
    result = of([row(1, "no_json")])
    assert (result.unscored.share(), result.rates, result.consistency, result.scores["b"]) == (
        1.0,
        {},
        None,
        None,
    )


def test_results_of_two_judges_do_not_mix():
    with pytest.raises(BadRecord, match="2 judges"):
        of([row(1, "first", judge="x"), row(2, "first", judge="y")])


@given(st.lists(st.sampled_from(["first", "second", "tie"]), min_size=2, max_size=12))
@settings(max_examples=15, deadline=None)
def test_the_order_of_models_does_not_change_who_is_better(winners):
    turned = {"first": "second", "second": "first", "tie": "tie"}
    one = of([row(place, winner) for place, winner in enumerate(winners)])
    other = of([row(place, turned[winner], "b", "a") for place, winner in enumerate(winners)])
    assert one.rates == other.rates
    assert one.scores["b"].value == pytest.approx(other.scores["b"].value, abs=1e-3)


def test_models_are_compared_with_a_reference_or_all_with_all():
    models = ["base", "sft", "dpo"]
    assert pairs.matches(models, "reference", "sft") == [("sft", "base"), ("sft", "dpo")]
    assert pairs.matches(models, "all", "sft") == [("base", "sft"), ("base", "dpo"), ("sft", "dpo")]
    assert pairs.matches(models, "none", "sft") == []


def answer(prompt, text):
    given = Prompt(prompt, f"Prompt {prompt}", "Essay", "en", 100)
    return generation_of(given, text, finish_reason="stop", max_tokens=9, call_ids=[text])


def test_the_answers_to_shared_prompts_are_paired_draw_by_draw():
    answers = {
        "a": [answer("x", "a1"), answer("x", "a2"), answer("y", "a3")],
        "b": [answer("x", "b1"), answer("x", "b2"), answer("z", "b3")],
    }
    rows = pairs.rows("small", answers, [("a", "b")])
    assert [(pair.first, pair.second) for _, pair in rows] == [("a1", "b1"), ("a2", "b2")]
    assert {made.prompt_id for made, _ in rows} == {"x"}
