import json

import pytest
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

from longwriter.agentwrite.plans import plan as pl
from longwriter.records import PlanStep
from longwriter.text.basics.prompts import Refused, plan_lines
from tests.unit.builders import instruction

BOUNDS = pl.Bounds(1, 3, 50, 100)
FORMATS = st.sampled_from(["json_schema", "json_object", "lines"])


def as_json(*steps):
    return json.dumps({"steps": [{"main_point": point, "word_count": count} for point, count in steps]})


def line(number, point, count):
    return f"Paragraph {number} - Main Point: {point} - Word Count: {count} words"


def steps_of(*rows):
    return [PlanStep(main_point=point, word_count=count) for point, count in rows]


def checked(*rows, required=None, prompt="Write a story.", language="en", bounds=BOUNDS, **limits):
    limits = {"max_length_error": 0.25, "min_coverage": 0.0, **limits}
    wanted = instruction(prompt, required_words=required, language=language)
    refused = pl.check_plan(steps_of(*rows), wanted, bounds, **limits)
    return refused and refused.reason


def test_a_plan_is_read_from_each_format():
    steps = steps_of(("The sea", 80))
    assert pl.parse_plan(line(1, "The sea", 80), "lines") == steps
    assert pl.parse_plan(as_json(("The sea", 80)), "json_schema") == steps
    assert pl.parse_plan(as_json(("The sea", 80)), "json_object") == steps


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", " ```JSON\n{}```\n"])
def test_a_code_fence_is_read_in_json_mode_only(fence):
    answer = fence.replace("{}", as_json(("The sea", 80)))
    assert pl.parse_plan(answer, "json_object") == steps_of(("The sea", 80))
    assert pl.parse_plan(answer, "json_schema").reason == "unparsable_plan"


@pytest.mark.parametrize(
    "answer",
    [
        "\n  - paragraph 1 – main point: The sea — word count: 80\n\n  \n * Paragraph 2: Main Point : 潮汐, Word Count: 90 words.",
        "Paragraph 1 — Main Point：The sea，Word Count：80 字\nParagraph 2 - Main Point: 潮汐；Word Count: 90字。",
        "1. Paragraph 1 - Main Point: The sea - Word Count: 80 words",
    ],
)
def test_lines_may_be_typeset_otherwise_but_not_numbered_otherwise(answer):
    parsed = pl.parse_plan(answer, "lines")
    assert (
        parsed == steps_of(("The sea", 80), ("潮汐", 90))
        if "潮汐" in answer
        else parsed.reason == "unparsable_plan"
    )


def test_a_count_may_have_a_thousands_separator():
    assert pl.parse_plan(line(1, "潮汐：月亮 - 太阳", "1,000"), "lines") == steps_of(
        ("潮汐：月亮 - 太阳", 1000)
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty_answer"),
        (" \u200b\n", "empty_answer"),
        ("x", "unparsable_plan"),
        ("Sure! " + line(1, "The sea", 80), "unparsable_plan"),
        (line(2, "The sea", 80), "unparsable_plan"),
        (line(1, "a", "ten"), "unparsable_plan"),
        (line(1, "a", 80) + "\n" + line(1, "b", 80), "unparsable_plan"),
        ("Error: 429", "error_text"),
        ("Max tries. Failed.", "error_text"),
        ("<html><head><title>502 Bad Gateway</title></head></html>", "error_text"),
        (line(1, "Internal Server Error", 80), "error_text"),
        ("Im sorry", "refusal"),
        ("抱歉无法", "refusal"),
        (line(1, "I'm sorry, I cannot help with this", 80), "refusal"),
        (line(1, "Here is paragraph 1: the sea", 80), "meta_talk"),
        (line(1, "The sea - Word Count: 80 words", 80), "plan_line"),
    ],
)
def test_each_reason_has_the_shortest_lines_that_give_it(answer, reason):
    assert pl.parse_plan(answer, "lines").reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty_answer"),
        ("{}", "unparsable_plan"),
        ("[]", "unparsable_plan"),
        ("null", "error_text"),
        ("{", "unparsable_plan"),
        ('{"steps": 3}', "unparsable_plan"),
        ('{"steps":["a"]}', "unparsable_plan"),
        ('{"steps": [{"main_point": "x"}]}', "unparsable_plan"),
        (as_json((3, 80)), "unparsable_plan"),
        (as_json(("a", "80")), "unparsable_plan"),
        (as_json(("a", 80.5)), "unparsable_plan"),
        (as_json(("a", True)), "unparsable_plan"),
        ('{"error": {"message": "overloaded", "type": "server_error"}}', "error_text"),
        (as_json(("Max tries. Failed.", 80)), "error_text"),
        ("I'm sorry, I can't help with that.", "refusal"),
    ],
)
def test_each_reason_has_the_shortest_json_that_gives_it(answer, reason):
    for answer_format in ("json_schema", "json_object"):
        assert pl.parse_plan(answer, answer_format).reason == reason


def test_a_plan_that_was_cut_off_is_none_even_where_its_lines_are_whole():
    assert pl.parse_plan(line(1, "The sea", 80), "lines", "length").reason == "cut_off"
    assert pl.parse_plan(line(1, "The sea", 80), "lines", "content_filter").reason == "content_filter"


@pytest.mark.parametrize(
    ("answer", "answer_format"),
    [
        (line(1, "a", ","), "lines"),
        (line(1, "a", "9" * 4301), "lines"),
        ("[" * 1000, "json_schema"),
        ('{"steps": [{"main_point": "\\ud800", "word_count": 80}]}', "json_object"),
        ("\ud800", "lines"),
    ],
    ids=["a count of commas", "a count of 4,301 digits", "1,000 brackets", "half a character", "half a line"],
)
def test_a_hostile_answer_is_refused_and_its_evidence_can_be_written(answer, answer_format):
    refused = pl.parse_plan(answer, answer_format)
    assert isinstance(refused, Refused)
    assert refused.detail.encode()


PIECES = [
    "Paragraph ", "1", "2", " - ", "Main Point: ", "Word Count: ", "80", ",", " words", "\n", "潮", "٣", "²", "I'm sorry",
    '{"steps":', "[", "]", "{", "}", '"main_point":', '"word_count":', '"a"', "null", "```", "json",
]  # fmt: skip
LINES = st.builds(line, st.integers(1, 2), st.text(max_size=5), st.text("0189,²", max_size=6))
ANSWERS = st.one_of(st.text(), LINES, st.lists(st.sampled_from(PIECES)).map("".join))


@given(ANSWERS, FORMATS, st.sampled_from(["stop", "length", "unknown"]))
@given_example(line(1, "a", "²"), "lines", "stop")
@given_example(line(1, "a", "٨٠"), "lines", "stop")
def test_any_answer_is_a_plan_or_refused_with_a_reason(answer, answer_format, finish_reason):
    parsed = pl.parse_plan(answer, answer_format, finish_reason)
    if isinstance(parsed, Refused):
        assert parsed.reason
    else:
        refused = pl.check_plan(parsed, instruction(), BOUNDS, max_length_error=0.5, min_coverage=0.5)
        assert refused or BOUNDS.min_steps <= len(parsed) <= BOUNDS.max_steps


POINT = st.text("ab潮 -–:,.{}'0", max_size=20).map(lambda middle: f"the {middle} 汐")


@given(st.lists(st.tuples(POINT, st.integers(1, 5000)), min_size=1, max_size=8))
def test_a_plan_with_any_punctuation_is_read_back(rows):
    assert pl.parse_plan(plan_lines(steps_of(*rows)), "lines") == steps_of(*rows)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "too_few_steps"),
        ([("a", 80), ("b", 80), ("c", 80), ("d", 80)], "too_many_steps"),
        ([("a", 49)], "step_words_out_of_bounds"),
        ([("a", 101)], "step_words_out_of_bounds"),
        ([("a", -1)], "step_words_out_of_bounds"),
        ([("", 80)], "empty_point"),
        ([("2024", 80)], "empty_point"),
        ([("a", 80), ("A!", 90)], "duplicate_points"),
        ([("潮水", 80), ("大海", 90)], "wrong_language"),
        ([("a", 50), ("b", 100)], None),
    ],
)
def test_each_reason_has_the_shortest_plan_that_gives_it(rows, reason):
    assert checked(*rows) == reason


def test_a_refusal_says_what_is_allowed():
    check = {"max_length_error": 0.25, "min_coverage": 0.0}
    few, words, total = (
        pl.check_plan(steps, instruction(required_words=100), BOUNDS, **check)
        for steps in ([], steps_of(("a", 101)), steps_of(("a", 60)))
    )
    assert few.detail == "0 steps, at least 1"
    assert words.detail == "101 words, allowed 50 to 100"
    assert total == ("wrong_total", "60 words, 100 asked for; at most 25% off")


@pytest.mark.parametrize(
    ("total", "required", "error", "reason"),
    [
        (75, 100, 0.25, None),
        (74, 100, 0.25, "wrong_total"),
        (100, 80, 0.25, None),
        (100, 79, 0.25, "wrong_total"),
        (60, 100, None, None),
        (60, None, 0.0, None),
    ],
)
def test_the_word_counts_sum_to_the_required_length_if_that_is_checked(total, required, error, reason):
    assert checked(("the sea", total), required=required, max_length_error=error) == reason


@pytest.mark.parametrize(
    ("point", "is_kept"),
    [
        ("}]} The keeper lights the lamp", False),
        ('"], The keeper lights the lamp', False),
        ('The keeper", "word_count": 80}, {"main_point": "The storm', False),
        ("[The keeper] lights the lamp", True),
        ("The set {1, 2} and the list [3]", True),
        ("“The lamp” and the sea", True),
    ],
)
def test_a_main_point_with_the_rest_of_a_plan_in_json_is_refused(point, is_kept):
    assert checked((point, 80)) == (None if is_kept else "unparsable_plan")


def test_main_points_are_in_the_instructions_language():
    assert checked(("The sea", 80), prompt="写一篇文章。", language="zh") == "wrong_language"
    assert checked(("大海的 tide 与 wave", 80), prompt="写一篇文章。", language="zh") is None


def test_a_plan_that_touches_too_few_of_the_content_words_is_refused_and_they_are_named():
    prompt = "Write about lighthouses, keepers and storms."
    refused = pl.check_plan(
        steps_of(("The keeper", 80)), instruction(prompt), BOUNDS, max_length_error=None, min_coverage=0.4
    )
    assert refused == ("low_coverage", "33% of the content words; missing: lighthous, storm")
    assert checked(("The keeper in a storm", 80), prompt=prompt, min_coverage=0.4) is None
    assert checked(("A market", 80), prompt=prompt, min_coverage=0.0) is None


@given(
    st.one_of(st.none(), st.integers(1, 10**5)),
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(1, 500),
    st.integers(0, 500),
)
def test_step_bounds_stay_inside_the_profiles(required, low, more, words, more_words):
    bounds = pl.Bounds(low, low + more, words, words + more_words)
    got = pl.step_bounds(bounds, required)
    assert bounds.min_steps <= got.min_steps <= got.max_steps <= bounds.max_steps


@pytest.mark.parametrize(
    ("required", "low", "high"),
    [(None, 3, 6), (300, 3, 5), (400, 4, 6), (600, 6, 6), (1, 3, 3), (9000, 6, 6)],
)
def test_the_number_of_steps_fits_the_asked_length(required, low, high):
    assert pl.step_bounds(pl.Bounds(3, 6, 60, 100), required) == pl.Bounds(low, high, 60, 100)


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 200), st.integers(0, 200), st.integers(1, 5000))
def test_steps_are_narrowed_to_exactly_the_numbers_that_can_sum_to_the_length(
    low, more, words, more_words, required
):
    bounds = pl.Bounds(low, low + more, words, words + more_words)
    got = pl.step_bounds(bounds, required)
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
    assert pl.plan_schema(BOUNDS, max_point_chars=120) == {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": step, "minItems": 1, "maxItems": 3}},
        "required": ["steps"],
        "additionalProperties": False,
    }


TEXTS = {"lines": "As lines.", "json": 'As {"steps": []}.'}


@pytest.mark.parametrize(
    ("template", "answer_format", "prompt"),
    [
        ("{instruction} {format} End.", "lines", "The {sea} As lines. End."),
        ("{instruction} {format} End.", "json_object", 'The {sea} As {"steps": []}. End.'),
        ("{instruction} {format} End.", "json_schema", 'The {sea} As {"steps": []}. End.'),
        ("{instruction}", "lines", "The {sea}\n\nAs lines."),
        ("{instruction}", "json_object", 'The {sea}\n\nAs {"steps": []}.'),
        ("{instruction}", "json_schema", "The {sea}"),
        (
            "{instruction} {min_steps} {max_steps} {min_words} {max_words}",
            "json_schema",
            "The {sea} 1 3 50 100",
        ),
    ],
)
def test_the_planners_prompt_holds_instruction_bounds_and_format(template, answer_format, prompt):
    assert pl.plan_prompt(template, TEXTS, answer_format, instruction("The {sea}"), BOUNDS) == prompt
