import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.evaluation.scores import length_score, score_numbers, score_of
from longwriter.records import Judgement, Unscored
from tests.unit.builders import prose


@pytest.mark.parametrize(
    ("required", "written", "score"),
    [
        (100, 100, 100),
        (100, 400, 0),
        (100, 250, 50),
        (300, 100, 0),
        (200, 100, 50),
        (100, 0, 0),
        (100, 5000, 0),
    ],
)
def test_scores_follow_the_papers_formula(required, written, score):
    """LongWriter (arXiv:2408.07055), section 2."""
    assert length_score(required, written) == pytest.approx(score)


@given(st.integers(1, 10**6), st.integers(0, 10**7))
def test_a_score_is_between_0_and_100_and_full_only_at_the_asked_length(required, written):
    score = length_score(required, written)
    assert 0 <= score <= 100
    assert (score == 100) == (written == required)


def test_a_required_length_of_zero_is_refused():
    with pytest.raises(ValueError, match="required 0"):
        length_score(0, 5)


@pytest.mark.parametrize(
    ("required", "written", "score"),
    [
        (1000, 2000, 200 / 3),  # 100 * (1 - (2 - 1) / 3)
        (1000, 3999, 1 / 30),
        (1000, 800, 87.5),  # 100 * (1 - (1.25 - 1) / 2)
        (999, 334, 100 * (1 - (999 / 334 - 1) / 2)),
        (1, 1, 100),
        (1, 0, 0),
    ],
)
def test_scores_near_the_ends_of_both_slopes_follow_the_formula(required, written, score):
    assert length_score(required, written) == pytest.approx(score)


def test_a_written_length_below_zero_is_refused():
    with pytest.raises(ValueError, match="written -1"):
        length_score(5, -1)


@given(st.integers(1, 50_000), st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_longer_way_from_the_asked_length_never_scores_more(required, one, other):
    near, far = sorted((one, other))
    assert length_score(required, required + far) <= length_score(required, required + near)
    near, far = near % (required + 1), far % (required + 1)
    short, shorter = sorted((required - near, required - far), reverse=True)
    assert length_score(required, shorter) <= length_score(required, short)


@given(st.integers(1, 50_000), st.integers(0, 200_000), st.integers(2, 100))
def test_the_score_depends_on_the_ratio_alone(required, written, times):
    assert length_score(required * times, written * times) == pytest.approx(length_score(required, written))


def generation(text, required=100, finish_reason="stop"):
    prompt = Prompt("p1", "Write 100 words.", "News Report", "en", required)
    return generation_of(prompt, text, finish_reason=finish_reason, max_tokens=300, call_ids=["c"])


def judgement(quality):
    return Judgement(dimensions={}, quality_score=quality, analysis="Plain.", judge="j", call_ids=[])


NO_JUDGE = Unscored(reason="no_judge", detail="there is no judge")


def test_an_answer_of_the_asked_length_that_ended_by_itself_has_full_scores():
    made = generation(prose(100))
    score = score_of(made, NO_JUDGE, 0.2)
    assert (score.length_score, score.ended, score.loop, score.refusal) == (100, True, False, False)
    assert (score.generation_id, score.prompt_id, score.words) == (made.generation_id, "p1", 100)
    assert score.quality == NO_JUDGE


def test_an_empty_answer_scores_0_for_its_length_and_is_no_loop():
    score = score_of(generation(""), NO_JUDGE, 0.2)
    assert (score.length_score, score.words, score.repeated_share, score.loop) == (0, 0, 0, False)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "unknown"])
def test_only_the_servers_stop_is_an_ending(finish_reason):
    assert not score_of(generation("One.", finish_reason=finish_reason), NO_JUDGE, 0.2).ended


def test_a_loop_is_a_share_of_repeats_above_the_bound():
    text = "one two three four five " * 2  # six 5-grams, one of them twice
    share = score_of(generation(text), NO_JUDGE, 0.2).repeated_share
    assert share == pytest.approx(1 / 6)
    assert not score_of(generation(text), NO_JUDGE, share).loop
    assert score_of(generation(text), NO_JUDGE, share - 0.01).loop


def test_a_refusal_differs_from_an_answer():
    assert score_of(generation("I'm sorry, I can't help with that."), NO_JUDGE, 0.2).refusal


def test_without_a_judge_there_is_no_number_of_quality():
    numbers = score_numbers([score_of(generation(prose(100)), NO_JUDGE, 0.2)] * 3)
    assert numbers == {
        "n": 3,
        "length_score_mean": 100,
        "ended_share": 1,
        "loop_share": 0,
        "refusal_share": 0,
        "words_mean": 100,
        "unscored_no_judge": 3,
    }


def test_the_mean_of_quality_is_over_what_was_judged_and_the_rest_is_counted_by_reason():
    unread = Unscored(reason="no_json", detail="Fine.")
    qualities = [judgement(100.0), judgement(50.0), unread, Unscored(reason="empty", detail="")]
    numbers = score_numbers([score_of(generation("One."), quality, 0.2) for quality in qualities])
    assert (numbers["quality_score_mean"], numbers["quality_n"], numbers["n"]) == (75, 2, 4)
    assert (numbers["unscored_no_json"], numbers["unscored_empty"]) == (1, 1)


def test_a_judged_zero_is_a_number():
    numbers = score_numbers([score_of(generation("One."), judgement(0.0), 0.2)])
    assert (numbers["quality_score_mean"], numbers["quality_n"]) == (0, 1)


def test_scores_of_nothing_have_numbers_too():
    assert score_numbers([])["length_score_mean"] == 0


def test_an_answer_to_a_prompt_without_length_has_no_length_score_and_none_is_counted():
    free = generation("One two three.", required=None)
    none = Unscored(reason="no_judge", detail="")
    assert score_of(free, none, 0.2).length_score is None
    scores = [score_of(free, none, 0.2), score_of(generation(prose(100)), none, 0.2)]
    numbers = score_numbers(scores)
    assert (numbers["length_score_mean"], numbers["no_length"], numbers["n"]) == (100.0, 1.0, 2.0)
    assert "length_score_mean" not in score_numbers(scores[:1])
