"""General chats: how many are mixed in, which, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.dataset import examples as dataset
from longwriter.gates import examples as gate
from longwriter.records import GeneralRow, Message
from tests.unit.builders import example


def chat(number, answer=None):
    turns = [
        Message(role="user", content=f"q{number}"),
        Message(role="assistant", content=answer or f"两个 words {number}"),
    ]
    return dataset.general_example(GeneralRow(messages=turns, language="en"))


def test_a_general_chat_becomes_a_row_without_instruction():
    row = chat(1)
    assert (row.kind, row.type, row.instruction_id, row.required_words) == ("general", "General", None, None)
    assert (row.words, row.call_ids, row.language) == (3, [], "en")


def test_a_withdrawn_row_is_refused_by_its_instruction_and_a_general_chat_by_its_own_id():
    rows = [example(1), example(2), chat(1), chat(2)]
    kept, rejections = dataset.without_withdrawn(rows, {rows[1].instruction_id, rows[2].sample_id})
    assert kept == [rows[0], rows[3]]
    assert [(row.row_id, row.reason) for row in rejections] == [
        (rows[1].sample_id, "withdrawn"),
        (rows[2].sample_id, "general_withdrawn"),
    ]


@given(st.integers(0, 60), st.floats(0, 0.9))
def test_general_rows_never_exceed_their_share(n, share):
    chats = [chat(i) for i in range(20)]
    rows, _ = dataset.mix_general([example(i, answer="x.") for i in range(n)], chats, share)
    general = sum(row.kind == "general" for row in rows)
    assert len(rows) - general == n
    assert general <= share * len(rows) + 1e-9


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 99))
def test_a_row_never_changes_side_or_place_when_long_rows_are_added(n, more, percent):
    chats, share = [chat(i) for i in range(30)], percent / 100
    before, _ = dataset.mix_general([example(i, answer="x.") for i in range(n)], chats, share)
    after, _ = dataset.mix_general([example(i, answer="x.") for i in range(n + more)], chats, share)
    sides = {row.sample_id: dataset.is_test(row, 0.3) for row in after}
    assert all(sides[row.sample_id] == dataset.is_test(row, 0.3) for row in before)


@pytest.mark.parametrize(
    ("long", "share", "general"),
    [(9, 0.1, 1), (8, 0.1, 0), (10, 0.5, 10), (5, 0.0, 0), (1, 1.0, 99), (0, 0.5, 0), (3, 0.97, 97)],
)
def test_as_many_general_rows_come_as_the_share_allows(long, share, general):
    rows, _ = dataset.mix_general(
        [example(i, answer="x.") for i in range(long)], [chat(i) for i in range(99)], share
    )
    assert sum(row.kind == "general" for row in rows) == general
    assert [row.sample_id for row in rows[:long]] == [f"s{i}" for i in range(long)]


def talk(*roles):
    turns = [Message(role=role, content=f"{role} {i}") for i, role in enumerate(roles)]
    return dataset.general_example(GeneralRow(messages=turns, language="en"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (chat(1, "As an AI language model, I cannot answer that."), "general_refusal"),
        (chat(1, "抱歉，我无法回答。"), "general_refusal"),
        (chat(1, "<think>A greeting.</think> Hello."), "general_reasoning_text"),
        (chat(1, "Hello.<|im_end|>"), "general_control_token"),
        (chat(1, "x1."), "general_duplicate"),
        (talk("user", "user", "assistant"), "general_roles"),
        (talk("system", "user"), "general_roles"),
        (talk("assistant", "user"), "general_roles"),
    ],
)
def test_a_general_row_that_the_gate_would_stop_at_is_refused(row, reason):
    rows, rejections = dataset.mix_general([example(i, answer=f"x{i}.") for i in range(3)], [row], 0.5)
    assert [one.sample_id for one in rows] == ["s0", "s1", "s2"]
    assert [(one.row_id, one.reason, one.stage) for one in rejections] == [(row.sample_id, reason, "dataset")]
    assert rejections[0].detail


def test_of_two_general_rows_with_one_answer_the_first_by_id_is_kept():
    pair = [chat(i, "You're welcome!") for i in range(2)]
    for chats in (pair, pair[::-1], [pair[0], *pair]):
        rows, rejections = dataset.mix_general([example("a", answer="x.")] * 9, chats, 0.5)
        assert rows[-1].sample_id == min(row.sample_id for row in pair)
        assert len(rows) == 10
        assert {one.reason for one in rejections} == {"general_duplicate"}
        assert len(rejections) == len(chats) - 1


def test_a_system_message_and_many_turns_are_in_order():
    row = talk("system", "user", "assistant", "user", "assistant")
    assert dataset.mix_general([example(1, answer="x.")], [row], 0.5)[1] == []


def test_the_next_row_takes_the_place_of_a_refused_one_and_rows_beyond_are_not_looked_at():
    chats = sorted(
        (chat(i, "You're welcome!" if i % 2 else None) for i in range(40)), key=lambda row: row.sample_id
    )
    rows, rejections = dataset.mix_general([example(i, answer=f"x{i}.") for i in range(10)], chats, 0.5)
    assert len(rows) == 20
    last = max(row.sample_id for row in rows[10:])
    looked_at = [row.sample_id for row in chats if row.sample_id <= last]
    assert sorted([one.row_id for one in rejections] + [row.sample_id for row in rows[10:]]) == looked_at


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["You're welcome!", "I cannot help.", "茶", "Tea."])),
        max_size=20,
    )
)
def test_the_general_rows_that_come_are_unlike_and_no_refusals(pairs):
    chats = [chat(*pair) for pair in pairs]
    rows, rejections = dataset.mix_general([example(i, answer=f"x{i}.") for i in range(30)], chats, 0.5)
    table = gate.example_table(rows[30:], [])
    assert len(table) + len(rejections) == len(chats)
    assert len({row["answer"] for row in table}) == len({row["sample_id"] for row in table}) == len(table)
    assert not any(row["refusal"] for row in table)
