import pytest

from longwriter.fitness import copies
from longwriter.fitness.copies import KINDS
from tests.unit.builders import example

SECTIONS = [f"Section {number} says this." for number in range(1, 7)]
LINE = "Written for the readers of this page."


def test_the_copies_of_a_text_are_worse_for_a_known_reason():
    found = copies.original("Write six sections.", "\n\n".join(SECTIONS), "en")
    assert found.instruction == f"Write six sections.\n\nThe last line of the text must be: {LINE}"
    assert found.text.split("\n\n") == [*SECTIONS, LINE]
    assert tuple(found.copies) == KINDS
    changed = {kind: text.split("\n\n") for kind, text in found.copies.items()}
    assert changed["deleted"] == [*SECTIONS[:2], *SECTIONS[4:], LINE]
    assert changed["repeated"] == [*SECTIONS[:4], *SECTIONS[2:4], *SECTIONS[2:4], *SECTIONS[4:], LINE]
    assert changed["requirement dropped"] == SECTIONS
    assert changed["truncated"] == SECTIONS[:3]  # the first half
    assert changed["shuffled"] != found.text.split("\n\n")
    assert sorted(changed["shuffled"]) == sorted([*SECTIONS, LINE])
    assert changed["shuffled"][-1] == LINE


def test_the_copies_are_the_same_each_time():
    text = "\n\n".join(SECTIONS)
    assert copies.original("Write.", text, "en") == copies.original("Write.", text, "en")


def test_a_chinese_text_gets_a_chinese_requirement():
    found = copies.original("写一篇短文。", "一。\n二。\n三。", "zh")
    assert found.instruction.endswith("全文最后一行必须是：谨以此文献给各位读者。")
    assert found.text == "一。\n\n二。\n\n三。\n\n谨以此文献给各位读者。"


@pytest.mark.parametrize(
    ("text", "number"),
    [("One.\n\nTwo.\n\nThree.", 3), ("One.\nTwo.\nThree.\n", 3), ("One.\n\nTwo.", 2), ("", 0)],
)
def test_sections_are_paragraphs_or_lines(text, number):
    assert len(copies.sections(text)) == number


def test_originals_are_long_texts_with_three_sections_by_their_ids():
    three = "One.\n\nTwo.\n\nThree."
    rows = [
        example("c", answer=three), example("b", answer="One."), example("a", answer=three),
        example("0", answer=three, kind="general"), example("d", answer=three),
    ]  # fmt: skip
    found = copies.originals(rows, 2)
    assert [original.instruction.partition("\n")[0] for original in found] == [
        "Write about 150 words on a.", "Write about 150 words on c.",
    ]  # fmt: skip
