"""Tells what the content of a column is: a sentence, a list of texts, a chat, or a whole row.

Pure.
"""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from longwriter.schemas.columns import INSIDE
from longwriter.schemas.contents import decoded, is_blank
from longwriter.schemas.turns import ROLE_KEYS, USER_ROLES, is_numbered

_JSON_OPENING = ('{"', "{'", '[{"', "[{'", '[["', "[['")
CHAT_OPENING = (
    '[{"',
    "[{'",
    "[{ ",
    "[ {",
    "[\n",
    '["',
    "['",
    '{"role"',
    "{'role'",
    '{"messages"',
)  # first signs of a turn or of a list of turns that is stored as a text


def is_sentence(content: Any) -> TypeGuard[str]:
    """Tell whether a value is a text of three words, or of six Chinese characters, and not the name of a kind."""
    return (
        isinstance(content, str)
        and not content.startswith(CHAT_OPENING)
        and (len(content.split()) > 2 or len(re.findall(r"[\u4e00-\u9fff]", content)) > 5)
    )


def is_replies(content: Any) -> TypeGuard[list[Any]]:
    """Tell whether a list holds the turns of Grok's export: {response: {sender: …, message: …}}."""
    first = content[0] if isinstance(content, list) and content else None
    first = first.get("response", first) if isinstance(first, dict) else None
    return isinstance(first, dict) and "sender" in first and "message" in first


def stored_value(content: Any) -> Any:
    """Return the content of a column, decoded if it is an object or a list of objects stored as a text."""
    return decoded(content) if isinstance(content, str) and content.startswith(_JSON_OPENING) else content


def has_row(column: str, content: Any) -> bool:
    """Tell whether a text is a stored row or chat (Langfuse's `input`), not a question."""
    inner = stored_value(content) if column in INSIDE else content
    return isinstance(inner, dict) or (isinstance(inner, list) and has_roles(inner))


def is_texts(content: Any) -> TypeGuard[list[str]]:
    """Tell whether a value is a list of at least one text, and of nothing else."""
    return isinstance(content, list) and bool(content) and all(isinstance(text, str) for text in content)


def is_rounds(content: Any) -> TypeGuard[list[list[str]]]:
    """Tell whether a list holds the rounds of a chat as [question, answer], and the first question has a text."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(is_texts(pair) and len(pair) == 2 for pair in content)
        and not is_blank(content[0][0])
    )


def has_roles(content: list[Any]) -> bool:
    """Tell whether a list holds turns: objects with a role, lists of turns, or Gemini's parts."""
    first = content[0] if content else None
    if isinstance(first, list):
        return bool(first) and isinstance(first[0], str | dict)
    return isinstance(first, dict) and not first.keys().isdisjoint((*ROLE_KEYS, "parts", *USER_ROLES))


def has_key(content: list[Any], key: str | None) -> bool:
    """Tell whether the first item of a list is an object with this key."""
    return bool(content) and isinstance(content[0], dict) and key in content[0]


def is_chat(content: Any) -> bool:
    """Tell whether the content of a column, which may also be a text, is a list of turns."""
    if isinstance(content, str) and content.startswith(CHAT_OPENING):
        content = decoded(content)
        if isinstance(content, dict):
            return not content.keys().isdisjoint((*ROLE_KEYS, "messages"))
        first = content[0] if isinstance(content, list) and content else None
        if isinstance(first, str) and isinstance(content, list):
            return all(isinstance(text, str) for text in content)
        return isinstance(first, dict) and not first.keys().isdisjoint(ROLE_KEYS)
    is_turns = isinstance(content, list) and bool(content) and isinstance(content[0], dict)
    return is_turns or is_texts(content) or is_numbered(content)
