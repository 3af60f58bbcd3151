"""Values that params.yaml may and may not hold, made for every field by its kind."""

import io
import re
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from longwriter import params
from longwriter.errors import BadParams
from longwriter.settings import problems, yaml_file
from longwriter.settings.texts import Kind
from tests.unit.params.fields import fields, text_with

FIELDS = {field.key: field for field in {(f.section, f.name): f for f in fields()}.values()}
"""Each field of each section once, although several sections have a `sampling` or an `llm`."""

ANYWHERE = [  # what no number, no text and no switch may be: (as written, what the message shows)
    ("010", "010"), ("-07", "-07"), ("0o17", "0o17"), ("0x1F", "0x1F"), ("0b101", "0b101"), ("1_000", "1_000"), ("-_", "-_"), ("._0", "._0"), ("+_1_", "+_1_"), (".2E4", ".2E4"),
    ("2:45", "2:45"), ("2:45:10", "2:45:10"), (".inf", ".inf"), ("-.INF", "-.INF"), (".NaN", ".NaN"), ("1e999", "1e999"),
    ("7" * 5000, "5,000 characters"), ("1234567890123456789", "1234567890123456789"),
    ("2026-03-04", "2026-03-04"), ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
    ("yes", "yes"), ("No", "No"), ("ON", "ON"), ("off", "off"), ("y", "y"), ("=", "="), ("<<", "<<"),
    ("!!binary aGVsbG8=", "the tag '!!binary'"), ("!!set {a, b}", "the tag '!!set'"), ("!!str 12", "the tag '!!str'"),
    ("!!python/name:os.system ''", "the tag '!!python/name:os.system'"), ("!own {a: 1}", "the tag '!own'"),
    ("&me [*me]", "inside its own value"), ("&me {<<: *me}", "inside its own value"),
    ("*nowhere", "the alias *nowhere"), ("{a: 1, a: 2}", "this key twice"), ("{[a]: 1}", "a key that is not plain text"),
]  # fmt: skip
NOT_TEXT = [
    ("", "null"),
    ("3", "3"),
    ("2.5", "2.5"),
    ("true", "true"),
    ("[a]", "a list of 1"),
    ("{a: b}", "a mapping"),
]
NOT_NUMBER = [
    ("", "null"),
    ("many", "'many'"),
    ("'3'", "'3'"),
    ("true", "true"),
    ("[3]", "a list of 1"),
    ("{a: 3}", "a mapping"),
]
NOT_SWITCH = [
    ("", "null"),
    ("1", "1"),
    ("0.0", "0.0"),
    ("'true'", "'true'"),
    ("maybe", "'maybe'"),
    ("[]", "a list of 0"),
]
NOT_LIST = [("", "null"), ("3", "3"), ("en", "'en'"), ("{a: b}", "a mapping")]


def bounds(metadata):
    """Return {ge, le, lt: bound} of a number."""
    flat = [inner for item in metadata for inner in getattr(item, "metadata", [item])]
    return {name: getattr(item, name) for item in flat for name in ("ge", "le", "lt") if hasattr(item, name)}


def numbers_outside(kind, metadata):
    """Return a number below the smallest one and a number above the largest one."""
    limits = bounds(metadata)
    step = 1 if kind is int else 0.25
    low = limits["ge"] / 2 if kind is float and limits["ge"] > 0 else limits["ge"] - step
    high = limits["lt"] if "lt" in limits else limits["le"] + step
    return [(str(number), repr(number)) for number in (low, high)]


def wrong(field):
    """Return the values that a field must refuse: (as written, what the message shows)."""
    values, is_nullable = [], False
    for member, metadata in field.members:
        if member in (int, float):
            values += NOT_NUMBER + numbers_outside(member, metadata)
            values += [("2.5", "2.5")] if member is int else []
        elif member is bool:
            values += NOT_SWITCH
        elif member is str:
            values += [*NOT_TEXT, ("''", "''"), ('"a\\nb\\u0007"', "'a\\nb\\x07'")]
        elif get_origin(member) is Literal:
            values += [*NOT_TEXT, ("other", "'other'")]
        elif get_origin(member) is list:
            values += NOT_LIST
        elif isinstance(member, type) and issubclass(member, BaseModel):
            values += [("", "null"), ("3", "3"), ("[a]", "a list of 1"), ("text", "'text'")]
        elif member in (type(None), None):
            is_nullable = True
        else:
            values += [("", "null"), ("3", "3"), ("[a]", "a list of 1")]
    if field.key == "training.ranks":  # a number or `auto`
        values = [*NOT_NUMBER[1:], ("0", "0")]
    if field.name == "targets":  # `all-linear`, or a list of names
        values = [*NOT_LIST, ("[q_proj, q_proj]", "a list of 2")]
    if field.name == "api_key_env":
        values = NOT_TEXT
    return [value for value in values if not (is_nullable and value[1] == "null")]


def errors(text):
    """Return the lines of the error for a text of params.yaml; none if it is accepted."""
    try:
        problems.checked(params.Params, yaml_file.parse(text, "params.yaml"))
    except BadParams as error:
        return str(error).split("\n")
    return []


def as_dvc_reads(text):
    return YAML(typ="safe").load(io.StringIO(text))


def refused(values):
    """Check that each value is refused by one line: file, line, key, what was found, what is allowed.

    Args:
        values: {key: (value as written, what the message shows)}.
    """
    text, places = text_with(**{key: written for key, (written, _) in values.items()})
    lines = errors(text)
    for key, (written, shown) in values.items():
        own = [line for line in lines if re.match(rf"params\.yaml:\d+: {re.escape(key)}[.:]", line)]
        assert len(own) == 1, (written, own)
        assert own[0].startswith(f"params.yaml:{places[key]}: {key}")
        assert shown in own[0]
        assert re.search(r"; allowed: \w", own[0])
        assert len(own[0]) < 700
    assert len(lines) == len(values), lines


def rounds():
    """Yield wrong values, each time one for many fields, of which none lies inside another.

    Every value is in one round: to read params.yaml a thousand times would take ten seconds.
    """
    variants = {key: list(dict.fromkeys(wrong(field))) for key, field in FIELDS.items()}
    assert all(variants.values())
    depths = {}
    for key in FIELDS:
        is_section = any(other.startswith(f"{key}.") for other in FIELDS)
        depths.setdefault(key.count(".") if is_section else None, []).append(key)
    for names in depths.values():
        for number in range(max(len(variants[key]) for key in names)):
            yield {key: variants[key][number] for key in names if number < len(variants[key])}


@pytest.mark.parametrize("values", rounds())
def test_a_field_refuses_what_its_kind_does_not_allow(values):
    refused(
        {
            key: (written, "(not shown)" if key.endswith("_env") else f"found {shown}")
            for key, (written, shown) in values.items()
        }
    )


def test_there_are_more_than_a_thousand_such_values():
    assert sum(len(dict.fromkeys(wrong(field))) for field in FIELDS.values()) > 1000


ONE_OF_EACH = [
    "instructions.limit", "plan.sampling.temperature", "dataset.relabel_length", "llm.model", "llm.engine",
    "instructions.hub", "llm.max_cost_usd", "training.ranks", "instructions.source", "plan.judge.llm.base_url",
]  # fmt: skip


@pytest.mark.parametrize(("written", "shown"), ANYWHERE)
def test_what_readers_of_yaml_take_for_different_values_is_refused_in_every_field(written, shown):
    refused({key: (re.sub(r"\bme\b", f"me{place}", written), shown) for place, key in enumerate(ONE_OF_EACH)})


@pytest.mark.parametrize("written", [written for written, _ in ANYWHERE[:6]] + ["yes", "2026-03-04"])
def test_the_same_in_quotes_is_a_text(written):
    text, _ = text_with(**{"llm.model": f"'{written}'"})
    assert errors(text) == []
    assert yaml_file.parse(text, "f").values["llm"]["model"] == as_dvc_reads(text)["llm"]["model"] == written


def edges(field):
    """Return the smallest and the largest number of a field, where it may be alone so."""
    if field.name in ("ranks", "context_tokens", "quality_weight"):  # depends on batches, answers, the judge
        return
    for member, metadata in field.members:
        if member not in (int, float):
            continue
        limits, step = bounds(metadata), 1e-6
        low = limits.get("ge", limits.get("gt", 0) + step)
        high = limits["le"] if "le" in limits else limits["lt"] - step
        yield from ([] if field.name.startswith("max_") else [low])
        yield from ([] if field.name.startswith("min_") else [high])


@pytest.mark.parametrize("key", [key for key, field in FIELDS.items() if any(edges(field))])
def test_a_number_may_be_the_smallest_and_the_largest_one(key):
    for number in edges(FIELDS[key]):
        text, _ = text_with(**{key: repr(number)})
        assert errors(text) == [], number
        assert yaml_file.parse(text, "f").values == as_dvc_reads(text)


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_has_a_docstring_and_bounds(key):
    field = FIELDS[key]
    if field.section is not params.Params:
        described = {
            info.alias or name: info.description for name, info in field.section.model_fields.items()
        }
        assert described[field.name], f"{key} has no docstring"
    for member, metadata in field.members:
        if member in (int, float):
            limits = bounds(metadata)
            assert {"ge", "gt"} & set(limits) and {"le", "lt"} & set(limits), f"{key} has no bounds"
        elif member is str:
            assert any(isinstance(item, Kind) for item in metadata), f"{key} allows any text"
        elif get_origin(member) is list:
            inner = get_args(member)[0]
            assert get_origin(inner) is not None or inner not in (str, int, float), (
                f"{key}: items have no kind"
            )


def test_every_section_of_the_file_has_a_docstring():
    assert [field.section.__name__ for field in FIELDS.values() if not field.section.__doc__] == []
