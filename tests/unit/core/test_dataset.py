import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.core import dataset
from longwriter.core.text import count_words
from longwriter.records import Example, GeneralRow, Message, Rejection
from tests.unit.builders import draft, example, prose

ASK = ["Write {words} words."]


def made(paragraphs, prompt="Write a story.", wordings=ASK):
    return dataset.example_of(
        draft(paragraphs, prompt), min_words=50, max_repeated_share=0.2, wordings=wordings
    )


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Write about 300 words on tea.", "Write about 77 words on tea."),
        ("Write on tea.", "Write on tea. Write 77 words."),
        ("100 words in, 200 words out", "100 words in, 200 words out"),
        ("写一篇800字的故事", "写一篇77字的故事"),
        ("A {strange} prompt.", "A {strange} prompt. Write 77 words."),
    ],
)
def test_the_measured_length_goes_into_the_prompt(prompt, asked):
    assert dataset.relabel(prompt, 77, ASK) == asked


def test_a_draft_becomes_a_row_that_asks_for_what_it_has():
    row = made(["Paragraph 1: " + prose(60, "a"), prose(40, "b")])
    assert isinstance(row, Example)
    assert row.words == row.required_words == 100 == count_words(row.messages[1].content)
    assert row.messages[0].content == "Write a story. Write 100 words."
    assert "Paragraph" not in row.messages[1].content
    assert row.call_ids == ["p", "w", "w"]


@pytest.mark.parametrize(
    ("paragraphs", "reason"),
    [
        ([prose(60), "I'm sorry, but I can't write that."], "refusal"),
        ([prose(20)], "too_short"),
        (["the cat sat on the mat " * 20], "loop"),
        ([prose(60), prose(60)], "loop"),
        ([], "too_short"),
    ],
)
def test_each_bad_draft_is_rejected_for_its_reason(paragraphs, reason):
    row = made(paragraphs)
    assert isinstance(row, Rejection)
    assert (row.reason, row.stage) == (reason, "dataset")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=50, unique=True), st.floats(0, 1))
def test_a_row_never_changes_sides(keys, share):
    rows = [example(key, answer="x.") for key in keys]
    sides = [dataset.is_test(row, share) for row in rows]
    assert sides == [dataset.is_test(row, share) for row in rows]
    assert all(
        dataset.is_test(row, min(1.0, share + 0.1)) for row, side in zip(rows, sides, strict=True) if side
    )


def test_the_split_holds_out_about_its_share():
    held = sum(dataset.is_test(example(i, answer="x."), 0.1) for i in range(2000))
    assert 150 < held < 250


@given(st.integers(0, 60), st.floats(0, 0.9))
def test_general_rows_never_exceed_their_share(n, share):
    chats = [
        dataset.general_example(
            GeneralRow(
                messages=[Message(role="user", content=f"q{i}"), Message(role="assistant", content="a")],
                language="en",
            )
        )
        for i in range(20)
    ]
    rows = dataset.mix_general([example(i, answer="x.") for i in range(n)], chats, share)
    general = sum(row.kind == "general" for row in rows)
    assert len(rows) - general == n
    assert general <= share * len(rows) + 1e-9
