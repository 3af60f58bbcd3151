"""Stores and logs every call. An answer is used only when it is in the replay cache and in the log.

One thread stores all calls that wait, in one transaction. A commit takes 1 to 20 ms, which is too long for
each of a thousand calls a second.
"""

from __future__ import annotations

import asyncio
import base64
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import zstandard

from longwriter.calls import replay
from longwriter.calls.answers import Answer, Completion
from longwriter.calls.replay import ReplayCache, Row
from longwriter.io import files
from longwriter.text import inert
from longwriter.text.basics.prompts import Refused

_LARGEST_BATCH = 1024  # calls in one transaction


class Call(NamedTuple):
    """A request and its answer; `call_id` is the hash of `request`."""

    call_id: str
    request: dict[str, Any]
    completion: Completion
    latency_s: float
    replayed: bool


def answer(call: Call) -> Answer:
    """Return the answer that the caller of `LLM.ask` gets."""
    completion = call.completion
    return Answer(
        call.call_id, completion.text, completion.finish_reason, completion.usage, call.replayed,
        completion.refused, completion.thinking, completion.model,
    )  # fmt: skip


class CallStore:
    """Stores and logs calls in a thread of its own; `open_store` makes it."""

    def __init__(
        self, cache: ReplayCache, lines: IO[bytes], loop: asyncio.AbstractEventLoop, endpoint: str
    ) -> None:
        """Start the thread; `endpoint` is the argument of `replay.key`."""
        self._cache = cache
        self._endpoint = endpoint
        self._lines = lines
        self._loop = loop
        self._waiting: queue.SimpleQueue[tuple[Call, asyncio.Future[Call]] | None] = queue.SimpleQueue()
        self._compressor = zstandard.ZstdCompressor()
        self.refusals: dict[str, Refused] = {}
        """{call_id: why its answer was not used}; a later reason replaces an earlier one."""
        self._thread = threading.Thread(target=self._run, name="call-store", daemon=True)
        self._thread.start()

    async def keep(self, call: Call) -> Call:
        """Return the call once it is stored and logged.

        If another process has stored an answer to the request meanwhile, that answer is kept and returned.

        Raises:
            sqlite3.Error, OSError: the call could not be stored, for example because the disk is full.
        """
        stored_call: asyncio.Future[Call] = self._loop.create_future()
        self._waiting.put((call, stored_call))
        return await stored_call

    def close(self) -> None:
        """Store the calls that still wait, then end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while not self._waiting.empty() and len(batch) < _LARGEST_BATCH:
                batch.append(self._waiting.get())
            is_open = None not in batch
            waiting = [item for item in batch if item is not None]
            try:
                result: list[Call] | Exception = self._store([call for call, _ in waiting])
            except Exception as error:  # the waiting tasks raise it
                result = error
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in waiting], result)

    def _store(self, calls: list[Call]) -> list[Call]:
        """Store and log the calls; return them with the answers that are now in the cache."""
        rows = [None if call.replayed else self._row(call) for call in calls]
        earlier = self._cache.put_many([row for row in rows if row is not None])
        stored_calls = [
            call._replace(**earlier[row.request_hash]._asdict(), replayed=True)
            if row is not None and row.request_hash in earlier
            else call
            for call, row in zip(calls, rows, strict=True)
        ]
        self._lines.write(b"".join(_line(call, self._endpoint) for call in stored_calls))
        return stored_calls

    def _row(self, call: Call) -> Row:
        body = self._compressor.compress(replay.pack(call.completion.body, call.latency_s))
        usage = call.completion.usage
        counts = (None, None) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        key = replay.key(call.call_id, self._endpoint)
        return Row(key, body, call.request["model"], call.latency_s, *counts)


def _line(call: Call, endpoint: str) -> bytes:
    """Return a call as a line of the log.

    `answer` is the body of the reply, byte for byte. If the body cannot be part of a line of JSON, `answer` is
    null. The body is then a string in `body`, or in `body_base64` if it is not UTF-8.
    """
    completion = call.completion
    row = {
        "call_id": call.call_id,
        "request": {
            key: inert.masked(value) if key == "extra_body" else value for key, value in call.request.items()
        },
        "replayed": call.replayed,
        "model": call.request["model"],
        "endpoint": endpoint or None,
        "served_model": completion.model,
        "system_fingerprint": completion.fingerprint,
        "attempt": call.request["attempt"],
        "finish_reason": completion.finish_reason,
        "usage": None if completion.usage is None else completion.usage._asdict(),
        "latency_s": call.latency_s,
        "answer": None,
    }
    if completion.is_json and b"\n" not in completion.body and b"\r" not in completion.body:
        row["answer"] = orjson.Fragment(completion.body)
    else:
        try:
            row["body"] = completion.body.decode("utf-8")
        except UnicodeDecodeError:
            row["body_base64"] = base64.b64encode(completion.body).decode("ascii")
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _resolve(futures: list[asyncio.Future[Call]], result: list[Call] | Exception) -> None:
    for number, future in enumerate(futures):
        if future.done():  # its caller was cancelled; the answer is stored anyway
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result[number])


@asynccontextmanager
async def open_store(cache: ReplayCache, path: Path, endpoint: str = "") -> AsyncIterator[CallStore]:
    """Yield a store that writes to `cache`, and logs to `path` (zstd, one line of JSON for each call).

    `endpoint` is the argument of `replay.key`. If there are refusals, they are written to
    `files.refusals_file(path)`.
    """
    with zstandard.open(path, "wb") as lines:
        store = CallStore(cache, lines, asyncio.get_running_loop(), endpoint)
        try:
            yield store
        finally:
            store.close()
    if store.refusals:
        with zstandard.open(files.refusals_file(path), "wb") as lines:
            for call_id, refused in store.refusals.items():
                row = {"call_id": call_id, **refused._asdict()}
                lines.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
