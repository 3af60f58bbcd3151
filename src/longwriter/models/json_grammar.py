"""The grammar of the JSON that a schema allows, without free blanks.

JSON allows any number of blanks between its parts, and a weak model that has begun to write them goes on to the end
of its answer. With this grammar there is one way to write an answer.
"""

from __future__ import annotations

import json
from typing import Any

_MOST_NUMBERS = 2_000
"""An integer with bounds becomes a list of all its values, if there are at most so many."""
_UNREAD = {"title", "description", "additionalProperties", "$schema"}
"""Keywords that need no rule here, because the grammar already allows nothing that they forbid."""
_FIXED = {
    "boolean": '"true" | "false"',
    "null": '"null"',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": '"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})?',
}
_CHARACTER = r'[^"\\\x00-\x1f] | "\\" ["\\/bfnrt]'


class UnknownSchema(Exception):
    """A schema with a keyword that has no grammar here."""


def grammar(schema: dict[str, Any]) -> str:
    """Return the grammar of a schema's JSON, in the EBNF of llama.cpp and XGrammar.

    Raises:
        UnknownSchema: it has keywords for which there is no rule here.
    """
    rules: dict[str, str] = {}
    top = _rule(schema, rules)
    lines = [f"root ::= {top}", f"character ::= {_CHARACTER}"]
    return "\n".join([*lines, *(f"{name} ::= {text}" for text, name in rules.items())])


def _rule(schema: dict[str, Any], rules: dict[str, str]) -> str:
    """Return the name of a schema's rule; equal rules are one, because each is compiled."""
    keywords = set(schema) - _UNREAD - {"type"}
    kind = str(schema.get("type"))
    if keywords == {"enum"} and schema["enum"]:
        text = " | ".join(_literal(json.dumps(value, ensure_ascii=False)) for value in schema["enum"])
    elif kind == "object" and keywords == {"properties", "required"} and schema["properties"]:
        text = _object(schema, rules)
    elif kind == "array" and keywords <= {"items", "minItems", "maxItems"} and "items" in keywords:
        text = _array(schema, _rule(schema["items"], rules))
    elif kind == "string" and keywords <= {"minLength", "maxLength"}:
        text = rf'"\"" character{_times(schema.get("minLength", 0), schema.get("maxLength"))} "\""'
    elif kind == "integer" and keywords == {"minimum", "maximum"}:
        text = _integer(schema["minimum"], schema["maximum"])
    elif kind in _FIXED and not keywords:
        text = _FIXED[kind]
    else:
        raise UnknownSchema(
            f"no grammar for the type {kind} with {', '.join(sorted(keywords)) or 'no keyword'}"
        )
    return rules.setdefault(text, f"rule{len(rules)}")


def _object(schema: dict[str, Any], rules: dict[str, str]) -> str:
    properties = schema["properties"]
    if set(schema["required"]) != set(properties):
        raise UnknownSchema("no grammar for properties that may be missing")
    parts = []
    for number, (name, value) in enumerate(properties.items()):
        key = json.dumps(name, ensure_ascii=False)
        parts += [_literal(f"{', ' if number else '{'}{key}: "), _rule(value, rules)]
    return " ".join([*parts, _literal("}")])


def _array(schema: dict[str, Any], item: str) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is not None and most < max(1, least):
        raise UnknownSchema(f"no grammar for at least {least} and at most {most} items")
    more = f'(", " {item}){_times(max(0, least - 1), None if most is None else most - 1)}'
    items = f"{item} {more}" if least else f"({item} {more})?"
    return f'"[" {items} "]"'


def _integer(least: int, most: int) -> str:
    if not 0 <= most - least < _MOST_NUMBERS:
        raise UnknownSchema(f"no grammar for the integers from {least} to {most}")
    return " | ".join(_literal(str(number)) for number in range(least, most + 1))


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
