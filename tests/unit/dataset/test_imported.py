"""Rows of other people's data sets, as LongWriter-6k is published."""

import pytest

from longwriter.dataset import examples as dataset
from longwriter.gates.examples import example_table
from longwriter.records import ChatRow, Example, Message, Rejection
from tests.unit.builders import prose
from tests.unit.dataset.test_examples import LIMITS

WORDINGS = {"en": ["Write {words} words."], "zh": ["写{words}字。"]}
HAN = "".join(chr(0x4E00 + i) for i in range(60)) + "。"


def chat(*turns):
    roles = ("user", "assistant") * len(turns)
    return ChatRow(
        messages=[Message(role=role, content=text) for role, text in zip(roles, turns, strict=False)]
    )


def imported(row, languages=("en", "zh"), limits=LIMITS, wordings=WORDINGS):
    return dataset.imported_example("extra/a.jsonl:3", row, languages, limits, wordings)


def test_a_published_row_becomes_a_training_row_that_names_its_line():
    row = imported(chat("Write about tea.", f"{prose(40, 'a')}\n\n\n{prose(40, 'b')}"))
    assert isinstance(row, Example)
    assert (row.kind, row.origin, row.call_ids) == ("imported", "extra/a.jsonl:3", [])
    assert (row.language, row.words, row.required_words) == ("en", 80, 80)
    assert row.messages[0].content == "Write about tea. Write 80 words."
    assert row.messages[1].content == f"{prose(40, 'a')}\n\n{prose(40, 'b')}"


def test_a_length_that_was_stated_is_the_one_that_is_scored():
    strict = LIMITS._replace(min_length_score=80.0)
    assert isinstance(imported(chat("Write 100 words on tea.", prose(90)), limits=strict), Example)
    refused = imported(chat("Write 900 words on tea.", prose(90)), limits=strict)
    assert isinstance(refused, Rejection)
    assert refused.reason == "off_length"


def test_the_language_of_a_row_is_that_of_its_answer():
    row = imported(chat("写茶。", HAN))
    assert (row.language, row.messages[0].content) == ("zh", "写茶。 写60字。")
    refused = imported(chat("写茶。", HAN), languages=["en"])
    assert (refused.reason, refused.row_id) == ("language", "extra/a.jsonl:3")


def test_a_row_whose_answer_is_in_a_language_that_is_not_kept_is_refused():
    french = (
        "Le vieux facteur savait qui attendait une lettre et qui avait peur d'en recevoir. Pendant quarante ans, il "
        "avait marché par tous les temps, et le jour de son dernier tour, il trouva devant chaque porte une enveloppe."
    )
    for prompt in ("Écris un conte sur un vieux facteur.", "Write a tale in French about a postman."):
        refused = imported(chat(prompt, f"{french}\n\n{french.replace('facteur', 'boulanger')}"))
        assert (refused.reason, refused.detail) == ("language", "fr")


def test_a_row_whose_turns_are_out_of_order_is_refused():
    row = ChatRow(messages=[Message(role="user", content="a")] * 2)
    assert (imported(row).reason, imported(row).detail) == ("roles", "user-user")
    system = ChatRow(messages=[Message(role="system", content="a"), Message(role="user", content="b")])
    assert imported(system).reason == "roles"


def test_a_malformed_line_is_refused_with_what_is_wrong():
    refused = imported("messages is missing; allowed: a list")
    assert (refused.reason, refused.detail) == ("malformed", "messages is missing; allowed: a list")


@pytest.mark.parametrize(
    ("answer", "reason"), [("Short.", "too_short"), ("the cat sat on the mat " * 20, "loop")]
)
def test_imported_rows_pass_the_filters_that_drafts_pass(answer, reason):
    assert imported(chat("Write.", answer)).reason == reason


def test_earlier_turns_are_kept_and_the_last_prompt_asks_for_the_length():
    row = imported(chat("Hello.", "Hi.", "Write on tea.", prose(60)))
    assert [message.content for message in row.messages[:3]] == [
        "Hello.",
        "Hi.",
        "Write on tea. Write 60 words.",
    ]


def test_the_second_of_two_rows_with_the_same_messages_is_a_duplicate():
    one = imported(chat("Write.", prose(60)))
    kept, duplicates = dataset.without_duplicates([one, imported(chat("Write.", prose(70))), one])
    assert len(kept) == 2
    assert [(row.row_id, row.reason) for row in duplicates] == [(one.sample_id, "duplicate")]


def test_a_row_keeps_its_side_while_the_set_grows():
    rows = [imported(chat(f"Write on {prose(3, i)}", prose(60, i))) for i in range(400)]
    sides: dict[str, bool] = {}
    for size in (1, 50, 51, 200, 400):
        now = {row.sample_id: dataset.is_test(row, 0.2) for row in rows[:size]}
        assert sides.items() <= now.items()
        sides = now
    assert 40 < sum(sides.values()) < 120


def test_the_headings_of_other_peoples_texts_stay_and_are_no_identifiers_to_the_gate():
    answer = f"Step 1: Gather\n\n{prose(40, 'a')}\n\nPart One: Tea\n\n{prose(40, 'b')}"
    row = imported(chat("Write about tea.", answer))
    assert row.messages[1].content == answer
    assert [line["identifier"] for line in example_table([row], [])] == [False]


def test_thinking_and_control_tokens_in_an_earlier_turn_are_refused_too():
    earlier = imported(chat("Hello.", "<think>Hm.</think> Hello.", "Write about tea.", prose(60)))
    assert earlier.reason == "reasoning_text"
    asked = imported(chat("What does <think> do?", "It opens thinking.", "Write about tea.", prose(60)))
    assert isinstance(asked, Example)
