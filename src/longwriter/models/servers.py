"""Local model servers: a model folder behind OpenAI-compatible HTTP, for as long as a stage runs.

`openvino` and `llama.cpp` serve a GGUF file, `vllm` the Hugging Face weights on a GPU. `trained` serves every model that is trained or compared, with
one engine, one precision and one weight format, so that only the weights differ. A server listens on a Unix
socket in a folder that only its user may read, so no web page and no other user of the machine can reach it.
Without a flow, a server ends with its stage. In a flow it ends when a stage needs another server, or with the flow
(`server_keeper.py`). It also ends if the stage or the flow is killed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from longwriter.errors import ModelUnusable
from longwriter.hashing import short_id
from longwriter.io import files, process
from longwriter.llm.client import LLM, Endpoint, connect
from longwriter.models import server_keeper
from longwriter.models.gguf_converter import CONVERTER, to_gguf
from longwriter.params import LLMParams, Sampling, ServingParams, VllmParams
from longwriter.web import net

log = logging.getLogger(__name__)

_START_S = 900  # a 135M model is ready in 2 s; a large one takes longer to read its weights
_KEPT_CONVERSIONS = 4
_CHECKSUM = "model.gguf.sha256"  # beside a conversion: what its bytes were when it was made
_VLLM_SHARE = 0.9  # of the GPU's memory: vLLM's default
_LLAMACPP_ERROR = re.compile(r"^[0-9.]{1,20} E (.{1,300})", re.MULTILINE)
_GGUF_SERVERS = {"openvino": "openvino_server", "llama.cpp": "llamacpp_server"}
"""Engines that serve a GGUF file, and the modules of this package that start them."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CAUSES: dict[int, str] = {
    signal.SIGSEGV: ", a memory fault: the GGUF is damaged, or its chat template calls itself without end",
    signal.SIGBUS: ", a memory fault: the weights became shorter while they were read, or the disk is damaged",
    signal.SIGILL: ": this build of the engine needs instructions that this CPU lacks",
    signal.SIGABRT: ": the engine gave up at an error that its log names",
    signal.SIGKILL: ": somebody killed it, or the kernel did because memory was short",
}
"""Likely causes of the signals that end a server."""


@asynccontextmanager
async def model(
    params: LLMParams, sampling: Sampling, calls: Path, section: str = "sampling"
) -> AsyncIterator[LLM]:
    """Yield a probed client of the model that `params` names.

    Its calls are logged to `calls`; `section` is the key of `sampling` in params.yaml, for errors.
    """
    with serve(params, files.LOCAL / "logs") as endpoint:
        async with connect(endpoint, params, sampling, files.REPLAY, calls, section) as llm:
            yield llm


@asynccontextmanager
async def trained(
    weights: Path, base: Path, params: ServingParams, sampling: Sampling, calls: Path
) -> AsyncIterator[LLM]:
    """Yield a probed client of a model folder of this pipeline.

    Args:
        weights: Folder with safetensors and tokenizer.
        base: The base model's folder; the engines that serve a GGUF get metadata and tokenizer from its own.
        params: Engine and precision, the same for every model.
        sampling: Sampling settings.
        calls: File of the call log that is written.

    Raises:
        ModelUnusable: the engine cannot serve these weights.
    """
    async with model(local(weights, base, params), sampling, calls) as llm:
        yield llm


def local(weights: Path, base: Path, params: ServingParams) -> LLMParams:
    """Return the parameters with which `serve` serves a model folder of this pipeline.

    Args:
        weights: Folder with safetensors and tokenizer; if it has only `model.gguf`, that is served as it is.
        base: The base model's folder, as in `trained`.
        params: Engine and precision.

    Raises:
        ModelUnusable: the engine cannot serve these weights.
    """
    is_ready = params.engine == "vllm" or not any(weights.glob("*.safetensors"))
    folder = weights if is_ready else _as_gguf(weights, base, params.precision)
    return LLMParams(
        **params.model_dump(exclude={"precision"}),
        model=str(folder),
        base_url=None,
        replay_as=None,
        api_key_env="",
        extra_body={},
        requests_per_minute=None,
        tokens_per_minute=None,
        max_cost_usd=None,
    )


def _as_gguf(weights: Path, base: Path, precision: str) -> Path:
    """Return a folder with the weights converted to GGUF; the last few conversions are kept."""
    template = base / "model.gguf"
    if not template.is_file():
        raise ModelUnusable(
            f"serving.engine needs {template} as template; this base model has no GGUF: "
            "set serving.engine to vllm, or choose a base_model.source with a GGUF"
        )
    conversions = files.LOCAL / "served"
    folder = conversions / _conversion(weights, template, precision)
    if not _is_whole(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CHECKSUM).unlink(missing_ok=True)
        to_gguf(template, weights, folder / "model.gguf", precision)
        (folder / _CHECKSUM).write_text(files.sha256(folder / "model.gguf"), encoding="ascii")
        newest_first = sorted(conversions.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in newest_first[_KEPT_CONVERSIONS:]:
            shutil.rmtree(old)
    return folder


def _is_whole(folder: Path) -> bool:
    """Tell whether a conversion is there with the bytes that were written; a log line names damaged ones.

    A server would also start with some damaged weights, and answer nonsense.
    """
    model, checksum = folder / "model.gguf", folder / _CHECKSUM
    if not model.is_file():
        return False
    is_whole = checksum.is_file() and checksum.read_text(encoding="ascii", errors="replace") == files.sha256(
        model
    )
    if not is_whole:
        log.warning("%s is damaged or of an earlier version: converted again", model)
    return is_whole


def _conversion(weights: Path, template: Path, precision: str) -> str:
    """Return the name of a conversion: a hash of everything that decides the file, and the precision.

    It becomes part of the model's name in requests, and so of the hash of each request.
    """
    inputs: list[object] = [_digest(sorted(weights.glob("*.safetensors"))), _digest([template]), CONVERTER]
    if (weights / files.CHAT_CHANGES).is_file():
        inputs.append(_digest([weights / files.CHAT_CHANGES]))
    return f"{short_id(inputs)}-{precision}"


def stored_as(params: LLMParams) -> str:
    """Return how the names of a local model in the stored answers begin: with its folder, or with its conversion."""
    folder = Path(params.model)
    template = folder / "model.gguf"
    is_converted = params.precision and template.is_file() and any(folder.glob("*.safetensors"))
    if params.engine in _GGUF_SERVERS and is_converted:
        return f"{_conversion(folder, template, str(params.precision))}@"
    return f"{folder.name}@"


def _digest(paths: Sequence[Path]) -> str:
    """Return one sha256 for several files, in order; it is part of a served model's name."""
    return hashlib.sha256(b"".join(bytes.fromhex(files.sha256(path)) for path in paths)).hexdigest()


@contextmanager
def serve(params: LLMParams, log_folder: Path, gpu_share: float = 1.0) -> Iterator[Endpoint]:
    """Yield an endpoint that answers requests; a local server runs until the block ends.

    Args:
        params: Engine, model and URL.
        log_folder: Folder for the output of a local server.
        gpu_share: Share of the memory that `vllm` would take as the only server on the GPU.

    Raises:
        ModelUnusable: the folder has no weights for the engine, the server does not start, or the key of
            an external endpoint is not in the environment.
    """
    if params.engine == "external":
        yield Endpoint(params.base_url, params.model, _api_key(params))
        return
    with _local(params, log_folder, gpu_share) as endpoint:
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
    """Return the path that the engine reads, and the name of the model in requests: folder@hash.

    Raises:
        ModelUnusable: the folder has no weights for the engine, or they cannot be converted.
    """
    folder = Path(params.model)
    if params.engine == "vllm":
        tensors = sorted(folder.glob("*.safetensors"))
        if not tensors:
            raise ModelUnusable(f"llm.model: {folder} has no *.safetensors for engine vllm")
        changes = [folder / files.CHAT_CHANGES] if (folder / files.CHAT_CHANGES).is_file() else []
        return folder, f"{folder.name}@{_digest([*tensors, *changes])[:16]}"
    file = folder / "model.gguf"
    if params.precision and file.is_file() and any(folder.glob("*.safetensors")):
        folder = _as_gguf(folder, folder, params.precision)
        file = folder / "model.gguf"
    if not file.is_file():
        names = ", ".join(sorted(path.name for path in folder.glob("*"))[:12]) or "nothing"
        raise ModelUnusable(
            f"llm.model: {folder} has no model.gguf for engine {params.engine}; it holds {names}. "
            "Choose a base_model.source with a GGUF, or engine external with a server of your own"
        )
    suffix = "-openvino" if params.engine == "openvino" else ""  # engines do not share stored answers
    return file, f"{folder.name}@{files.sha256(file)[:16]}{suffix}"


@contextmanager
def _local(params: LLMParams, log_folder: Path, gpu_share: float) -> Iterator[Endpoint]:
    file, name = _weights(params)
    log_folder.mkdir(parents=True, exist_ok=True)
    log_file = log_folder / f"{params.engine}.log"
    command = _command(params, file, name, server_keeper.SOCKET, gpu_share)
    with server_keeper.running(command, log_file) as server:
        _wait_healthy(server, f"the {params.engine} server of {file}", log_file)
        if server.is_reused:
            log.info("reuses the %s server of the stage before (saved a start): %s", params.engine, name)
        else:
            log.info("%s serves %s", params.engine, name)
        yield Endpoint("http://localhost/v1", name, "none", is_local=True, socket=server.socket)


def _command(params: LLMParams, weights: Path, name: str, socket: str, gpu_share: float = 1.0) -> list[str]:
    """Return the command of a server that listens on a Unix socket."""
    slots = str(params.max_concurrency)
    context = str(params.context_tokens)
    if module := _GGUF_SERVERS.get(params.engine):
        server = [sys.executable, "-m", f"longwriter.models.{module}", str(weights), name]
        return [*server, slots, context, socket]
    if importlib.util.find_spec("vllm") is None:
        raise ModelUnusable("engine vllm is not installed: pip install 'longwriter[vllm]' on a GPU machine")
    return [
        sys.executable, "-m", "longwriter.io.process", sys.executable, "-m", "vllm.entrypoints.openai.api_server",
        "--model", str(weights), "--served-model-name", name, "--uds", socket,
        "--max-num-seqs", slots, "--max-model-len", context, *_vllm_options(params.vllm, gpu_share),
    ]  # fmt: skip


def _vllm_options(params: VllmParams | None, gpu_share: float) -> list[str]:
    """Return vLLM's options for its GPUs; empty, so that its defaults hold, if nothing is set and it has all memory."""
    if params is None:
        return [] if gpu_share == 1.0 else ["--gpu-memory-utilization", f"{_VLLM_SHARE * gpu_share:.2f}"]
    return [
        "--gpu-memory-utilization", f"{params.memory_share * gpu_share:.2f}",
        "--tensor-parallel-size", str(params.tensor_parallel),
        "--data-parallel-size", str(params.data_parallel),
        "--enable-prefix-caching" if params.prefix_caching else "--no-enable-prefix-caching",
    ]  # fmt: skip


def _errors(log_file: Path) -> str:
    """Return the first error in the log of llama.cpp; empty if it has none. The last lines of the log say less."""
    errors = _LLAMACPP_ERROR.findall(log_file.read_text(encoding="utf-8", errors="replace"))
    return errors[0] if errors else ""


def _end(code: int) -> str:
    """Return in words how a server ended; a negative code is the signal that ended it."""
    if code >= 0:
        return f"exit {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"ended by {name}{_CAUSES.get(-code, '')}"


def _wait_healthy(server: server_keeper.Running, description: str, log_file: Path) -> None:
    """Wait until the health route answers 200; it answers 503 while weights are loaded."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        if net.is_healthy("http://localhost/health", server.socket):
            return
        time.sleep(0.1)
    code = server.poll()
    state = f"is not healthy after {_START_S} s" if code is None else _end(code)
    raise ModelUnusable(
        f"{description} did not start ({state}); see {log_file}: {_errors(log_file) or process.last_lines(log_file)}"
    )
