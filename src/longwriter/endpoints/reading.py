"""Reads and checks answers in another process, so that the event loop serves the other requests meanwhile.

A long answer takes up to a second, and the network of refusals 5 to 50 ms for a short one. A thread is not enough:
Python runs one thread at a time, a pattern does not let other threads run, and each of the network's sixty steps would
wait for the event loop. The process starts when an answer first needs it, which takes about a second, and ends with this
one. It runs only the functions that are sent to it, so it does not import the stage. `begin` starts it earlier.
Calls that arrive while that process works are sent together in one message, because to send a message costs the
stage more than to check a short text. The next message is sent before the last result comes. Otherwise the message
would wait for the event loop, which lets another thread run only every 5 ms.
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
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeVar

from longwriter.errors import Unavailable

_LONG = 8_000  # characters or bytes; shorter answers are read here, which is faster
_MOST = 32  # calls in a message
_AHEAD = 2  # messages that are sent before their results come: one that is worked on, and the next one

_KILLED = (
    "the system killed the process that reads answers, most likely because memory ran out: run again with more free "
    "memory; all answers so far are stored"
)

_T = TypeVar("_T")


_Reply = tuple[bool, Any]
"""Whether a call raised an exception, and the exception or the result."""


class _Call(NamedTuple):
    """A call that the other process shall make, and the future of its result; None if nobody waits for it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: asyncio.Future[Any] | None


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


def begin(function: Callable[[], object]) -> None:
    """Start the process now, and have it call a function of a module that prepares it for the calls to come."""
    _READER.put(_Call(function, (), None))


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
        """Add a call to the end of the queue."""
        with self._lock:
            self._waiting.append(call)
            if self._is_serving:
                return
            self._is_serving = True
        self._thread.submit(self._serve)

    def _serve(self) -> None:
        """Make the calls that wait, up to `_MOST` at a time, until none waits."""
        sent: deque[list[_Call]] = deque()
        while True:
            with self._lock:
                calls, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                self._is_serving = bool(calls or sent)
            if not self._is_serving:
                return
            try:
                pipe = self._pipe or self._start()
                if calls:
                    message = pickle.dumps([(call.function, call.arguments) for call in calls])
                    sent.append(calls)
                    pipe.send_bytes(message)
                if not calls or len(sent) == _AHEAD:
                    reply = pipe.recv_bytes()
                    calls = sent.popleft()
                    _give(calls, pickle.loads(reply))
            except (EOFError, OSError):
                self.close()
                for calls in sent:
                    _give(calls, [(True, Unavailable(_KILLED))] * len(calls))
                sent.clear()
            except Exception as error:  # what cannot be pickled
                _give(calls, [(True, error)] * len(calls))

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


def _give(calls: list[_Call], replies: list[_Reply]) -> None:
    """Have the loops give the calls their results."""
    results = [(call.result, *reply) for call, reply in zip(calls, replies, strict=True) if call.result]
    for loop in {result.get_loop() for result, *_ in results}:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the results
            loop.call_soon_threadsafe(_set, loop, results)


def _set(loop: asyncio.AbstractEventLoop, results: list[tuple[asyncio.Future[Any], bool, Any]]) -> None:
    """Set the results of one loop's calls; a call that was cancelled gets none."""
    for result, is_error, value in results:
        if result.get_loop() is loop and not result.done():
            (result.set_exception if is_error else result.set_result)(value)


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
    messages = SimpleQueue[bytes]()
    with Connection(int(sys.argv[1])) as pipe, suppress(BrokenPipeError, ConnectionResetError):
        Thread(target=_receive, args=(pipe, messages), daemon=True).start()
        while True:
            calls = pickle.loads(messages.get())
            pipe.send_bytes(pickle.dumps([_reply(*call) for call in calls]))


def _receive(pipe: Connection, messages: SimpleQueue[bytes]) -> None:
    """Put what comes through the pipe into a queue; end this process when the pipe closes."""
    with suppress(EOFError, OSError):
        while True:
            messages.put(pipe.recv_bytes())
    os._exit(0)


def _reply(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Reply:
    """Return whether a call raises an exception, and the exception or the result."""
    try:
        return False, function(*arguments)
    except Exception as error:
        return True, error


if __name__ == "__main__":
    main()
