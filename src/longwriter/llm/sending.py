"""Sends a request until it is answered: within the rate limits, with retries, and with a circuit breaker.

This is the only retry loop around an LLM API. If a request fails every time and no other request was
answered meanwhile, the circuit breaker sends a short test request. It shows whether the endpoint is down or
only this request is bad.

If `_MOST_REFUSED_ROWS` different rows get the same refusal, in whatever words, and no request gets an answer in
between, the cause is the endpoint and not these rows. Once the endpoint is known to be down, or refuses the
account, the model or every row, every later request fails at once and is not sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING

import tenacity

from longwriter.calls.answers import Completion
from longwriter.endpoints.endpoint import Fault
from longwriter.endpoints.limits import RateLimits
from longwriter.errors import EndpointUnavailable, LongWriterError, ModelUnusable, NoAnswer
from longwriter.io import progress
from longwriter.llm.requests import Request

if TYPE_CHECKING:
    from longwriter.endpoints.transport import Transport

log = logging.getLogger(__name__)

_CHECK_RETRIES = 3
_LONG_WAIT_S = 60.0  # longer waits are logged
_MOST_REFUSED_ROWS = 10
_REQUEST_ID = re.compile(r"\b(?=[\w-]*\d)[\w-]{12,}")  # differs in messages that are otherwise the same
_BACKOFF_S = tenacity.wait_exponential_jitter(multiplier=0.5, max=60.0, jitter=0.5)


class Sender:
    """Sends all requests of one client."""

    def __init__(self, transport: Transport, limits: RateLimits, max_retries: int) -> None:
        """Send through `transport`, at most `1 + max_retries` times a request."""
        self._transport = transport
        self._limits = limits
        self._max_retries = max_retries
        self._answered_at = float("-inf")  # when the last answer came
        self._final_error: LongWriterError | None = (
            None  # why no more requests are sent; None = they are sent
        )
        self._refusal = ""  # the last refusal, without ids
        self._refused_rows: set[object] = set()  # rows that got this refusal since the last answer
        self._checking = asyncio.Lock()
        self.retried = 0

    def raise_if_ended(self) -> None:
        """Raise the error after which no more requests are sent, if there is one.

        Raises:
            EndpointUnavailable: the endpoint is down.
            ModelUnusable: it refuses the account, the model, or every row.
        """
        if self._final_error is not None:
            raise type(self._final_error)(str(self._final_error))

    async def tokens_under_way(self) -> int | None:
        """Return how many tokens of the answers under way are written; None if the endpoint does not say."""
        return await self._transport.tokens_under_way()

    async def send(self, request: Request) -> Completion:
        """Return the chat completion that answers `request`.

        Raises:
            NoAnswer, EndpointUnavailable, ModelUnusable: as `LLM.ask` says.
        """
        try:
            return await self._send_with_retries(request, self._max_retries)
        except Fault as error:
            fault = error
        except NoAnswer as refusal:
            if request.check_body is not None:
                self._count_refusal(request, str(refusal))
            raise
        if request.check_body is None:
            raise self._unavailable(fault, self._max_retries)
        await self._check_endpoint(request.check_body, since=request.sent_at or 0.0)
        self.raise_if_ended()
        raise NoAnswer(
            f"{fault} (after {self._max_retries} retries, while other requests are answered)",
            "request_failed",
        )

    async def _send_with_retries(self, request: Request, max_retries: int) -> Completion:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(max_retries + 1),
            wait=_wait_s,
            retry=tenacity.retry_if_exception_type(Fault),
            before_sleep=lambda _: self._prepare_retry(request),
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(self._send_once, request)

    async def _send_once(self, request: Request) -> Completion:
        self.raise_if_ended()
        await self._limits.reserve(request.estimated_tokens)
        self.raise_if_ended()  # another request may have ended the sending while this one waited
        request.sent_at = time.monotonic()
        try:
            completion = await self._transport.post(request.body)
        except (EndpointUnavailable, ModelUnusable) as error:
            self._final_error = self._final_error or error
            raise
        self._answered_at = time.monotonic()
        self._refused_rows.clear()
        return completion

    def _count_refusal(self, request: Request, message: str) -> None:
        """Note that an endpoint refuses a row; a row that is too long for the context does not count.

        Raises:
            ModelUnusable: it refuses every row with the same message.
        """
        if "context" in message.lower():
            return
        refusal = _REQUEST_ID.sub("", message)
        if refusal != self._refusal:
            self._refusal = refusal
            self._refused_rows.clear()
        row = progress.row.get()
        self._refused_rows.add(request.call_id if row is None else row)
        if len(self._refused_rows) >= _MOST_REFUSED_ROWS:
            self._final_error = self._final_error or ModelUnusable(
                f"{self._transport.endpoint.where} refused {_MOST_REFUSED_ROWS} different rows in a row with the "
                f"same message, so the cause is not these rows: {message}. Check the settings of the model and of its "
                "sampling, and run again. No row is rejected, and all answers so far are stored"
            )
            self.raise_if_ended()

    def _prepare_retry(self, request: Request) -> None:
        """Count a retry; raise an error if nobody waits for the answer, or no more requests are sent."""
        self.retried += 1
        request.sent_at = None
        if not request.is_wanted:
            raise asyncio.CancelledError
        self.raise_if_ended()

    async def _check_endpoint(self, check_body: bytes, since: float) -> None:
        """Note that the endpoint is down if it answered no request since `since`, and does not answer a test request."""
        async with self._checking:  # one check for all requests that fail at the same time
            if self._answered_at >= since or self._final_error is not None:
                return
            check = Request("", {}, check_body, estimated_tokens=0, check_body=None)
            try:
                await self._send_with_retries(check, _CHECK_RETRIES)
            except NoAnswer:
                self._answered_at = time.monotonic()  # a server that refuses a request is alive
            except Fault as fault:
                self._final_error = self._unavailable(fault, _CHECK_RETRIES)

    def _unavailable(self, fault: Fault, retries: int) -> EndpointUnavailable:
        return EndpointUnavailable(
            f"{self._transport.endpoint.where} {fault} (after {retries} retries): check its address in params.yaml "
            "(llm.base_url, or base_url of the judge) or --base-url, or wait until the server works again. "
            "All answers so far are stored: run again to continue from here"
        )


def _wait_s(state: tenacity.RetryCallState) -> float:
    """Return the wait before a retry: what the server asked for, else exponential backoff with jitter.

    A long wait is logged.
    """
    fault = state.outcome.exception() if state.outcome else None
    backoff_s = _BACKOFF_S(state)
    if not isinstance(fault, Fault) or fault.wait_s is None:
        return backoff_s
    wait_s = fault.wait_s + backoff_s / 10  # so that not all requests come back at the same moment
    if wait_s > _LONG_WAIT_S:
        log.warning("asked to wait %.0f s: %s", wait_s, fault)
    return wait_s
