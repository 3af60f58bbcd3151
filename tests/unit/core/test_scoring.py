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
