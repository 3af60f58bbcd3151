"""Short prompts whose answers code can check: a model that learns to write long texts must still answer them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longwriter.errors import BadRecord
from longwriter.evaluation.short import checks
from longwriter.hashing import short_id
from longwriter.records import ShortAnswer, ShortPrompt
from longwriter.text.basics.counting import language_of
from longwriter.text.basics.prompts import break_marks

if TYPE_CHECKING:
    from longwriter.llm.client import LLM
    from longwriter.params import Sampling


def checked(rows: Sequence[ShortPrompt], source: str, limit: int) -> list[ShortPrompt]:
    """Return the first `limit` prompts.

    Args:
        rows: The rows of the file.
        source: Its name, for the error.
        limit: Largest number of prompts.

    Raises:
        BadRecord: there is no row, a prompt occurs twice, or no answer could fulfil a check.
    """
    if not rows:
        raise BadRecord(f"{source} has no prompt: it needs one row or more")
    seen = set()
    for number, row in enumerate(rows, 1):
        if row.prompt in seen:
            raise BadRecord(
                f"{source}: row {number} repeats a prompt, but each may occur once: {row.prompt[:120]!r}"
            )
        seen.add(row.prompt)
        if reason := checks.trouble(row.check):
            raise BadRecord(f"{source}: row {number}, check: {reason}")
    return list(rows[:limit])


async def ask(llm: LLM, row: ShortPrompt, sampling: Sampling) -> ShortAnswer:
    """Return a model's answer to a short prompt, and whether it is right.

    Raises:
        NoAnswer, EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    answer = await llm.ask(break_marks(row.prompt), sampling)
    return answer_of(
        row,
        answer.text,
        sampling,
        finish_reason=answer.refused.reason if answer.refused else answer.finish_reason,
        call_ids=[answer.call_id],
    )


def answer_of(
    row: ShortPrompt, text: str, sampling: Sampling, *, finish_reason: str, call_ids: list[str]
) -> ShortAnswer:
    """Return an answer as a record; answers to other checks, or of another sampling, have another `task_id`."""
    task = {
        "prompt": row.prompt,
        "check": row.check.model_dump(exclude_none=True),
        "sampling": sampling.model_dump(),
    }
    return ShortAnswer(
        task_id=short_id(task),
        prompt=row.prompt,
        type=row.type,
        language=language_of(row.prompt),
        text=text,
        finish_reason=finish_reason,
        is_right=checks.is_right(row.check, text),
        call_ids=call_ids,
    )
