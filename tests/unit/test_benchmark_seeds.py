"""The benchmark of its own is what it claims: lengths, types, and nothing that was trained on."""

import json
from collections import Counter
from pathlib import Path

import pytest

from longwriter.evaluation.answers import benchmark_prompts
from longwriter.io import files
from longwriter.lengths.stated import statement
from longwriter.records import BenchmarkRow
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics.counting import EarlierText, tokens

SEEDS = Path("src/longwriter/seeds")
ROWS = files.read_jsonl(SEEDS / "benchmarks" / "small.jsonl", BenchmarkRow)


def trained_on():
    rows = [json.loads(line) for path in SEEDS.glob("[gi]*/*.jsonl") for line in path.open(encoding="utf-8")]
    return [row.get("prompt") or row["messages"][0]["content"] for row in rows]


def test_there_are_enough_prompts_and_no_two_are_the_same():
    assert len(ROWS) >= 24
    assert len(benchmark_prompts(ROWS, "small")) == len(ROWS)
    assert {prompt.language for prompt in benchmark_prompts(ROWS, "small")} == {"en"}


def test_each_type_and_each_length_comes_equally_often():
    types, lengths = Counter(row.type for row in ROWS), Counter(row.length for row in ROWS)
    seeds = [json.loads(line) for line in (SEEDS / "instructions/en.jsonl").open(encoding="utf-8")]
    assert set(types) == {row["type"] for row in seeds}
    assert set(lengths) == {400, 450, 500}
    assert len(set(lengths.values())) == 1
    assert max(types.values()) - min(types.values()) <= 2


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.prompt[:40])
def test_a_prompt_states_its_length_once_and_is_no_refusal(row):
    stated = statement(row.prompt)
    assert (stated.words, len(stated.places), stated.others) == (row.length, 1, False)
    assert sum(char.isdigit() for char in row.prompt) == 3
    assert not is_refusal(row.prompt)


def share_in(prompt, other):
    """Return the share of a prompt's 5-grams that occur in another one, or twice."""
    earlier = EarlierText()
    earlier.add(other)
    return earlier.repeated_share(prompt)


def test_no_prompt_is_near_one_that_was_trained_on():
    near = [
        (row.prompt, prompt)
        for row in ROWS
        for prompt in trained_on()
        if share_in(row.prompt, prompt) > 0.1 or tokens(row.prompt) == tokens(prompt)
    ]
    assert len(trained_on()) > 100
    assert near == []


def test_no_two_prompts_are_near_each_other():
    near = [(a, b) for a in ROWS for b in ROWS if a != b and share_in(a.prompt, b.prompt) > 0.1]
    assert near == []


def test_lengths_are_stated_in_varied_wording():
    around = Counter(
        " ".join(tokens(row.prompt[: statement(row.prompt).places[0].start])[-2:]) for row in ROWS
    )
    assert len(around) >= 12
    assert max(around.values()) <= len(ROWS) / 4
