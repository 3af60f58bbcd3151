"""Runs requests concurrently: at most N at a time; identical requests share one call.

Each request runs in its own task. A request that was sent must be paid, so it goes on when the task that
asked for it is cancelled, and its answer is stored. A request keeps its slot until its answer is on disk, so
a killed process loses at most N answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from longwriter.calls.call_log import Call, CallStore
from longwriter.calls.meter import Meter
from longwriter.llm.requests import Request
from longwriter.llm.sending import Sender

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Running:
    """A request, the task that sends and stores it, and the number of callers that wait for it."""

    request: Request
    task: asyncio.Task[Call]
    waiters: int = 0


class InFlight:
    """The requests of one client that are waiting for a slot, being sent or being stored."""

    def __init__(self, max_concurrency: int, sender: Sender, store: CallStore, meter: Meter) -> None:
        """Run at most `max_concurrency` requests at a time."""
        self._slots = asyncio.Semaphore(max_concurrency)
        self._sender = sender
        self._store = store
        self._meter = meter
        self._running: dict[str, _Running] = {}

    async def run(self, request: Request) -> Call:
        """Return the call of a request once it is answered, stored and counted.

        If a request with the same `call_id` is already running, the caller waits for that one, and its
        call counts as replayed. If all callers are cancelled, a request that was not sent yet is dropped;
        one that was sent still gets its answer, which is stored.

        Raises:
            NoAnswer, EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
        """
        running = self._running.get(request.call_id)
        is_shared = running is not None
        if running is None:
            running = _Running(request, asyncio.create_task(self._send_and_store(request)))
            self._running[request.call_id] = running
        running.waiters += 1
        running.request.is_wanted = True
        try:
            call = await asyncio.shield(running.task)
        finally:
            running.waiters -= 1
            if not running.waiters:
                self._drop(running)
        if is_shared:
            call = call._replace(replayed=True)
            self._meter.add(call)
        return call

    async def _send_and_store(self, request: Request) -> Call:
        try:
            async with self._slots:
                self._meter.raise_if_spent()
                started = time.monotonic()
                completion = await self._sender.send(request)
                latency_s = round(time.monotonic() - started, 3)
                call = await self._store.keep(
                    Call(request.call_id, request.identity, completion, latency_s, replayed=False)
                )
                self._meter.add(call)  # before the slot is free, so that the next request sees its cost
                return call
        finally:
            self._forget(request)

    def under_way(self) -> int:
        """Return the number of requests that were sent and have no answer yet."""
        return sum(running.request.sent_at is not None for running in self._running.values())

    def _drop(self, running: _Running) -> None:
        """End a request that nobody waits for: at once if it was not sent, else after its current try."""
        running.request.is_wanted = False
        if running.request.sent_at is None:
            self._forget(running.request)
            running.task.cancel()

    def _forget(self, request: Request) -> None:
        running = self._running.get(request.call_id)
        if running is not None and running.request is request:
            del self._running[request.call_id]

    async def finish(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for the requests that were sent; drop those that were not."""
        for running in list(self._running.values()):
            self._drop(running)
        tasks = [running.task for running in self._running.values()]
        if tasks:
            log.info("waiting for %d requests that were already sent", len(tasks))
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
