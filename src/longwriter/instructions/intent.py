"""Asks the judge whether a prompt that states no length needs a long text, and reads the judge's answer.

Pure. The authors of LongWriter selected LongWriter-6k with such a question (arXiv:2408.07055, section 3.2).
"""

from __future__ import annotations

from typing import Any

from longwriter.text.basics.prompts import framed, read_object


def intent_prompt(template: str, instruction: str) -> str:
    """Return the prompt to the judge about one instruction; `framed` puts marks around the instruction.

    Raises:
        BadParams: the template has no {instruction}.
    """
    return framed(template, "instructions.judge.prompt", instruction=instruction)


def intent_schema() -> dict[str, Any]:
    """Return the JSON schema of the judge's answer: the reason first, then yes or no."""
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "long": {"type": "boolean"}},
        "required": ["reason", "long"],
        "additionalProperties": False,
    }


def wants_long(answer: str) -> bool | None:
    """Return whether the judge says that a long text is wanted; None if its answer is unreadable."""
    is_long = (read_object(answer) or {}).get("long")
    return is_long if isinstance(is_long, bool) else None
