"""Asks one judge until its answer is readable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from longwriter.calls.answers import Answer
from longwriter.llm.asking import Outcome, ask_until_usable
from longwriter.llm.client import LLM
from longwriter.params import Sampling
from longwriter.records import Unscored
from longwriter.text.basics.prompts import Refused

T = TypeVar("T")


async def ask(
    llm: LLM,
    prompt: str,
    sampling: Sampling,
    parse: Callable[[str], T | Unscored],
    *,
    max_attempts: int,
    schema: dict[str, Any],
) -> tuple[Outcome[T], str | None]:
    """Return what a judge answers, or why it cannot be read, and the model that answered last.

    Args:
        llm: The judge.
        prompt: The question.
        sampling: Sampling settings of the request.
        parse: Returns what an answer says, or why it is unreadable. An unreadable answer that ended at its token
            limit has the reason `cut_off` instead.
        max_attempts: Largest number of attempts.
        schema: JSON schema of the answer.

    Returns:
        (outcome as of `ask_until_usable`; the model as the server calls it, or None if it does not say).

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    served: str | None = None

    async def read(answer: Answer) -> T | Refused:
        nonlocal served
        served = answer.served
        value = parse(answer.text)
        if not isinstance(value, Unscored):
            return value
        return Refused("cut_off" if answer.finish_reason == "length" else value.reason, value.detail)

    outcome = await ask_until_usable(llm, prompt, sampling, read, max_attempts=max_attempts, schema=schema)
    return outcome, served
