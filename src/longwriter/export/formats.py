"""Training rows in the formats that other trainers read.

Pure. `messages` ({"messages": [{"role", "content"}]}) is read as it is by TRL, ms-swift, axolotl
(`type: chat_template`) and LLaMA-Factory; `sharegpt` ({"conversations": [{"from", "value"}]}) by LLaMA-Factory
and ms-swift, and by axolotl with `field_messages: conversations` and
`message_property_mappings: {role: from, content: value}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from longwriter.records import Message

Format = Literal["messages", "sharegpt"]

_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
_TAGS = {
    "messages": {
        "role_tag": "role", "content_tag": "content",
        "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system",
    },
    "sharegpt": {
        "role_tag": "from", "content_tag": "value",
        "user_tag": "human", "assistant_tag": "gpt", "system_tag": "system",
    },
}  # fmt: skip
_COLUMNS = {"messages": "messages", "sharegpt": "conversations"}


def as_messages(messages: list[Message]) -> dict[str, Any]:
    """Return a row of the `messages` format."""
    return {"messages": [message.model_dump() for message in messages]}


def as_sharegpt(messages: list[Message]) -> dict[str, Any]:
    """Return a row of the ShareGPT format; a system prompt is a turn, as an empty column would become one."""
    turns = [{"from": _SPEAKERS[message.role], "value": message.content} for message in messages]
    return {"conversations": turns}


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
            "columns": {"messages": _COLUMNS[format]},
            "tags": _TAGS[format],
        }
        for name, file in files.items()
    }
