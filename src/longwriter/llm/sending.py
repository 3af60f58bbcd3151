"""Sends a request until it is answered: within the rate limits, with retries, and with a circuit breaker.

This is the only retry loop around an LLM API. The circuit breaker: when a request fails every time and
no other request was answered meanwhile, a short test request tells a dead endpoint from one bad
request. Once the endpoint is known to be down, every later request fails at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

from longwriter.errors import EndpointUnavailable, NoAnswer
from longwriter.llm.limits import RateLimits
from longwriter.llm.requests import Request
from longwriter.llm.transport import Fault, Transport

log = logging.getLogger(__name__)

_CHECK_RETRIES = 3
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 60.0
_LONG_WAIT_S = 60.0  # longer waits are logged


class Sender:
    """The one way to an endpoint."""

    def __init__(self, transport: Transport, limits: RateLimits, max_retries: int) -> None:
        """Send through `transport`, at most `1 + max_retries` times a request."""
        self._transport = transport
        self._limits = limits
        self._max_retries = max_retries
        self._answered_at = float("-inf")  # when the last answer came
        self._down_message = ""  # why the endpoint is down; empty = it is not
        self._checking = asyncio.Lock()
        self.retried = 0

    def raise_if_down(self) -> None:
        """Do nothing while the endpoint is not known to be down.

        Raises:
            EndpointUnavailable: it is down.
        """
        if self._down_message:
            raise EndpointUnavailable(self._down_message)

    async def send(self, request: Request) -> dict[str, Any]:
        """Return the chat completion that answers `request`.

        Raises:
            NoAnswer, EndpointUnavailable, ModelUnusable: as `LLM.ask` says.
        """
        try:
            return await self._send_with_retries(request, self._max_retries)
        except Fault as error:
            fault = error
        if request.check_body is None:
            raise self._unavailable(fault, self._max_retries)
        await self._check_endpoint(request.check_body, since=request.sent_at or 0.0)
        self.raise_if_down()
        raise NoAnswer(
            f"{fault} (after {self._max_retries} retries, while other requests are answered)",
            "request_failed",
        )

    async def _send_with_retries(self, request: Request, max_retries: int) -> dict[str, Any]:
        retry = 0
        while True:
            self.raise_if_down()
            await self._limits.reserve(request.estimated_tokens)
            self.raise_if_down()  # another request may have found it down while this one waited
            request.sent_at = time.monotonic()
            try:
                completion = await self._transport.post(request.body)
            except Fault as fault:
                if retry == max_retries:
                    raise
                self.retried += 1
                request.sent_at = None
                if not request.is_wanted:
                    raise asyncio.CancelledError from None
                self.raise_if_down()
                await asyncio.sleep(_wait_s(fault, retry))
                retry += 1
            else:
                self._answered_at = time.monotonic()
                return completion

    async def _check_endpoint(self, check_body: bytes, since: float) -> None:
        """Note that the endpoint is down if it answered no request since that time, nor a test request now."""
        async with self._checking:  # one check for all requests that fail at the same time
            if self._answered_at >= since or self._down_message:
                return
            check = Request("", {}, check_body, estimated_tokens=0, check_body=None)
            try:
                await self._send_with_retries(check, _CHECK_RETRIES)
            except NoAnswer:
                self._answered_at = time.monotonic()  # a server that refuses a request is alive
            except Fault as fault:
                self._down_message = str(self._unavailable(fault, _CHECK_RETRIES))

    def _unavailable(self, fault: Fault, retries: int) -> EndpointUnavailable:
        return EndpointUnavailable(
            f"{self._transport.endpoint.where} {fault} (after {retries} retries): check llm.base_url, or wait until "
            "the server works again. All answers so far are stored: run again to continue from here"
        )


def _wait_s(fault: Fault, retry: int) -> float:
    """Return how long to wait before a retry: as the server asked, else exponentially longer, with jitter.

    A long wait is logged.
    """
    jitter_s = random.uniform(0, _FIRST_BACKOFF_S)
    backoff_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(retry, 16) + jitter_s)
    if fault.wait_s is None:
        return backoff_s
    wait_s = fault.wait_s + backoff_s / 10  # so that not all requests come back at the same moment
    if wait_s > _LONG_WAIT_S:
        log.warning("asked to wait %.0f s: %s", wait_s, fault)
    return wait_s
