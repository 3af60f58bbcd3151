"""The one length that a prompt asks for, after its text was measured."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.dataset import examples as dataset
from longwriter.lengths.stated import stated_length
from tests.unit.builders import prose
from tests.unit.dataset.test_examples import ASK, made

STATED = [
    ("Write a 500-800 word story.", "Write a 77 word story."),
    ("Write between 1,000 and 1,200 words on tea.", "Write 77 words on tea."),
    ("Write two thousand words on tea.", "Write 77 words on tea."),
    ("Write two thousand (2,000) words on tea.", "Write 77 words on tea."),
    ("A 1.5k word essay on tea.", "A 77 word essay on tea."),
    ("A thousand-word essay on tea.", "A 77-word essay on tea."),
    ("On tea. Word count: 1500", "On tea. Word count: 77"),
    ("At least 800 words on tea, no fewer than 800 words.", "At least 77 words on tea, no fewer than 77 words."),
    ("Write 500 (“five hundred”) words.", "Write 77 words."),
    (" “Write 800 words.” ", " “Write 77 words.” "),
    ("写500到800字的故事", "写77字的故事"),
    ("写500字到800字的故事", "写77字的故事"),
    ("字数在600到800之间，谈谈茶。", "字数在77左右，谈谈茶。"),
    ("写一篇介于600到800字之间的故事。", "写一篇77字左右的故事。"),
    ("写一篇八百字的文章。", "写一篇77字的文章。"),
    ("写一篇2千字的文章。", "写一篇77字的文章。"),
    ("谈谈茶，字数不少于1500。", "谈谈茶，字数不少于77。"),
    ("Text: He wrote 500 words.", "Text: He wrote 500 words.\n\nWrite 77 words."),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "asked"), STATED)
def test_the_length_is_replaced_where_the_reader_of_lengths_finds_it(prompt, asked):
    assert dataset.relabel(prompt, 77, ASK) == asked
    assert stated_length(asked) == 77


@pytest.mark.parametrize(
    "prompt",
    [
        "100 words in, 200 words out",
        "Two parts of 100 words, 200 words in all.",
        "Five letters of 400 words each.",
        "At least 800 words and at most 1,200 words.",
        "Write an essay of 500 to at most 800 words, 800 words in total.",
        "写三篇500字的作文。",
        "1 words, " * 60,
    ],
)
def test_a_prompt_with_further_lengths_stays_and_asks_for_none(prompt):
    assert dataset.relabel(prompt, 60, ASK) == prompt
    assert made([prose(60)], prompt).required_words is None
    assert made([prose(60)], prompt, required_words=200).required_words is None


LENGTHS = [prompt for prompt, _ in STATED] + [
    json.loads(line)[1]
    for line in Path("tests/golden/stated_length.jsonl").read_text(encoding="utf-8").splitlines()
]


@given(st.sampled_from(LENGTHS), st.sampled_from([*LENGTHS, "", "\n", '"', "```"]), st.integers(50, 30_000))
def test_a_relabelled_prompt_states_the_measured_length_or_is_as_it_was(one, other, words):
    prompt = f"{one} {other}"
    asked = dataset.relabel(prompt, words, ASK)
    assert asked == prompt or stated_length(asked) == words
    assert dataset.relabel(asked, words, ASK) == asked or stated_length(asked) != words


@given(st.sampled_from(LENGTHS), st.sampled_from([None, 60, 800, 2000]))
def test_no_draft_has_another_length_in_its_prompt_than_it_has(prompt, required):
    row = made([prose(60)], prompt, required_words=required)
    assert row.required_words in (None, row.words)
    assert row.required_words is None or stated_length(row.messages[0].content) == row.words
