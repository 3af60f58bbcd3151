import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.lengths import rules as length_rules
from longwriter.lengths import stated
from longwriter.lengths.stated import stated_length

LABELLED = [
    json.loads(line)
    for line in Path("tests/golden/stated_length.jsonl").read_text(encoding="utf-8").splitlines()
]


def test_what_hand_labelled_prompts_state_is_read_with_precision_and_recall_of_98_percent():
    found = [(label, stated_length(prompt)) for label, prompt in LABELLED]
    right = sum(label == got for label, got in found if label is not None)
    answered = sum(got is not None for _, got in found)
    assert right >= 0.98 * answered
    assert right >= 0.98 * sum(label is not None for label, _ in found)


def test_the_labelled_prompts_are_many_differ_and_are_hard():
    assert len({prompt for _, prompt in LABELLED}) == len(LABELLED) >= 300
    hard = [prompt for label, prompt in LABELLED if label is None and ("word" in prompt or "字" in prompt)]
    assert len(hard) >= 80
    assert sum(any("\u4e00" <= char <= "\u9fff" for char in prompt) for _, prompt in LABELLED) >= 80


@pytest.mark.parametrize("rule", length_rules.RULES, ids=lambda rule: rule.example)
def test_each_rule_keeps_its_example_from_stating_a_length(rule):
    assert stated_length(rule.example) is None


@pytest.mark.parametrize("rule", length_rules.RULES, ids=lambda rule: rule.example)
def test_an_example_states_one_where_its_rule_is_not_applied(rule, monkeypatch):
    others = tuple(one for one in length_rules.RULES if one is not rule)
    monkeypatch.setattr(length_rules, "RULES", others)
    assert stated_length(rule.example) is not None


@pytest.mark.skipif("LW_LONGBENCH_WRITE" not in os.environ, reason="LW_LONGBENCH_WRITE names no file")
def test_the_lengths_of_longbench_write_are_read_and_none_is_read_wrong():
    lines = Path(os.environ["LW_LONGBENCH_WRITE"]).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = [(row["length"], stated_length(row["prompt"])) for row in rows]
    assert [pair for pair in found if pair[1] not in (None, pair[0])] == []
    assert len(rows) == 120
    assert sum(label == got for label, got in found) >= 108


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ("Write 500-800 words.", 800),
        ("写300到400字。", 400),
        ("From 500 words to 300 words: cut the text.", 300),
        ("No fewer than 500 words, at most 900 words.", 900),
        ("Write 500 words. Write 600 words.", None),
        ("Write 500 words. Yes, 500 words.", 500),
        ("An outline for a 900-word post", 900),
        ("", None),
        ("words", None),
        ("0 words", None),
        ("2.5 words", None),
        ("字", None),
    ],
)
def test_of_several_numbers_the_one_for_the_whole_counts(prompt, length):
    assert stated_length(prompt) == length


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ("Write twenty-five words.", 25),
        ("Write one hundred and fifty words.", 150),
        ("Write a two-hundred-and-fifty-word essay.", 250),
        ("Write one thousand two hundred and fifty-five words.", 1255),
        ("Write one hundred thousand words.", 100_000),
        ("Write two to three hundred words.", 300),
        ("Write five-six hundred words.", 600),
        ("Write between one hundred and two hundred words.", 200),
        ("Write between five hundred and one thousand words.", 1000),
        ("Write between one hundred and one hundred fifty words.", 150),
        ("Write one two three words.", None),
    ],
)
def test_a_spelled_number_is_read_as_a_whole(prompt, length):
    assert stated_length(prompt) == length


_PIECES = st.sampled_from(
    [
        *"ao1 -,.第千百一几字s\n",
        "hundred",
        "thousand",
        "twenty",
        "five",
        "an ",
        "and ",
        " to ",
        " words",
        "500",
        "１",
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_the_places_where_a_number_may_begin_miss_no_mention(prompt):
    assert [match.span() for match in stated._mentions(prompt)] == [
        match.span() for match in stated._MENTION.finditer(prompt)
    ]


@given(st.integers(1, 9_999_999))
def test_any_number_of_words_is_read_as_it_is_written(number):
    assert stated_length(f"Write {number} words on tea.") == number
    assert stated_length(f"写一篇{number}字的文章。") == number
    if number < 1_000_000_000:
        assert stated_length(f"A {number:,}-word essay") == number


@given(st.text("0123456789 ,.k-wordsin字万千百八两第每篇\n\"“”'(", max_size=60))
def test_any_text_states_a_length_of_at_least_one_or_none(prompt):
    assert (stated_length(prompt) or 1) >= 1


@pytest.mark.parametrize(
    "part",
    [
        "1 words ",
        "ten ",
        "each 5 words, ",
        '"',
        "一",
        "字数",
        "“ ",
        "word count ",
        "a hundred ",
        "twenty-",
        "(",
        " ",
        "\n ",
    ],
)
def test_a_hostile_prompt_is_read_in_time(part):
    started = time.process_time()
    stated_length(part * 20_000)
    assert time.process_time() - started < 120
