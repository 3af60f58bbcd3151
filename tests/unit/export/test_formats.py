import json

import pytest

from longwriter.export import formats as interchange
from longwriter.records import Message

TALK = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Who wrote 西游记?"),
    Message(role="assistant", content="Wu Cheng'en."),
    Message(role="user", content="When?"),
    Message(role="assistant", content="About 1592."),
]


def test_a_row_in_messages_is_the_conversation():
    assert interchange.as_messages(TALK[1:3]) == {
        "messages": [
            {"role": "user", "content": "Who wrote 西游记?"},
            {"role": "assistant", "content": "Wu Cheng'en."},
        ]
    }


def test_a_row_in_sharegpt_has_a_turn_a_message_and_no_empty_system_prompt():
    [turns] = interchange.as_sharegpt(TALK).values()
    assert [turn["from"] for turn in turns] == ["system", "human", "gpt", "human", "gpt"]
    assert (turns[0]["value"], turns[-1]) == ("Be brief.", {"from": "gpt", "value": "About 1592."})
    assert [turn["from"] for turn in interchange.as_sharegpt(TALK[1:3])["conversations"]] == ["human", "gpt"]


@pytest.mark.parametrize("format", interchange.ROWS)
def test_the_columns_and_tags_in_llama_factorys_settings_are_in_the_rows(format):
    info = interchange.dataset_info({"long": "train.jsonl"}, format)["long"]
    row = interchange.ROWS[format](TALK)
    assert (info["file_name"], info["formatting"]) == ("train.jsonl", "sharegpt")
    assert set(info["columns"].values()) == set(row)
    tags = info["tags"]
    for turn in row[info["columns"]["messages"]]:
        assert set(turn) == {tags["role_tag"], tags["content_tag"]}
        assert turn[tags["role_tag"]] in {tags["user_tag"], tags["assistant_tag"], tags["system_tag"]}


def test_trl_takes_the_messages_format_as_conversational(tmp_path):
    from datasets import load_dataset  # takes seconds
    from trl.data_utils import is_conversational

    lines = [json.dumps(interchange.as_messages(TALK[i : i + 2]), ensure_ascii=False) for i in (1, 3)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = load_dataset(
        "json", data_files=str(tmp_path / "train.jsonl"), split="train", cache_dir=str(tmp_path)
    )
    assert all(is_conversational(row) for row in rows)
    assert rows[0]["messages"][0]["content"] == "Who wrote 西游记?"
