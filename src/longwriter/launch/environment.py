"""Environment variables of the ranks: settings for their speed, and no secrets.

Pure, except that the number of CPU cores is read from the machine.

Ranks read nothing but files of the checkout, so they need no credentials. The ranks of other nodes get the
variables in `_OF_NODES`; the others, such as PATH or CUDA_VISIBLE_DEVICES, belong to a machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal

_SECRET = re.compile(r"(?:^|_)(?:KEY|PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIALS)$|^(?:MLFLOW_TRACKING_|AWS_)")

_OF_NODES = re.compile(
    r"(?:HF|TRANSFORMERS|TOKENIZERS|LW|NCCL|GLOO|UCX|TORCH|TORCHDYNAMO|PYTORCH|TRITON|DS|DEEPSPEED|PYTHON|OMP|MALLOC)_"
    r"|PYTHON|LD_LIBRARY_PATH$|LANG$|LC_|CUDA_(?!VISIBLE_DEVICES$)|XDG_CACHE_HOME$"
)


def for_nodes(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the ranks of other nodes need, without secrets."""
    return {
        name: value for name, value in without_secrets(inherited).items() if _OF_NODES.match(name.upper())
    }


def without_secrets(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables whose names look like those of keys or passwords.

    Every MLFLOW_TRACKING_ and AWS_ variable is removed: a URL can hold a password,
    and no rank uses MLflow or S3.
    """
    return {name: value for name, value in inherited.items() if not _SECRET.search(name.upper())}


def of_ranks(inherited: Mapping[str, str], device: Literal["cuda", "cpu"], ranks: int) -> dict[str, str]:
    """Return the environment of the ranks; on a CPU each rank gets its share of the cores.

    On a CPU, these settings make glibc keep freed memory: 13 s a step. Without them, 40 % of the time went into
    returning each activation to the kernel and allocating it again: 19 s a step, 9.7 million page faults in five.
    They also turn TorchDynamo off. Nothing uses it on a CPU, but DeepSpeed always imports its optimizer Muon, which
    loads it. That costs 1 CPU second for each rank; all imports of two ranks of a tiny model take 8.7.

    Args:
        inherited: The environment of the stage.
        device: What the ranks run on.
        ranks: Ranks that share the cores of a CPU.
    """
    common = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }
    public = without_secrets(inherited)
    if device == "cuda":
        return {**public, **common}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // ranks)
    malloc = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_ARENA_MAX": "1"}
    common |= {**malloc, "MALLOC_TOP_PAD_": str(1 << 28), "OMP_NUM_THREADS": str(threads)}
    common["TORCHDYNAMO_DISABLE"] = "1"
    return {**public, **common, "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
