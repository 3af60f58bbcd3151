import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.core.scoring import length_score


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
