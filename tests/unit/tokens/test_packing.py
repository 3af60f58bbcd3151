"""Packs lose no row, and labels are the assistant's words and the end of its turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.tokens.packing import (
    IGNORE_INDEX,
    Turn,
    best_fit_decreasing,
    continuations,
    encode_chat,
    fill_share,
    turn,
)


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 120))
def test_each_row_is_in_exactly_one_pack_and_no_pack_overflows(lengths, capacity):
    packs = best_fit_decreasing(lengths, capacity)
    assert sorted(i for pack in packs for i in pack) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in pack) <= capacity for pack in packs)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=80))
def test_no_two_packs_would_fit_into_one_but_for_the_last_halves(lengths):
    packs = best_fit_decreasing(lengths, 50)
    fills = sorted(sum(lengths[i] for i in pack) for pack in packs)
    assert sum(fill <= 25 for fill in fills) <= 1


def test_the_longest_row_goes_first_into_the_fullest_pack_with_room():
    assert best_fit_decreasing([3, 7, 5, 3, 2], 10) == [[1, 0], [2, 3, 4]]


def test_last_pack_is_kept():
    assert best_fit_decreasing([4, 4, 4], 4) == [[0], [1], [2]]


def test_no_rows_make_no_packs():
    assert best_fit_decreasing([], 4) == []
    assert fill_share([], 0, 4) == 0.0


@pytest.mark.parametrize("length", [0, 5])
def test_a_row_that_no_pack_takes_is_an_error(length):
    with pytest.raises(ValueError, match="1 to 4"):
        best_fit_decreasing([length], 4)


def test_the_fill_is_a_share_of_all_tokens():
    assert fill_share([3, 4], 1, 10) == 0.7


def render(messages, opening):
    text = "".join(f"<{m['role']}>{m['content']}$\n" for m in messages)
    return text + "<assistant>" if opening else text


def tokenise(text):
    return [ord(char) for char in text]


def chat(*turns):
    return [{"role": role, "content": text} for role, text in turns]


def words(row):
    return "".join(chr(label) if label != IGNORE_INDEX else "·" for label in row.labels)


END = ("$", ord("$"))


def spelled(row):
    return "".join(map(chr, row.input_ids))


def test_labels_are_the_answer_and_its_end():
    [row] = encode_chat(chat(("user", "Hi"), ("assistant", "Yes")), render, tokenise, END)
    assert spelled(row) == "<user>Hi$\n<assistant>Yes$"
    assert words(row) == "·" * 21 + "Yes$"


TURNS = chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D"))


def test_every_answer_of_a_chat_is_a_target_and_the_line_end_between_is_not():
    [row] = encode_chat(TURNS, render, tokenise, END)
    assert spelled(row) == "<user>A$\n<assistant>B$\n<user>C$\n<assistant>D$"
    assert words(row).strip("·") == "B$" + "·" * len("\n<user>C$\n<assistant>") + "D$"


def open_ended(messages, opening):
    return render(messages, opening).replace("$", "")


def test_an_answer_that_the_template_does_not_end_is_ended_and_stands_alone():
    first, second = encode_chat(TURNS, open_ended, tokenise, ("$", 7))
    assert first.labels[-1] == first.input_ids[-1] == 7
    assert spelled(second) == "<user>A\n<assistant>B\n<user>C\n<assistant>D\n\x07"
    assert words(second).strip("·") == "D\n\x07"


def test_the_token_that_opens_the_next_turn_can_end_an_answer_and_occurs_once():
    def bare(messages, opening):
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + ("<assistant>" if opening else "")

    def ids(text):
        return [ord(char) for char in text.replace("<user>", "\x01")]

    [row] = encode_chat(TURNS, bare, ids, ("<user>", 1))
    assert spelled(row) == "\x01A<assistant>B\x01C<assistant>D\x01"
    assert words(row).strip("·") == "B\x01" + "·" * len("C<assistant>") + "D\x01"


def test_a_template_that_changes_earlier_turns_gives_each_answer_a_sequence_of_its_own():
    def forgetful(messages, opening):
        return render([m for m in messages[:-1] if m["role"] == "user"] + messages[-1:], opening)

    first, second = encode_chat(TURNS, forgetful, tokenise, END)
    assert (spelled(first), words(first).strip("·")) == ("<user>A$\n<assistant>B$", "B$")
    assert (spelled(second), words(second).strip("·")) == ("<user>A$\n<user>C$\n<assistant>D$", "D$")


def test_an_opening_that_the_template_takes_back_is_refused():
    def thinking(messages, opening):
        return render(messages, opening) + ("<think>" if opening else "")

    with pytest.raises(
        ValueError, match="opens message 2 with a text that is not before it in the finished chat"
    ):
        encode_chat(TURNS, thinking, tokenise, END)


def test_ids_that_cross_the_edge_of_prompt_and_answer_are_kept_apart():
    def merged(text):
        return [ord(char) for char in text.replace(">Y", "\x02")]

    ids = turn(chat(("user", "Hi"), ("assistant", "Yes")), render, merged, END)
    assert "".join(map(chr, ids.prompt_ids)) == "<user>Hi$\n<assistant>"
    assert "".join(map(chr, ids.completion_ids)) == "Yes$"


def test_a_token_that_reaches_beyond_the_common_text_belongs_to_the_continuations():
    beginning = Turn([1, 2], [10, 11, 12, 0])  # 12 is a full stop
    answers = [
        Turn([1, 2], [10, 11, 13, 20, 0]),
        Turn([1, 2], [10, 11, 13, 30, 31, 0]),
    ]  # 13: with two line ends
    assert continuations(beginning, answers) == [
        Turn([1, 2, 10, 11], [13, 20, 0]), Turn([1, 2, 10, 11], [13, 30, 31, 0]),
    ]  # fmt: skip


def test_answers_with_the_same_prompt_of_another_split_share_the_shorter_one():
    answers = [Turn([1], [10, 11, 20, 0]), Turn([1], [10, 14, 0])]
    assert continuations(Turn([1], [10, 11, 0]), answers) == [
        Turn([1, 10], [11, 20, 0]), Turn([1, 10], [14, 0]),
    ]  # fmt: skip
