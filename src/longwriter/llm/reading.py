"""Reads and checks answers in another process, so that the event loop serves the other requests meanwhile.

A long answer takes up to a second, and the network of refusals 5 to 50 ms for a short one. A thread is not enough:
Python runs one thread at a time, a pattern does not let other threads run, and each of the network's sixty steps would
wait for the event loop. The process starts when an answer first needs it, which takes about a second, and ends with this
one. It runs only the functions that are sent to it, so it does not import the stage. Calls that come while it works
are sent together, because each message costs this process more than a check of a short text.
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
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from longwriter.errors import Unavailable

_LONG = 8_000  # characters or bytes; shorter answers are read here, which is faster
_MOST = 32  # calls in a message

_T = TypeVar("_T")


_Reply = tuple[bool, Any]
"""Whether a call raised an exception, and the exception or the result."""


class _Call(NamedTuple):
    """A call that the other process shall make, and the future of its result."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: asyncio.Future[Any]


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
    result: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
    _READER.put(_Call(function, arguments, result))
    return await result


class _Reader:
    """The other process; one thread sends calls to it and waits for their results."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._thread = ThreadPoolExecutor(1, "reading")
        self._lock = Lock()
        self._waiting: list[_Call] = []
        self._is_serving = False

    def put(self, call: _Call) -> None:
        """Have a call made after those that wait already."""
        with self._lock:
            self._waiting.append(call)
            if self._is_serving:
                return
            self._is_serving = True
        self._thread.submit(self._serve)

    def _serve(self) -> None:
        """Make the calls that wait, up to `_MOST` at a time, until none waits."""
        while True:
            with self._lock:
                calls, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                self._is_serving = bool(calls)
            if not calls:
                return
            try:
                replies = self._replies(calls)
            except Exception as error:
                replies = [(True, error)] * len(calls)
            for loop in {call.result.get_loop() for call in calls}:
                with suppress(RuntimeError):  # the loop is closed: nobody waits for the results
                    loop.call_soon_threadsafe(_give, loop, calls, replies)

    def _replies(self, calls: list[_Call]) -> list[_Reply]:
        """Return what the process replies to calls.

        Raises:
            Unavailable: the process was killed.
        """
        message = pickle.dumps([(call.function, call.arguments) for call in calls])
        pipe = self._pipe or self._start()
        try:
            pipe.send_bytes(message)
            replies: list[_Reply] = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            self.close()
            raise Unavailable(
                "the system killed the process that reads answers, most likely because memory ran out: run again with "
                "more free memory; all answers so far are stored"
            ) from None
        return replies

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


def _give(loop: asyncio.AbstractEventLoop, calls: list[_Call], replies: list[_Reply]) -> None:
    """Give the calls of one loop their results; a call that was cancelled gets none."""
    for call, (is_error, result) in zip(calls, replies, strict=True):
        if call.result.get_loop() is loop and not call.result.done():
            (call.result.set_exception if is_error else call.result.set_result)(result)


_READER = _Reader()
atexit.register(lambda: _READER.close())


def _begin_fork() -> None:
    """Give a forked process a thread and a reader of its own: it has no threads, and the pipe is its parent's."""
    global _READER
    _READER = _Reader()


os.register_at_fork(after_in_child=_begin_fork)


def main() -> None:
    """Call the functions that come through the pipe named on the command line, until it closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the other process decides when this one ends
        signal.signal(number, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as pipe, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            calls = pickle.loads(pipe.recv_bytes())
            pipe.send_bytes(pickle.dumps([_reply(*call) for call in calls]))


def _reply(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Reply:
    """Return whether a call raises an exception, and the exception or the result."""
    try:
        return False, function(*arguments)
    except Exception as error:
        return True, error


if __name__ == "__main__":
    main()
