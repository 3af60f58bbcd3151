"""One row of a source, whichever of four schemas it has, as an instruction in the making.

Pure.

| schema | column | first user turn |
|---|---|---|
| plain | `prompt` (and `type`, `length`, `language`, where they are stated) | the prompt |
| WildChat | `conversation`: [{role, content, …}] | `role` is user |
| messages | `messages`: [{role, content}] | `role` is user |
| ShareGPT | `conversations`: [{from, value}] | `from` is human or user |

A row's trouble is a sentence, never an exception: chats from outside hold anything.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

COLUMNS = (
    "prompt", "conversation", "messages", "conversations",
    "type", "length", "language", "toxic", "redacted",
)  # fmt: skip
_TURNS = {
    "conversation": ("role", "content"),
    "messages": ("role", "content"),
    "conversations": ("from", "value"),
}
_USER = {"user", "human"}
_NAMES = {"english": "en", "chinese": "zh"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 10**9  # words: what is more is no length


class SourceRow(NamedTuple):
    """What a source says of a row; None = it does not say.

    `length` is the length the prompt states, in words (Chinese: characters); `language` a code such
    as `en`. `toxic` and `redacted` (names taken out) are the source's own flags.
    """

    prompt: str
    type: str | None = None
    length: int | None = None
    language: str | None = None
    toxic: bool = False
    redacted: bool = False


def parse(value: Any) -> SourceRow | str:
    """Return a decoded row as a SourceRow, or what is wrong with it.

    The language of a conversation is left open: WildChat names that of the whole chat, as a machine
    saw it, and not that of its first turn.
    """
    if not isinstance(value, dict):
        return f"an object with named columns is needed, found {type(value).__name__}"
    if value.get("prompt") is not None:
        return _plain(value)
    for column, (role, text) in _TURNS.items():
        if value.get(column) is not None:
            return _chat(value, column, role, text)
    return f"no prompt: one of the columns prompt, {', '.join(_TURNS)} is needed"


def _plain(value: dict[str, Any]) -> SourceRow | str:
    kind, length, language = value.get("type"), value.get("length"), value.get("language")
    if trouble := _text_trouble("prompt", value["prompt"]):
        return trouble
    if kind is not None and not (isinstance(kind, str) and kind.strip()):
        return "type: text or null is needed"
    if length is not None and not (type(length) is int and 1 <= length <= _LONGEST):
        return "length: a whole number of words from 1, or null, is needed"
    if language is not None and not (isinstance(language, str) and language.strip()):
        return "language: a code such as en, or null, is needed"
    code = language.strip().lower() if language else None
    return SourceRow(
        prompt=value["prompt"],
        type=kind.strip() if kind else None,
        length=length,
        language=_NAMES.get(code, code) if code else None,
        toxic=value.get("toxic") is True,
        redacted=value.get("redacted") is True,
    )


def _chat(value: dict[str, Any], column: str, role: str, text: str) -> SourceRow | str:
    turns = value[column]
    if not isinstance(turns, list):
        return f"{column}: a list of turns is needed"
    for turn in turns:
        if not isinstance(turn, dict):
            return f"{column}: each turn is an object with {role} and {text}"
        who = turn.get(role)
        if isinstance(who, str) and who in _USER:
            if trouble := _text_trouble(f"{column}.{text}", turn.get(text)):
                return trouble
            whole = turn.get("redacted") is None and value.get("redacted") is True
            return SourceRow(
                prompt=turn[text],
                toxic=value.get("toxic") is True or turn.get("toxic") is True,
                redacted=whole or turn.get("redacted") is True,
            )
    return f"{column}: no turn of a user"


def _text_trouble(name: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{name}: text is needed, found {type(value).__name__}"
    if "\0" in value:
        return f"{name}: holds a NUL character"
    if _SURROGATE.search(value):
        return f"{name}: holds half a character (a lone surrogate)"
    return None
