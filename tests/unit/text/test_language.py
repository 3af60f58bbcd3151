import json
from pathlib import Path

import pytest

from longwriter.text.basics.counting import language_of
from longwriter.text.language import UNKNOWN, identify, other_language


def golden(name):
    return [json.loads(line) for line in Path("tests/golden", name).read_text(encoding="utf-8").splitlines()]


ROWS, MIXED = golden("languages.jsonl"), golden("languages_mixed.jsonl")
FRENCH = (
    "Le vieux facteur connaissait chaque maison de la vallée. Il savait qui attendait une lettre et qui avait peur"
    " d'en recevoir. Pendant quarante ans, il avait marché par tous les temps, sans jamais perdre un seul paquet."
)
POLISH = (
    "Stary listonosz znał każdy dom w dolinie. Wiedział, kto czeka na list, a kto boi się go dostać. Przez czterdzieści lat"
    " chodził w każdą pogodę i nigdy nie zgubił ani jednej paczki, choć droga była stroma."
)
ENGLISH = "The old postman knew each house in the valley, and who waited for a letter there. " * 4


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("Write a story about a boy who finds a key.", "en"),
        ("Translate 你好 into English and tell me where the phrase comes from.", "en"),
        ("写一个故事", "zh"),
        ("寫一篇關於台灣的文章", "zh"),
        ("基于OpenStack和Ceph的存储集群的搭建，写5000字", "zh"),
        ("短い物語を書いてください。猫の話です。", "ja"),
        ("짧은 이야기를 써 주세요", "ko"),
        ("Escribe una historia de 500 palabras sobre un faro.", "es"),
        ("Écris un poème sur l'hiver et la neige", "fr"),
        ("Напиши рассказ о реке", "ru"),
        ("", UNKNOWN),
        ("12345 !!", UNKNOWN),
        ("🌊🌊", UNKNOWN),
    ],
)
def test_the_language_of_a_prompt(prompt, code):
    assert identify(prompt) == code


@pytest.mark.parametrize("noise", ["\x00", "\x01\x02", "\ufffe", "\u200b", "\x7f"])
def test_invisible_characters_do_not_matter(noise):
    assert identify(f"Write a story{noise} about a boy who finds a key.") == "en"


def test_the_language_of_ten_megabytes_is_that_of_their_beginning():
    assert identify("Write a story about the sea. " * 350_000) == "en"


@pytest.mark.parametrize(
    ("rows", "split", "size", "positives"),
    [
        (ROWS, "tuned", 40, 20),
        (ROWS, "untouched", 40, 20),
        (MIXED, "tuned", 31, 12),
        (MIXED, "untouched", 35, 16),
    ],
)
def test_of_the_labelled_texts_nearly_all_in_a_language_that_nobody_asked_for_are_told(
    rows, split, size, positives
):
    labels, answers = [], []
    for row in rows:
        if row["split"] == split:
            labels.append(row["label"])
            asked = row["instruction"]
            answers.append(other_language(row["text"], language_of(asked), asked) is not None)
    assert (len(labels), sum(labels)) == (size, positives)
    right = sum(label and answer for label, answer in zip(labels, answers, strict=True))
    assert right / sum(labels) >= 0.95
    assert right / sum(answers) >= 0.95


def test_the_halves_of_the_labelled_paragraphs_share_no_text():
    rows = [*ROWS, *MIXED]
    assert len({(row["instruction"], row["text"]) for row in rows}) == len({row["id"] for row in rows}) == 146


@pytest.mark.parametrize(
    ("text", "instruction", "told"),
    [
        (FRENCH, "Write a story.", ("French", FRENCH)),
        (FRENCH, "", ("French", FRENCH)),
        (FRENCH, "写一个故事", ("French", FRENCH)),
        (f"{ENGLISH}\n\n{FRENCH}\n\n{ENGLISH}", "Write a story.", ("French", FRENCH)),
        (FRENCH[:100], "Write a story.", None),
        (ENGLISH + FRENCH[:150], "Write a story.", None),
        (ENGLISH + FRENCH, "Write a story of a French postman.", None),
        (ENGLISH + FRENCH, "Translate the story of the old postman.", None),
        (FRENCH, "Write a story of a Russian postman.", ("French", FRENCH)),
        (FRENCH, "写一篇关于学习英语的文章", ("French", FRENCH)),
        (f"“{FRENCH}” {ENGLISH}", "Write a story.", None),
        (f"{ENGLISH} «{FRENCH}»", "Write a story.", None),
        (f"{ENGLISH} *{FRENCH}* {ENGLISH}", "Write a story.", None),
        (f"{ENGLISH}\n\n> {FRENCH}", "Write a story.", None),
        (FRENCH, "Write a story in French.", None),
        (FRENCH, "Translate the story of the old postman.", None),
        (FRENCH, "Écris une histoire sur un vieux facteur de la vallée.", None),
        (FRENCH, f"Continue this story: {FRENCH}", None),
        (FRENCH, "用法语写一个故事", None),
        (ENGLISH, "Write a story.", None),
        (ENGLISH, "写一个故事", ("English", ENGLISH)),
        (ENGLISH, "写一个故事，然后翻译成英文", None),
        ("", "", None),
    ],
)
def test_a_paragraph_is_told_only_if_nobody_asked_for_its_language(text, instruction, told):
    assert other_language(text, language_of(instruction), instruction) == told


def test_a_text_of_short_paragraphs_is_told_as_a_whole():
    text = "\n\n".join(sentence.strip() for sentence in FRENCH.split(".") if sentence)
    assert other_language(text, "en", "Write a story.") == ("French", text)


def test_to_polish_a_text_asks_for_no_other_language():
    assert other_language(POLISH, "en", "Write a story and polish it.") is not None
    assert other_language(POLISH, "en", "Write a story in polish.") is None


@pytest.mark.parametrize("text", [ENGLISH + FRENCH, FRENCH + ENGLISH, ENGLISH + FRENCH + ENGLISH])
def test_a_part_of_a_paragraph_in_another_language_is_told_with_its_sentences(text):
    name, part = other_language(text, "en", "Write a story.")
    assert name == "French"
    assert "Il savait qui attendait une lettre" in part
    assert "knew each house" not in part


def test_a_language_like_the_named_one_may_be_the_named_one():
    danish = (
        "Den gamle postmand kendte hvert hus i dalen. Han vidste, hvem der ventede på et brev, og hvem der var bange for at"
        " få et. I fyrre år havde han gået i al slags vejr uden nogensinde at miste en eneste pakke."
    )
    assert other_language(danish, "en", "Write a story in Norwegian.") is None
    assert other_language(danish, "en", "Write a story in Italian.") == ("Danish", danish)


@pytest.mark.parametrize("place", [0, 60, -1])
def test_a_lone_surrogate_does_not_stop_the_check(place):
    text = " ".join(["Le gardien de ce vieux phare regarde la mer, et il attend le retour des bateaux."] * 5)
    broken = f"{text[:place]}\ud800{text[place:]}"
    assert other_language(broken, "en", "Write a story.") == ("French", broken)
    assert identify("\ud800") == UNKNOWN
