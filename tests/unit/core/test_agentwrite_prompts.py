import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longwriter.core import agentwrite as aw
from longwriter.records import PlanStep
from tests.unit.builders import instruction

BOUNDS = aw.Bounds(1, 3, 50, 100)


@pytest.mark.parametrize(
    ("required", "low", "high"),
    [(None, 3, 6), (300, 3, 5), (400, 4, 6), (600, 6, 6), (1, 3, 3), (9000, 6, 6)],
)
def test_the_number_of_steps_fits_the_asked_length(required, low, high):
    assert aw.step_bounds(aw.Bounds(3, 6, 60, 100), required) == aw.Bounds(low, high, 60, 100)


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 200), st.integers(0, 200), st.integers(1, 5000))
def test_steps_are_narrowed_to_exactly_the_numbers_that_can_sum_to_the_length(
    low, more, words, more_words, required
):
    bounds = aw.Bounds(low, low + more, words, words + more_words)
    got = aw.step_bounds(bounds, required)
    numbers = list(range(got.min_steps, got.max_steps + 1))
    fitting = [n for n in range(low, low + more + 1) if n * words <= required <= n * (words + more_words)]
    assert numbers == fitting if fitting else len(numbers) == 1
    assert got[2:] == bounds[2:]


def test_the_schema_of_a_plan_holds_its_bounds_and_nothing_else_fits():
    step = {
        "type": "object",
        "properties": {
            "main_point": {"type": "string", "minLength": 8, "maxLength": 120},
            "word_count": {"type": "integer", "minimum": 50, "maximum": 100},
        },
        "required": ["main_point", "word_count"],
        "additionalProperties": False,
    }
    assert aw.plan_schema(BOUNDS, max_point_chars=120) == {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": step, "minItems": 1, "maxItems": 3}},
        "required": ["steps"],
        "additionalProperties": False,
    }


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
    assert aw.fill(template, **fields) == filled


@given(st.text())
@example("{a} {{a}} {0} {} %s \\1 {")
def test_whatever_a_value_holds_stays_as_it_is(value):
    assert aw.fill("<{a}>", a=value) == f"<{value}>"


def test_the_planner_is_told_instruction_and_bounds():
    template = "{instruction} {min_steps} {max_steps} {min_words} {max_words}"
    assert aw.plan_prompt(template, instruction("The {sea}"), BOUNDS) == "The {sea} 1 3 50 100"


def test_the_first_write_prompt_has_no_text_before_it():
    steps = [PlanStep(main_point="one", word_count=60)]
    assert aw.write_prompt("<{text}> {step}/{steps}", instruction(), steps, []) == "<> 1/1"


@pytest.mark.parametrize(
    ("answer", "keep_first", "cut_off", "paragraph"),
    [
        ("", True, True, ""),
        ("第一段：大海。", False, False, "大海。"),
        ("The\u200b sea\r\nis", False, False, "The sea\nis"),
        ("One. \n\nTwo.", True, False, "One."),
        ("**Paragraph 1**\n\nOne.\n\nTwo.", True, False, "One."),
        ("A title\n\nOne. Two", True, True, "A title"),
        ("One. Two", True, True, "One."),
        ("One.\nTwo. Three", False, True, "One.\nTwo."),
        ("一。二", True, True, "一。"),
        ("One two", False, True, ""),
    ],
)
def test_a_paragraph_is_taken_out_of_an_answer(answer, keep_first, cut_off, paragraph):
    assert aw.clean_paragraph(answer, keep_first, cut_off) == paragraph


def test_a_cut_off_answer_of_two_lines_keeps_whole_sentences_only():
    assert aw.clean_paragraph("One.\nTwo and", keep_first=True, cut_off=True) == "One."


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("", "too_short_paragraph"),
        ("1 2 3", "too_short_paragraph"),
        ("Im sorry", "refusal"),
        ("抱歉无法", "refusal"),
        ("Sure! a", "meta_talk"),
        ("Here is a:", "meta_talk"),
        ("好的，潮", "meta_talk"),
        ("a word count: 5", "meta_talk"),
        ("a b c d e", "repeats"),
        ("春眠不觉晓", "repeats"),
        ("x x x x x x", "repeats"),
        ("a", None),
        ("潮", None),
        ("a b c d f", None),
        ("Here the river ends.", None),
        ("好的开始是成功的一半。", None),
    ],
)
def test_each_reason_has_the_shortest_paragraph_that_gives_it(paragraph, reason):
    refused = aw.check_paragraph(paragraph, ["a b c d e", "春眠不觉晓"], min_words=1, max_repeated_share=0.0)
    assert (refused and refused.reason) == reason


def test_a_paragraph_at_its_bounds_is_kept():
    assert aw.check_paragraph("x x x x x x", [], 6, 0.5) is None
    assert aw.check_paragraph("x x x x x x", [], 7, 0.5).detail == "6 words, at least 7: x x x x x x"
    assert aw.check_paragraph("x x x x x x", [], 6, 0.49).reason == "repeats"
