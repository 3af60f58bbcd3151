"""Whether a prompt without a stated length wants a long text: the question, and reading its answer.

LongWriter-6k was chosen by such a question (LongWriter, arXiv:2408.07055, section 3.2).
"""

from __future__ import annotations

from typing import Any

from longwriter.text.prompts import framed, read_object


def intent_prompt(template: str, instruction: str) -> str:
    """Return the judge's prompt for one instruction, which is framed: it cannot speak to the judge.

    Raises:
        BadParams: the template has no {instruction}.
    """
    return framed(template, "instructions.judge_prompt", instruction=instruction)


def intent_schema() -> dict[str, Any]:
    """Return the JSON schema of an answer: the reason first, then yes or no."""
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "long": {"type": "boolean"}},
        "required": ["reason", "long"],
        "additionalProperties": False,
    }


def wants_long(answer: str) -> bool | None:
    """Return what an answer says; None where it cannot be read: nothing is guessed."""
    said = (read_object(answer) or {}).get("long")
    return said if isinstance(said, bool) else None
