"""Measures how long reading and checking an answer holds up the event loop that serves all other requests.

A server in another process sends answers of 10 kB to 2 MB. While `LLM.ask` reads one and `writing` checks it as a
paragraph, another task of the loop wakes up every millisecond and notes how late it is. With 4,096 tokens, texts of
more than 262,144 characters are refused without a check.

Run: `python -m infra.bench.event_loop`; prints the longest delay of each size and kind of answer, in ms.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from longwriter.agentwrite.paragraphs import drafts
from longwriter.calls.answers import Answer
from longwriter.calls.replay import ReplayCache
from longwriter.endpoints import reading
from longwriter.llm import probing
from longwriter.llm.asking import ask_until_usable
from longwriter.llm.client import Endpoint, connect
from longwriter.params import LLMParams, Sampling
from longwriter.text.basics.prompts import Refused

_SENTENCE = "The old bridge over the river was “new” once, and 3,000 people crossed it.\n\n"
KINDS = {
    "prose": _SENTENCE,
    "Chinese": "春天来得很早，河上的旧桥还在。",
    "<": "<",
    "</s>": "</s>",
    "<think>": "<think></think>",
}
SIZES = (10_000, 250_000, 2_000_000)
_SAMPLING = Sampling(temperature=0, max_tokens=4096, top_p=None, repetition_penalty=None, stop=[], seed=0)
_PARAMS = LLMParams(
    engine="llama.cpp", model="m", base_url=None, replay_as=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=4, requests_per_minute=None, tokens_per_minute=None, max_cost_usd=None, timeout_s=60,
    max_retries=0,
)  # fmt: skip
_LIMITS = drafts.Limits(min_words=1, max_length_ratio=None, max_repeated_share=1.0)


class _Answers(BaseHTTPRequestHandler):
    """Answers the prompt "KIND SIZE" with so many bytes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, size = request["messages"][0]["content"].rsplit(" ", 1)
        text = KINDS[kind] * (int(size) // len(KINDS[kind].encode()) + 1)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        body = json.dumps({"model": "m", "choices": [choice]}, ensure_ascii=False).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Print nothing."""


def _serve(port: Connection) -> None:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        port.send(server.server_address[1])
        server.serve_forever()


@contextmanager
def _server() -> Iterator[int]:
    """Yield the port of the server."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(sender,), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


async def longest_delay_s(work: Awaitable[object]) -> float:
    """Return the longest delay during `work` of a task that sleeps for a millisecond at a time."""
    delay_s = 0.0

    async def beat() -> None:
        nonlocal delay_s
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            delay_s = max(delay_s, time.perf_counter() - start - 0.001)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.01)
    await work
    await asyncio.sleep(0)
    beating.cancel()
    return delay_s


async def read(answer: Answer) -> str | Refused:
    """Return an answer as the stage `write` takes it, or why it does not."""
    text = await reading.run_by_size(len(answer.text), drafts.read_answer, answer.text, "stop", False)
    if isinstance(text, Refused):
        return text
    return await reading.run_in_process(drafts.check_whole, text, _LIMITS, "en") or text


async def measure(port: int, folder: Path) -> None:
    """Print the table."""
    with closing(ReplayCache(folder / "r.sqlite")) as cache:
        cache.put_capabilities(probing.identity("m", _PARAMS), probing.NONE._asdict())
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", "m", "key", is_local=True)

    sys.stdout.write("| answer | bytes | ask | ask and check | replayed |\n|---|---:|---:|---:|---:|\n")
    async with connect(endpoint, _PARAMS, _SAMPLING, folder / "r.sqlite", folder / "calls.zst") as llm:
        for size in SIZES:
            for kind in KINDS:
                prompt = f"{kind} {size}"
                await llm.ask(f"{kind} {10}", _SAMPLING)  # so that the connection is open
                asked = await longest_delay_s(llm.ask(prompt, _SAMPLING))
                checked = await longest_delay_s(
                    ask_until_usable(llm, f"{kind} 0{size}", _SAMPLING, read, max_attempts=1)
                )
                replayed = await longest_delay_s(llm.ask(prompt, _SAMPLING))
                times = " | ".join(f"{1000 * delay:.0f}" for delay in (asked, checked, replayed))
                sys.stdout.write(f"| {kind} | {size:,} | {times} |\n")
                sys.stdout.flush()


def main() -> None:
    """Run the server and the client."""
    with tempfile.TemporaryDirectory() as folder, _server() as port:
        asyncio.run(measure(port, Path(folder)))


if __name__ == "__main__":
    main()
