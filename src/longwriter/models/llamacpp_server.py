"""The llama.cpp server process: serves one GGUF file until its parent ends.

Run: `python -m longwriter.models.llamacpp_server FILE NAME SLOTS CONTEXT_TOKENS SOCKET`; SOCKET is the path
of the Unix socket where it listens. On a port it would answer every web page that is open on this machine:
llama.cpp repeats any `Origin` as `Access-Control-Allow-Origin`.

After every operation the threads wait for each other at an OpenMP barrier, in a loop that uses CPU time
(spinning). If another process needs the same cores, this loop takes CPU time from the very thread that the
others wait for. So the threads spin for a short time only (GOMP_SPINCOUNT) and then sleep. Measured on two
cores with a 135M model and 8 slots, tokens/s on an idle machine and under load: endless spin 147 and 4-21,
short spin 138 and about 50, no spin 97 and 39-103. `cpuparams.poll` does not change this. OpenMP reads the
variable when it is loaded, so it is set before the import.

Without a GPU, flash attention is off: on a CPU it reads the same keys and values again for every query head
that shares them. Measured with 24 slots of 1,300 tokens: 126 tokens/s without it, 104 with it.
"""

from __future__ import annotations

import os
import signal
import sys

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import xllamacpp

from longwriter.io.process import die_with_parent

_Device = xllamacpp.ggml_backend_dev_type


def main(file: str, name: str, slots: int, context_tokens: int, socket: str) -> None:
    """Serve `file` as model `name` on a Unix socket, `slots` requests at once of `context_tokens` each."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.hostnames = [socket]
    params.ui = False
    params.warmup = False
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.cont_batching = True
    if not _has_gpu():
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    threads = len(os.sched_getaffinity(0))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    sys.stdout.write(f"listens on {server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


def _has_gpu() -> bool:
    kinds = {device["type"] for device in xllamacpp.get_device_info()}
    return bool(kinds & {_Device.GGML_BACKEND_DEVICE_TYPE_GPU, _Device.GGML_BACKEND_DEVICE_TYPE_IGPU})


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
