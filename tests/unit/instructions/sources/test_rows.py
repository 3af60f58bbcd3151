import pytest

from longwriter.instructions.sources.rows import SourceRow, parse

TALE = "Write a tale."


def turns(*pairs, role="role", text="content"):
    return [{role: who, text: said} for who, said in pairs]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": TALE},
        {"conversation": turns(("user", TALE), ("assistant", "Once.")), "language": "English", "turn": 1},
        {"messages": turns(("system", "Be brief."), ("user", TALE), ("user", "More."))},
        {
            "conversations": turns(
                ("system", "Hi."), ("human", TALE), ("gpt", "Once."), role="from", text="value"
            )
        },
        {"conversations": turns(("user", TALE), role="from", text="value"), "messages": None},
        {"prompt": TALE, "conversation": turns(("user", "Not this."))},
        {"prompt": None, "messages": turns(("user", TALE))},
    ],
)
def test_the_first_turn_of_a_user_is_the_prompt_in_every_schema(value):
    assert parse(value) == SourceRow(TALE)


def test_what_a_plain_row_states_is_kept():
    row = {"prompt": "写", "type": " News Report ", "length": 500, "language": "Chinese", "id": 7}
    assert parse(row) == SourceRow("写", "News Report", 500, "zh")
    assert parse({"prompt": "a", "language": "EN"}).language == "en"
    assert parse({"prompt": "a", "type": None, "length": None, "language": None}) == SourceRow("a")


@pytest.mark.parametrize(
    ("flags", "turn", "toxic", "redacted"),
    [
        ({"toxic": True, "redacted": True}, {}, True, True),
        ({"toxic": False, "redacted": False}, {"toxic": True, "redacted": True}, True, True),
        ({"toxic": False, "redacted": True}, {"toxic": False, "redacted": False}, False, False),
        ({"toxic": "true", "redacted": 1}, {}, False, False),
    ],
)
def test_the_sources_own_flags_are_read_and_names_that_are_missing_elsewhere_do_not_count(
    flags, turn, toxic, redacted
):
    row = parse({"conversation": [{"role": "user", "content": "a", **turn}], **flags})
    assert (row.toxic, row.redacted) == (toxic, redacted)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "object"),
        (None, "object"),
        ({}, "no prompt: one of the columns prompt, conversation, messages, conversations"),
        ({"prompt": 3}, "prompt: text is needed, found int"),
        ({"prompt": ["a"]}, "prompt: text is needed, found list"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"prompt": "a\ud83c"}, "surrogate"),
        ({"prompt": "a", "type": " "}, "type"),
        ({"prompt": "a", "type": 3}, "type"),
        ({"prompt": "a", "length": 0}, "length"),
        ({"prompt": "a", "length": -5}, "length"),
        ({"prompt": "a", "length": "300"}, "length"),
        ({"prompt": "a", "length": 300.0}, "length"),
        ({"prompt": "a", "length": True}, "length"),
        ({"prompt": "a", "length": 10**30}, "length"),
        ({"prompt": "a", "language": ""}, "language"),
        ({"prompt": "a", "language": 5}, "language"),
        ({"conversation": "a"}, "conversation: a list"),
        ({"conversation": []}, "no turn of a user"),
        ({"conversation": ["a"]}, "conversation: each turn is an object with role and content"),
        ({"conversation": [{"role": "assistant", "content": "a"}]}, "no turn of a user"),
        ({"conversation": [{"role": "user", "content": None}]}, "conversation.content: text is needed"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "no turn of a user"),
        ({"conversations": [{"from": "human", "content": "a"}]}, "conversations.value: text is needed"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_by_its_column(value, told):
    found = parse(value)
    assert isinstance(found, str)
    assert told in found
