import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.text.basics import counting as text


@pytest.mark.parametrize(
    ("written", "words"),
    [("", 0), ("don't stop", 3), ("2024 is 1 year", 2), ("你好 world", 3), ("字数：八百字。", 5)],
)
def test_words_are_han_characters_and_latin_runs(written, words):
    assert text.count_words(written) == words


def share_after(before, written):
    earlier = text.EarlierText()
    earlier.add(before)
    return earlier.repeated_share(written)


def test_a_loop_repeats_and_fresh_text_does_not():
    assert text.repeated_share("one two three four five six seven") == 0
    assert text.repeated_share("the cat sat on the mat " * 10) > 0.8
    assert share_after("x a b c d e y", "a b c d e") == 1


@given(st.text(), st.text())
def test_repeated_share_is_a_share_of_any_text(one, two):
    assert 0 <= share_after(two, one) <= 1


def test_a_cut_off_text_keeps_its_whole_sentences():
    assert text.whole_sentences('He said "Go." Then he lef') == 'He said "Go."'
    assert text.whole_sentences("大海很蓝。天也") == "大海很蓝。"
    assert text.whole_sentences("no end here") == ""


def test_invisible_characters_are_removed_and_joiners_of_emoji_and_scripts_stay():
    assert text.normalise("\ufeffa\u200bb\r\nc ") == "ab\nc"
    assert text.without_invisible("a\u202eb\u2066c\u00add\u034fe\U000e0041f\u200dg\u200ch") == "abcdefgh"
    assert text.without_invisible("👨\u200d👩 می\u200cخواهم") == "👨\u200d👩 می\u200cخواهم"


def test_a_sign_that_chooses_a_shape_stays_behind_what_it_can_shape_and_goes_elsewhere():
    shaped = "❤\ufe0f 1\ufe0f\u20e3 葛\U000e0100城 ᠠ\u180b"
    assert text.without_invisible(shaped) == shaped
    assert text.without_invisible("a\ufe0fb\ufe00c \ufe01d\U000e0101e❤\ufe0f\ufe00") == "abc de❤\ufe0f"
    assert text.without_invisible("❤\U000e0101\U000e0102") == "❤"


@pytest.mark.parametrize(
    ("written", "words"),
    [("cat5", 0), ("你好world", 2), ("naïve", 0), ("\u4e00\u9fff", 2), ("\u3400\ua000", 0)],
)
def test_words_are_counted_with_the_quirks_of_the_published_counter(written, words):
    r"""LongBench-Write (THUDM/LongWriter 3fcfdff): U+4E00 to U+9FFF, and \b[a-zA-Z]+\b."""
    assert text.count_words(written) == words


@given(st.text(), st.text())
def test_the_words_of_two_texts_add_up(one, two):
    assert text.count_words(f"{one} {two}") == text.count_words(one) + text.count_words(two)


def test_tokens_are_lower_case_words_and_single_han_characters():
    assert text.tokens("Don't STOP, x_y 2") == ["don't", "stop", "x", "y", "2"]
    assert text.tokens("你好GPT。") == ["你", "好", "gpt"]
    assert text.tokens("") == []


@pytest.mark.parametrize(
    ("written", "before", "share"),
    [
        ("", "", 0),
        ("one two three four", "one two three four", 0),
        ("ONE two three four five", "one two three four five", 1),
        ("one two three four five one two three four five", "", 1 / 6),
        ("one two three four five six", "one two three four five", 1 / 2),
        ("春眠不觉晓，处处闻啼鸟。春眠不觉晓", "", 1 / 11),
    ],
)
def test_the_share_is_that_of_five_grams_which_stood_before(written, before, share):
    assert share_after(before, written) == pytest.approx(share)


@given(st.lists(st.sampled_from("ab"), max_size=30), st.lists(st.sampled_from("ab"), max_size=30))
def test_more_text_before_never_lowers_the_share(written, before):
    alone, after = (
        text.repeated_share(" ".join(written)),
        share_after(" ".join(before), " ".join(written)),
    )
    assert alone <= after
    assert share_after(" ".join(written), " ".join(written)) == (len(written) >= 5)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=9).map(" ".join), max_size=6), st.text("ab "))
def test_a_text_read_part_by_part_is_the_whole_one(parts, further):
    said = text.EarlierText()
    for part in parts:
        said.add(part)
    assert said.repeated_share(further) == share_after(" ".join(parts), further)


@pytest.mark.parametrize(
    ("written", "first"),
    [("", ""), ("a\nb", "a\nb"), ("a\n\nb\n\nc", "a"), ("\n\na\n \t\nb", "a"), ("甲\n\n乙", "甲")],
)
def test_the_first_paragraph_ends_at_a_blank_line(written, first):
    assert text.first_paragraph(written) == first


BROKEN = st.text("ab.!。” \n\r\u200b", max_size=40)


@given(BROKEN)
def test_normalising_twice_changes_nothing_more(written):
    once = text.normalise(written)
    assert text.normalise(once) == once
    assert not set(once) & {"\r", "\u200b"}


@given(BROKEN)
def test_whole_sentences_are_a_beginning_of_the_text_that_ends_a_sentence(written):
    whole = text.whole_sentences(written)
    assert written.startswith(whole)
    assert whole.rstrip("”")[-1:] in ("", ".", "!", "。")
    assert text.whole_sentences(whole) == whole


@pytest.mark.parametrize(
    ("written", "language"),
    [
        ("Write a story about the sea.", "en"),
        ("写一个关于大海的故事，800字", "zh"),
        ("请以“fall in love with tea culture”为题写一篇作文", "zh"),
        ("Explain what the sign 茶 means to the people who drink it every day.", "en"),
        ("100 200 300", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_a_text_follows_its_share_of_han_characters(written, language):
    assert text.language_of(written) == language


def test_half_a_character_becomes_a_question_mark():
    assert text.normalise("a\ud800b") == "a?b"
