"""A loopback endpoint for timings: answers after a fixed latency and counts its answers.

It does nothing else, so that it is faster than the client that is measured (tests/chat_server/ checks and
logs each request). A prompt with the word "paragraph" gets one of many texts of random words, chosen by
prompt and seed; any other request is a probe and is answered at once. `/stats` returns, and resets, the number
of answers and the times of the first request and the last answer; it also returns the CPU time used so far.

Run: `python infra/bench/loopback_server.py --latency 0.2 --words 80`; prints its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import socket
import sys
import time
import zlib

from aiohttp import web

_POOL = 2048
_WORDS = (
    "river", "teacher", "garden", "lantern", "harbour", "bakery", "orchard", "letter", "bridge",
    "painter", "kitchen", "valley", "clock", "market", "sailor", "library", "window", "mountain",
    "carpenter", "festival", "engine", "village", "neighbour", "meadow", "compass", "doctor", "island",
    "station", "blanket", "forest", "remembers", "follows", "repairs", "studies", "welcomes", "carries",
    "paints", "measures", "visits", "protects", "describes", "questions", "gathers", "borrows",
    "answers", "crosses", "hides", "restores", "weighs", "admires", "beyond", "beside", "under", "near",
    "behind", "above", "slowly", "warmly", "twice", "again", "quietly", "together", "gladly", "alone",
    "because", "while", "although", "until", "since", "whenever", "unless",
)  # fmt: skip


def cpu_s() -> float:
    """Return the CPU time that this process has used, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def prose(rng: random.Random, words: int) -> str:
    """Return sentences of twelve random words, `words` words together."""
    text = rng.choices(_WORDS, k=words)
    return " ".join(" ".join(text[i : i + 12]).capitalize() + "." for i in range(0, words, 12))


async def serve(latency_s: float, words: int) -> None:
    """Print the URL, then answer chat requests after `latency_s` until killed."""
    rng = random.Random(0)
    pool = [prose(rng, words) for _ in range(_POOL)]
    seen: dict[str, float] = {}

    async def chat(request: web.Request) -> web.Response:
        at = time.monotonic()
        body = json.loads(await request.read())
        prompt = body["messages"][-1]["content"]
        draw = "cold" if body.get("temperature") == 0 else body.get("seed", rng.random())
        text = pool[zlib.crc32(f"{draw}|{prompt}".encode()) % _POOL]
        for stop in body.get("stop") or []:
            text = text.split(stop, 1)[0]
        if "paragraph" in prompt:  # else a probe
            await asyncio.sleep(latency_s)
            seen["first"] = min(seen.get("first", at), at)
            seen["last"], seen["calls"] = time.monotonic(), seen.get("calls", 0) + 1
        else:
            text = " ".join(text.split()[: body.get("max_tokens")])
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": words, "total_tokens": words}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**answer, "choices": [choice], "usage": usage})

    async def stats(_: web.Request) -> web.Response:
        numbers = {**seen, "cpu_s": cpu_s()}
        seen.clear()
        return web.json_response(numbers)

    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/v1/chat/completions", chat), web.get("/stats", stats)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listening).start()
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--words", type=int, default=80, help="length of an answer")
    options = parser.parse_args()
    asyncio.run(serve(options.latency, options.words))


if __name__ == "__main__":
    main()
