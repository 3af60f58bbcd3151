"""Decides whether an answer to a short prompt is right, by the check that its row describes. Pure.

Patterns run in the engine RE2, whose time grows linearly with the text, so no answer and no pattern can make a
stage hang.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from longwriter.records import Check
from longwriter.text.basics.counting import count_words

_FENCE = re.compile(r"```(?:json)?[ \t]*\n([^`]*)```", re.IGNORECASE)
_AROUND = " \t\r\n\"'“”‘’「」*_`.。!！"
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


def is_right(check: Check, text: str) -> bool:
    """Return whether an answer fulfils every condition of a check.

    Raises:
        ValueError: RE2 cannot read the pattern.
    """
    answer = text.strip()
    if check.one_of is not None and _plain(answer) not in {_plain(right) for right in check.one_of}:
        return False
    if check.exact is not None and answer != check.exact:
        return False
    if check.regex is not None and not _has(answer, check.regex):
        return False
    if check.json_keys is not None and not _is_object(answer, check.json_keys):
        return False
    if check.words_between is not None:
        low, high = check.words_between
        if not low <= count_words(answer) <= high:
            return False
    return check.lines is None or sum(bool(line.strip()) for line in answer.splitlines()) == check.lines


def trouble(check: Check) -> str | None:
    """Return why no answer could fulfil a check, or None."""
    if check.words_between is not None and check.words_between[0] > check.words_between[1]:
        return f"words_between {check.words_between}: the first number is above the second"
    try:
        is_right(check, "")
        _ = check.regex is None or _has("", check.regex)
    except ValueError as error:
        return f"regex {check.regex!r}: {error}"
    return None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip(_AROUND)


def _has(text: str, pattern: str) -> bool:
    matches = pc.match_substring_regex(pa.array([text], pa.large_string()), pattern)
    return bool(matches[0].as_py())


def _is_object(text: str, keys: dict[str, Any]) -> bool:
    """Return whether a text, or the one code block that it is, is a JSON object with these keys and types."""
    block = _FENCE.fullmatch(text)
    try:
        value = json.loads(block[1] if block else text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict)
        and value.keys() == keys.keys()
        and all(_is_a(value[key], kind) for key, kind in keys.items())
    )


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _TYPES[kind])
