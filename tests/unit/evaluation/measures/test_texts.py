import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.evaluation.measures import texts
from longwriter.text.basics.counting import tokens
from longwriter.text.repetition import GOPHER, Grams
from tests.unit.builders import prose


def measured(text, **fields):
    prompt = Prompt("p", "Write.", "Essay", "en", 100)
    return texts.measure(
        generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[]), **fields
    )


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("", 1, 0),
        ("one", 2, 0),
        ("the sea the sea", 1, 1 / 2),
        ("the sea the sea", 2, 2 / 3),
        ("春眠春眠", 2, 2 / 3),
    ],
)
def test_distinct_n_is_the_share_of_different_n_grams(text, n, share):
    assert texts.distinct(Grams(tokens(text)), n) == pytest.approx(share)


def test_fresh_prose_is_within_all_limits_and_a_loop_is_beyond_them():
    fresh = measured(prose(400))
    assert fresh.beyond_gopher == []
    assert fresh.redundancy == 0
    assert fresh.chunk_repetition == [0] * 10
    loop = measured("\n\n".join([prose(40)] * 10))
    assert {"paragraphs", "duplicate_5", "duplicate_10"} <= set(loop.beyond_gopher)
    assert loop.redundancy == 1
    assert set(loop.gopher) == set(GOPHER)


def test_repetition_is_measured_in_the_part_that_repeats():
    part = prose(100, "a")
    assert measured(f"{part} {prose(800, 'b')} {part}").chunk_repetition[:9] == [0] * 9
    assert measured(f"{part} {prose(800, 'b')} {part}").chunk_repetition[9] > 0.9


def test_a_text_of_a_few_words_or_none_is_measured():
    for text in ("", "Yes.", "…", "\ud83d", "好。"):
        few = measured(text)
        assert few.chunk_repetition == []
        assert few.redundancy == 0


def test_a_text_is_cut_at_paragraphs_into_parts_of_nearly_equal_length():
    assert texts.chunks("aa\n\nbb\n\ncc\n\ndd", 2) == ["aa\n\nbb", "cc\n\ndd"]
    assert texts.chunks("aa\n\nbb", 5) == ["aa", "bb"]
    assert texts.chunks(" \n\n ", 3) == []
    assert texts.chunks("aa\n\nbb", 0) == []


@given(st.lists(st.text("ab \n", min_size=1, max_size=30), max_size=12), st.integers(1, 6))
def test_no_paragraph_is_lost_and_none_is_cut(parts, count):
    text = "\n\n".join(parts)
    chunks = texts.chunks(text, count)
    assert len(chunks) <= count
    assert tokens(" ".join(chunks)) == tokens(text)
