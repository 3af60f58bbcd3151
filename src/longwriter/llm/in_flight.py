"""Requests under way: so many at once, the same one only once, and none given up that is paid for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Flights(Generic[T]):
    """Tasks by key, each with a slot; they outlive whoever waits for them.

    A task is in the air between `takes_off` and its end, or `comes_back`: then it is let to its end.
    """

    def __init__(self, slots: int) -> None:
        """Have so many slots."""
        self._slots = asyncio.Semaphore(slots)
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._in_the_air: set[asyncio.Task[T]] = set()
        self._landing = False

    async def join(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return (result of `work`, whether another asker began it).

        Args:
            key: What makes two works the same.
            work: Done in a slot, by the first who asks.

        Raises:
            BaseException: what `work` raised, to all who asked.
        """
        while True:
            task = self._tasks.get(key)
            is_first = task is None
            if task is None:
                task = self._tasks[key] = asyncio.create_task(self._in_slot(work))
                task.add_done_callback(lambda done: self._forget(key, done))
            try:
                return await asyncio.shield(task), not is_first
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if me is not None and not me.cancelling() and not self._landing:
                    continue  # the other asker was cancelled, before it was sent
                if task not in self._in_the_air:
                    task.cancel()
                raise

    async def _in_slot(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._slots:
            return await work()

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        self._in_the_air.discard(task)

    def takes_off(self) -> None:
        """Note that the task that calls this is sent now, and will be paid for."""
        task: asyncio.Task[T] | None = asyncio.current_task()
        if task is not None:
            self._in_the_air.add(task)

    def comes_back(self) -> None:
        """Note that the sending of the task that calls this has failed; it ends when all land."""
        task: asyncio.Task[T] | None = asyncio.current_task()
        if task is not None:
            self._in_the_air.discard(task)
        if self._landing:
            raise asyncio.CancelledError

    async def land(self, timeout_s: float) -> None:
        """Wait for what is in the air, for at most `timeout_s`; end what was not sent yet."""
        self._landing = True
        for task in list(self._tasks.values()):
            if task not in self._in_the_air:
                task.cancel()
        if self._in_the_air:
            log.info("waiting for %d requests that are under way", len(self._in_the_air))
            _, late = await asyncio.wait(self._in_the_air, timeout=timeout_s)
            for task in late:
                task.cancel()
