"""Reads the JSON text of one row, also with small faults or with words of other languages (`nan`, `None`).

Pure.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import orjson

from longwriter.schemas.contents import Unusable

_HINT_BYTES = 200  # at the end of a line, in which a comment is looked for
_AROUND = "\ufeff\0\x1a\x1e"  # what programs write around rows: byte order marks, padding, an end of the file, separators
_WORD = re.compile(
    r'("(?:[^"\\]++|\\.)*+")|-?\b(?:nan\(ind\)|(?:nan|inf(?:inity)?|none|undefined|(true)|(false))\b)',
    re.IGNORECASE | re.DOTALL,
)


def of_json(text: bytes) -> Any:
    """Return the value of a JSON text, or Unusable.

    A text that orjson refuses is read again with Python's json, which accepts NaN and Infinity, long whole numbers,
    lone surrogates and tabs in texts. If that fails too, it is read with null in place of what other languages
    write for such values (nan, -inf, None). Such values do no harm in a column that is not read. If a key occurs
    twice in a row, the last value counts, as in other JSON readers.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        trouble = Unusable("malformed", f"no JSON: {error}{_hint(text)}")
    try:
        plain = text.decode().strip(_AROUND)
    except UnicodeDecodeError:
        return Unusable("malformed", f"{trouble.detail}; save the file as UTF-8")
    with contextlib.suppress(ValueError, RecursionError):  # a JSONDecodeError is a ValueError
        return _loaded(plain)
    with contextlib.suppress(ValueError, RecursionError):
        return _loaded(_WORD.sub(_json_word, plain))
    return trouble


def _loaded(text: str) -> Any:
    return json.loads(text, parse_int=_whole_number, strict=False)


def _json_word(word: re.Match[str]) -> str:
    """Return a text as it is, a truth value in lower case, and null in place of another word."""
    return word[1] or (word[2] or word[3] or "null").lower()


def _hint(text: bytes) -> str:
    """Return what to do about a text that is nearly JSON; empty if nothing is known."""
    text = text.strip()
    if text.endswith(b"},"):
        return "; a line ends in a comma: remove it"
    if text.startswith((b"//", b"#", b"/*")) or text.endswith(b"*/") or b"} //" in text[-_HINT_BYTES:]:
        return "; JSON has no comments: remove them"
    if re.match(rb"[\[{\s]{1,8}(?:'|\w+\s?:)", text):
        return "; keys and texts need double quotes, and this is JSON5 or Python"
    if text.startswith(b'"'):
        return '; a row is an object such as {"prompt": "…"}'
    if text.startswith(b"<"):
        return "; this is a web page or XML, such as a server's error in place of the file: download it again"
    if b"}\r{" in text:
        return "; rows end in a line end (LF), and here they end in CR"
    return ""


def _whole_number(digits: str) -> int | float:
    """Return a number; a long number becomes a float, because Python refuses thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)
