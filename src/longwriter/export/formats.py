"""Training rows in the formats that other trainers read.

Pure. `messages` is {"messages": [{"role", "content"}]}. TRL, ms-swift, axolotl (`type: chat_template`) and
LLaMA-Factory read it without further settings. `sharegpt` is {"conversations": [{"from", "value"}]}.
LLaMA-Factory and ms-swift read it; axolotl needs `field_messages: conversations` and
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
    """Return a row of the ShareGPT format.

    A system prompt is written as a turn. In a column of its own, rows without a system prompt would get an
    empty one.
    """
    turns = [{"from": _SPEAKERS[message.role], "value": message.content} for message in messages]
    return {"conversations": turns}


ROWS: dict[Format, Callable[[list[Message]], dict[str, Any]]] = {
    "messages": as_messages,
    "sharegpt": as_sharegpt,
}
"""How each format writes a conversation."""


def dataset_info(files: Mapping[str, str], format: Format) -> dict[str, Any]:
    """Return the content of LLaMA-Factory's dataset_info.json.

    Args:
        files: {name of a data set: its file}; the file is relative to the folder of dataset_info.json.
        format: Format of the rows.
    """
    return {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": {"messages": _COLUMNS[format]},
            "tags": _TAGS[format],
        }
        for name, file in files.items()
    }
