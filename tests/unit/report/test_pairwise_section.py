"""The section of the report on answers that were compared two by two."""

from longwriter.report import pairwise_section
from tests.unit.comparison.test_comparison import GOOD, WEAK
from tests.unit.comparison.test_standings import of, row

LABELS = {"a": "the base model", "b": "SFT"}
WEAK_PAIRS = GOOD.model_copy(update={"pairs": WEAK})
GOOD_PAIRS = WEAK.model_copy(update={"pairs": GOOD})


def test_a_judge_that_likes_the_first_place_is_shown_as_what_it_is():
    text = pairwise_section.section(
        of([row(key, ("first", "second")) for key in range(8)]), LABELS, WEAK_PAIRS
    )
    assert "**Not evidence: repeats agree by 0.10.**" in text
    assert "Position consistency (the same answer in both orders): 0% [0%, 32%]" in text
    assert "100% name the one that was shown first" in text
    assert "0 won, 8 tied, 0 lost" in text


def test_wins_are_a_matrix_and_scores_are_in_their_order():
    text = pairwise_section.section(of([row(key, "second") for key in range(8)]), LABELS, GOOD_PAIRS)
    assert "100% [68%, 100%]; 8 won, 0 tied, 0 lost" in text
    assert text.index("| SFT | 1") < text.index("| Base model | 1000 by definition")
    assert "**The judge was tested and what it says here is evidence.**\n\n- Tested on 4 texts." in text


def test_comparisons_of_a_judge_that_was_not_tested_with_pairs_are_no_evidence():
    result = of([row(key, "second") for key in range(8)])
    text = pairwise_section.section(result, LABELS, GOOD)
    assert "**Not evidence: the judge was not tested with pairs: set `pairwise.pairs` and run" in text
    assert "not tested with pairs" in pairwise_section.no_evidence(result, GOOD)
    other = of([row(key, "second", judge="k") for key in range(8)])
    assert "scores come from another judge" in pairwise_section.no_evidence(other, GOOD_PAIRS)
    assert pairwise_section.no_evidence(result, GOOD_PAIRS) == pairwise_section.no_evidence(None, WEAK) == ""


def test_what_could_not_be_compared_is_counted_with_its_reason():
    text = pairwise_section.section(of([row(1, "first"), row(2, "no_json")]), LABELS, GOOD)
    assert "Without result: 1 of 2 (no_json 1)" in text.replace("\\", "")


def test_where_nothing_was_compared_there_is_no_section():
    assert pairwise_section.section(None, LABELS, GOOD) == ""
