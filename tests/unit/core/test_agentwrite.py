import json

import pytest
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

from longwriter.core import agentwrite as aw
from longwriter.core.text import tokens
from longwriter.records import PlanStep
from tests.unit.builders import instruction, prose

BOUNDS = aw.Bounds(1, 3, 50, 100)
LINE = "Paragraph 1 - Main Point: The sea - Word Count: 80 words"


def as_json(*steps):
    return json.dumps({"steps": [{"main_point": point, "word_count": count} for point, count in steps]})


def test_a_plan_is_read_from_lines_and_from_json():
    steps = [PlanStep(main_point="The sea", word_count=80)]
    assert aw.parse_plan(LINE, BOUNDS, as_json=False) == steps
    assert aw.parse_plan(as_json(("The sea", 80)), BOUNDS, as_json=True) == steps


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "unparsable_plan"),
        ("Sure! " + LINE, "unparsable_plan"),
        (LINE.replace("1", "2", 1), "unparsable_plan"),
        ("I'm sorry, I can't help with that.", "refusal"),
        (LINE.replace("80", "20"), "step_words_out_of_bounds"),
        (LINE.replace("The sea", "2024"), "empty_point"),
        (LINE + "\n" + LINE.replace("1", "2", 1), "duplicate_points"),
        (
            "\n".join(LINE.replace("1", str(i), 1).replace("sea", f"sea {i}") for i in (1, 2, 3, 4)),
            "too_many_steps",
        ),
    ],
)
def test_each_bad_plan_is_refused_for_its_reason(answer, reason):
    refused = aw.parse_plan(answer, BOUNDS, as_json=False)
    assert isinstance(refused, aw.Refused)
    assert refused.reason == reason


@pytest.mark.parametrize(
    "answer", ["[]", "null", '{"steps": 3}', '{"steps": [{"main_point": "x"}]}', "{", as_json((3, 80))]
)
def test_json_of_another_shape_is_no_plan(answer):
    assert aw.parse_plan(answer, BOUNDS, as_json=True).reason == "unparsable_plan"


def test_a_plan_with_too_few_steps_is_refused():
    assert aw.parse_plan(LINE, BOUNDS._replace(min_steps=2), as_json=False).reason == "too_few_steps"


@given(st.text(), st.booleans())
def test_no_answer_makes_the_parser_fail(answer, as_json_answer):
    result = aw.parse_plan(answer, BOUNDS, as_json_answer)
    assert isinstance(result, (list, aw.Refused))


@given(
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z]{2,9}( [a-z]{2,9}){0,4}", fullmatch=True), st.integers(50, 100)),
        min_size=1,
        max_size=3,
        unique_by=lambda s: s[0].lower(),
    )
)
def test_a_plan_written_as_lines_is_read_back(steps):
    plan = [PlanStep(main_point=point, word_count=count) for point, count in steps]
    assert aw.parse_plan(aw.plan_lines(plan), BOUNDS, as_json=False) == plan


@given(
    st.one_of(st.none(), st.integers(1, 10**5)),
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(1, 500),
    st.integers(0, 500),
)
def test_step_bounds_stay_inside_the_profiles(required, low, more, words, more_words):
    bounds = aw.Bounds(low, low + more, words, words + more_words)
    got = aw.step_bounds(bounds, required)
    assert bounds.min_steps <= got.min_steps <= got.max_steps <= bounds.max_steps


def test_a_stated_length_decides_the_number_of_steps():
    assert aw.step_bounds(aw.Bounds(2, 10, 50, 100), 400)[:2] == (4, 8)


def test_braces_in_an_instruction_stay_as_they_are():
    assert aw.fill("Do {instruction} now", instruction="{plan} {x}") == "Do {plan} {x} now"
    with pytest.raises(KeyError):
        aw.fill("{unknown}")


def test_a_write_prompt_shows_what_is_written_and_the_step_that_comes():
    steps = [PlanStep(main_point="one", word_count=60), PlanStep(main_point="two", word_count=70)]
    template = "{instruction}|{plan}|{text}|{step}/{steps}|{main_point}|{word_count}"
    prompt = aw.write_prompt(template, instruction("Do it."), steps, ["First."])
    assert prompt == f"Do it.|{aw.plan_lines(steps)}|First.|2/2|two|70"


def test_what_follows_a_blank_line_and_a_cut_sentence_go():
    assert aw.clean_paragraph("Paragraph 1: A b.\n\nNext", keep_first=True, cut_off=True) == "A b."
    assert aw.clean_paragraph("One. Two thr", keep_first=False, cut_off=True) == "One."
    assert aw.clean_paragraph("One.\n\nTwo.", keep_first=False, cut_off=False) == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("Too short.", "too_short_paragraph"),
        ("I'm sorry, I cannot help with it. " + prose(40), "refusal"),
        ("Sure! " + prose(40), "meta_talk"),
        ("Here's your paragraph: " + prose(40), "meta_talk"),
        ("Main Point: " + prose(40), "meta_talk"),
        ("the cat sat on the mat " * 8, "repeats"),
        (prose(40), None),
        ("Great care was taken. " + prose(40), None),
    ],
)
def test_each_bad_paragraph_is_refused_for_its_reason(paragraph, reason):
    refused = aw.check_paragraph(paragraph, [], min_words=20, max_repeated_share=0.3)
    assert (refused and refused.reason) == reason


def test_a_paragraph_that_stood_before_is_refused():
    assert aw.check_paragraph(prose(40), [prose(40)], 20, 0.3).reason == "repeats"


def line(number, point, count):
    return f"Paragraph {number} - Main Point: {point} - Word Count: {count} words"


@pytest.mark.parametrize(
    "answer",
    [
        "\n  - paragraph 1 – main point: The sea — word count: 80\n\n  \n * Paragraph 2: Main Point : 潮汐, Word Count: 90 words.",
        "1. Paragraph 1 - Main Point: The sea - Word Count: 80 words",
    ],
)
def test_lines_may_be_typeset_otherwise_but_not_numbered_otherwise(answer):
    steps = [PlanStep(main_point="The sea", word_count=80), PlanStep(main_point="潮汐", word_count=90)]
    parsed = aw.parse_plan(answer, BOUNDS, as_json=False)
    assert parsed == steps if "潮汐" in answer else parsed.reason == "unparsable_plan"


def test_a_count_may_have_a_thousands_separator():
    parsed = aw.parse_plan(line(1, "潮汐：月亮 - 太阳", "1,000"), aw.Bounds(1, 1, 200, 1000), as_json=False)
    assert parsed == [PlanStep(main_point="潮汐：月亮 - 太阳", word_count=1000)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("x", "unparsable_plan"),
        ("Error: 429", "unparsable_plan"),
        (line(1, "a", "ten"), "unparsable_plan"),
        (line(1, "a", 80) + "\n" + line(1, "b", 80), "unparsable_plan"),
        ("Im sorry", "refusal"),
        ("抱歉无法", "refusal"),
        (line(1, "a", 49), "step_words_out_of_bounds"),
        (line(1, "a", 101), "step_words_out_of_bounds"),
        (line(1, "", 80), "empty_point"),
        (line(1, "a", 80) + "\n" + line(2, "A!", 90), "duplicate_points"),
        (line(1, "潮", 80) + "\n" + line(2, "潮。", 90), "duplicate_points"),
    ],
)
def test_each_reason_has_the_shortest_lines_that_give_it(answer, reason):
    assert aw.parse_plan(answer, BOUNDS, as_json=False).reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "unparsable_plan"),
        ("{}", "unparsable_plan"),
        ('{"steps":["a"]}', "unparsable_plan"),
        (as_json(("a", "80")), "unparsable_plan"),
        (as_json(("a", 80.5)), "unparsable_plan"),
        (as_json(("a", True)), "unparsable_plan"),
        (as_json(), "too_few_steps"),
        (as_json(("a", 80), ("b", 80), ("c", 80), ("d", 80)), "too_many_steps"),
        (as_json(("a", -1)), "step_words_out_of_bounds"),
        (as_json(("", 80)), "empty_point"),
        (as_json(("a", 80), (" a\n", 90)), "duplicate_points"),
    ],
)
def test_each_reason_has_the_shortest_json_that_gives_it(answer, reason):
    assert aw.parse_plan(answer, BOUNDS, as_json=True).reason == reason


def test_steps_at_their_bounds_are_kept_and_a_refusal_says_what_is_allowed():
    assert len(aw.parse_plan(as_json(("a", 50), ("b", 100)), BOUNDS, as_json=True)) == 2
    assert aw.parse_plan(as_json(), BOUNDS, as_json=True).detail == "0 steps, at least 1"
    assert aw.parse_plan(line(1, "a", 101), BOUNDS, as_json=False).detail == "101 words, allowed 50 to 100"


@pytest.mark.parametrize(
    ("answer", "json_mode"),
    [(line(1, "a", ","), False), (line(1, "a", "9" * 4301), False), ("[" * 1000, True)],
    ids=["a count of commas", "a count of 4,301 digits", "1,000 brackets"],
)
def test_a_hostile_answer_is_refused_and_raises_nothing(answer, json_mode):
    assert isinstance(aw.parse_plan(answer, BOUNDS, as_json=json_mode), aw.Refused)


PIECES = [
    "Paragraph ", "1", "2", " - ", "Main Point: ", "Word Count: ", "80", ",", " words", "\n", "潮", "٣", "²", "I'm sorry",
    '{"steps":', "[", "]", "{", "}", '"main_point":', '"word_count":', '"a"', "null",
]  # fmt: skip


LINES = st.builds(line, st.integers(1, 2), st.text(max_size=5), st.text("0189,²", max_size=6))


@given(st.one_of(LINES, st.lists(st.sampled_from(PIECES)).map("".join)), st.booleans())
@given_example(line(1, "a", "²"), False)
@given_example(line(1, "a", "٨٠"), False)
def test_an_answer_of_the_formats_pieces_is_a_plan_within_bounds_or_refused(answer, json_mode):
    parsed = aw.parse_plan(answer, BOUNDS, json_mode)
    if isinstance(parsed, aw.Refused):
        assert parsed.reason
    else:
        assert BOUNDS.min_steps <= len(parsed) <= BOUNDS.max_steps
        assert all(BOUNDS.min_words <= step.word_count <= BOUNDS.max_words for step in parsed)


POINT = st.text("ab潮 -–:,.{}'0", max_size=20).map(lambda middle: f"the {middle} 汐")


@given(st.lists(st.tuples(POINT, st.integers(1, 5000)), min_size=1, max_size=8))
def test_a_plan_with_any_punctuation_is_read_back(rows):
    by_tokens = {tuple(tokens(point)): (point, count) for point, count in rows}
    plan = [PlanStep(main_point=point, word_count=count) for point, count in by_tokens.values()]
    assert aw.parse_plan(aw.plan_lines(plan), aw.Bounds(1, 8, 1, 5000), as_json=False) == plan
