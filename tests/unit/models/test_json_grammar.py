import json

import pytest

from longwriter.agentwrite.plans.plan import Bounds, plan_schema
from longwriter.models.json_grammar import UnknownSchema, grammar

TEXT = {"type": "string"}


def test_an_object_has_its_parts_in_order_and_equal_parts_are_one_rule():
    schema = {
        "type": "object",
        "properties": {"a": TEXT, 'b"é': TEXT, "n": {"type": "integer", "minimum": 2, "maximum": 3}},
        "required": ["a", "n", 'b"é'],
        "additionalProperties": False,
    }
    assert grammar(schema).splitlines() == [
        "root ::= rule2",
        r'character ::= [^"\\\x00-\x1f] | "\\" ["\\/bfnrt]',
        r'rule0 ::= "\"" character{0,} "\""',
        'rule1 ::= "2" | "3"',
        r'rule2 ::= "{\"a\": " rule0 ", \"b\\\"é\": " rule0 ", \"n\": " rule1 "}"',
    ]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({}, '"[" (rule0 (", " rule0){0,})? "]"'),
        ({"minItems": 1}, '"[" rule0 (", " rule0){0,} "]"'),
        ({"minItems": 2, "maxItems": 5}, '"[" rule0 (", " rule0){1,4} "]"'),
        ({"maxItems": 1}, '"[" (rule0 (", " rule0){0,0})? "]"'),
    ],
)
def test_an_array_has_as_many_items_as_it_may(bounds, text):
    lines = grammar({"type": "array", "items": {"type": "null"}} | bounds).splitlines()
    assert lines[-1] == f"rule1 ::= {text}"


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [TEXT]},
        {"type": "string", "pattern": "a"},
        {"type": ["string", "null"]} | {"minLength": 1},
        {"type": "object", "properties": {"a": TEXT}, "required": []},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": TEXT, "minItems": 3, "maxItems": 2},
        {"type": "integer", "minimum": 1, "maximum": 10**9},
        {"enum": []},
        {},
    ],
)
def test_a_schema_without_a_rule_is_named(schema):
    with pytest.raises(UnknownSchema, match="no grammar for"):
        grammar(schema)


def test_the_schema_of_a_plan_has_a_grammar():
    bounds = Bounds(min_steps=2, max_steps=4, min_words=60, max_words=62)
    lines = grammar(plan_schema(bounds, 120))
    assert '"60" | "61" | "62"' in lines
    assert "character{8,120}" in lines
    assert json.dumps('{"steps": ') in lines
