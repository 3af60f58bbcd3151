import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter import params
from longwriter.text import repetition
from longwriter.text.basics.counting import tokens
from longwriter.text.repetition import Grams
from tests.unit.builders import prose

GOPHER = params.load().dataset.repetition


@pytest.mark.parametrize(
    ("parts", "share", "chars"),
    [
        ([], 0, 0),
        (["a", "b"], 0, 0),
        (["a", "a", "", " "], 1 / 2, 1 / 2),
        (["a", " a ", "bb", "cccc"], 1 / 4, 1 / 8),
    ],
)
def test_a_line_that_stood_before_is_a_duplicate(parts, share, chars):
    assert repetition.duplicate_share(parts) == pytest.approx(share)
    assert repetition.duplicate_share(parts, by_chars=True) == pytest.approx(chars)


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("", 2, 0),
        ("one two", 2, 0),
        ("ab cd ab cd efgh", 2, 8 / 12),
        ("a b c a b c a b c", 3, 1),
        ("春眠春眠不觉", 2, 4 / 6),
        ("x x x", 2, 1),
    ],
)
def test_the_most_frequent_n_gram_covers_its_share_of_the_characters(text, n, share):
    assert repetition.top_share(Grams(tokens(text)), n) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("", 5, 0),
        ("one two three four five", 5, 0),
        ("a b c d e a b c d e", 5, 1 / 2),
        ("a b c d e f a b c d e f", 5, 1 / 2),
        ("aa b aa b cc", 2, 3 / 8),
        ("春眠不觉晓春眠不觉晓", 5, 1 / 2),
    ],
)
def test_characters_in_n_grams_that_stood_before_count_once(text, n, share):
    assert repetition.repeated_chars_share(Grams(tokens(text)), n) == pytest.approx(share)


@given(st.lists(st.sampled_from(["a", "bb", "潮"]), max_size=40), st.integers(2, 10))
def test_every_measure_is_a_share_and_longer_n_grams_repeat_no_more(words, n):
    grams = Grams(words)
    shares = [repetition.repeated_chars_share(grams, size) for size in (n, n + 1)]
    assert 0 <= shares[1] <= shares[0] <= 1
    assert 0 <= repetition.top_share(grams, n) <= 1


@given(st.lists(st.sampled_from(["a", "bb", "潮", "cab", "dd"]), max_size=60), st.integers(1, 6))
def test_n_grams_have_equal_numbers_exactly_where_they_are_equal(words, n):
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    numbers = Grams(words).of(n).tolist()
    assert [(a == b) for a in numbers for b in numbers] == [(a == b) for a in grams for b in grams]
    assert Grams(words).is_repeated(n).tolist() == [gram in grams[:i] for i, gram in enumerate(grams)]


def test_the_thresholds_of_the_paper_are_those_of_the_committed_parameters():
    assert dict(repetition.GOPHER) == GOPHER


def test_fresh_prose_is_within_the_published_thresholds_and_each_of_them_can_be_broken():
    """Rae et al. 2021 (arXiv:2112.11446), table A1."""
    assert (GOPHER["top_2"], GOPHER["top_4"]) == (0.20, 0.16)
    assert [GOPHER[f"duplicate_{n}"] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert repetition.excess(prose(400), GOPHER) is None
    looped = "\n\n".join(["The rain falls on the roof and nobody at all knows why it does."] * 9)
    for name, limit in GOPHER.items():
        loop = "the sea " * 50 if name.startswith("top") else looped
        found = repetition.excess(loop, {name: limit})
        assert found is not None
        assert found[0] == name
        assert found[1] > limit == found[2]


def test_an_unknown_measure_is_an_error():
    with pytest.raises(KeyError, match="middle"):
        repetition.measures("a b", ["middle_3"])


def test_sections_that_say_the_same_are_redundant():
    one, other = prose(60, "one"), prose(60, "other")
    assert repetition.redundancy([one, other]) < 0.1
    assert repetition.redundancy([one, other, one.upper()]) == 1
    assert repetition.redundancy([prose(200, "one"), one]) == pytest.approx(1, abs=0.02)
    assert repetition.redundancy([one]) == repetition.redundancy([]) == 0


def test_short_sections_may_come_again():
    assert repetition.redundancy(["They waited by the door.", prose(60), "They waited by the door."]) == 0


def test_chinese_sections_are_compared_by_character():
    one = "".join(chr(0x4E00 + i) for i in range(60))
    assert repetition.redundancy([one, one[30:] + one[:30]]) == pytest.approx(56 / 58)
