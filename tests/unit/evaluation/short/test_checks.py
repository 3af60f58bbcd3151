"""Whether an answer to a short prompt is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from longwriter.evaluation.short import checks
from longwriter.records import Check


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"one_of": ["yes"]}, ["yes", " Yes.\n", "**YES**", '"yes!"'], ["yes, it can", "no", ""]),
        ({"one_of": ["月亮", "月球"]}, ["月亮。", "“月球”"], ["太阳", "月亮和星星"]),
        ({"one_of": ["43"]}, ["43", "４３", "43."], ["The answer is 43", "4 3", "143"]),
        ({"exact": "HARBOUR"}, ["HARBOUR", " HARBOUR\n"], ["harbour", "HARBOUR.", '"HARBOUR"']),
        ({"regex": r"\bLisbon\b"}, ["It is Lisbon."], ["lisbon", "Lisbonne"]),
        ({"regex": "东京"}, ["日本的首都是东京。"], ["京都"]),
        ({"json_keys": {"name": "string", "age": "number"}},
         ['{"name": "Ana", "age": 31}', '```json\n{"age": 3.5, "name": ""}\n```', '```\n{"name": "A", "age": 1}```'],
         ['{"name": "Ana"}', '{"name": "Ana", "age": "31"}', '{"name": "Ana", "age": true}',
          '{"name": "Ana", "age": 1, "x": 2}', '[{"name": "Ana", "age": 1}]', 'Here: {"name": "Ana", "age": 1}',
          '{"name": "Ana", "age": 1', "{" * 100_000]),
        ({"json_keys": {"open": "boolean"}}, ['{"open": true}'], ['{"open": 1}', '{"open": "true"}']),
        ({"json_keys": {"a": "list", "b": "object"}}, ['{"a": [], "b": {}}'], ['{"a": {}, "b": []}']),
        ({"words_between": [2, 3]}, ["one two", "one two three", "一二三"], ["one", "one two three four", ""]),
        ({"lines": 2}, ["a\nb", "a\n\n b\n"], ["a", "a\nb\nc", ""]),
        ({"lines": 2, "regex": r"^- .+\n+- .+$"}, ["- a\n- b"], ["a\nb", "- a", "- a\n- b\n- c"]),
    ],
)  # fmt: skip
def test_an_answer_is_right_if_every_condition_holds(check, right, wrong):
    check = Check(**check)
    assert [answer for answer in right if not checks.is_right(check, answer)] == []
    assert [answer for answer in wrong if checks.is_right(check, answer)] == []


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ({"regex": "("}, "missing )"),
        ({"regex": r"(?=a)b"}, "regex"),
        ({"words_between": [5, 3]}, "the first number is above the second"),
        ({"lines": 3}, None),
    ],
)
def test_a_check_that_no_answer_can_fulfil_is_named(check, reason):
    found = checks.trouble(Check(**check))
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize("check", [{}, {"one_of": []}, {"words_between": [1]}, {"lines": -1}, {"json_keys": {"a": "date"}}])  # fmt: skip
def test_a_check_without_a_condition_or_with_a_wrong_one_is_no_check(check):
    with pytest.raises(ValidationError):
        Check(**check)


def test_a_pattern_takes_linear_time():
    """The pattern takes 2 ** n steps in an engine that goes back: the test would not end."""
    assert not checks.is_right(Check(regex="^(a+)+$"), "a" * 50_000 + "b")


@given(st.text(), st.text(min_size=1))
def test_no_answer_raises(text, pattern):
    check = Check(one_of=["x"], exact="x", json_keys={"a": "list"}, words_between=[0, 9], lines=1)
    assert checks.is_right(check, text) is False
    for condition in (
        {"json_keys": {"a": "list"}},
        {"lines": 1},
        {"one_of": ["x"]},
        {"words_between": [0, 9]},
    ):
        assert checks.is_right(Check(**condition), text) in (True, False)
