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

EVIDENCE_CHARS = 200
"""Characters of an unusable answer that are kept as evidence."""

_FIELD = re.compile(r"\{(\w+)\}")
_TURN = re.compile(r"<(?=\||/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")


class Refused(NamedTuple):
    """Why an answer is not used: a reason from a fixed list, and the evidence."""

    reason: str
    detail: str


def parse_object(text: str) -> dict[str, Any] | Refused:
    """Return the JSON object that a text is, alone or inside a code fence; never raises.

    Returns:
        The object; or Refused, with the text as evidence, for the reason `no_json`, `no_object` (JSON of
        another kind) or `ambiguous` (an object has a key twice, so nobody knows which value counts).
    """
    has_repeated_key = False

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_repeated_key
        values = dict(pairs)
        has_repeated_key |= len(values) < len(pairs)
        return values

    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value = json.loads(bare, object_pairs_hook=to_dict)
    except (ValueError, RecursionError):
        return Refused("no_json", text)
    if not isinstance(value, dict):
        return Refused("no_object", text)
    return Refused("ambiguous", text) if has_repeated_key else value


def read_object(answer: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, without invisible characters; None for anything else."""
    value = parse_object(normalise(answer))
    return None if isinstance(value, Refused) else value


def fill(template: str, **fields: object) -> str:
    """Return `template` with each {name} replaced once; braces inside the values are left alone.

    Raises:
        KeyError: the template names a field that is not given.
    """
    return _FIELD.sub(lambda match: str(fields[match[1]]), template).strip()


def framed(template: str, key: str, **values: str) -> str:
    """Return `template` filled with untrusted text, fenced so that it cannot act as instructions.

    Each value stands between two lines with a code that no value can contain (a hash of all values), and
    marks that servers read as the end of a chat turn are broken up.

    Args:
        template: A text with {name} for each value; other braces stay as they are.
        key: The parameter that names the template, for the error.
        values: Untrusted texts, by field.

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
