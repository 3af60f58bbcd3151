import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.agentwrite.paragraphs import drafts as dr
from longwriter.io import files
from longwriter.records import Plan, PlanStep
from longwriter.text.basics.counting import EarlierText
from longwriter.text.basics.prompts import Refused
from tests.unit.builders import instruction, prose

STEPS = [
    PlanStep(main_point=f"point {name}", word_count=60 + i) for i, name in enumerate(("one", "two", "three"))
]
PLAN = Plan(instruction=instruction("Do it."), steps=STEPS, call_ids=[])
LOOSE = dr.Limits(min_words=1, max_length_ratio=None, max_repeated_share=0.0)


def said(*parts):
    text = EarlierText()
    for part in parts:
        text.add(part)
    return text


def reason_of(paragraph, limits=LOOSE, language="en", word_count=None, before=()):
    refused = dr.check_paragraph(paragraph, limits, language, word_count=word_count, before=said(*before))
    return refused and refused.reason


def test_a_write_prompt_shows_what_is_written_and_the_step_that_comes():
    template = "{instruction}|{plan}|{text}|{step}/{steps}|{main_point}|{word_count}"
    lines = "\n".join(
        f"Paragraph {i} - Main Point: {step.main_point} - Word Count: {step.word_count} words"
        for i, step in enumerate(STEPS, 1)
    )
    assert dr.write_prompt(template, PLAN, 1, ["First.", "{text}"]) == (
        f"Do it.|{lines}|First.\n\n{{text}}|2/3|point two|61"
    )


@pytest.mark.parametrize(
    ("template", "written", "prompt"),
    [
        ("A\n\nSo far:\n{text}\n\nB {step}", [], "A\n\nB 1"),
        ("A\n\nSo far:\n{text}\n\nB {step}", ["One."], "A\n\nSo far:\nOne.\n\nB 1"),
        ("<{text}> {step}/{steps}", [], "<> 1/3"),
    ],
)
def test_a_block_that_holds_only_the_text_so_far_is_left_out_while_there_is_no_text(
    template, written, prompt
):
    assert dr.write_prompt(template, PLAN, 0, written) == prompt


def test_each_long_write_prompt_begins_as_the_one_before_it_up_to_the_end_of_its_text():
    template = files.template("src/longwriter/prompts/write.txt")
    texts = ["The first.", "The second.", "The third."]
    prompts = [dr.write_prompt(template, PLAN, i, texts[:i]) for i in range(3)]
    ends = [
        prompts[0].index(STEPS[-1].main_point),
        *(prompts[i].index(texts[i - 1]) + len(texts[i - 1]) for i in (1, 2)),
    ]
    for i in (0, 1):
        assert prompts[i + 1].startswith(prompts[i][: ends[i]])
    assert all("point three" in prompt[: ends[i]] for i, prompt in enumerate(prompts) if i)


def test_a_long_write_prompt_promises_no_earlier_text_for_the_first_paragraph():
    template = files.template("src/longwriter/prompts/write.txt")
    alone = dr.write_prompt(template, PLAN, 1, [])
    assert "so far" not in alone
    assert "earlier" not in alone
    assert "paragraph 2 of 3" in alone
    assert "so far:\nOne." in dr.write_prompt(template, PLAN, 1, ["One."])


@pytest.mark.parametrize(
    ("answer", "keep_first", "cut_off", "paragraph"),
    [
        ("", True, True, ""),
        ("Paragraph 1: A b.\n\nNext", True, True, "A b."),
        ("第一段：大海。", False, False, "大海。"),
        ("The\u200b sea\r\nis", False, False, "The sea\nis"),
        ("One. \n\nTwo.", True, False, "One."),
        ("One.\n\nTwo.", False, False, "One.\n\nTwo."),
        ("**Paragraph 1**\n\nOne.\n\nTwo.", True, False, "One."),
        ("A title\n\nOne. Two", True, True, "A title"),
        ("One. Two", True, True, "One."),
        ("One. Two thr", False, True, "One."),
        ("One.\nTwo and", True, True, "One."),
        ("One.\nTwo. Three", False, True, "One.\nTwo."),
        ("一。二", True, True, "一。"),
        ("One two", False, True, ""),
    ],
)
def test_a_paragraph_is_taken_out_of_an_answer(answer, keep_first, cut_off, paragraph):
    assert dr.clean_paragraph(answer, keep_first, cut_off) == paragraph


@pytest.mark.parametrize(
    ("answer", "finish_reason", "read"),
    [
        ("One. Two", "length", "One."),
        ("One. Two", "stop", "One. Two"),
        ("One. \ud800", "stop", "One. ?"),
        ("\ud800", "content_filter", Refused("content_filter", "the endpoint cut the answer off: ?")),
        ("\n", "stop", Refused("empty_answer", "no text (finish_reason stop)")),
        ("One.", "content_filter", Refused("content_filter", "the endpoint cut the answer off: One.")),
    ],
)
def test_an_answer_holds_a_text_or_none(answer, finish_reason, read):
    assert dr.read_answer(answer, finish_reason, keep_first=True) == read


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("", "too_short_paragraph"),
        ("1 2 3", "too_short_paragraph"),
        ("Max tries. Failed.", "error_text"),
        ("Im sorry", "refusal"),
        ("抱歉无法", "refusal"),
        ("Sure! a", "meta_talk"),
        ("Here is a draft:", "meta_talk"),
        ("好的，潮", "meta_talk"),
        ("a - word count: 5", "plan_line"),
        ("潮", "wrong_language"),
        ("a b c d e", "repeats"),
        ("x x x x x x", "loop"),
        ("a", None),
        ("a b c d f", None),
        ("a 潮 b c d", None),
        ("Here the river ends.", None),
    ],
)
def test_each_reason_has_the_shortest_paragraph_that_gives_it(paragraph, reason):
    assert reason_of(paragraph, before=["a b c d e"]) == reason


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("春眠不觉晓", "repeats"),
        ("潮潮潮潮潮潮", "loop"),
        ("a", "wrong_language"),
        ("潮 tide", None),
        ("好的开始是成功的一半。", None),
    ],
)
def test_each_reason_has_the_shortest_chinese_paragraph_that_gives_it(paragraph, reason):
    assert reason_of(paragraph, language="zh", before=["春眠不觉晓"]) == reason


@pytest.mark.parametrize(
    ("words", "ratio", "reason"),
    [
        (25, 4.0, None),
        (24, 4.0, "wrong_length"),
        (400, 4.0, None),
        (401, 4.0, "wrong_length"),
        (401, None, None),
    ],
)
def test_a_paragraph_is_about_as_long_as_its_step_asks(words, ratio, reason):
    limits = dr.Limits(1, ratio, 1.0)
    assert reason_of(prose(words), limits, word_count=100) == reason
    assert reason_of(prose(words), limits, word_count=None) is None


def test_a_paragraph_at_its_bounds_is_kept():
    assert reason_of("x x x x x x", dr.Limits(6, None, 0.5)) is None
    assert reason_of("x x x x x x", dr.Limits(7, None, 0.5)) == "too_short_paragraph"
    assert reason_of("x x x x x x", dr.Limits(6, None, 0.49)) == "loop"
    assert reason_of(prose(40), dr.Limits(20, None, 0.3), before=[prose(40)]) == "repeats"


def test_a_whole_text_is_looked_at_paragraph_by_paragraph():
    limits = dr.Limits(20, 2.0, 0.2)
    good = f"{prose(30)}\n\n{prose(30, 'b')}"
    assert dr.check_whole(good, limits, "en") is None
    assert (
        dr.check_whole(f"{good}\n\nInternal Server Error\n\n{prose(5, 'c')}", limits, "en").reason
        == "error_text"
    )
    assert dr.check_whole(f"{prose(30)}\n\n{prose(30)}", limits, "en").reason == "loop"
    assert dr.check_whole("Too short.", limits, "en").reason == "too_short_paragraph"
    assert dr.check_whole(good, limits, "zh").reason == "wrong_language"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("", []), ("One.", ["One."]), ("One.\n \n\nTwo.\nThree.\n\n", ["One.", "Two.\nThree."])],
)
def test_a_text_is_split_at_its_blank_lines(text, parts):
    assert dr.paragraphs_of(text) == parts


@given(
    st.text(),
    st.sampled_from(["stop", "length", "content_filter", "unknown"]),
    st.booleans(),
    st.sampled_from(["en", "zh"]),
)
def test_any_answer_is_a_text_or_refused_with_a_reason(answer, finish_reason, keep_first, language):
    read = dr.read_answer(answer, finish_reason, keep_first)
    if isinstance(read, str):
        assert read.encode().decode() == read
        read = dr.check_paragraph(read, dr.Limits(1, 2.0, 0.5), language, word_count=50, before=said(answer))
    assert read is None or read.reason


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("The boats came in before the storm, and the har", "cut_off"),
        ("The boats <|im_end|> came in before the storm.", "control_token"),
        ("<think>The boats.</think> They came in before the storm.", "reasoning_text"),
        ("The boats came in.\n\nHere is the next paragraph of the text: They left.", "meta_talk"),
        ("The boats came in before the storm.", None),
    ],
)
def test_a_paragraph_with_marks_of_its_model_or_cut_in_mid_sentence_is_requested_again(paragraph, reason):
    assert reason_of(paragraph, word_count=9) == reason


FRENCH = (
    "Le vieux facteur connaissait chaque maison de la vallée. Il savait qui attendait une lettre et qui avait peur"
    " d'en recevoir. Pendant quarante ans, il avait marché par tous les temps, sans jamais perdre un seul paquet."
)
RUSSIAN = (
    "Дружба редко начинается с громких слов. Чаще всего люди просто оказываются рядом в трудную минуту и замечают, "
    "что вместе им легче. Настоящий друг всегда готов выслушать и сказать правду."
)


@pytest.mark.parametrize(
    ("paragraph", "instruction", "reason"),
    [
        (FRENCH, "Write a story about a postman.", "wrong_language"),
        (RUSSIAN, "Write an essay about friendship.", "wrong_language"),
        (f"{prose(60)}\n\n{FRENCH}", "Write a story about a postman.", "wrong_language"),
        (FRENCH, "Write a story about a postman, in French.", None),
        (FRENCH, "Écris une histoire sur un vieux facteur de la vallée.", None),
        (prose(60), "Write a story about a postman.", None),
    ],
)
def test_a_paragraph_in_a_language_that_nobody_asked_for_is_requested_again(paragraph, instruction, reason):
    limits = dr.Limits(20, None, 1.0)
    refused = dr.check_paragraph(
        paragraph, limits, "en", word_count=None, before=said(), instruction=instruction
    )
    assert (refused and refused.reason) == reason
    whole = dr.check_whole(paragraph, limits, "en", instruction)
    assert (whole and whole.reason) == reason
