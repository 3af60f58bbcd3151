import json
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from longwriter.hashing import content_hash
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

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BENCHMARK = {"prompt": "a", "type": "x", "length": 300}


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (None, "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"),
        ({"b": [2, "ä潮"], "a": 1}, "cc4031b99735be0189eb16dae8207870b74764c4d1dd6785abbc29eee7dd61d8"),
    ],
)
def test_a_hash_is_that_of_sorted_utf8_json_without_spaces(value, digest):
    """`printf '{"a":1,"b":[2,"ä潮"]}' | sha256sum`, and the same of `null`."""
    assert content_hash(value) == digest


def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter_and_all_else_does():
    one = content_hash({"a": [1, 2], "b": None})
    assert content_hash(OrderedDict(b=None, a=(1, 2))) == one
    others = [
        {"a": [2, 1], "b": None},
        {"a": [1, 2]},
        {"a": ["1", 2], "b": None},
        [["a", [1, 2]], ["b", None]],
    ]
    assert len({one, *map(content_hash, others)}) == 5


@given(JSON)
def test_a_value_that_went_through_json_has_the_same_hash(value):
    digest = content_hash(value)
    assert content_hash(json.loads(json.dumps(value))) == digest
    assert len(digest) == 64


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash({"a": [number]})


def test_half_a_surrogate_pair_has_a_hash_too():
    assert content_hash("\ud83c") != content_hash("?")


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
