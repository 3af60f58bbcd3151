"""The llama.cpp server process: serves one GGUF file until its parent ends.

Run: `python -m longwriter.edges.llamacpp_server FILE NAME SLOTS CONTEXT_TOKENS`; prints one JSON
line with its `base_url` when the port is bound.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import xllamacpp

from longwriter.edges.process import die_with_parent


def main(file: str, name: str, slots: int, context_tokens: int) -> None:
    """Serve `file` as model `name`, `slots` requests at once of `context_tokens` each."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the kernel chooses a free one
    params.ui = False
    params.warmup = False
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.cont_batching = True
    threads = len(os.sched_getaffinity(0))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"base_url": server.listening_address}) + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
