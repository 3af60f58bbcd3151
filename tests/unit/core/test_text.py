import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.core import text


@pytest.mark.parametrize(
    ("written", "words"),
    [("", 0), ("don't stop", 3), ("2024 is 1 year", 2), ("你好 world", 3), ("字数：八百字。", 5)],
)
def test_words_are_han_characters_and_latin_runs(written, words):
    assert text.count_words(written) == words


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        ("Write about 300 words.", [300]),
        ("a 1,200-word essay", [1200]),
        ("写一篇800字的故事", [800]),
        ("写2000 字", [2000]),
        ("in the year 1999 it rained", []),
        ("200 words, then 300 words", [200, 300]),
    ],
)
def test_stated_lengths_are_numbers_before_words_or_zi(prompt, numbers):
    assert [number for number, _, _ in text.stated_lengths(prompt)] == numbers


def test_a_loop_repeats_and_fresh_text_does_not():
    assert text.repeated_share("one two three four five six seven") == 0
    assert text.repeated_share("the cat sat on the mat " * 10) > 0.8
    assert text.repeated_share("a b c d e", before="x a b c d e y") == 1


@given(st.text(), st.text())
def test_repeated_share_is_a_share_of_any_text(one, two):
    assert 0 <= text.repeated_share(one, before=two) <= 1


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I do not",
        "抱歉，我无法写",
        "作为AI，",
    ],
)
def test_a_refusal_is_seen(answer):
    assert text.is_refusal(answer)


def test_an_apology_late_in_a_story_is_no_refusal():
    assert not text.is_refusal("The door closed behind her. " * 10 + '"I am sorry," he said.')


@pytest.mark.parametrize(
    ("paragraph", "clean"),
    [
        ("Paragraph 3: The sea", "The sea"),
        ("**Paragraph 1 -** The sea", "The sea"),
        ("Step two. The sea", "The sea"),
        ("第三段：大海", "大海"),
        ("Part of the sea", "Part of the sea"),
        ("Paragraphs are long", "Paragraphs are long"),
    ],
)
def test_identifiers_go_and_prose_stays(paragraph, clean):
    assert text.strip_identifier(paragraph) == clean


def test_a_cut_off_text_keeps_its_whole_sentences():
    assert text.whole_sentences('He said "Go." Then he lef') == 'He said "Go."'
    assert text.whole_sentences("大海很蓝。天也") == "大海很蓝。"
    assert text.whole_sentences("no end here") == ""


def test_invisible_characters_are_removed():
    assert text.normalise("\ufeffa\u200bb\r\nc ") == "ab\nc"
