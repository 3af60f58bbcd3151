import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from longwriter.records import (
    BenchmarkRow,
    Example,
    GeneralRow,
    Instruction,
    Message,
    PlanStep,
    Rejection,
)
from tests.unit.builders import draft, example, instruction

BENCHMARK = {"prompt": "a", "type": "x", "length": 300}


@pytest.mark.parametrize(
    ("record", "fields", "key"),
    [
        (PlanStep, {"main_point": "a", "word_count": 80, "note": "x"}, "note"),
        (PlanStep, {"main_point": "a", "word_count": "80"}, "word_count"),
        (PlanStep, {"main_point": "a", "word_count": 80.5}, "word_count"),
        (PlanStep, {"main_point": "a", "word_count": True}, "word_count"),
        (PlanStep, {"main_point": "a"}, "word_count"),
        (Message, {"role": "tool", "content": "a"}, "role"),
        (Message, {"role": "user", "content": " \n"}, "content"),
        (GeneralRow, {"messages": [{"role": "user", "content": "a"}], "language": "en"}, "messages"),
        (BenchmarkRow, {**BENCHMARK, "prompt": ""}, "prompt"),
        (BenchmarkRow, {**BENCHMARK, "prompt": 3}, "prompt"),
        (BenchmarkRow, {**BENCHMARK, "type": " "}, "type"),
        (BenchmarkRow, {**BENCHMARK, "length": 0}, "length"),
        (BenchmarkRow, {**BENCHMARK, "length": "300"}, "length"),
        (BenchmarkRow, {**BENCHMARK, "length": 300.5}, "length"),
    ],
)
def test_a_row_that_is_not_as_the_record_says_is_refused_by_key(record, fields, key):
    with pytest.raises(ValidationError) as error:
        record.model_validate_json(json.dumps(fields))
    assert [item["loc"][0] for item in error.value.errors()] == [key]


def test_a_benchmark_row_may_have_columns_of_its_own():
    row = BenchmarkRow.model_validate_json(json.dumps({**BENCHMARK, "prompt": " a \n", "id": 7}))
    assert (row.prompt, row.length) == ("a", 300)
    assert "id" not in row.model_dump()


def test_a_record_does_not_change_after_it_is_made():
    with pytest.raises(ValidationError, match="frozen"):
        instruction().prompt = "b"


def test_rejections_need_no_calls():
    row = Rejection(row_id="a", stage="plan", reason="refusal", detail="Im sorry")
    assert row.call_ids == []


@given(st.text(min_size=1), st.none() | st.integers(1))
def test_records_of_any_text_survive_their_json(text, required):
    made = draft([text], text)
    one = instruction(text, required_words=required)
    assert type(made).model_validate_json(made.model_dump_json()) == made
    assert Instruction.model_validate_json(one.model_dump_json()) == one


def test_the_columns_of_an_example_are_those_that_training_reads():
    row = json.loads(example(1, answer="A tide.").model_dump_json())
    assert row["messages"][1] == {"role": "assistant", "content": "A tide."}
    assert set(row) == set(Example.model_fields) == {
        "sample_id", "instruction_id", "kind", "language", "type", "messages", "required_words", "words", "call_ids",
        "origin",
    }  # fmt: skip
