"""Requests to one endpoint: within its limits, repeated where that helps, and given up when it is down.

The circuit breaker: when a request fails for good and nobody else is answered either, one tiny
request tells a dead endpoint from a request that only looks innocent. After that nobody waits again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from longwriter.errors import EndpointUnavailable, LongWriterError, NoAnswer
from longwriter.llm import transport
from longwriter.llm.limits import Throttle
from longwriter.llm.transport import Endpoint, Fault, Post, Reply

_CHECK_RETRIES = 3


def _nothing() -> None:
    pass


class Sender:
    """The one way to an endpoint."""

    def __init__(self, post: Post, endpoint: Endpoint, throttle: Throttle, max_retries: int) -> None:
        """Hold how a body is sent, where, how fast, and how often again."""
        self._post, self._endpoint, self._throttle, self._max_retries = post, endpoint, throttle, max_retries
        self._answered_at = float("-inf")
        self._down = ""
        self._checking = asyncio.Lock()
        self.retried = 0

    def check(self) -> None:
        """Let a further request pass, while the endpoint is not known to be down.

        Raises:
            EndpointUnavailable: it is.
        """
        if self._down:
            raise EndpointUnavailable(self._down)

    async def complete(
        self,
        body: bytes,
        tokens: Callable[[], int],
        tiny: Callable[[], bytes],
        *,
        sent: Callable[[], None] = _nothing,
        failed: Callable[[], None] = _nothing,
    ) -> dict[str, Any]:
        """Return the chat completion that answers `body`.

        Args:
            body: JSON of the request.
            tokens: About how many tokens it takes at most, prompt and answer.
            tiny: A request that any healthy endpoint answers.
            sent: Called before each try, once its turn has come.
            failed: Called after a try that is to be repeated.

        Raises:
            NoAnswer, EndpointUnavailable, ModelUnusable: as `LLM.ask` says.
        """
        began = 0.0

        def begins() -> None:
            nonlocal began
            sent()
            began = time.monotonic()

        try:
            return await self._tries(body, tokens, self._max_retries, begins, failed)
        except Fault as fault:
            raise await self._verdict(fault, began, tiny) from None

    async def first(self, body: bytes, tokens: Callable[[], int]) -> dict[str, Any]:
        """Return the chat completion that answers `body`, by which the endpoint shows that it is there.

        Raises:
            NoAnswer, EndpointUnavailable, ModelUnusable: as `LLM.ask` says.
        """
        try:
            return await self._tries(body, tokens, self._max_retries)
        except Fault as fault:
            raise self._unavailable(fault, self._max_retries) from None

    async def _tries(
        self,
        body: bytes,
        tokens: Callable[[], int],
        retries: int,
        sent: Callable[[], None] = _nothing,
        failed: Callable[[], None] = _nothing,
    ) -> dict[str, Any]:
        async def post(body: bytes) -> Reply:
            await self._throttle.reserve(tokens)
            self.check()
            sent()
            return await self._post(body)

        def again() -> None:
            self.retried += 1
            failed()
            self.check()

        answer = await transport.complete(post, body, self._endpoint, retries, again)
        self._answered_at = time.monotonic()
        return answer

    async def _verdict(self, fault: Fault, began: float, tiny: Callable[[], bytes]) -> LongWriterError:
        """Return what a request's failure means: is anyone answered since its last try began?"""
        async with self._checking:
            if self._answered_at < began and not self._down:
                try:
                    await self._tries(tiny(), lambda: 0, _CHECK_RETRIES)
                except NoAnswer:
                    self._answered_at = time.monotonic()  # refused, by a server that is alive
                except Fault as last:
                    self._down = str(self._unavailable(last, _CHECK_RETRIES))
        if self._down:
            return EndpointUnavailable(self._down)
        text = f"{fault} (after {self._max_retries} retries, while other requests are answered)"
        return NoAnswer(text, "request_failed")

    def _unavailable(self, fault: Fault, retries: int) -> EndpointUnavailable:
        return EndpointUnavailable(
            f"{self._endpoint.where} {fault} (after {retries} retries): check llm.base_url, or wait until "
            "the server is well. All answers so far are stored: run again, and it goes on from here"
        )
