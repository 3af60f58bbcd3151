"""The judge's question whether a prompt that states no length asks for a long text, and how it is read.

Pure. LongWriter-6k was chosen by such a question (LongWriter, arXiv:2408.07055, section 3.2).
"""

from __future__ import annotations

from typing import Any

from longwriter.text.prompts import framed, read_object


def intent_prompt(template: str, instruction: str) -> str:
    """Return the judge's prompt for one instruction, which is fenced as `framed` does.

    Raises:
        BadParams: the template has no {instruction}.
    """
    return framed(template, "instructions.judge_prompt", instruction=instruction)


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
