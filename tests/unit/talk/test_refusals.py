import hashlib
import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from longwriter.talk.refusals import LONGEST_READ, is_refusal, refused_by_rules
from longwriter.talk.task_talk import talking_sentence

ROOT = Path(__file__).parents[3]
BENCH = importlib.util.spec_from_file_location("refusal_rules", ROOT / "infra/bench/refusal_rules.py")
bench = importlib.util.module_from_spec(BENCH)
BENCH.loader.exec_module(bench)


@pytest.mark.parametrize(
    ("half", "question", "precision", "recall"),
    [
        ("tuned", "refusal", 0.97, 0.97),
        ("tuned", "meta", 0.97, 0.97),
        ("untouched", "refusal", 0.94, 0.95),  # the aim is 0.97
        ("untouched", "meta", 0.95, 0.90),  # the aim is 0.97
    ],
)
def test_rules_and_models_are_as_good_as_measured(half, question, precision, recall):
    rows = bench.read(ROOT / f"tests/golden/refusal_meta_{half}.jsonl")
    counts = bench.measure([row for row in rows if row["question"] == question])
    assert counts.precision >= precision, counts
    assert counts.recall >= recall, counts


@pytest.mark.parametrize(
    "answer",
    [
        "Apologies, but creating a phishing email is against the rules I follow.",
        "This is not something I can help with.",
        "I am sorry for any inconvenience, but as a user and a customer support AI I cannot provide personal editing "
        "services. My primary purpose is to assist users with their digital needs.",
        "As a friendly writing chatbot, I don't have opinions on roommates.",
        "Nope. I don't write hate speech.",
        "I notice that you forgot to paste the chapter. Please send it again.",
        "您说的附件我没有收到，麻烦您重新上传。",
        "恕我不能从命，这类造谣的文章我不写。",
        "I am only here to answer questions about spreadsheets.",
        "我只能回答与课程有关的问题。",
        "I don't have enough words for your essay, so I cannot write it.",
        "I'm sorry, but I can't assist with that request. Alone, the hollow doctor admires the painter.",
        "I cannot fulfill this request. The harbour was quiet, and the boats lay on the sand.",
        "抱歉，我无法满足这个请求。港口很安静，船都停在沙滩上。",
    ],
)
def test_an_answer_that_declines_or_asks_instead_of_writing_is_a_refusal(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        ("I can't remember a summer without the smell of cut grass and diesel.", ""),
        ("Dear Ms Okafor,\nI apologise for the late reply.", ""),
        ("As a nurse who works beside an AI, I cannot sleep. The machine never tires, and I do.", ""),
        ("As a child I could not pass the bridge without counting its stones.", ""),
        (
            "I can't help you with that, the doctor said, and closed his bag. The rain went on.",
            "Write a story.",
        ),
        ("I won't do it, my brother said. He put down the oars.", ""),
        ("I must decline, wrote the captain. He sealed the letter.", "Write a sea story."),
        ("I can't do it, I told my father. I can't write your memoir.", "Write a story."),
        ("I cannot write this, Anna said to the editor. She packed her bag.", ""),
        (
            "I don't have enough words for the light on that lake. It was green at dawn.",
            "Write a travel essay.",
        ),
        ("超出能力的事，老人从来不答应。", ""),
        ("I don't have enough words for this.", "Write an essay about a summer at a lake."),
        ("I don't have enough words to describe the view.", ""),
        ("我没有足够的词语来形容那片湖。", "写一篇散文"),
        ("对不起，这件事我帮不上忙，老人说完就关了门。", ""),
        ("请提供身份证复印件一份，并填写申请表。", "写一份办事须知"),
        ("稿件未能采用，请您谅解。", "写一封退稿信"),
        ("I'm sorry, but I can't accept your offer.", "Write a letter turning down a job offer."),
        (
            "I can't promise that this will be short, but here is how we lost the farm.\n\nIn spring it rained.",
            "",
        ),
        ("很遗憾，由于台风影响，本次演出取消，门票将在七日内退还。", ""),
        ("对不起，妈妈，我又一次把您的生日忘了。", "写一封给妈妈的道歉信"),
        ("In HTML, a paragraph is written as <p>text</p>, and a heading as <h1>title</h1>.", "Write a text."),
        ("To break a line in HTML, use <br>; to begin a paragraph, use <p>.", ""),
        ("The <p> tag marks a paragraph, and browsers put a blank line before it.", ""),
        ("Could you please send me the file when you have a moment?", "Make this polite: send me the file"),
    ],
)
def test_a_text_that_apologises_or_cannot_is_no_refusal(answer, instruction):
    assert not is_refusal(answer, instruction)


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        ("Whose farewell is it, and how well did you know each other?", "Write a farewell speech."),
        (
            "This novel would take more room than I am given. Chapter one, perhaps?",
            "Write a 60,000-word novel.",
        ),
        ("我对您的学校一无所知，先发些资料来吧。", "写一篇校庆致辞"),
    ],
)
def test_the_models_find_a_refusal_that_no_rule_knows(answer, instruction):
    assert not refused_by_rules(answer, instruction)
    assert is_refusal(answer, instruction)


def test_the_models_overrule_the_rules_for_a_text_that_a_person_speaks():
    text = "I'm afraid I can't help you write the song. You asked for a drummer, and I am one."
    instruction = "Write a comic monologue of a drummer."
    assert refused_by_rules(text, instruction)
    assert not is_refusal(text, instruction)


def test_a_long_text_is_left_to_the_rules():
    answer, instruction = "我对您的学校一无所知，先发些资料来吧。", "写一篇校庆致辞"
    assert not is_refusal(answer + "老师的灯亮到天明。" * (LONGEST_READ // 9), instruction)


BRIDGE = "Write a report about an old stone bridge that has reopened after long repairs."


def test_models_that_find_no_refusal_overrule_the_rules_in_a_long_text_too():
    opening = (
        "The old stone bridge that has stood for so many years tore its way through the landscape and was now filled in "
        "with a blend of natural materials like reclaimed wood, providing an alternative solution for those who could "
        "not build on their own feet but still needed something new. It is said that this newly renovated bridge can "
        "be built using only what you need from your daily lives without having to construct anything yourself."
    )
    text = "\n\n".join(
        [opening, *["The bridge has been restored by craftsmen of the town, and people cross it again."] * 8]
    )
    assert len(text) > LONGEST_READ
    assert refused_by_rules(text, BRIDGE)
    assert not is_refusal(text, BRIDGE)


def test_the_weights_name_the_rows_that_they_were_trained_on():
    names = ("refusal_meta_examples.jsonl", "refusal_meta_tuned.jsonl", "plain_texts.jsonl")
    rows = b"".join((ROOT / "tests/golden" / name).read_bytes() for name in names)
    weights = files("longwriter.talk").joinpath("refusals.safetensors")
    with safe_open(str(weights), "numpy") as opened:
        assert opened.metadata()["training_rows_sha256"] == hashlib.sha256(rows).hexdigest()


@given(st.text(max_size=80), st.text(max_size=20))
@settings(max_examples=20, deadline=None)
def test_any_text_has_a_verdict_that_stays_the_same(text, instruction):
    verdict = is_refusal(text, instruction)
    is_refusal.cache_clear()
    assert is_refusal(text, instruction) is verdict


def test_half_a_character_is_read_as_a_question_mark():
    assert is_refusal("I'm sorry, but I can't write this \ud800 essay.")


@pytest.mark.parametrize(
    "passage",
    [
        "Here are a few sentences you could use for your introduction:",
        "I kept the tone friendly and removed the jargon, as you requested.",
        "This paragraph will explore how the tides shape the coast.",
        "Paragraph 3: Discuss the role of the church in village life. Aim for 200 words.",
        "The sea was calm. Shall I write the ending as well?",
        "希望这个结尾能满足您的期待。",
        "以上就是第二部分的内容，下一部分将介绍建筑特色。",
        "用户要求写一封投诉信，所以开头要说明情况。",
    ],
)
def test_a_sentence_about_the_task_is_talk(passage):
    assert talking_sentence(passage)


@pytest.mark.parametrize(
    ("passage", "instruction"),
    [
        ("The first paragraph of the treaty names the two rivers as the border.", ""),
        ("Here is a photograph of my grandmother in 1931, holding a goose.", ""),
        ("I rewrote the ending eleven times, and the eleventh was the first one again.", ""),
        ("Please let me know your thoughts on the schedule.", "Write an email to a colleague"),
        ("接下来的三天，雨一直没有停。", ""),
        ("如果您需要帮助，请拨打服务热线。", ""),
    ],
)
def test_a_text_that_uses_such_words_for_itself_is_no_talk(passage, instruction):
    assert talking_sentence(passage, instruction) is None


@pytest.mark.parametrize(
    "text",
    [
        "我不会写信，只会寄照片。",
        "我不会写诗，只会种地。",
        "我从来不会写字，只会画画。",
        "我不会写小说，我只会讲故事。",
        "我不会写信，只会寄照片。每年冬天，母亲的信箱里都有一张新的。",
    ],
)
def test_a_person_who_cannot_write_and_does_something_else_refuses_nothing(text):
    assert not is_refusal(text, "写一个关于父子的故事。")


@pytest.mark.parametrize(
    "text",
    [
        "我不会写文章，只能提供大纲。",
        "我不会写小说，只会写摘要。",
        "我不会写这封信。",
        "我不会写这类内容，只会讲道理。",
        "我不会写信，只会提供建议。",
        "我不会写诗，只会种地。抱歉，我无法完成您的请求。",
    ],
)
def test_an_assistant_that_offers_something_else_refuses(text):
    assert is_refusal(text, "写一封信。")
