"""Asks a model the same question again until an answer is usable.

Planner, writer and judges ask different questions and read answers in different ways, but all use this loop.
Each attempt is a separate request: its number is part of the request's hash and of its seed. The numbers
decide which answers a stage gets, so this file is a DVC dependency of each stage that asks a model. So is
`answers.py`, which decides what an answer says. The other files of llm/ are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from longwriter.calls.answers import Answer
from longwriter.errors import NoAnswer
from longwriter.llm.client import LLM
from longwriter.params import Sampling
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused

_SHORT = 8_000  # characters that are always read
_CHARS_PER_TOKEN = 64  # no text has so many on average; English has 4 to 5

T = TypeVar("T")


class Unanswered(Refused):
    """The endpoint does not answer a request: it refuses the request, or every try fails."""


class Outcome(NamedTuple, Generic[T]):
    """Outcome of asking a model, possibly several times.

    `result` is the content of the usable answer, or why the last answer was not usable. `call_ids` holds the
    ids of all answered calls, in order; `attempts` is the number of attempts that were used.
    """

    result: T | Refused
    call_ids: list[str]
    attempts: int


async def ask_until_usable(
    llm: LLM,
    prompt: str,
    sampling: Sampling,
    read: Callable[[Answer], Awaitable[T | Refused]],
    *,
    max_attempts: int,
    schema: dict[str, Any] | None = None,
    answer_format: str = "auto",
    call_ids: list[str] | None = None,
    reasked: Counter[str] | None = None,
    earlier: Outcome[T] | None = None,
) -> Outcome[T]:
    """Return the first usable answer to `prompt`, or why there is none.

    Args:
        llm: The model.
        prompt: The question.
        sampling: Sampling settings of the request.
        read: Returns what an answer says, or why the answer is not usable. Then the model is asked again. It is not
            asked again if `read` returns `Unanswered`, which means that `read` asked another model without success.
            `read` is not called for answers that no stage can use; after them the model is asked again too. These
            are answers with `Answer.refused`, and texts that are longer than `sampling.max_tokens` tokens can be
            (`too_long_answer`).
        max_attempts: Largest number of attempts, including those of `earlier`.
        schema: JSON schema of the answer; None asks for plain text.
        answer_format: Format of an answer with a schema, as `LLM.answer_format` takes it.
        call_ids: List to which the ids of answered calls are appended; None = a new one.
        reasked: Counts, by reason, the answers after which the model was asked again.
        earlier: Outcome of earlier attempts, whose result is a refusal; attempt numbers continue after it.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    call_ids = [] if call_ids is None else call_ids
    refused = Refused("no_attempt", "")
    first = 0
    if earlier is not None:
        call_ids += earlier.call_ids
        first = earlier.attempts
        if isinstance(earlier.result, Refused):
            refused = earlier.result
            llm.refuse(call_ids[-1], refused)
    form = "lines" if schema is None else llm.answer_format(answer_format)
    for attempt in range(first, max_attempts):
        if attempt and reasked is not None:
            reasked[refused.reason] += 1
        try:
            answer = await llm.ask(
                prompt,
                sampling,
                schema=schema if form == "json_schema" else None,
                json_object=form == "json_object",
                attempt=attempt,
            )
        except NoAnswer as error:
            return Outcome(Unanswered(error.reason, str(error)), call_ids, attempt)
        call_ids.append(answer.call_id)
        result = answer.refused or _too_long(answer.text, sampling.max_tokens) or await read(answer)
        if not isinstance(result, Refused) or isinstance(result, Unanswered):
            return Outcome(result, call_ids, attempt + 1)
        refused = result
        llm.refuse(answer.call_id, refused)
    return Outcome(refused, call_ids, max_attempts)


def _too_long(text: str, max_tokens: int) -> Refused | None:
    """Return a refusal of a text of megabytes, whose checks would hold up all other requests; else None."""
    limit = max(_SHORT, _CHARS_PER_TOKEN * max_tokens)
    if len(text) <= limit:
        return None
    return Refused("too_long_answer", f"{len(text):,} characters, at most {limit:,}: {text[:EVIDENCE_CHARS]}")
