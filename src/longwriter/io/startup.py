"""Shorter imports for the processes that import most: stages, ranks, flows and web servers.

CPU seconds of the imports, on two busy cores (an idle machine needs about half of each):

    a stage   6 to 10 s, of which the garbage collector takes 0.5 to 0.9 s, and it finds almost nothing
    a rank    24.9 s, of which MLflow takes 5.0 s, and the garbage collector 2.5 s
    a tokenizer  5.5 s, of which PyTorch takes 4.1 s, and tokenizers do not use it
    a flow    4.5 s, of which the garbage collector takes 1.1 s; Prefect's server 5.0 s, of which 0.7 s
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def begin_stage() -> None:
    """Pause the garbage collector in a process that `python -m` starts; call `end` after the imports.

    `python -m` sets argv[0] to "-m" until it has found the module that it runs. In any other process that
    imports a stage, such as a test, the garbage collector is not paused.
    """
    if sys.argv[0] == "-m":
        gc.disable()


def begin_rank() -> None:
    """Pause the garbage collector in a rank, and prevent the import of MLflow; call `end` after the imports.

    DeepSpeed's autotuner imports MLflow if it is installed, but no rank uses it.
    """
    gc.disable()
    sys.modules.setdefault("mlflow", None)  # type: ignore[arg-type]


def without_torch() -> None:
    """Have transformers load tokenizers without PyTorch; for a process that uses PyTorch nowhere.

    transformers then takes PyTorch as not installed, in this process and in those that it starts by fork.
    """
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # that PyTorch is missing
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]


@contextmanager
def without(module: str) -> Iterator[None]:
    """Have the block import libraries as if `module` were not installed, unless it is imported already."""
    is_hidden = module not in sys.modules
    if is_hidden:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_hidden:
            sys.modules.pop(module, None)


@contextmanager
def imports() -> Iterator[None]:
    """Pause the garbage collector while the block imports."""
    gc.disable()
    try:
        yield
    finally:
        end()


def end() -> None:
    """Start the garbage collector again; it will skip every object that the imports created."""
    gc.freeze()
    gc.enable()
