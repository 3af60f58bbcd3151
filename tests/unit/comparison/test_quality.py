"""Quality on common prompts, bounds and the warning; the numbers are computed by hand."""

import pytest

from longwriter.comparison import quality
from longwriter.records import Judgement, Unscored
from longwriter.report import markdown as report
from longwriter.statistics.intervals import Method
from tests.unit.comparison.test_comparison import GOOD, WEAK, compared, judged, score

METHOD = Method(confidence=0.95, resamples=500, seed=0)
REFUSED = Unscored(reason="judge_refused", detail="beyond the context")
PAIR = ("sft", "base_model")


def of_two(base, sft):
    return quality.of_models({"base_model": base, "sft": sft}, METHOD, [PAIR])


def test_a_prompt_counts_only_if_all_models_have_a_score_for_it():
    """The judge refuses the two bad answers of the base model: its own mean would be 75 instead of 37.5."""
    base = [score(0, quality=REFUSED), score(1, quality=REFUSED)]
    base += [score(2, quality=judged(75.0)), score(3, quality=judged(75.0))]
    sft = [score(k, quality=judged(value)) for k, value in enumerate((100.0, 90.0, 80.0, 70.0))]
    found = of_two(base, sft)
    assert (found.shared, found.scored) == (4, 2)
    assert (found.quality["base_model"].value, found.quality["base_model"].n) == (75.0, 2)
    assert found.quality["sft"].value == 75.0  # (80 + 70) / 2; 85 over all four
    assert (found.overall["sft"].value, found.overall["base_model"].value) == (87.5, 87.5)
    assert found.differences[PAIR].value == 0.0
    # S_l is 100: unscored answers give (100 + 0) / 2 = 50 or (100 + 100) / 2 = 100, scored ones 87.5
    assert found.bounds == {"base_model": (68.75, 93.75), "sft": (92.5, 92.5)}
    assert found.difference_bounds[PAIR] == (-1.25, 23.75)
    assert found.unjudged["base_model"] == quality.Unjudged(2, 4, {"judge_refused": 2})
    assert found.unjudged["base_model"].share() == 0.5


def test_a_prompt_with_an_unscored_draw_does_not_count():
    rows = [
        score(key, generation_id=f"{key}-{draw}", quality=judged(50.0) if draw < key else REFUSED)
        for key in (1, 2)
        for draw in (0, 1)
    ]
    found = of_two(rows, [score(1, quality=judged(50.0)), score(2, quality=judged(50.0))])
    assert (found.shared, found.scored) == (2, 1)
    # prompt 1: (75 + 50) / 2 and (75 + 100) / 2; prompt 2: 75
    assert found.bounds["base_model"] == (68.75, 81.25)


def test_overall_score_and_dimensions_are_means_over_common_prompts():
    def marks(relevance, clarity):
        value = ((relevance - 1) * 25 + (clarity - 1) * 25) / 2
        dimensions = {"Relevance": relevance, "Clarity": clarity}
        return Judgement(dimensions=dimensions, quality_score=value, analysis="", judge="j", call_ids=[])

    base = [score(0, words=50, quality=marks(2, 3)), score(1, words=50, quality=marks(4, 3))]
    found = of_two(base, [score(0, quality=marks(5, 4)), score(1, quality=marks(5, 5))])
    assert found.overall["base_model"].value == 50.0  # (50 + 37.5) / 2 and (50 + 62.5) / 2
    assert found.dimensions["Relevance"]["base_model"].value == 3.0
    assert found.dimensions["Clarity"]["sft"].value == 4.5
    assert [bucket.scores["sft"].value for bucket in found.buckets] == [96.875]  # (93.75 + 100) / 2


def test_the_interval_of_a_mark_stays_within_the_marks():
    def marked(marks):
        return [
            score(k, quality=judged(50.0).model_copy(update={"dimensions": {"Clarity": mark}}))
            for k, mark in enumerate(marks)
        ]

    clarity = of_two(marked((1, 1, 1, 2)), marked((5, 5, 5, 4))).dimensions["Clarity"]
    assert (clarity["sft"].value, clarity["sft"].high) == (4.75, 5.0)
    assert (clarity["base_model"].value, clarity["base_model"].low) == (1.25, 1.0)


def test_without_a_judge_there_is_no_quality():
    rows = [score(k) for k in range(3)]
    assert of_two(rows, rows) is None
    text = report.markdown(
        compared(rows, rows, rows), fitness=WEAK, max_unscored_share=0.05, dpo={}, figures=[]
    )
    assert "Quality is not scored: there is no judge." in text
    assert "WARNING" not in text


@pytest.mark.parametrize(("limit", "warns"), [(0.2, True), (0.25, False), (0.3, False)])
def test_the_report_warns_at_its_top_if_too_many_answers_have_no_score(limit, warns):
    rows = [score(k, quality=judged(50.0) if k else REFUSED) for k in range(4)]
    text = report.markdown(
        compared(rows, rows, rows), fitness=GOOD, max_unscored_share=limit, dpo={}, figures=[]
    )
    top = text.partition("## Quality")[0]
    assert ("> **WARNING: too many answers have no quality score**" in top) == warns
    assert ("SFT 1 of 4 (25%): judge_refused 1" in top) == warns
    assert (
        "| SFT | 1 of 4 (25%): judge_refused 1 | 50.0 (all equal) | 75.0 (all equal) | 68.8 to 81.2 |" in text
    )
    assert (
        "All models answered 4 prompts; the table is over the prompts whose answers are scored for all models (3)"
        in text
    )
    assert "Over all prompts, whatever the unscored answers are worth: from -12.5 to +12.5." in text


def test_a_judge_that_scores_nothing_is_not_the_same_as_no_judge():
    rows = [score(k, quality=REFUSED) for k in range(3)]
    text = report.markdown(
        compared(rows, rows, rows), fitness=GOOD, max_unscored_share=0.05, dpo={}, figures=[]
    )
    assert "base model 3 of 3 (100%): judge_refused 3" in text
    assert "| SFT | 3 of 3 (100%): judge_refused 3 | - | - | 50.0 to 100.0 |" in text


def test_tests_of_the_overall_score_are_corrected_with_the_others():
    rows = [score(k, quality=judged(50.0)) for k in range(8)]
    found = compared(rows, [score(k, quality=judged(50.0 + k)) for k in range(8)], rows)
    assert found.tests == 7  # three in S_l, three in S_bar, one of endings
    difference = found.quality.differences[PAIR]
    assert (difference.value, difference.n) == (1.75, 8)
    assert difference.p_holm > difference.p
