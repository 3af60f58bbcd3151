"""Compares the engines that serve a GGUF file on a CPU: seconds to start, tokens a second, and tokens a CPU second.

Each engine answers the same requests at once, with the same weights in the same precision, one engine after the other.

Run: `python -m infra.bench.engines data/sft/weights --base data/base_model/weights --requests 24 --tokens 500`; prints
one line for each engine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

from longwriter.llm.client import Endpoint
from longwriter.models import servers
from longwriter.params import ServingParams

_ENGINES = ("openvino", "llama.cpp")
_TOPICS = (
    "a bridge",
    "the sea",
    "a village choir",
    "bees",
    "a night train",
    "a lighthouse",
    "old maps",
    "bread",
)


async def _tokens(endpoint: Endpoint, requests: int, most: int) -> int:
    """Return how many tokens the answers to all requests have together."""
    transport = httpx2.AsyncHTTPTransport(uds=endpoint.socket)
    async with httpx2.AsyncClient(transport=transport, timeout=3600) as client:

        async def ask(number: int) -> int:
            prompt = f"Write 500 words about {_TOPICS[number % len(_TOPICS)]}. Text number {number}."
            body: dict[str, Any] = {
                "model": endpoint.model,
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": most,
                "temperature": 0.8,
                "seed": number,
            }
            reply = await client.post("http://localhost/v1/chat/completions", json=body)
            return int(reply.raise_for_status().json()["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*(ask(number) for number in range(requests))))


def _cpu_s() -> float:
    """Return the CPU seconds of the server, the only child of this process."""
    [server] = psutil.Process().children()
    times = server.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure each engine, and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="folder with safetensors, or with only a model.gguf")
    parser.add_argument("--base", type=Path, help="folder of the base model; without it, that of the weights")
    parser.add_argument("--precision", default="Q8_0")
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=500)
    words = parser.parse_args()
    for engine in _ENGINES:
        values = {"engine": engine, "precision": words.precision, "context_tokens": words.tokens + 200}
        values |= {"max_concurrency": words.requests, "timeout_s": 3600, "max_retries": 0}
        params = ServingParams.model_validate(values)
        local = servers.local(words.weights, words.base or words.weights, params)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, servers.serve(local, Path(folder)) as endpoint:
            started, used = time.monotonic(), _cpu_s()
            tokens = asyncio.run(_tokens(endpoint, words.requests, words.tokens))
            wall, cpu = time.monotonic() - started, _cpu_s() - used
        rates = f"{tokens / wall:.0f} a second, {tokens / cpu:.0f} a CPU second"
        sys.stdout.write(
            f"{engine}: starts in {started - begin:.1f} s; {tokens:,} tokens in {wall:.1f} s, {rates}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
