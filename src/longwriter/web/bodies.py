"""Reads the body of a request before an application works on it, and only for a limited time.

An application that waits for a body can hold what it shares with other requests. Prefect on SQLite works on 100
requests at once, so 100 half-sent bodies would stop it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

WAIT_S = 20.0
"""How far a body may be behind the slowest rate. Source of both: the defaults of Apache's mod_reqtimeout."""
_BYTES_PER_S = 500  # the slowest rate
_HELD_BYTES = 2**20  # of a longer body, such as a model for MLflow, the rest is passed on while it comes


class Body:
    """The body of one request."""

    def __init__(self, receive: Receive, wait_s: float = WAIT_S) -> None:
        """Take the messages of a server; the time begins now."""
        self._receive = receive
        self._wait_s = wait_s
        self._end = asyncio.get_running_loop().time() + wait_s
        self._parts: deque[Message] = deque()
        self._is_whole = False

    async def hold(self) -> None:
        """Read the body, or the first megabyte of a longer one.

        Raises:
            TimeoutError: it does not come in time.
        """
        size = 0
        while size < _HELD_BYTES and not self._is_whole:
            self._parts.append(message := await self._read())
            size += len(message.get("body", b""))

    async def receive(self) -> Message:
        """Return the next message, as ASGI's `receive`; a client that is too slow counts as gone."""
        if self._parts:
            return self._parts.popleft()
        if self._is_whole:
            return await self._receive()
        try:
            return await self._read()
        except TimeoutError:
            return {"type": "http.disconnect"}

    async def _read(self) -> Message:
        async with asyncio.timeout_at(self._end):
            message = await self._receive()
        latest = asyncio.get_running_loop().time() + self._wait_s
        self._end = min(latest, self._end + len(message.get("body", b"")) / _BYTES_PER_S)
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message
