"""A writer for tests: an OpenAI-compatible server that answers by rule, over a real socket.

It honours what it is asked (schema, seed, temperature, stop, repetition penalty, max_tokens), so that
the client's probe finds a good endpoint, and keeps a line for each request, so that a test can count
what was sent.

Run: `python -m tests.scripted_server --port 0 --latency 0.1 --counter FILE`; prints its URL as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from longwriter.io.process import die_with_parent

ROOT = Path(__file__).parents[1]
REFUSAL = "I'm sorry, but I cannot help with that request."

_WORDS = {
    "A": "old quiet green narrow patient silver early distant broken gentle wooden bright hollow careful northern "
    "forgotten heavy simple restless amber crooked faithful humble salty velvet",
    "N": "river teacher garden lantern harbour bakery orchard letter bridge painter kitchen valley clock market "
    "sailor library window mountain carpenter festival engine village neighbour meadow compass doctor island "
    "station blanket forest",
    "V": "remembers follows repairs studies welcomes carries paints measures visits protects describes questions "
    "gathers borrows answers crosses hides restores weighs admires",
    "P": "beyond beside under near behind above across inside around along",
    "D": "slowly warmly twice again quietly together gladly alone carefully somehow tonight outside",
    "C": "because while although until since whenever unless before",
    "Q": "every one another this that each some the",
}
_WORD_LISTS = {kind: words.split() for kind, words in _WORDS.items()}
_SENTENCES = (
    "Q A N V Q N P Q A N",
    "C Q N V Q A N , Q N V D",
    "P Q A N Q N V Q N D",
    "Q N P Q N V Q A N C Q N V Q N",
    "D , Q A N V Q A N and Q N V P Q N",
    "Q N V Q N , and Q A N V D P Q N",
)


def sentence(rng: random.Random, used: set[str]) -> str:
    """Return one sentence; words in `used` (a repetition penalty's memory) are avoided."""
    words: list[str] = []
    for slot in rng.choice(_SENTENCES).split():
        choices = _WORD_LISTS.get(slot, [slot])
        fresh = [word for word in choices if word not in used] or choices
        words.append(rng.choice(fresh))
        if slot in "ANV":
            used.add(words[-1])
            if len(used) > 24:
                used.clear()
    text = " ".join(words).replace(" ,", ",")
    return text[0].upper() + text[1:] + "."


def prose(rng: random.Random, words: int, penalty: float) -> str:
    """Return sentences of about `words` words together."""
    used: set[str] | None = set() if penalty > 1 else None
    parts: list[str] = []
    count = 0
    while count < words:
        parts.append(sentence(rng, set() if used is None else used))
        count += len(parts[-1].split())
    return " ".join(parts)


def instance(schema: dict[str, Any], rng: random.Random) -> Any:
    """Return a value that satisfies a JSON schema (the part of the language that plans use)."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return instance(schema[union][0], rng)
    kind = schema.get("type", "object")
    if kind == "object":
        return {key: instance(inner, rng) for key, inner in schema.get("properties", {}).items()}
    if kind == "array":
        low = schema.get("minItems", 1)
        count = rng.randint(low, min(schema.get("maxItems", low + 2), low + 2))
        return [instance(schema.get("items", {"type": "string"}), rng) for _ in range(count)]
    if kind == "integer":
        low = schema.get("minimum", 0)
        return rng.randint(low, schema.get("maximum", low + 100))
    if kind == "number":
        low = schema.get("minimum", 0.0)
        return rng.uniform(low, schema.get("maximum", low + 1))
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    text = sentence(rng, set())
    while len(text) < schema.get("minLength", 0):
        text += " " + sentence(rng, set())
    return text[: schema.get("maxLength", len(text))].strip()


def kind_of(prompt: str) -> str:
    """Tell what a request is for: `plan`, `write`, or `probe` (the client finding out what is honoured)."""
    if re.search(r"\bWrite paragraph \d+ of \d+|\bNow write paragraph", prompt):
        return "write"
    return (
        "plan"
        if re.search(r"Plan this text first|Answer with one line for each paragraph", prompt)
        else "probe"
    )


def answer(body: dict[str, Any]) -> tuple[str, str]:
    """Return (text, finish reason) of a request."""
    prompt = str(body["messages"][-1]["content"])
    temperature = float(body.get("temperature", 1.0))
    penalty = float(body.get("repetition_penalty") or 1.0)
    draw = "cold" if temperature == 0 else body.get("seed", os.urandom(8).hex())
    rng = random.Random(hashlib.sha256(f"{prompt}|{draw}|{penalty}".encode()).digest())
    wanted = body.get("response_format", {})
    if wanted.get("type") == "json_schema":
        text = json.dumps(instance(wanted["json_schema"]["schema"], rng))
    elif kind_of(prompt) == "plan":
        low, high, least, most = _bounds(prompt)
        text = "\n".join(
            f"Paragraph {i} - Main Point: {sentence(rng, set())} - Word Count: {rng.randint(least, most)} words"
            for i in range(1, rng.randint(low, high) + 1)
        )
    else:
        asked = re.findall(r"about (\d[\d,]*) words", prompt)
        text = prose(rng, int(asked[-1].replace(",", "")) if asked else 60, penalty)
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    tokens = re.findall(r"\s*\S+", text)
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or len(tokens))
    return ("".join(tokens[:limit]), "length") if len(tokens) > limit else (text, "stop")


def _bounds(prompt: str) -> tuple[int, int, int, int]:
    steps = re.search(r"(\d+) to (\d+) (?:different main points|paragraphs)", prompt)
    words = re.search(r"of (\d+) to (\d+) words|have (\d+) to (\d+) words", prompt)
    found = [int(n) for n in words.groups() if n] if words else [60, 100]
    return (int(steps[1]), int(steps[2]), *found) if steps else (3, 3, *found)  # type: ignore[return-value]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: argparse.Namespace
    lock = threading.Lock()
    numbers = itertools.count(1)

    def log_message(self, *_: Any) -> None:
        pass

    def _reply(self, status: int, text: str, kind: str = "application/json") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # a killed client is part of the tests
            self.wfile.write(data)

    def do_GET(self) -> None:
        self._reply(200, json.dumps({"status": "ok", "object": "list", "data": [{"id": "scripted"}]}))

    def do_POST(self) -> None:
        o = self.options
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw)
        kind = kind_of(str(body["messages"][-1]["content"]))
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if o.counter:
            line = json.dumps({"hash": digest, "kind": kind, "seed": body.get("seed"), "body": body}) + "\n"
            with self.lock, Path(o.counter).open("a", encoding="utf-8") as file:
                file.write(line)
        if o.html:
            return self._reply(
                200, "<html><body>Please log in to the hotel network.</body></html>", "text/html"
            )
        if o.status:
            return self._reply(o.status, json.dumps({"error": {"message": f"scripted {o.status}"}}))
        if kind != "probe":
            time.sleep(o.latency)
        text, finish = answer(body)
        if kind != "probe" and o.refuse_every and next(self.numbers) % o.refuse_every == 0:
            text, finish = REFUSAL, "stop"
        prompt_tokens, tokens = len(str(body["messages"]).split()), len(text.split())
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
        usage = {
            "prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens,
        }  # fmt: skip
        reply = {
            "id": f"chatcmpl-{digest[:12]}", "object": "chat.completion", "created": int(time.time()),
            "model": body["model"], "choices": [choice], "usage": usage,
        }  # fmt: skip
        return self._reply(200, json.dumps(reply))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        pass


class Scripted:
    """A running scripted server: its URL and the requests it got."""

    def __init__(self, url: str, counter: Path) -> None:
        self.url, self.counter = url, counter

    def requests(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the requests so far, of one kind or all but the probes."""
        lines = self.counter.read_text(encoding="utf-8").splitlines() if self.counter.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if (row["kind"] == kind if kind else row["kind"] != "probe")]


@contextlib.contextmanager
def scripted(folder: Path, *flags: str) -> Iterator[Scripted]:
    """Yield a server of its own process, ended after; `folder` gets its counter file."""
    counter = folder / f"requests-{os.urandom(3).hex()}.jsonl"
    command = [sys.executable, "-m", "tests.scripted_server", "--counter", str(counter), *flags]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the scripted server did not start: {server.wait()}"
        yield Scripted(json.loads(line)["base_url"], counter)
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer; not for probes")
    parser.add_argument("--counter", help="file that gets a JSON line a request")
    parser.add_argument("--refuse-every", type=int, default=0, help="each Nth answer is a refusal")
    parser.add_argument("--html", action="store_true", help="answer 200 with a page, as captive portals do")
    parser.add_argument("--status", type=int, default=0, help="answer everything with this HTTP status")
    _Handler.options = parser.parse_args()
    server = _Server(("127.0.0.1", _Handler.options.port), _Handler)
    sys.stdout.write(json.dumps({"base_url": f"http://127.0.0.1:{server.server_address[1]}/v1"}) + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    main()
