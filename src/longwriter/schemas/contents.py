"""Reads the content of a turn or a column: a text, parts of a text, or JSON that is stored as a text.

Pure.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Literal, NamedTuple

import orjson

from longwriter.text.basics.counting import normalise

_LONGEST_PYTHON = 10**6  # characters; Python's reader takes 100 times the memory of its text
_TEXT_PARTS = frozenset({None, "text", "input_text"})
_TOOL_PARTS = frozenset({"tool_use", "tool_call", "tool_result", "function_call", "function_call_output"})
_ATTACHED = re.compile("image|audio|video|file|inline|document", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PARTS = ('[{"type"', "[{'type'")  # first signs of parts that are stored as a text
_NOTHING = frozenset({"", "null", "none", "nan", "n/a", "<na>", "undefined"})
_LONGEST_NOTHING = 9  # characters


class Unusable(NamedTuple):
    """Why a row of a source gives no instruction.

    `reason`: `malformed` = the row cannot be read; `no_instruction` = the row can be read, but holds no text of
    a user; `not_text` = the user sends images, sound or files.
    """

    reason: Literal["malformed", "no_instruction", "not_text"]
    detail: str


class Trouble(Exception):
    """Raised when a row gives no instruction; `rows.parse` catches it and returns its `unusable`."""

    def __init__(self, reason: Literal["malformed", "no_instruction", "not_text"], detail: str) -> None:
        """Create the error with the fields of `Unusable`."""
        super().__init__(detail)
        self.unusable = Unusable(reason, detail)


def is_blank(text: str) -> bool:
    """Tell whether a text says nothing: no visible character, or a word that programs write for no value."""
    if len(text) > _LONGEST_NOTHING and text[0].isalnum():
        return False
    visible = normalise(text).strip("\u2800")
    return len(visible) <= _LONGEST_NOTHING and visible.lower() in _NOTHING


def decoded(text: str) -> Any:
    """Return the value of a JSON text, or of a text that Python prints, as pandas writes lists into CSV.

    pandas prints the arrays of a Parquet file with line ends in place of commas.

    A text that is neither is returned unchanged.
    """
    text = text.removeprefix("\ufeff")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if len(text) > _LONGEST_PYTHON or not text.lstrip().startswith(("[{'", "{'", "['")):
            return text
    try:
        return ast.literal_eval(text.strip().replace("}\n {", "},\n {"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def text_of(content: Any, name: str, attachments: list[str]) -> str | None:
    """Return a text, or the text parts of a list, joined by line ends; None if `content` is None.

    Args:
        content: Text, bytes of UTF-8, a part, or a list of parts.
        name: Column and key, for the messages.
        attachments: The types of the parts that are not text are added to this list.

    Raises:
        Trouble: the content has another type, or holds NUL or half a character.
    """
    if isinstance(content, str) and content.startswith(_PARTS):
        parts = decoded(content)
        content = parts if isinstance(parts, list) else content
    if isinstance(content, str):
        if "\0" in content:
            raise Trouble("malformed", f"{name}: holds a NUL character")
        if not content.isascii() and _SURROGATE.search(content):
            raise Trouble("malformed", f"{name}: holds half a character (a lone surrogate)")
        return content
    if content is None or content != content:  # NaN stands for a missing text in tables
        return None
    if isinstance(content, bytes):
        try:
            return text_of(content.decode(), name, attachments)
        except UnicodeDecodeError as error:
            raise Trouble("malformed", f"{name}: no UTF-8: {error.reason}") from None
    if isinstance(content, dict):
        content = content["parts"] if isinstance(content.get("parts"), list) else [content]
    if not isinstance(content, list):
        raise Trouble("malformed", f"{name}: text is needed, found {kind_of(content)}")
    texts = [_part(part, name, attachments) for part in content]
    return "\n".join(text for text in texts if text)


def _part(part: Any, name: str, attachments: list[str]) -> str | None:
    """Return the text of a part; if the part is not text, return None and add its type to `attachments`."""
    if part is None or isinstance(part, str):
        return text_of(part, name, attachments)
    if not isinstance(part, dict):
        raise Trouble("malformed", f"{name}: a part is a text or an object with type, found {kind_of(part)}")
    kind = part.get("type")
    kind = kind.lower() if isinstance(kind, str) else kind
    text = next(
        (part[key] for key in ("text", "content", "value") if isinstance(part.get(key), str)),
        part.get("text"),
    )
    if kind is None and text is None:
        attached = [key for key, value in part.items() if value is not None and _ATTACHED.search(key)]
        if not attached and any(part.values()):
            raise Trouble("malformed", f"{name}: a part has neither type nor text")
        attachments.extend(attached)
        return None
    if not (kind is None or isinstance(kind, str)):
        raise Trouble("malformed", f"{name}: the type of a part is a text, found {kind_of(kind)}")
    if kind not in _TEXT_PARTS:
        attachments.extend([] if kind in _TOOL_PARTS else [str(kind)[:30]])
        return None
    text = text.get("value") if isinstance(text, dict) else text
    if isinstance(text, list | dict):
        raise Trouble("malformed", f"{name}: the text of a part is needed, found {kind_of(text)}")
    return text_of(text, name, attachments)


def kind_of(value: Any) -> str:
    """Return the name of a value's type in JSON, for the messages."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"{type(value).__name__}")
