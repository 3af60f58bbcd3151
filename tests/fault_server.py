"""An endpoint that fails on purpose: what LLM APIs do to a client, over a real socket, at given rates.

Good answers are those of `tests.scripted_server`. A transport fault (the client should send the request
again) is drawn anew for each arrival of a request; a content fault (a complete answer that is no good)
and a lasting one belong to the request, so that what a client keeps in the end does not depend on when
it was killed. Probes have no faults. Each request leaves a JSON line that says what was done to it.

Run: `python -m tests.fault_server --faults 0.3 --log FILE`; prints its URL as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from longwriter.io.process import die_with_parent
from tests.scripted_server import answer, kind_of

ROOT = Path(__file__).parents[1]

RETRY_AFTER_S = 1
TRANSPORT = (
    "status_408", "status_409", "status_429", "status_500", "status_502", "status_503",
    "reset", "hang", "truncated_json", "invalid_json", "html_200", "error_200",
)  # fmt: skip
CONTENT = ("empty", "refusal", "cut_off", "content_filter", "error_text", "meta_talk", "loop", "plan_line")
LASTING = ("status_400", "always_500")

HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in first.</body></html>"
REFUSALS = (
    "I'm sorry, but I can't assist with that request.",
    "As an AI language model, I am unable to write this part of the text.",
)
ERROR_TEXTS = (
    "Max tries. Failed.",
    "Error code: 429 - {'error': {'message': 'Rate limit reached for requests', 'type': 'requests'}}",
    "openai.APITimeoutError: Request timed out.",
)
META_TALK = ("Here is paragraph 2 of the text: ", "Sure! Here's the paragraph you asked for: ")
PLAN_LINE = "Paragraph 3 - Main Point: The keeper counts the lamps - Word Count: 80 words"


def drawn(rates: dict[str, float], kinds: tuple[str, ...], *parts: object) -> str | None:
    """Return the fault of these `kinds` that `parts` draw at `rates`, or None."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    for kind in kinds:
        point -= rates.get(kind, 0.0)
        if point < 0:
            return kind
    return None


def looped(text: str) -> str:
    """Return `text` with its first sentence (or its first main point) over and over."""
    try:
        plan = json.loads(text)
        for step in plan["steps"]:
            step["main_point"] = plan["steps"][0]["main_point"]
        return json.dumps(plan)
    except (ValueError, TypeError, KeyError):
        return " ".join([text.split(". ")[0].rstrip(".") + "."] * 8)


def spoilt(fault: str, text: str, digest: str) -> tuple[str, str]:
    """Return (text, finish reason) of an answer with a content fault."""
    rng = random.Random(digest)
    half = text[: len(text) * 3 // 5]
    whole = half[: half.rfind(". ") + 1] or half
    made = {
        "empty": ("", "stop"),
        "refusal": (f"{rng.choice(REFUSALS)} {whole}", "stop"),
        "cut_off": (half.rstrip(" ."), "length"),
        "content_filter": (whole, "content_filter"),
        "error_text": (f"{whole if rng.random() < 0.7 else ''}\n{rng.choice(ERROR_TEXTS)}", "stop"),
        "meta_talk": (rng.choice(META_TALK) + text, "stop"),
        "loop": (looped(text), "stop"),
        "plan_line": (f"{whole}\n{PLAN_LINE}\n{text[len(whole) :].strip()}", "stop"),
    }
    return made[fault]


def completion(body: dict[str, Any], digest: str, text: str, finish: str) -> dict[str, Any]:
    """Return a chat completion; its id begins the request's digest."""
    prompt, out = len(str(body["messages"]).split()), len(text.split())
    return {
        "id": f"chatcmpl-{digest[:16]}", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out,
            "prompt_tokens_details": {"cached_tokens": prompt // 2},
        },
    }  # fmt: skip


def error(status: int, message: str, code: str | None = None, **headers: str) -> web.Response:
    """Return an error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 429 else "server_error"
    content = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(content, status=status, headers=headers)


class Server:
    """Counts arrivals, draws faults, answers."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        half = options.faults / 2
        self.rates = {kind: half / len(group) for group in (TRANSPORT, CONTENT) for kind in group}
        self.rates["status_400"] = half / 10
        self.rates |= {name: float(rate) for name, rate in (item.split("=") for item in options.fault)}
        if unknown := self.rates.keys() - {*TRANSPORT, *CONTENT, *LASTING}:
            raise SystemExit(f"no such fault: {unknown}")
        self.arrivals: dict[str, int] = {}
        self.log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if options.log else None

    def note(self, request: web.Request, did: str) -> None:
        """Append what was done to a request to the log, in one write."""
        if self.log is not None:
            line = json.dumps({**request["row"], "did": did, "done": time.time()}) + "\n"
            os.write(self.log, line.encode())

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat request, or fail it."""
        at = time.time()
        body = json.loads(await request.read())
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        kind = kind_of(str(body["messages"][-1]["content"]))
        number = self.arrivals[digest] = self.arrivals.get(digest, 0) + 1
        request["row"] = {"hash": digest, "kind": kind, "at": at, "arrival": number}
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.options.key and key != self.options.key:
            self.note(request, "status_401")
            return error(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        if self.options.model and body["model"] != self.options.model:
            self.note(request, "status_404")
            return error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        text, finish = answer(body)
        if kind == "probe":
            self.note(request, "answer")
            return web.json_response(completion(body, digest, text, finish))
        await asyncio.sleep(self.options.latency)
        fault = drawn(self.rates, LASTING, "lasting", digest)
        fault = fault or drawn(self.rates, TRANSPORT, "transport", digest, number)
        fault = fault or drawn(self.rates, CONTENT, "content", digest) or "answer"
        self.note(request, fault)
        if fault in CONTENT:
            text, finish = spoilt(fault, text, digest)
        if fault in (*CONTENT, "answer"):
            return web.json_response(completion(body, digest, text, finish))
        return await self.fail(fault, request, json.dumps(completion(body, digest, text, finish)))

    async def fail(self, fault: str, request: web.Request, good: str) -> web.StreamResponse:
        """Do a transport fault to a request whose good answer is `good`."""
        name, _, status = fault.partition("_")
        if name in ("status", "always"):
            headers = {"Retry-After": str(RETRY_AFTER_S)} if status == "429" else {}
            return error(int(status), f"scripted {status}", **headers)
        if fault == "hang":
            await asyncio.sleep(self.options.hang)
        if fault in ("hang", "reset"):
            broken = web.StreamResponse(headers={"Content-Length": str(len(good.encode()))})
            with contextlib.suppress(OSError):  # the client may be gone
                await broken.prepare(request)
                await broken.write(good.encode()[: len(good) // 2])
            if request.transport is not None:
                request.transport.abort()
            return broken
        pages = {
            "truncated_json": (good[: len(good) * 2 // 3], "application/json"),
            "invalid_json": ("{'choices': None, oops", "application/json"),
            "html_200": (HTML, "text/html"),
            "error_200": (json.dumps({"error": {"message": "upstream overloaded"}}), "application/json"),
        }
        text, kind = pages[fault]
        return web.Response(text=text, content_type=kind)


class Faulty:
    """A running fault server: its URL, and what it did."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log

    def requests(self, probes: bool = False) -> list[dict[str, Any]]:
        """Return the requests so far, or the probes, in the order in which their fate was decided."""
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        return [row for row in map(json.loads, lines) if (row["kind"] == "probe") is probes]


@contextlib.contextmanager
def faulty(log: Path, *flags: str) -> Iterator[Faulty]:
    """Yield a fault server of its own process, ended at once after; `log` is appended to."""
    command = [sys.executable, "-m", "tests.fault_server", "--log", str(log), *flags]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the fault server did not start: {server.wait()}"
        yield Faulty(json.loads(line)["base_url"], log)
    finally:
        server.kill()
        server.wait(20)


async def serve(options: argparse.Namespace) -> None:
    """Serve until ended."""
    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/v1/chat/completions", Server(options).chat)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=512)
    await web.SockSite(runner, listening).start()
    sys.stdout.write(json.dumps({"base_url": f"http://127.0.0.1:{listening.getsockname()[1]}/v1"}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", help="file that gets a JSON line a request")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer; not for probes")
    parser.add_argument("--faults", type=float, default=0.0, help="rate of all; half are in transport")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=RATE", help="rate of one fault")
    parser.add_argument("--hang", type=float, default=60.0, help="seconds that a hanging request hangs")
    parser.add_argument("--model", help="the only model name there is; others get 404")
    parser.add_argument("--key", help="the only key that is let in; others get 401")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    main()
