import hashlib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from longwriter.talk import poison, talk_model
from longwriter.talk.task_talk import talking_sentence

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "sentence",
    [
        "The next lines of your story could describe the kitchen.",
        "I want you to write 60 words about the harbour in simple prose.",
        "我把结尾写得含蓄一点，您觉得合适吗？",
    ],
)
def test_a_sentence_that_no_rule_knows_is_talk_in_the_middle_of_a_text(sentence):
    story = "The harbour was quiet that morning. Two men mended a net on the wall. "
    assert talking_sentence(sentence) is None
    assert poison.meta_talk(story * 5 + sentence + " " + story * 5)
    assert poison.meta_talk(story * 10) is None


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("I would like you to have my father's watch.", "Write a letter to a grandson"),
        ("The final paragraph of the novel could have been shorter.", "Write a review of a novel"),
        ("“Write it again,” said the editor, “and this time in two hundred words.”", ""),
        ("An assistant in the shop asked what I wanted, and I said a kettle.", ""),
        ("老师说，作文不写满八百字就不能回家。", ""),
    ],
)
def test_a_text_that_speaks_of_texts_for_itself_is_no_talk(text, instruction):
    assert poison.talking_paragraph(text, instruction) is None


def test_a_whole_text_is_judged_as_its_paragraphs_were():
    paragraphs = ["The net was mended by noon, and nobody spoke of the storm. " * 6] * 8
    talk = "The next lines of your story could describe the kitchen."
    for place in (0, 3, 8):
        written = [*paragraphs[:place], f"{paragraphs[0]}{talk}", *paragraphs[place:]]
        assert [poison.talking_paragraph(part) is not None for part in written].count(True) == 1
        assert poison.talking_paragraph("\n\n".join(written))
    assert poison.talking_paragraph("\n\n".join(paragraphs)) is None


def test_a_text_that_is_speech_has_no_sentence_to_read():
    assert talk_model.parts("“I wrote this paragraph for you. Shall I go on?”") == []


def test_at_most_the_ends_of_a_long_text_are_read():
    read = talk_model.parts("The lamp was lit. The tide came in and went out again. " * 5000)
    assert sum(map(len, read)) <= 2 * talk_model.READ


@given(st.text(max_size=80))
@settings(max_examples=20, deadline=None)
def test_any_text_has_the_same_verdict_twice(text):
    sentence = talk_model.talking_part(text)
    talk_model.talk_score.cache_clear()
    assert talk_model.talking_part(text) == sentence


def test_the_weights_name_the_rows_that_they_were_trained_on():
    names = (
        "refusal_meta_examples.jsonl",
        "small_model_talk.jsonl",
        "talk_examples.jsonl",
        "plain_texts.jsonl",
    )
    rows = b"".join((ROOT / "tests/golden" / name).read_bytes() for name in names)
    weights = files("longwriter.talk").joinpath("talk.safetensors")
    with safe_open(str(weights), "numpy") as opened:
        assert opened.metadata()["training_rows_sha256"] == hashlib.sha256(rows).hexdigest()


@pytest.mark.parametrize(
    "text", ["段落是一种承诺：第一句说出来的，后面的句子要做到。", "标题就像一扇门：门上写的，屋里要有。"]
)
def test_what_a_paragraph_is_in_general_is_no_talk(text):
    assert poison.meta_talk(text, "写一篇谈写作的散文。") is None
    assert poison.meta_talk(text) is None


def test_what_this_paragraph_is_remains_talk():
    assert poison.meta_talk("这个段落是一种承诺，主要写主人公的内心。")
