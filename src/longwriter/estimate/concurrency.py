"""Finds how many requests at once an endpoint answers fastest, by sending it more and more short requests at once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from longwriter.errors import NoAnswer
from longwriter.models import servers
from longwriter.params import LLMParams, Sampling

LEVELS = (1, 2, 4, 8, 16, 32, 64)
_TOKENS = 48
"""Nearly every answer to the prompt is cut here, so that all answers have the same length."""
_GAIN = 1.1
"""Twice as many requests at once have to be this much faster: each one takes memory of the server."""
_PROMPT = "Write a story of 500 words about a harbour. It is number {number} of my collection."


class Round(NamedTuple):
    """A number of requests at once, and the answers per second that the endpoint gave."""

    requests: int
    answers_per_second: float


async def measure(params: LLMParams, calls: Path, show: Callable[[Round], None]) -> list[Round]:
    """Return the speed of an endpoint for 1, 2, 4 … requests at once, until more at once gain nothing.

    Args:
        params: The endpoint; `max_concurrency` is left out.
        calls: File of the call log that is written.
        show: Called after each round.

    Raises:
        NoAnswer, EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    sampling = Sampling(
        temperature=None, max_tokens=_TOKENS, top_p=None, repetition_penalty=None, stop=[], seed=0
    )
    most = params.model_copy(update={"max_concurrency": LEVELS[-1]})
    rounds: list[Round] = []
    async with servers.model(most, sampling, calls, "llm") as llm:
        for level in LEVELS:
            retried = llm.usage()["calls_retried"]
            prompts = [
                _PROMPT.format(number=secrets.randbelow(10**9)) for _ in range(level)
            ]  # none is stored
            started = time.monotonic()
            try:
                await asyncio.gather(*(llm.ask(prompt, sampling) for prompt in prompts))
            except NoAnswer:
                if not rounds:
                    raise
                break
            if rounds and llm.usage()["calls_retried"] > retried:
                break  # the endpoint did not take so many at once
            rounds.append(Round(level, level / (time.monotonic() - started)))
            show(rounds[-1])
            if is_enough(rounds):
                break
    return rounds


def is_enough(rounds: Sequence[Round]) -> bool:
    """Tell whether the last two rounds were not clearly faster than the rounds before them."""
    return len(rounds) > 2 and best(rounds) in {item.requests for item in rounds[:-2]}


def best(rounds: Sequence[Round]) -> int:
    """Return the fewest requests at once for which no larger number is clearly faster."""
    fastest = max(item.answers_per_second for item in rounds)
    return min(item.requests for item in rounds if item.answers_per_second * _GAIN >= fastest)
