"""Templates filled with untrusted text, and JSON objects read from answers.

Pure.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from longwriter.errors import BadParams
from longwriter.hashing import content_hash
from longwriter.text.counting import normalise

_FIELD = re.compile(r"\{(\w+)\}")
_TURN = re.compile(r"<(?=\||/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")


class Refused(NamedTuple):
    """Why an answer is not used: a reason from a fixed list, and the evidence."""

    reason: str
    detail: str


def read_object(answer: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, alone or inside a code fence; None for anything else.

    An object with a key that stands there twice is none: nobody knows which one counts.
    """
    bare = normalise(answer).removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(bare, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def fill(template: str, **fields: object) -> str:
    """Return `template` with each {name} replaced once; braces inside the values stay as they are.

    Raises:
        KeyError: the template names a field that is not given.
    """
    return _FIELD.sub(lambda match: str(fields[match[1]]), template).strip()


def framed(template: str, key: str, **values: str) -> str:
    """Return `template`, filled so that no value can step out of its place and speak to the reader.

    Each value stands between two lines with a code that none can hold (a hash of all), and marks that
    servers read as the end of a chat turn are broken up.

    Args:
        template: A text with {name} for each value; other braces stay as they are.
        key: The parameter that names the template, for the error.
        values: What strangers wrote, by field.

    Raises:
        BadParams: the template lacks a field.
    """
    if missing := set(values) - set(_FIELD.findall(template)):
        names = ", ".join(f"{{{name}}}" for name in sorted(missing))
        raise BadParams(f"{key}: the template has no {names}, so the judge would not see it")
    code = content_hash(list(values.values()))[:12]

    def fenced(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        inside = _TURN.sub(lambda mark: f"{mark[0]} ", values[match[1]])
        return f"[[{match[1]} {code}]]\n{inside}\n[[end of {match[1]} {code}]]"

    return _FIELD.sub(fenced, template).strip()
