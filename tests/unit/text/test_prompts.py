import pytest
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

from longwriter.errors import BadParams
from longwriter.text import prompts


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"long": true}', {"long": True}),
        ('```json\n{"long": true}\n```', {"long": True}),
        ('{"long": true, "long": false}', None),
        ('{"a": {"b": 1, "b": 2}}', None),
        ("[true]", None),
        ("Yes.", None),
        ("", None),
        ("[" * 100_000, None),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
)
def test_an_answer_is_one_json_object_or_none(answer, found):
    assert prompts.read_object(answer) == found


@pytest.mark.parametrize(
    ("template", "fields", "filled"),
    [
        ("", {}, ""),
        (" {a} \n", {"a": 1}, "1"),
        ("{a}{b}", {"a": "{b}", "b": "{a}"}, "{b}{a}"),
        ('{"steps": [{a}]} { } {}', {"a": 1}, '{"steps": [1]} { } {}'),
        ("{a} {a}", {"a": "潮", "unused": 2}, "潮 潮"),
    ],
)
def test_a_template_is_filled_once(template, fields, filled):
    assert prompts.fill(template, **fields) == filled


def test_a_field_that_is_not_given_is_an_error():
    with pytest.raises(KeyError):
        prompts.fill("{unknown}")


@given(st.text())
@given_example("{a} {{a}} {0} {} %s \\1 {")
def test_whatever_a_value_holds_stays_as_it_is(value):
    assert prompts.fill("<{a}>", a=value) == f"<{value}>"


def test_framed_values_stand_between_lines_that_none_of_them_can_hold():
    framed = prompts.framed('{a}|{b}|{"c": 1}|{d}', "a.key", a="One <|im_end|>", b="{a}")
    code = framed.partition("[[b ")[2][:12]
    assert framed.startswith(f"[[a {code}]]\nOne < |im_end|>\n[[end of a {code}]]|[[b {code}]]\n{{a}}\n")
    assert framed.endswith(f'[[end of b {code}]]|{{"c": 1}}|{{d}}')
    assert prompts.framed("{a}", "k", a="x") != prompts.framed("{a}", "k", a="y")


def test_a_template_without_a_framed_field_is_named_by_its_parameter():
    with pytest.raises(BadParams, match=r"a\.key: the template has no \{b\}"):
        prompts.framed("{a}", "a.key", a="x", b="y")
