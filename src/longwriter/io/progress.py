"""Concurrent work on many rows with a progress bar.

`each` returns all results in the rows' order, so they must fit in memory. `each_to` is for any number of
rows: it holds only the rows that workers process now, and passes on each result as soon as it is ready.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)

Tick = Callable[[int], None]
"""Moves the bar by a number of units."""

row: ContextVar[int | None] = ContextVar("row", default=None)
"""Position of the row that the current task works for; None outside `each` and `each_to`."""


class Rows(Protocol[T_co]):
    """Rows that `each_to` accepts: a list, or `files.Indexed`."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, position: int, /) -> T_co:
        """Return one row."""


async def each(
    rows: Sequence[T],
    worker: Callable[[T], Awaitable[U]],
    label: str,
    note: Callable[[], str] = lambda: "",
) -> list[U]:
    """Return the result of `worker` for each row, in the order of the rows; all rows run concurrently.

    Args:
        rows: The work.
        worker: Called once for each row.
        label: Name of the bar.
        note: Text after the bar, such as the number of tokens so far.

    Raises:
        BaseException: the first failure of a worker, after the others were cancelled.
    """
    with _Bar(len(rows), label, "rows", note) as bar:

        async def run(position: int) -> U:
            row.set(position)
            result = await worker(rows[position])
            bar.update()
            return result

        async with _first_failure() as group:
            tasks = [group.create_task(run(position)) for position in range(len(rows))]
    return [task.result() for task in tasks]


async def each_to(
    rows: Rows[T],
    worker: Callable[[T, Tick], Awaitable[U]],
    keep: Callable[[int, U], None],
    label: str,
    note: Callable[[], str] = lambda: "",
    *,
    concurrency: int,
    weights: Sequence[int] | None = None,
    unit: str = "rows",
) -> None:
    """Pass the result of `worker` for each row to `keep` as soon as it is ready; the heaviest rows start first.

    The light rows come last, so that no heavy row runs alone at the end. Memory does not grow with the
    number of rows: `concurrency` workers take one row after the other, and results are not kept here.

        plans = files.indexed(path, Plan, lambda plan: len(plan.steps))
        with files.spool(Draft, Rejection) as results:
            await progress.each_to(plans, write, results.put, "write", llm.note,
                                   concurrency=8, weights=plans.weights, unit="paragraphs")
            for result in results:  # in the order of the plans
                ...

    Args:
        rows: The work; a row is read when a worker starts it.
        worker: Called once for each row, with the row and `tick`. While it works on the row, it can call
            `tick(n)` to move the bar by n units. When the row is done, the bar moves by the rest of its weight.
        keep: Called with the position of the row in `rows` and with the result.
        label: Name of the bar.
        note: Text after the bar, such as the number of tokens so far.
        concurrency: Workers, at least 1.
        weights: Units of work in each row; rows of equal weight start in their order. None = 1 each.
        unit: Name of what the bar counts.

    Raises:
        BaseException: the first failure of a worker or of `keep`, after the others were cancelled;
            no further row begins.
    """
    row_weights = weights if weights is not None else [1] * len(rows)
    waiting = iter(sorted(range(len(rows)), key=lambda position: -row_weights[position]))
    with _Bar(sum(row_weights), label, unit, note) as bar:

        async def run(position: int) -> None:
            row.set(position)
            remaining = row_weights[position]

            def tick(units: int) -> None:
                nonlocal remaining
                units = min(units, remaining)
                remaining -= units
                bar.update(units)

            keep(position, await worker(rows[position], tick))
            tick(remaining)

        async def work() -> None:
            for position in waiting:
                await run(position)

        async with _first_failure() as group:
            for _ in range(min(concurrency, len(rows))):
                group.create_task(work())


@asynccontextmanager
async def counter(label: str, unit: str) -> AsyncIterator[Tick]:
    """Yield a function that moves a bar without an end, for work whose amount is not known."""
    with _Bar(None, label, unit, lambda: "") as bar:

        def tick(units: int) -> None:
            bar.update(units)

        yield tick


class _Bar(tqdm):  # type: ignore[type-arg] # at run time the class takes no type argument
    """A bar that calls `note` each time it is drawn: twice a second on a terminal, every ten seconds in a log.

    It is also drawn while no row ends, because `note` may count the tokens of the rows under way.
    """

    def __init__(self, total: int | None, label: str, unit: str, note: Callable[[], str]) -> None:
        """Draw the empty bar."""
        self._note, tty = note, sys.stderr.isatty()
        self._every_s = 0.5 if tty else 10.0
        self._drawn_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        super().__init__(
            total=total, desc=label, unit=f" {unit}", mininterval=self._every_s, dynamic_ncols=tty
        )
        self._redraw()

    def _redraw(self) -> None:
        """Draw the bar if it was not drawn lately, and call this method again later."""
        if (wait_s := self._drawn_at + self._every_s - time.monotonic()) <= 0:
            self.refresh()
            wait_s = self._every_s
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._redraw)

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Draw the bar."""
        self._drawn_at = time.monotonic()
        super().display(*args, **kwargs)

    def close(self) -> None:
        """Draw the bar for the last time."""
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        """Return the values that the bar shows."""
        return {**super().format_dict, "postfix": self._note()}


@asynccontextmanager
async def _first_failure() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a task group that raises its first failure alone, after the other tasks were cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
