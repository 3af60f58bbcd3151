"""Long work with a progress bar: many rows at once, in the order they came."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
U = TypeVar("U")


async def each(
    rows: Sequence[T],
    worker: Callable[[T], Awaitable[U]],
    label: str,
    note: Callable[[], str] = lambda: "",
) -> list[U]:
    """Return `worker`'s result for each row, in the rows' order; all run concurrently.

    Args:
        rows: The work.
        worker: Called once a row.
        label: Name of the bar.
        note: What to show behind the bar, such as tokens so far.

    Raises:
        BaseException: the first failure of a worker, after the others were cancelled.
    """
    tty = sys.stderr.isatty()
    with tqdm(total=len(rows), desc=label, mininterval=0.5 if tty else 10, dynamic_ncols=tty) as bar:

        async def one(row: T) -> U:
            result = await worker(row)
            bar.set_postfix_str(note(), refresh=False)
            bar.update()
            return result

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(row)) for row in rows]
        except BaseExceptionGroup as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
    return [task.result() for task in tasks]
