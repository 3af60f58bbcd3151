import importlib.util
from pathlib import Path

import pytest

from longwriter.text.talk.refusals import is_refusal
from longwriter.text.talk.task_talk import talking_sentence

ROOT = Path(__file__).parents[4]
BENCH = importlib.util.spec_from_file_location("refusal_rules", ROOT / "infra/bench/refusal_rules.py")
bench = importlib.util.module_from_spec(BENCH)
BENCH.loader.exec_module(bench)


@pytest.mark.parametrize(
    ("half", "question", "precision", "recall"),
    [
        ("tuned", "refusal", 0.97, 0.97),
        ("tuned", "meta", 0.97, 0.97),
        ("untouched", "refusal", 0.87, 0.77),  # the aim is 0.97; the rules do not reach it yet
        ("untouched", "meta", 0.97, 0.69),
    ],
)
def test_the_rules_are_as_good_as_measured(half, question, precision, recall):
    rows = bench.read(ROOT / f"tests/golden/refusal_meta_{half}.jsonl")
    counts = bench.measure([row for row in rows if row["question"] == question])
    assert counts.precision >= precision, counts
    assert counts.recall >= recall, counts


@pytest.mark.parametrize(
    "answer",
    [
        "Apologies, but creating a phishing email is against the rules I follow.",
        "This is not something I can help with.",
        "Nope. I don't write hate speech.",
        "I notice that you forgot to paste the chapter. Please send it again.",
        "您说的附件我没有收到，麻烦您重新上传。",
        "恕我不能从命，这类造谣的文章我不写。",
    ],
)
def test_an_answer_that_declines_or_asks_instead_of_writing_is_a_refusal(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        ("I can't remember a summer without the smell of cut grass and diesel.", ""),
        ("Dear Ms Okafor,\nI apologise for the late reply.", ""),
        ("I'm sorry, but I can't accept your offer.", "Write a letter turning down a job offer."),
        (
            "I can't promise that this will be short, but here is how we lost the farm.\n\nIn spring it rained.",
            "",
        ),
        ("很遗憾，由于台风影响，本次演出取消，门票将在七日内退还。", ""),
        ("对不起，妈妈，我又一次把您的生日忘了。", "写一封给妈妈的道歉信"),
        ("Could you please send me the file when you have a moment?", "Make this polite: send me the file"),
    ],
)
def test_a_text_that_apologises_or_cannot_is_no_refusal(answer, instruction):
    assert not is_refusal(answer, instruction)


@pytest.mark.parametrize(
    "passage",
    [
        "Here are a few sentences you could use for your introduction:",
        "I kept the tone friendly and removed the jargon, as you requested.",
        "This paragraph will explore how the tides shape the coast.",
        "Paragraph 3: Discuss the role of the church in village life. Aim for 200 words.",
        "The sea was calm. Shall I write the ending as well?",
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
