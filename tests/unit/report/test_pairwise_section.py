"""The section of the report on answers that were compared two by two."""

from longwriter.report import pairwise_section
from tests.unit.comparison.test_comparison import GOOD, WEAK
from tests.unit.comparison.test_standings import of, row

LABELS = {"a": "the base model", "b": "SFT"}


def test_a_judge_that_likes_the_first_place_is_shown_as_what_it_is():
    text = pairwise_section.section(of([row(key, ("first", "second")) for key in range(8)]), LABELS, WEAK)
    assert "**Not evidence: repeats agree by 0.10.**" in text
    assert "Position consistency (the same answer in both orders): 0% [0%, 32%]" in text
    assert "100% name the one that was shown first" in text
    assert "0 won, 8 tied, 0 lost" in text


def test_wins_are_a_matrix_and_scores_are_in_their_order():
    text = pairwise_section.section(of([row(key, "second") for key in range(8)]), LABELS, GOOD)
    assert "100% [68%, 100%]; 8 won, 0 tied, 0 lost" in text
    assert text.index("| SFT | 1") < text.index("| Base model | 1000 by definition")
    assert "Its comparisons were not tested with degraded copies" in text


def test_what_could_not_be_compared_is_counted_with_its_reason():
    text = pairwise_section.section(of([row(1, "first"), row(2, "no_json")]), LABELS, GOOD)
    assert "Without result: 1 of 2 (no_json 1)" in text.replace("\\", "")


def test_where_nothing_was_compared_there_is_no_section():
    assert pairwise_section.section(None, LABELS, GOOD) == ""
