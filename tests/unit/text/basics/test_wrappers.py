import json

import pytest

from longwriter.text.basics import wrappers

TIDE = "The tide came in over the sand at six and left at ten."


@pytest.mark.parametrize(
    "text",
    [
        "<answer> is a tag that a template may ask for.",
        "<p>The tide.</p>\n<p>The sand.</p>\n<ul><li>A shell</li></ul>",
        "A paragraph of HTML is <p>The tide.</p>, another <p>The sand.</p>",
        "<section><h2>Tides</h2></section>",
        "<p>The tide.",
        "It ends with <answer>The tide.</answer> and <answer>",
        "The letter said <i>come home</i>, and Maria came.",
        "Every reply ends with the same tag: </answer>",
    ],
)
def test_tags_of_a_text_stay(text):
    assert wrappers.without_wrapper(text, has_thinking=False) == text


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("<answer>\nThe tide.\n</answer>", "\nThe tide.\n"),
        ("<output>The tide.</output>\n", "The tide."),
        ("<assistant>The tide.</assistant>", "The tide."),
        ("<paragraph>\nThe tide.\n</paragraph>\n", "\nThe tide.\n"),
        ("<Answer lang='en'>The tide.</ANSWER>", "The tide."),
        ("< answer >The tide.</ answer >", "The tide."),
        ("<story>The tide.</story>", "The tide."),
        ("<p>The tide.</p>", "The tide."),
        ("<antArtifact identifier='a'>\nThe tide.\n</antArtifact>", "\nThe tide.\n"),
        ("<答案>潮水。</答案>", "潮水。"),
        ("【正文】\n潮水。", "潮水。"),
        ("[ANSWER]The tide.[/ANSWER]", "The tide."),
        ("<answer>The tide.", "The tide."),
        ("The tide.</answer>", "The tide."),
    ],
)
def test_tags_around_a_whole_answer_go_also_without_their_partner(text, bare):
    assert wrappers.without_wrapper(text, has_thinking=False) == bare
    assert wrappers.without_wrapper(text).strip() in ("The tide.", "潮水。")


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"text": TIDE}),
        json.dumps({"role": "assistant", "content": TIDE}),
        json.dumps({"Paragraph": TIDE, "word_count": 12}),
        json.dumps({"title": "Tides", "text": TIDE}),
        json.dumps(
            {
                "title": "Tides",
                "summary": "What the sea does on a day in May, and why",
                "story": {"text": TIDE},
            }
        ),
        json.dumps({"paragraphs": [{"paragraph": 1, "text": TIDE}]}),
        json.dumps({"paragraph_1": TIDE}),
        json.dumps([TIDE]),
        f"Here is the JSON:\n{json.dumps({'text': TIDE})}",
        f"text: |\n  {TIDE}",
        f"```yaml\ntitle: Tides\ntext: >-\n  {TIDE}\n```",
        f"title: Tides\ntext: {TIDE}",
        f"---\ntitle: Tides\nauthor: Ann\n---\n\n{TIDE}",
        f"---\n{TIDE}",
        f"<!DOCTYPE html>\n<html lang='en'>\n<head><title>Tides</title></head>\n<body>\n<p>{TIDE}</p>\n</body>\n</html>",
        f"```html\n<html><body><p>{TIDE}</p></body></html>\n```",
        f"<response><text>{TIDE}</text></response>",
        f"channel: final\n{TIDE}",
        f"final\n{TIDE}",
        f"[final]\n{TIDE}",
        f"```json\n{json.dumps({'response': TIDE})}\n```",
        f"```\n{TIDE}\n```",
        f"```markdown\n{TIDE}\n```\n",
        f"~~~text\n{TIDE}\n~~~",
        f'"""\n{TIDE}\n"""',
        f"```\n{TIDE}",
        f"{TIDE}\n```",
    ],
)
def test_a_text_in_json_or_in_a_fence_comes_out(answer):
    assert wrappers.without_wrapper(answer, has_thinking=False) == TIDE


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"name": "Ann", "age": 3}),
        json.dumps({"analysis": TIDE, "better": "first"}),
        json.dumps({"answer": "B"}),
        json.dumps({"steps": [{"main_point": TIDE, "word_count": 100}]}),
        "```python\nprint('The tide.')\n```",
        "```\nls\n```\nIt lists files.\n```\nls -l\n```",
        "```\npip install tide\n```",
        '{"text": "' * 50,
        json.dumps(["Go.", "Stay."]),
        json.dumps({"paragraphs": [{"main_point": TIDE, "word_count": 100}]}),
        f"<html><head><style>p {{}}</style></head><body><p>{TIDE}</p></body></html>",
        f"<html><body><h1>Service Unavailable</h1><p>{TIDE}</p></body></html>",
        "<html> opens the page, and </html> closes it.",
        f"width: 3\ntext: {TIDE}",
        f"{TIDE}\n\n---\n\n{TIDE}",
    ],
)
def test_other_json_and_code_stay(answer):
    assert wrappers.without_wrapper(answer, has_thinking=False) == answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"html": f"<p>{TIDE}</p>"}, TIDE),
        ({"introduction": TIDE, "body": TIDE, "conclusion": "It went."}, f"{TIDE}\n\n{TIDE}\n\nIt went."),
        ({"开头": TIDE, "结尾": "潮水退了。"}, f"{TIDE}\n\n潮水退了。"),
    ],
)
def test_the_parts_of_a_text_in_json_are_joined(answer, text):
    assert wrappers.without_wrapper(json.dumps(answer), has_thinking=False) == text


def test_an_answer_of_paragraphs_of_html_is_their_text():
    answer = '<p>The <em>tide</em> &amp; the sand.</p>\n<p class="b">It left.</p><P>At ten.</P>\n'
    assert (
        wrappers.without_wrapper(answer, has_thinking=False) == "The tide & the sand.\n\nIt left.\n\nAt ten."
    )


def test_settings_whose_names_are_those_of_parts_stay_json():
    settings = json.dumps({"start": "06:00", "end": "22:00"})
    assert wrappers.without_wrapper(settings, has_thinking=False) == settings


def test_an_object_whose_text_is_cut_or_damaged_is_named():
    assert wrappers.is_broken_object('{"text": "The tide came')
    assert wrappers.is_broken_object("{'text': 'The tide.'}")
    assert not wrappers.is_broken_object(json.dumps({"text": TIDE}))
    assert wrappers.is_broken_object(f'["{TIDE}", "By noon')
    assert wrappers.is_broken_object('[{"text": "The tide came')
    assert not wrappers.is_broken_object('{"name": "Ann')


@pytest.mark.parametrize(
    "role",
    [
        "Assistant:", "**Assistant:**", "**Writer:**", "ASSISTANT: ", "### Response:\n", "[Assistant]: ", "**AI**:", "助手：",
        "**AI助手**：", "<assistant>", "Assistant (writer):", "## Assistant\n", "Output:\n", "**Answer:** ",
        "Story: ", "**Story:** ", "Claude: ", "Claude 3.5 Sonnet:\n", "Response:", "DeepSeek-R1: ", "GPT-4o: ", "ChatGPT said:\n",
        "A: ", "**Final Answer**\n\n", "Final Draft:\n", "Essay:\n\n", "## Final answer\n", "故事：", "豆包：",
    ],
)  # fmt: skip
def test_the_name_of_the_model_before_a_text_goes(role):
    assert wrappers.without_role(f"{role} {TIDE}") == TIDE


@pytest.mark.parametrize(
    "text",
    [
        f"Narrator: {TIDE}",
        f"Scene: {TIDE}",
        f"A: {TIDE}\nB: So it goes.",
        f"Model: Rover P4\n\n{TIDE}",
        f"Model: M-52. {TIDE}",
        f"**Bot**: Anna (2019). {TIDE}",
        f"Output: 40 tons of coal. Input: sixty men. {TIDE}",
        f"Text: Ann Berg; Pictures: Jo Lind. {TIDE}",
        f"正文：安娜。插图：李明。{TIDE}",
        f"Writer: {TIDE}\nEditor: I never read it before noon.",
        f"Assistant: {TIDE}\n\n**Mr Hale**: I would rather keep it.",
        f"AI: {TIDE}\n\nCaptain (off): Ten minutes.",
        f"助手：{TIDE}\n医生：好的。",
        f"Assistants: {TIDE}",
        "Answer: B",
        "Answer: what a small word for so large a demand, she thought.",
        "Claude: I never wrote that letter to you, Maria.\nMaria: Your name is on it.",
    ],
)
def test_scenes_and_short_answers_keep_their_names(text):
    assert wrappers.without_role(text) == text


BOXED = "The tide came in over the sand at {six} and left at ten."


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (f"\\boxed{{{BOXED}}}", BOXED),
        (f"$$\\boxed{{\\text{{{BOXED}}}}}$$\n", BOXED),
        (f"\\[\n\\boxed{{{BOXED}}}\n\\]", BOXED),
        ("\\boxed{42}", "\\boxed{42}"),
        (
            "\\boxed{The tide came in over the sand} and {at six}",
            "\\boxed{The tide came in over the sand} and {at six}",
        ),
        (f"It is \\boxed{{{BOXED}}}", f"It is \\boxed{{{BOXED}}}"),
    ],
)
def test_a_text_in_a_box_comes_out_and_a_value_stays(text, bare):
    assert wrappers.without_wrapper(text, has_thinking=False) == bare
