"""From a request to a complete answer: what each fault of an LLM API means, and the one retry loop.

Everything that can pass is tried again here, and nowhere else: 408, 409, 429, 5xx, lost connections,
time-outs, broken JSON, pages and errors with status 200. Nothing but a chat completion leaves here.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson
import tenacity

from longwriter.errors import EndpointUnavailable, ModelUnusable, NoAnswer

log = logging.getLogger(__name__)

_REFUSED = (400, 413, 422)  # this request alone
_MAY_PASS = (408, 409, 425, 429)
_LONG_WAIT_S = 60.0  # is told
_LONGEST_WAIT_S = 900.0  # beyond it the stage ends, and may be started again when the server is ready
_BACKOFF = tenacity.wait_exponential_jitter(multiplier=0.5, max=60.0, jitter=0.5)


class Endpoint(NamedTuple):
    """Where a model answers: URL ending in /v1, the model's name there, and the key.

    `model` identifies the weights: an engine that this pipeline started (`is_local`) has their hash
    in it, since it is part of every request hash. The key never shows in a repr.
    """

    base_url: str | None
    model: str
    api_key: str
    is_local: bool = False

    def __repr__(self) -> str:
        """Return all but the key."""
        return f"Endpoint(base_url={self.base_url!r}, model={self.model!r})"

    @property
    def where(self) -> str:
        """Return the URL, also where it is OpenAI's own."""
        return self.base_url or "https://api.openai.com/v1"

    def quote(self, words: str) -> str:
        """Return the beginning of a server's words, without the key should it repeat that."""
        hidden = words.replace(self.api_key, "(key)") if len(self.api_key) > 5 else words
        return " ".join(hidden.split())[:300]


class Reply(NamedTuple):
    """What came back: HTTP status, headers, the whole body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fault(Exception):
    """A try that failed and may be repeated, after `wait_s` where the server said so."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        """Keep the server's wish."""
        super().__init__(message)
        self.wait_s = wait_s


Post = Callable[[bytes], Awaitable[Reply]]
"""Sends a body; raises Fault where no reply came."""


async def complete(
    post: Post, body: bytes, endpoint: Endpoint, max_retries: int, retried: Callable[[], None]
) -> dict[str, Any]:
    """Return the chat completion that answers `body`, after at most `max_retries` further tries.

    Args:
        post: Sends it once.
        body: JSON of the request.
        endpoint: Where `post` sends it; its key is taken out of every message.
        max_retries: Further tries; each waits longer, or as long as the server asked for.
        retried: Called before each further try.

    Raises:
        Fault: the last try's, when all are used up.
        EndpointUnavailable: the server asks to wait for more than a quarter of an hour.
        NoAnswer: the server refuses this request. It names no URL, since it goes into data.
        ModelUnusable: it refuses the key, the model, or every request.
    """

    async def once() -> dict[str, Any]:
        return _completion(await post(body), endpoint)

    def told(state: tenacity.RetryCallState) -> None:
        retried()
        if state.next_action and state.next_action.sleep > _LONG_WAIT_S:
            log.warning("asked to wait %.0f s: %s", state.next_action.sleep, _exception(state))

    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(max_retries + 1),
        wait=_wait_s,
        retry=tenacity.retry_if_exception_type(Fault),
        before_sleep=told,
        sleep=asyncio.sleep,
        reraise=True,
    )
    try:  # most requests end here, without the 70 µs that the loop's book-keeping takes
        return await once()
    except Fault as fault:
        faults = [fault]

    async def again() -> dict[str, Any]:
        if faults:  # the loop's first try is the one that has just failed
            raise faults.pop()
        return await once()

    return await retrying(again)


def _exception(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _wait_s(state: tenacity.RetryCallState) -> float:
    """Return how long to wait: as the server said, else exponentially longer, with jitter."""
    fault = _exception(state)
    backoff = _BACKOFF(state)
    if isinstance(fault, Fault) and fault.wait_s is not None:
        return fault.wait_s + backoff / 10  # not all at the same moment
    return backoff


def _completion(reply: Reply, endpoint: Endpoint) -> dict[str, Any]:
    """Return a reply's chat completion, or raise what it is instead."""
    if reply.status != 200:
        raise _error(reply, endpoint)
    try:
        answer: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        kind = "a page" if reply.content.lstrip()[:1] == b"<" else "broken JSON"
        raise Fault(f"answered 200 with {kind}: {_told(reply, endpoint)}") from None
    if not isinstance(answer, dict) or answer.get("error"):
        raise Fault(f"answered 200 without a chat completion: {_told(reply, endpoint)}")
    choices = answer.get("choices")
    if not choices or not isinstance(choices, list):
        raise Fault(f"answered 200 without a chat completion: {_told(reply, endpoint)}")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or choice.get("finish_reason") == "error":
        raise Fault(f"answered 200 with a failed completion: {_told(reply, endpoint)}")
    if not isinstance(message.get("content") or "", str):
        raise Fault(f"answered 200 with a message that is no text: {_told(reply, endpoint)}")
    return answer


def _error(reply: Reply, endpoint: Endpoint) -> Exception:
    """Return what an HTTP status means."""
    text = f"answered {reply.status}: {_told(reply, endpoint)}"
    if reply.status == 429 and b"insufficient_quota" in reply.content:
        return ModelUnusable(
            f"{endpoint.where} {text}. The account's credit is used up: waiting does not help"
        )
    if reply.status in _MAY_PASS or reply.status >= 500:
        asked_s = wait_s(reply.headers, time.time())
        if asked_s is not None and asked_s > _LONGEST_WAIT_S:
            return EndpointUnavailable(
                f"{endpoint.where} {text}. It asks to wait {asked_s:,.0f} s: run again after that. "
                "All answers so far are stored, and it goes on from here"
            )
        return Fault(text, asked_s)
    if reply.status in _REFUSED:
        return NoAnswer(text, "request_refused")
    return ModelUnusable(f"{endpoint.where} {text}. Check llm.model, llm.base_url and the key")


def _told(reply: Reply, endpoint: Endpoint) -> str:
    """Return the server's own message where its body has one, else how the body begins."""
    try:
        body = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        body = None
    error = body.get("error", body) if isinstance(body, dict) else None
    told = error.get("message") if isinstance(error, dict) else error
    text = told if isinstance(told, str) and told else reply.content[:2000].decode(errors="replace")
    return endpoint.quote(text)


def wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds a server asks to wait, or None where it does not say.

    Args:
        headers: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date.
        now: Unix time, for dates.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) / scale
        except ValueError:
            seconds = -1.0
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except ValueError:
        return None
