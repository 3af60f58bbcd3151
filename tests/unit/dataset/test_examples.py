from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.dataset import examples as dataset
from longwriter.dataset import filters
from longwriter.gates.examples import example_table
from longwriter.lengths.stated import statement
from longwriter.records import Example, Rejection
from longwriter.text.basics.counting import count_words
from tests.unit.builders import draft, example, prose

ASK = ["Write {words} words."]
LIMITS = filters.Limits(
    min_words=50,
    max_words=1000,
    max_repeated_share=0.2,
    repetition={},
    max_section_overlap=1.0,
    max_other_script_share=1.0,
    require_ending=False,
    require_stated_length=False,
    min_length_score=0.0,
)


def made(paragraphs, prompt="Write a story.", wordings=ASK, **fields):
    source = draft(paragraphs, prompt, **fields)
    return dataset.example_of(source, LIMITS, wordings)


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


def test_the_gate_finds_no_identifier_in_what_comes_of_a_draft():
    parts = [
        f"Step 1: {prose(40)}\n\n### Step 2: Gather\n\nParagraph 4: {prose(9, 'b')}",
        f"第二段：{prose(20, 'c')}",
    ]
    row = made(parts)
    assert row.messages[1].content == (
        f"{prose(40)}\n\n### Step 2: Gather\n\n{prose(9, 'b')}\n\n{prose(20, 'c')}"
    )
    assert [line["identifier"] for line in example_table([row], [])] == [False]


@pytest.mark.parametrize(
    ("paragraphs", "reason"),
    [
        ([prose(60), "I'm sorry, but I can't write that."], "refusal"),
        ([prose(60), "Max tries. Failed."], "error_text"),
        ([prose(60) + " Error code: 429 - {'error': {}}", prose(60, "b")], "error_text"),
        ([prose(60), "<html><head>", prose(60, "b")], "error_text"),
        ([prose(60), "Here is paragraph 2: " + prose(60, "b")], "meta_talk"),
        ([prose(60) + "\nParagraph 2 - Main Point: the sea - Word Count: 80 words"], "plan_line"),
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


@pytest.mark.parametrize(
    ("prompt", "words", "asked"),
    [
        ("A 1,200-word essay", 4321, "A 4,321-word essay"),
        ("A 1,200-word essay", 77, "A 77-word essay"),
        ("A 900-word essay", 4321, "A 4321-word essay"),
        ("写2000 字", 77, "写77 字"),
    ],
)
def test_a_stated_number_is_replaced_as_it_was_typeset(prompt, words, asked):
    assert dataset.relabel(prompt, words, ASK) == asked


def test_the_wording_is_chosen_by_the_prompt():
    wordings = ["A {words} words.", "B {words} words.", "C {words} words."]
    chosen = [dataset.relabel("x" * i, 5, wordings).split()[1] for i in range(1, 60)]
    assert set(chosen) == {"A", "B", "C"}
    assert dataset.relabel("xx", 5, wordings).split()[1] == chosen[1]


@pytest.mark.parametrize(
    ("prompt", "required", "asked"),
    [
        ("Write an essay of 400 words.", 2000, "Write an essay of 400 words."),
        ("Write 400 words.", 400, "Write 60 words."),
        ("A fifty-page book.", 9000, "A fifty-page book. Write 60 words."),
    ],
)
def test_only_a_number_that_is_the_whole_texts_is_replaced(prompt, required, asked):
    row = made([prose(60)], prompt, required_words=required)
    assert row.messages[0].content == asked
    assert row.required_words == (None if asked == prompt else 60)


@pytest.mark.parametrize(
    ("language", "prompt"),
    [("en", "Write on tea."), ("zh", "谈谈茶。"), ("en", "What happened in 1984"), ("zh", "谈谈小说 1984")],
)
def test_each_committed_wording_states_the_length_and_nothing_else_does(language, prompt):
    file = Path(f"src/longwriter/prompts/length/{language}.txt")
    for wording in file.read_text(encoding="utf-8").splitlines():
        asked = dataset.relabel(prompt, 77, [wording])
        stated = statement(asked)
        assert (stated.words, len(stated.places), stated.others) == (77, 1, False), asked


def test_without_wordings_prompt_and_length_stay():
    row = dataset.example_of(
        draft([prose(60)], "Write 300 words.", required_words=300),
        LIMITS, None,
    )  # fmt: skip
    assert (row.messages[0].content, row.required_words, row.words) == ("Write 300 words.", 300, 60)


def test_a_prompt_with_several_lengths_keeps_them():
    row = made([prose(60)], "Two parts of 100 words, 200 words in all.")
    assert row.messages[0].content == "Two parts of 100 words, 200 words in all."
    assert row.required_words is None


def test_a_chinese_draft_is_counted_by_character():
    text = "".join(chr(0x4E00 + i) for i in range(60)) + "。"
    row = dataset.example_of(
        draft(["第一段：" + text], "写茶。", language="zh"),
        LIMITS._replace(min_words=60, max_repeated_share=0.0), ["写{words}字。"],
    )  # fmt: skip
    assert (row.words, row.required_words, row.language) == (60, 60, "zh")
    assert [message.content for message in row.messages] == ["写茶。 写60字。", text]


def test_a_rejection_names_row_evidence_and_every_call():
    assert made(["Too short."]) == Rejection(
        row_id=draft([]).plan.instruction.instruction_id,
        stage="dataset",
        reason="too_short",
        detail="2 words, at least 50",
        call_ids=["p", "w"],
    )


def test_a_draft_at_its_bounds_is_kept():
    words = prose(50)
    assert isinstance(made([words]), Example)
    looped = dataset.example_of(
        draft(["x " * 8]), LIMITS._replace(min_words=8, max_repeated_share=0.75), None
    )
    assert isinstance(looped, Example)


def test_the_same_messages_have_the_same_id_and_others_another():
    one, same, other = made([prose(60)]), made([prose(60)]), made([prose(60, "b")])
    assert one.sample_id == same.sample_id != other.sample_id
    assert len(one.sample_id) == 16


def test_a_row_is_held_out_by_its_instruction_whatever_was_written():
    rows = [example(i, answer="x.") for i in range(50)]
    rewritten = [row.model_copy(update={"sample_id": f"new{i}"}) for i, row in enumerate(rows)]
    assert [dataset.is_test(row, 0.5) for row in rows] == [dataset.is_test(row, 0.5) for row in rewritten]
    assert not any(dataset.is_test(row, 0.0) for row in rows)
    assert all(dataset.is_test(row, 1.0) for row in rows)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (f"<think>\nThe harbour, at dawn.\n</think>\n\n{prose(50)}", "reasoning_text"),
        (f"The harbour, at dawn.\n</think>\n{prose(50)}", "reasoning_text"),
        (prose(50)[:-1] + "\x00.", "control_token"),
        (prose(50) + " \ufffd.", "control_token"),
        (f"{prose(50)}<|eot_id|>", "control_token"),
        (prose(50)[:-3], "cut_off"),
    ],
)
def test_a_stored_draft_with_marks_of_its_model_or_a_cut_paragraph_becomes_no_row(first, reason):
    limits = LIMITS._replace(require_ending=True)
    row = dataset.example_of(draft([first, prose(40, "b")]), limits, None)
    assert (row.reason, row.call_ids) == (reason, ["p", "w", "w"])
