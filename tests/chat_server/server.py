"""The chat server as a process of its own, or as a thread: answers of `writer`, faults at the rates that flags give.

Probes have no faults, unless `--probe-faults` says so. Each request leaves a JSON line in the log: its hash, kind, seed, which arrival of
this request it was, when it came (`at`), what it got (`did`) and when that was decided (`done`).

Run: `python -m tests.chat_server.server --log FILE --latency 0.1 --faults 0.3`; prints its URL as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from longwriter.io.process import die_with_parent
from tests.chat_server import faults, judges, wire, writer

ROOT = Path(__file__).parents[2]
REFUSAL = "I'm sorry, but I cannot help with that request."


class ChatServer:
    """A running chat server: its URL, and the requests it got."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    def requests(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the requests so far, of one kind or all but the probes, in the order of their replies."""
        log = self.log.read_bytes() if self.log.exists() else b""
        lines = log[: log.rfind(b"\n") + 1].splitlines()  # the last line may be half written
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if (row["kind"] == kind if kind else row["kind"] != "probe")]


@contextlib.contextmanager
def chat_server(log: Path, *flags: str) -> Iterator[ChatServer]:
    """Yield a server in a process of its own, killed afterwards; it appends its requests to `log`."""
    command = [sys.executable, "-m", "tests.chat_server.server", "--log", str(log), *flags]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the chat server did not start: exit code {server.wait()}"
        yield ChatServer(json.loads(line)["base_url"], log)
    finally:
        server.kill()
        server.wait(120)


@contextlib.contextmanager
def chat_server_thread(log: Path, *flags: str) -> Iterator[ChatServer]:
    """Yield a server in a thread of this process: it starts in no time, but shares the interpreter's lock."""
    server = wire.serving(_Handler(_options("--log", str(log), *flags)))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        url = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(120)
        yield ChatServer(url, log)
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(120)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


class _Handler:
    """Replies to requests as the flags say, and logs them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rates = faults.fault_rates(options.faults, options.fault)
        self.arrivals: Counter[str] = Counter()
        self.answers = itertools.count(1)
        self.paid = itertools.count(1)
        self.log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def __call__(self, request: web.Request) -> wire.Reply:
        at = time.time()
        body = json.loads(await request.read())
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        kind = writer.kind_of(str(body["messages"][-1]["content"]))
        self.arrivals[digest] += 1
        arrival = self.arrivals[digest]
        row = {"hash": digest, "kind": kind, "seed": body.get("seed"), "at": at, "arrival": arrival}
        if rejection := self._rejection(request, body):
            self._record(row, f"status_{rejection.status}")
            return rejection
        if kind != "probe":
            await asyncio.sleep(self.options.latency)
            if self.options.budget and next(self.paid) > self.options.budget:
                self._record(row, "spent")
                return faults.spent(self.options.spent)
        fault = self._fault(kind, digest, arrival)
        self._record(row, fault or "answer")
        text, finish = writer.answer(body)
        if self.options.judge and (
            judgement := judges.answer(self.options.judge, str(body["messages"][-1]["content"]))
        ):
            text, finish = judgement, "stop"
        if fault == "refuse_every":
            text, finish = REFUSAL, "stop"
        elif fault in faults.CONTENT:
            text, finish = faults.spoil(fault, text, digest)
        answer = _completion(body, digest, text, finish)
        if fault in faults.SHAPES:
            answer = faults.reshape(fault, answer)
        if fault in (None, "refuse_every", *faults.CONTENT, *faults.SHAPES):
            return web.json_response(answer)
        return await faults.fail(fault, request, json.dumps(answer), self.options.hang)

    def _rejection(self, request: web.Request, body: dict[str, Any]) -> wire.Reply | None:
        """Return the error that every request of this sender gets, or None."""
        options = self.options
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if options.key and key != options.key:
            return wire.error(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        if options.model and body["model"] != options.model:
            return wire.error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        if options.html:
            return web.Response(text=faults.SIGN_IN_PAGE, content_type="text/html")
        if options.status:
            return wire.error(options.status, f"scripted {options.status}")
        return None

    def _fault(self, kind: str, digest: str, arrival: int) -> str | None:
        if kind == "probe" and not self.options.probe_faults:
            return None
        every = self.options.refuse_every
        if every and next(self.answers) % every == 0:
            return "refuse_every"
        return faults.fault_of(self.rates, digest, arrival)

    def _record(self, row: dict[str, Any], did: str) -> None:
        """Append a request and its reply to the log, in one write."""
        os.write(self.log, (json.dumps({**row, "did": did, "done": time.time()}) + "\n").encode())


def _completion(body: dict[str, Any], digest: str, text: str, finish: str) -> dict[str, Any]:
    """Return a completion whose id begins with the request's digest; half of its prompt was cached."""
    prompt_tokens = len(str(body["messages"]).split())
    answer = wire.completion(
        text, finish, body["model"], f"chatcmpl-{digest[:16]}", prompt_tokens, len(text.split())
    )
    answer["usage"]["prompt_tokens_details"] = {"cached_tokens": prompt_tokens // 2}
    return answer


def _options(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True, help="file that gets a JSON line a request")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer; not for probes")
    parser.add_argument("--faults", type=float, default=0.0, help="rate of all faults; half are in transport")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=RATE", help="rate of one fault")
    parser.add_argument("--probe-faults", action="store_true", help="probes have the faults too")
    parser.add_argument("--hang", type=float, default=60.0, help="seconds that a hanging request hangs")
    parser.add_argument("--refuse-every", type=int, default=0, help="each Nth answer is a refusal")
    parser.add_argument("--budget", type=int, default=0, help="requests until the account is spent")
    parser.add_argument("--spent", choices=faults.SPENT, default="budget", help="how a spent account answers")
    parser.add_argument("--model", help="the only model name there is; others get 404")
    parser.add_argument("--key", help="the only accepted key; others get 401")
    parser.add_argument("--judge", choices=judges.JUDGES, help="how to answer prompts of a judge")
    parser.add_argument("--html", action="store_true", help="answer 200 with a page, as captive portals do")
    parser.add_argument("--status", type=int, default=0, help="answer everything with this HTTP status")
    return parser.parse_args(flags)


async def _serve(options: argparse.Namespace) -> None:
    async with wire.serving(_Handler(options), options.port) as url:
        sys.stdout.write(json.dumps({"base_url": url}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    asyncio.run(_serve(_options(*sys.argv[1:])))
