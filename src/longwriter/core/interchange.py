"""Training rows in the formats that other trainers read.

`messages` ({"messages": [{"role", "content"}]}) is read as it is by TRL, ms-swift, axolotl
(`type: chat_template`) and LLaMA-Factory; `sharegpt` ({"conversations": [{"from", "value"}], "system"}) by
LLaMA-Factory and, with `field_messages: conversations`, by axolotl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from longwriter.records import Message

Format = Literal["messages", "sharegpt"]

_SPEAKERS = {"user": "human", "assistant": "gpt"}
_TAGS = {
    "messages": {
        "role_tag": "role", "content_tag": "content",
        "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system",
    },
    "sharegpt": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
}  # fmt: skip
_COLUMNS = {
    "messages": {"messages": "messages"},
    "sharegpt": {"messages": "conversations", "system": "system"},
}


def as_messages(messages: list[Message]) -> dict[str, Any]:
    """Return a row of the `messages` format."""
    return {"messages": [message.model_dump() for message in messages]}


def as_sharegpt(messages: list[Message]) -> dict[str, Any]:
    """Return a row of the ShareGPT format; a system prompt stands beside the conversation."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    talk = [
        {"from": _SPEAKERS[message.role], "value": message.content}
        for message in messages
        if message.role != "system"
    ]
    return {"conversations": talk, "system": system}


ROWS: dict[Format, Callable[[list[Message]], dict[str, Any]]] = {
    "messages": as_messages,
    "sharegpt": as_sharegpt,
}
"""How each format writes a conversation."""


def dataset_info(files: Mapping[str, str], format: Format) -> dict[str, Any]:
    """Return LLaMA-Factory's dataset_info.json for {name of a data set: its file}."""
    return {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": _COLUMNS[format],
            "tags": _TAGS[format],
        }
        for name, file in files.items()
    }
