"""Reads long answers in a thread, so that the event loop serves the other requests meanwhile.

Reading and checking an answer takes up to 6 ms for 1,000 characters. There is one thread, because Python runs the
code of one thread at a time: a second one would only take turns with the event loop too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_LONG = 8_000  # characters or bytes; shorter answers are read at once, which saves the change of threads

_T = TypeVar("_T")
_THREAD = ThreadPoolExecutor(1, "reading")


async def apart(size: int, read: Callable[[], _T]) -> _T:
    """Return what `read` returns; it runs in a thread if the answer, of `size` characters or bytes, is long."""
    if size < _LONG:
        return read()
    return await asyncio.get_running_loop().run_in_executor(_THREAD, read)
