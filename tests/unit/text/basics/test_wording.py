import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.talk.refusals import is_refusal
from longwriter.text.basics import counting as text
from longwriter.text.basics import wording


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I do not",
        "抱歉，我无法写",
        "作为AI，",
    ],
)
def test_a_refusal_is_seen(answer):
    assert is_refusal(answer)


def test_an_apology_late_in_a_story_is_no_refusal():
    assert not is_refusal("The door closed behind her. " * 10 + '"I am sorry," he said.')


@pytest.mark.parametrize(
    ("paragraph", "clean"),
    [
        ("Paragraph 3: The sea", "The sea"),
        ("**Paragraph 1 -** The sea", "The sea"),
        ("Step two. The sea", "The sea"),
        ("第三段：大海", "大海"),
        ("### Paragraph 2 ###\nThe sea", "The sea"),
        ("(Part 3) The sea", "The sea"),
        ("Paragraph 1: Step 2: The sea", "The sea"),
        ("Step two. “Go,” he said.", "“Go,” he said."),
        ("【第三段】大海", "大海"),
        ("第一部分 大海", "大海"),
        ("Part of the sea", "Part of the sea"),
        ("Section 5.2 of the act", "Section 5.2 of the act"),
        ("Part 2-3 of the sea", "Part 2-3 of the sea"),
        ("Paragraphs are long", "Paragraphs are long"),
    ],
)
def test_identifiers_go_and_prose_stays(paragraph, clean):
    assert wording.strip_identifier(paragraph) == clean


@pytest.mark.parametrize(
    "answer",
    [
        "I’m unable to",
        "I am sorry, but",
        "I cannot provide it",
        "I can’t assist",
        "I won't write that",
        "I apologise",
        "As an AI assistant",
        "对不起，我不能",
        "很遗憾，这个要求无法",
        "作为一个人工智能",
    ],
)
def test_a_refusal_is_seen_in_other_words(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "prose", ["", "I cannot sing", "A sorry sight", "AI can help.", "人工智能很快。", "他不能走。"]
)
def test_prose_is_no_refusal(prose):
    assert not is_refusal(prose)


def test_a_refusal_counts_where_an_answer_opens():
    refusal = "I cannot write this essay for you."
    assert is_refusal(f"You ask for an essay on glue. {refusal}")
    assert not is_refusal("The door closed behind her. " * 5 + refusal)


@pytest.mark.parametrize(
    "story",
    [
        "Tom shut the door. “I'm sorry I am late,” he said.",
        '"I am sorry," he said.',
        "‘I’m sorry,’ he said. ‘It’s late.’",
        "'I'm sorry,' he said. 'It's late.'",
        "「对不起，我不能去。」他说。",
    ],
)
def test_an_apology_spoken_in_a_story_is_no_refusal(story):
    assert not is_refusal(story)


@pytest.mark.parametrize(
    "answer",
    [
        '"I\'m sorry, but I can\'t."', "“I cannot help.”", "'I'm sorry, it's no use.'",
        "“Sure.” I'm sorry", '"I\'m sorry',
    ],
)  # fmt: skip
def test_a_refusal_is_none_the_less_one_for_quotation_marks_around_it_or_before_it(answer):
    assert is_refusal(answer)


def test_sympathy_is_no_refusal_but_may_stand_before_one():
    assert not is_refusal("I'm sorry to hear that. What happened?")
    assert is_refusal("I'm sorry to hear that, but I cannot help.")
    assert is_refusal("I'm sorry to say so.")


UNITS = ["- ", "9", "9 -", "ten ", " ", "'word ", "“a", "「", "Step 1: ", "#", "\n"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", ["", "Step 1", "Step 1:", "9"])
def test_no_long_text_takes_long(start):
    for unit in UNITS:
        long = start + unit * 20_000
        is_refusal(long)
        wording.strip_identifier(long)
        wording.strip_identifiers(long)
        wording.strip_identifiers("a\n\n" + long)


@pytest.mark.parametrize(
    "prose",
    ["Step one is to breathe.", "Section 5 of the act says so.", "第一步是准备。", "第一节课上，老师来了。"],
)
def test_prose_that_begins_like_an_identifier_stays_whole(prose):
    assert wording.strip_identifier(prose) == prose


def test_space_before_a_paragraph_goes_with_or_without_an_identifier():
    assert wording.strip_identifier("  The sea") == "The sea"
    assert wording.strip_identifier("\n 第三段： 大海") == "大海"


@pytest.mark.parametrize(
    ("section", "clean"),
    [
        ("Step 1: Gather\n\nTake tea.", "Gather\n\nTake tea."),
        ("Tea.\n\n### Step 1: Gather\n\nTake it.", "Tea.\n\n### Step 1: Gather\n\nTake it."),
        ("Tea.\n\nPart One: Leaves", "Tea.\n\nPart One: Leaves"),
        ("Tea.\n\n**Paragraph 3:** Leaves", "Tea.\n\nLeaves"),
        ("Tea.\n \nParagraph 3\n\nLeaves", "Tea.\n \nLeaves"),
        ("Tea.\nParagraph 3: Leaves", "Tea.\nParagraph 3: Leaves"),
        ("茶。\n\n第三段：大海", "茶。\n\n大海"),
        ("茶。\n\n第三步：大海", "茶。\n\n第三步：大海"),
        ("Tea.\n\nParagraph 3:", "Tea."),
        ("Paragraph 1:\n\nParagraph 2: Tea", "Tea"),
    ],
)
def test_inside_a_section_only_paragraphs_lose_their_identifiers(section, clean):
    assert wording.strip_identifiers(section) == clean


PIECES = [
    "Paragraph 1",
    "Step two",
    "第三段",
    "第一步",
    ":",
    "：",
    " -",
    ".",
    "\n",
    "\n\n",
    "#",
    "**",
    "(",
    " ",
    "tea",
    "大海",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), max_size=4))
def test_sections_that_were_stripped_stay_so_when_they_are_joined(sections):
    stripped = [wording.strip_identifiers(text.normalise(section)) for section in sections]
    joined = "\n\n".join(stripped)
    assert wording.strip_identifiers(joined) == joined.strip()


@pytest.mark.parametrize(
    ("written", "silent"),
    [
        ("He said “no” twice.", "He said      twice."),
        ("他说「不」。", "他说   。"),
        ("“All of it.”", "“All of it.”"),
        ("", ""),
    ],
)
def test_speech_becomes_blanks_unless_the_whole_text_is_speech(written, silent):
    assert wording.unspoken(written) == silent
