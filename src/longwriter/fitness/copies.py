"""Makes copies of a good text that are certainly worse: a judge must rank them below the original. Pure.

Reward models of writing are trained and tested with such copies too: W2Bench (arXiv:2604.27453) has texts in which
one requirement is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.hashing import short_id
from longwriter.records import Example, Language

KINDS = ("shuffled", "deleted", "repeated", "truncated", "requirement dropped")
_LEAST_SECTIONS = 3
_REQUIREMENTS: dict[Language, tuple[str, str]] = {
    "en": ("The last line of the text must be: {line}", "Written for the readers of this page."),
    "zh": ("全文最后一行必须是：{line}", "谨以此文献给各位读者。"),
}


class Original(NamedTuple):
    """A good text with its instruction, which also asks for a certain last line, and its degraded copies."""

    instruction: str
    text: str
    copies: dict[str, str]


def originals(examples: Sequence[Example], limit: int) -> list[Original]:
    """Return at most `limit` training texts as originals: those with three sections or more, in the order of their ids."""
    chosen = []
    for row in sorted(examples, key=lambda row: row.sample_id):
        if row.kind == "general" or [message.role for message in row.messages] != ["user", "assistant"]:
            continue
        instruction, text = (message.content for message in row.messages)
        if len(sections(text)) >= _LEAST_SECTIONS:
            chosen.append(original(instruction, text, row.language))
        if len(chosen) == limit:
            break
    return chosen


def sections(text: str) -> list[str]:
    """Return the paragraphs of a text, or its lines if it has too few paragraphs."""
    for border in ("\n\n", "\n"):
        parts = [part.strip() for part in text.split(border) if part.strip()]
        if len(parts) >= _LEAST_SECTIONS:
            return parts
    return parts


def original(instruction: str, text: str, language: Language) -> Original:
    """Return a text with a last line that its instruction asks for, and its copies of all KINDS.

    Args:
        instruction: The instruction.
        text: The text; three sections or more.
        language: Language of both.
    """
    sentence, line = _REQUIREMENTS[language]
    parts = sections(text)
    third = max(1, len(parts) // 3)
    start = (len(parts) - third) // 2
    middle = parts[start : start + third]
    full_text = "\n\n".join(parts)
    bodies = {
        "shuffled": _shuffled(parts),
        "deleted": parts[:start] + parts[start + third :],
        "repeated": parts[: start + third] + middle + middle + parts[start + third :],
    }
    copies = {kind: _with_line(body, line) for kind, body in bodies.items()}
    copies["truncated"] = full_text[: len(full_text) // 2].rstrip()
    copies["requirement dropped"] = full_text
    return Original(f"{instruction}\n\n{sentence.format(line=line)}", _with_line(parts, line), copies)


def _with_line(parts: Sequence[str], line: str) -> str:
    return "\n\n".join([*parts, line])


def _shuffled(parts: list[str]) -> list[str]:
    """Return the sections in another order, the same one for the same text."""
    text_id = short_id(parts)
    places = sorted(range(len(parts)), key=lambda place: short_id([place, text_id]))
    sections = [parts[place] for place in places]
    return sections if sections != parts else parts[::-1]
