import json
import math

import pytest

from longwriter.comparison import comparison
from longwriter.errors import BadRecord
from longwriter.evaluation.scores import length_score
from longwriter.records import JudgeFitness, Judgement, Score, Unscored
from longwriter.statistics.intervals import Method

METHOD = Method(confidence=0.95, resamples=500, seed=0)
NO_JUDGE = Unscored(reason="no_judge", detail="there is no judge")


def score(key, words=100, required=100, **fields):
    base = {
        "generation_id": f"g{key}", "prompt_id": f"p{key}", "type": "News Report", "language": "en",
        "required_words": required, "words": words, "length_score": length_score(required, words),
        "ended": True, "loop": False, "refusal": False, "repeated_share": 0.0, "quality": NO_JUDGE,
    }  # fmt: skip
    return Score(**{**base, **fields})


def judged(value):
    return Judgement(dimensions={}, quality_score=value, analysis="", judge="j", call_ids=[])


WEAK = JudgeFitness(
    judge="j", is_evidence=False, reasons=["repeats agree by 0.10"], lines=["Tested on 4 texts."]
)
GOOD = JudgeFitness(judge="j", is_evidence=True, reasons=[], lines=["Tested on 4 texts."])
LABELS = {"base_model": "the base model", "sft": "SFT", "dpo": "DPO"}
PAIRS = [("sft", "base_model"), ("dpo", "sft"), ("dpo", "base_model")]


def compared(base, sft, dpo):
    rows = {"base_model": base, "sft": sft, "dpo": dpo}
    return comparison.compare("small", rows, METHOD, labels=LABELS, pairs=PAIRS)


def test_scores_become_flat_numbers():
    half = judged(50.0)
    base = [score(k, words=50, ended=k > 1, loop=k < 1, refusal=k == 3, quality=half) for k in range(4)]
    sft = [score(k, quality=judged(25.0 * k)) for k in range(2)] + [score(k, words=80) for k in (2, 3)]
    found = comparison.numbers(compared(base, sft, [score(k, words=100, quality=half) for k in range(4)]))
    assert {key: found[key] for key in (
        "n", "base_model_length_score_mean", "base_model_length_score_low", "base_model_length_score_high",
        "base_model_ended_share", "base_model_ended_share_low", "base_model_ended_share_high",
        "base_model_loop_share", "base_model_refusal_share", "base_model_words_mean",
        "sft_length_score_mean", "sft_quality_score_mean", "sft_quality_n", "dpo_quality_n",
        "sft_overall_score_mean", "sft_unscored_share", "dpo_unscored_share", "sft_minus_base_overall_score",
        "sft_minus_base_length_score", "dpo_minus_base_length_score", "dpo_minus_base_length_score_low",
        "dpo_minus_base_length_score_high", "dpo_minus_base_length_score_p", "ended_p",
    )} == {
        "n": 4.0, "base_model_length_score_mean": 50.0, "base_model_length_score_low": 50.0,
        "base_model_length_score_high": 50.0, "base_model_ended_share": 0.5,
        "base_model_ended_share_low": 0.15, "base_model_ended_share_high": 0.85, "base_model_loop_share": 0.25,
        "base_model_refusal_share": 0.25, "base_model_words_mean": 50.0, "sft_length_score_mean": 93.75,
        "sft_quality_score_mean": 12.5, "sft_quality_n": 2.0, "dpo_quality_n": 2.0,
        "sft_overall_score_mean": 56.25, "sft_unscored_share": 0.5, "dpo_unscored_share": 0.0,
        "sft_minus_base_overall_score": 6.25,
        "sft_minus_base_length_score": 43.75, "dpo_minus_base_length_score": 50.0,
        "dpo_minus_base_length_score_low": 50.0, "dpo_minus_base_length_score_high": 50.0,
        "dpo_minus_base_length_score_p": 0.125, "ended_p": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("n", [0, 1])
def test_a_number_that_cannot_be_computed_is_left_out(n):
    rows = [score(k) for k in range(n)]
    found = comparison.numbers(compared(rows, rows, rows))
    assert found["n"] == n
    assert "sft_minus_base_length_score_low" not in found
    assert ("sft_minus_base_length_score" in found) == (n == 1)
    assert all(math.isfinite(value) for value in found.values())
    json.dumps(found, allow_nan=False)


def test_models_are_compared_on_the_prompts_that_both_have_whatever_the_order():
    base = [score(k, words=50) for k in (0, 1, 2)]
    sft = [score(2, words=100), score(9, words=1), score(1, words=50)]
    found = compared(base, sft, sft).differences["sft", "base_model"]
    assert (found.value, found.n) == (25.0, 2)
    assert compared(base[::-1], sft[::-1], sft) == compared(base, sft, sft)


def test_an_answer_that_is_scored_twice_is_an_error():
    with pytest.raises(ValueError, match="an answer of dpo is scored twice"):
        compared([score(0)], [score(0)], [score(0), score(0)])


def test_scores_of_different_judges_are_not_compared():
    other = judged(50.0).model_copy(update={"judge": "other"})
    with pytest.raises(
        BadRecord, match="2 judges, whose scores do not compare: j; other; let one judge score all of them"
    ):
        compared([score(0, quality=judged(50.0))], [score(0, quality=other)], [score(0)])


def test_several_answers_to_a_prompt_count_as_one_prompt_and_show_the_spread():
    def draws(words):
        return [
            score(k, words=count, generation_id=f"g{k}-{draw}")
            for k in range(6)
            for draw, count in enumerate(words)
        ]

    found = compared(draws([50, 50]), draws([80, 100]), draws([100, 100]))
    assert (found.differences["sft", "base_model"].value, found.differences["sft", "base_model"].n) == (
        43.75,
        6,
    )
    assert found.standings["sft"].draws == [87.5, 100.0]
    assert found.standings["sft"].spread == pytest.approx(8.8388)
    assert found.standings["sft"].length_score.n == 6
    assert comparison.numbers(found)["n"] == 6


def test_the_p_values_of_a_report_are_corrected_together():
    base = [score(k, words=50, ended=k < 2) for k in range(8)]
    found = compared(base, [score(k, words=90) for k in range(8)], [score(k, words=90) for k in range(8)])
    assert found.tests == 4
    assert [test.p for test in (*found.differences.values(), found.ended)] == [0.00781, 1.0, 0.00781, 0.0312]
    assert [test.p_holm for test in (*found.differences.values(), found.ended)] == [
        0.0312,
        1.0,
        0.0312,
        0.0624,
    ]


def test_lengths_fall_into_the_buckets_of_longbench_write():
    asked = [300, 499, 500, 1999, 2000, 3999, 4000, 20_000, 20_001]
    rows = [score(k, words=1, required=required) for k, required in enumerate(asked)]
    buckets = compared(rows, rows, rows).buckets
    assert [(bucket.label(), bucket.scores["dpo"].n) for bucket in buckets] == [
        ("below 500", 2), ("500-1,999", 2), ("2,000-3,999", 2), ("4,000-20,000", 2), ("20,001 and more", 1),
    ]  # fmt: skip


def test_buckets_are_finer_where_most_texts_are_short():
    rows = [score(k, words=100, required=required) for k, required in enumerate([199, 200, 299, 300, 500])]
    buckets = compared(rows, rows, []).buckets
    assert [(bucket.label(), bucket.scores["sft"].n) for bucket in buckets] == [
        ("below 200", 1), ("200-299", 2), ("300-499", 1), ("500-1,999", 1),
    ]  # fmt: skip
    assert all(set(bucket.scores) == {"base_model", "sft"} for bucket in buckets)


def test_a_curve_is_read_by_column_and_an_empty_cell_is_no_number():
    found = comparison.curve("step,loss,reward_accuracy\n1,0.7,\n2,0.6,0.75\n")
    assert (found["step"], found["loss"]) == ([1.0, 2.0], [0.7, 0.6])
    assert math.isnan(found["reward_accuracy"][0])
    assert found["reward_accuracy"][1] == 0.75
    assert comparison.curve("step,loss\n") == {"step": [], "loss": []}
    with pytest.raises(ValueError, match="high"):
        comparison.curve("step,loss\n1,high\n")


def test_prompts_without_a_length_count_for_endings_and_not_for_the_length_score():
    free = [score(key, required_words=None, length_score=None) for key in range(10, 14)]
    base, sft = [score(key, words=50) for key in range(6)], [score(key, words=90) for key in range(6)]
    both = compared(base + free, sft + free, sft)
    alone = compared(base, sft, sft)
    assert both.differences == alone.differences
    assert both.buckets == alone.buckets
    assert both.standings["sft"].length_score == alone.standings["sft"].length_score
    assert both.standings["sft"].ended.n == 10
