"""Answers on their way to the disk: stored for good first, then logged, then handed to who asked.

One thread takes all that has come since its last turn, compresses it, and stores it in one
transaction: a commit waits for the disk (1 to 20 ms), and a thousand calls a second cannot each.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import zstandard

from longwriter.llm.replay import ReplayCache, Row

log = logging.getLogger(__name__)

_LARGEST_TURN = 1024  # answers in one transaction


class Call(NamedTuple):
    """A request and its answer; `request` is what the hash `call_id` is of."""

    call_id: str
    request: dict[str, Any]
    answer: dict[str, Any]
    latency_s: float
    replayed: bool


class Answer(NamedTuple):
    """A complete answer; `call_id` is the hash of the request.

    `text` is empty where the model said nothing, and its refusal where the server has a field for
    that. `finish_reason` is the server's word (`stop`, `length`, `content_filter` …), else `unknown`.
    """

    call_id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    replayed: bool


def answer(call: Call) -> Answer:
    """Return what the asker of a call gets."""
    choice = call.answer["choices"][0]
    message = choice["message"]
    text = message.get("content") or message.get("refusal") or ""
    return Answer(
        call.call_id, text, choice.get("finish_reason") or "unknown", *tokens(call.answer), call.replayed
    )


def tokens(answer: dict[str, Any]) -> tuple[int, int, int]:
    """Return (prompt, cached, completion) tokens of a chat completion; 0 where it does not say.

    Cached are those prompt tokens that the provider had in its prompt cache; they are in the
    first number too. OpenAI tells them in `prompt_tokens_details`, DeepSeek beside them.
    """
    usage = _part(answer, "usage")
    cached = _part(usage, "prompt_tokens_details").get("cached_tokens") or usage.get(
        "prompt_cache_hit_tokens"
    )
    return usage.get("prompt_tokens") or 0, cached or 0, usage.get("completion_tokens") or 0


def _part(whole: dict[str, Any], key: str) -> dict[str, Any]:
    part = whole.get(key)
    return part if isinstance(part, dict) else {}


class CallStore:
    """The thread that stores and logs; made by `opened`."""

    def __init__(self, cache: ReplayCache, lines: IO[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """Start it."""
        self._cache, self._lines, self._loop = cache, lines, loop
        self._waiting: queue.SimpleQueue[tuple[Call, asyncio.Future[Call]] | None] = queue.SimpleQueue()
        self._compressor = zstandard.ZstdCompressor()
        self._thread = threading.Thread(target=self._run, name="call-store", daemon=True)
        self._thread.start()

    async def keep(self, call: Call) -> Call:
        """Return the call once it is stored and logged; with the first answer, where it had one.

        Raises:
            sqlite3.Error, OSError: it could not be stored, such as on a full disk.
        """
        kept: asyncio.Future[Call] = self._loop.create_future()
        self._waiting.put((call, kept))
        return await kept

    def close(self) -> None:
        """Store what still waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            turn = [self._waiting.get()]
            while not self._waiting.empty() and len(turn) < _LARGEST_TURN:
                turn.append(self._waiting.get())
            running = None not in turn
            asked = [item for item in turn if item is not None]
            try:
                result: list[Call] | Exception = self._store([call for call, _ in asked])
            except Exception as error:  # whatever it is, it belongs to those who wait
                result = error
            self._loop.call_soon_threadsafe(_hand_out, [future for _, future in asked], result)

    def _store(self, calls: list[Call]) -> list[Call]:
        """Return the calls as they are kept: durably where they are new, and in the log."""
        first = self._cache.put_many([self._row(call) for call in calls if not call.replayed])
        kept = [
            call._replace(**first[call.call_id], replayed=True)
            if call.call_id in first and not call.replayed
            else call
            for call in calls
        ]
        self._lines.write(b"".join(map(_line, kept)))
        return kept

    def _row(self, call: Call) -> Row:
        body = orjson.dumps({"answer": call.answer, "latency_s": call.latency_s})
        prompt, _, completion = tokens(call.answer)
        return Row(
            call.call_id, self._compressor.compress(body), call.request["model"], call.latency_s, prompt, completion
        )  # fmt: skip


def _line(call: Call) -> bytes:
    """Return a call's line of the log."""
    row = {
        "call_id": call.call_id,
        "request": call.request,
        "replayed": call.replayed,
        "model": call.request["model"],
        "attempt": call.request["attempt"],
        "finish_reason": call.answer["choices"][0].get("finish_reason"),
        "usage": call.answer.get("usage"),
        "latency_s": call.latency_s,
        "answer": call.answer,
    }
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _hand_out(futures: list[asyncio.Future[Call]], result: list[Call] | Exception) -> None:
    for number, future in enumerate(futures):
        if future.done():  # who asked is gone; the answer is stored all the same
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result[number])


@asynccontextmanager
async def opened(cache: ReplayCache, path: Path) -> AsyncIterator[CallStore]:
    """Yield a store that writes to `cache` and logs to `path` (zstd, a JSON line a call)."""
    with zstandard.open(path, "wb") as lines:
        store = CallStore(cache, lines, asyncio.get_running_loop())
        try:
            yield store
        finally:
            store.close()
