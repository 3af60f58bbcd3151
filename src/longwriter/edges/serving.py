"""Local model servers: a model folder behind OpenAI-compatible HTTP, for as long as a stage runs.

`llama.cpp` serves a GGUF file (parallel slots, continuous batching, JSON-schema answers).
Loopback only; the kernel chooses a free port; gone with its stage, also when that is killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from longwriter.edges import files
from longwriter.edges.llm import LLM, Endpoint, connect
from longwriter.errors import ModelUnusable
from longwriter.params import LLMParams, Sampling

log = logging.getLogger(__name__)

_START_S = 180  # a 135M model is up in 2 s; large ones read their weights first
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@asynccontextmanager
async def model(params: LLMParams, sampling: Sampling, calls: Path) -> AsyncIterator[LLM]:
    """Yield a probed client of the model that `params` names; its calls are logged to `calls`."""
    with serve(params, files.LOCAL / "logs") as endpoint, files.zstd_lines(calls) as log_lines:
        async with connect(endpoint, params, sampling, files.LOCAL / "replay.sqlite", log_lines) as llm:
            yield llm


@contextmanager
def serve(params: LLMParams, log_folder: Path) -> Iterator[Endpoint]:
    """Yield an endpoint that answers; a local server is started for it and ended after.

    Args:
        params: Which engine, model and URL.
        log_folder: Where a local server's output goes.

    Raises:
        ModelUnusable: the folder holds no such weights, the server does not start, or the key of
            an external endpoint is not in the environment.
    """
    if params.engine == "external":
        yield Endpoint(params.base_url, params.model, _api_key(params))
        return
    with _local(params, log_folder) as endpoint:
        yield endpoint


def _api_key(params: LLMParams) -> str:
    """Return the key from the environment; servers on this machine need none."""
    key = os.environ.get(params.api_key_env, "").strip()
    host = urlsplit(params.base_url).hostname if params.base_url else None
    if not key and host not in _LOOPBACK:
        raise ModelUnusable(
            f"no API key: set the environment variable {params.api_key_env} "
            f"(llm.api_key_env) for {params.base_url or 'https://api.openai.com/v1'}"
        )
    return key or "none"


def _weights(params: LLMParams) -> tuple[Path, str]:
    """Return the GGUF file of the model folder, and the name its model gets: folder@hash."""
    folder = Path(params.model)
    file = folder / "model.gguf"
    if not file.is_file():
        found = ", ".join(sorted(p.name for p in folder.glob("*"))[:12]) or "nothing"
        raise ModelUnusable(
            f"llm.model: {folder} has no model.gguf for engine {params.engine}; it holds {found}. "
            "Choose a base_model.source with a GGUF, or engine external with a server of your own"
        )
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return file, f"{folder.name}@{digest[:16]}"


@contextmanager
def _local(params: LLMParams, log_folder: Path) -> Iterator[Endpoint]:
    file, name = _weights(params)
    log_folder.mkdir(parents=True, exist_ok=True)
    log_file = log_folder / f"{params.engine}.log"
    command = [
        sys.executable, "-m", "longwriter.edges.llamacpp_server", str(file), name,
        str(params.max_concurrency), str(params.context_tokens),
    ]  # fmt: skip
    with log_file.open("wb") as output:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, stdin=subprocess.DEVNULL)
    try:
        line = server.stdout.readline() if server.stdout else b""
        if not line:
            server.wait()
            tail = log_file.read_text(errors="replace").strip().splitlines()[-3:]
            raise ModelUnusable(
                f"the {params.engine} server did not start for {file} "
                f"(exit {server.returncode}); see {log_file}: {' | '.join(tail)}"
            )
        url = json.loads(line)["base_url"]
        _wait_healthy(server, url, log_file)
        log.info("%s serves %s at %s", params.engine, name, url)
        yield Endpoint(f"{url}/v1", name, "none")
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_healthy(server: subprocess.Popen[bytes], url: str, log_file: Path) -> None:
    """Wait until the health route answers 200; it says 503 while weights are read."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        if _is_healthy(url):
            return
        time.sleep(0.1)
    raise ModelUnusable(f"the server at {url} is not healthy after {_START_S} s; see {log_file}")


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused, reset, timed out, or an HTTP error: not yet
        return False
