"""Reads and checks answers in another process, so that the event loop serves the other requests meanwhile.

A long answer takes up to a second, and the network of refusals 5 to 50 ms for a short one. A thread is not enough:
Python runs one thread at a time, a pattern does not let other threads run, and each of the network's sixty steps would
wait for the event loop. The process starts when an answer first needs it, which takes about a second, and ends with this
one. It runs only the functions that are sent to it, so it does not import the stage.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from longwriter.errors import Unavailable

_LONG = 8_000  # characters or bytes; shorter answers are read here, which is faster

_T = TypeVar("_T")


async def run_by_size(size: int, function: Callable[..., _T], *arguments: Any) -> _T:
    """Return the result of a function; it runs in another process if the answer that it reads is long.

    Args:
        size: Size of the answer, in characters or bytes.
        function: A function of a module; its result and its exceptions can be pickled.
        arguments: Its arguments, which can be pickled.
    """
    return function(*arguments) if size < _LONG else await run_in_process(function, *arguments)


async def run_in_process(function: Callable[..., _T], *arguments: Any) -> _T:
    """Return the result of a function, as `run_by_size` does, whatever the size of the answer.

    Raises:
        Unavailable: the process was killed; the next call starts another one.
    """
    loop = asyncio.get_running_loop()
    result: _T = await loop.run_in_executor(_THREAD, _READER.call, function, arguments)
    return result


class _Reader:
    """The other process; one thread uses it."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return what the function returns in the process, or raise what it raises there."""
        call = pickle.dumps((function, arguments))
        pipe = self._pipe or self._start()
        try:
            pipe.send_bytes(call)
            reply = pipe.recv_bytes()
        except (EOFError, OSError):
            self.close()
            raise Unavailable(
                "the system killed the process that reads answers, most likely because memory ran out: run again with "
                "more free memory; all answers so far are stored"
            ) from None
        is_error, result = pickle.loads(reply)
        if is_error:
            raise result
        return result

    def _start(self) -> Connection:
        """Start the process, and return the pipe to it."""
        self._pipe, other = multiprocessing.Pipe()
        with other:
            command = [sys.executable, "-m", __name__, str(other.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[other.fileno()])
        return self._pipe

    def close(self) -> None:
        """Close the pipe, which ends the process."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.wait()
        self._pipe = self._process = None


_READER = _Reader()
_THREAD = ThreadPoolExecutor(1, "reading")
atexit.register(lambda: _READER.close())


def _begin_fork() -> None:
    """Give a forked process a thread and a reader of its own: it has no threads, and the pipe is its parent's."""
    global _READER, _THREAD
    _READER, _THREAD = _Reader(), ThreadPoolExecutor(1, "reading")


os.register_at_fork(after_in_child=_begin_fork)


def main() -> None:
    """Call the functions that come through the pipe named on the command line, until it closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the other process decides when this one ends
        signal.signal(number, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as pipe, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send_bytes(_reply(pipe.recv_bytes()))


def _reply(call: bytes) -> bytes:
    """Return whether a call raises an exception, and the exception or the result."""
    try:
        function, arguments = pickle.loads(call)
        return pickle.dumps((False, function(*arguments)))
    except Exception as error:
        return pickle.dumps((True, error))


if __name__ == "__main__":
    main()
