import numpy as np
import pytest

from longwriter.instructions.duplicates import exact_duplicates, near_duplicates, signatures
from tests.unit.builders import prose

TEXT = prose(60)


def near(prompts, similarity=0.8, order=None):
    found = signatures(prompts)
    order = np.arange(len(prompts)) if order is None else np.array(order)
    repeats, shares = near_duplicates(found, order, similarity)
    return repeats.tolist(), shares.tolist()


def test_signatures_are_the_same_today_and_tomorrow():
    """Read off rensa 0.5.0: another version must not give other ones, or the choice changes."""
    found = signatures(["Write a story about a river.", "写一个故事"])
    assert found.shape == (2, 128)
    assert found[:, :3].tolist() == [[37397, 61325, 40651], [39148, 39237, 17221]]


@pytest.mark.parametrize(
    "other",
    [
        TEXT.upper(),
        TEXT.replace(" ", "  \n"),
        TEXT.replace("river", "brook", 1),
        f"Please: {TEXT}",
        TEXT.rstrip(".") + "!!",
    ],
)
def test_a_prompt_in_other_dress_is_a_near_duplicate(other):
    repeats, shares = near([TEXT, prose(60, key=1), other])
    assert repeats == [-1, -1, 0]
    assert shares[2] >= 0.8


def test_chinese_is_compared_by_characters():
    text = "请写一篇关于老渔夫在海边救起一只受伤的海鸥并把它养大的故事，要写出他们之间的感情和分别时的心情"
    assert near([text, text.replace("海鸥", "海豚"), "请写一篇关于春天的诗，要写出花开的样子"], 0.7)[0] == [
        -1,
        0,
        -1,
    ]


def test_the_first_in_the_order_stays_wherever_it_stands():
    assert near([TEXT, TEXT, TEXT], order=[2, 0, 1])[0] == [2, 2, -1]


def test_rows_outside_the_order_are_not_compared():
    assert near([TEXT, TEXT, TEXT], order=[1, 2])[0] == [-1, -1, 1]


def test_at_similarity_1_only_the_same_words_are_the_same():
    assert near([TEXT, TEXT.replace("river", "brook", 1), TEXT.upper()], 1.0)[0] == [-1, -1, 0]


@pytest.mark.parametrize("prompts", [[], [""], ["a"], ["", "a b", "你"]])
def test_few_and_short_prompts_are_no_duplicates(prompts):
    assert near(prompts)[0] == [-1] * len(prompts)


def test_unrelated_prompts_are_kept():
    prompts = [prose(40, key) for key in range(500)]
    assert near(prompts)[0] == [-1] * 500


def test_the_similarity_that_is_found_is_that_of_the_triples():
    """Ten of 60 words changed at the end: 58 triples each, 48 of them shared, 68 in all."""
    other = " ".join(TEXT.split()[:50] + prose(10, key=9).split())
    [_, share] = near([TEXT, other], similarity=0.01)[1]
    assert share == pytest.approx(48 / 68, abs=0.12)  # three standard errors of 128 minima


def test_of_the_same_id_the_first_stays():
    assert exact_duplicates(np.array([5, 3, 5, 5, 3, 1], np.uint64)).tolist() == [0, 0, 1, 1, 1, 0]
    assert exact_duplicates(np.array([], np.uint64)).tolist() == []
