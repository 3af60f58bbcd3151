"""Starts the ranks of a training on a CPU: one process imports everything, and then forks once for each rank.

The imports of a rank take 8 CPU seconds. torchrun imports PyTorch, and then each of its ranks imports all of
it again. On GPUs and on macOS, torchrun starts the ranks, because there a fork does harm: a process must not fork
after it has looked for GPUs, and the system libraries of macOS do not work after a fork.

Run: `python -m longwriter.training.cpu_ranks JOB.json`
"""

from __future__ import annotations

import inspect
import runpy
import signal
import sys
import uuid
import warnings
from pathlib import Path

from longwriter.io import startup

if __name__ == "__main__":
    startup.begin_rank()  # before the imports below, which take seconds

import deepspeed
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from longwriter.launch.launch import Job
from longwriter.training.ranks import rank


def _rank(file: str) -> None:
    """Run the module of a rank, as `python -m` would."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the handler of the launcher
    sys.argv = [rank.__name__, file]
    warnings.simplefilter("ignore", RuntimeWarning)  # runpy's: the module was imported before
    runpy.run_module(rank.__name__, run_name="__main__", alter_sys=True)


def start(file: str) -> None:
    """Run all ranks of a job to their end.

    Args:
        file: The job, as JSON.

    Raises:
        ChildFailedError: a rank raised or was killed; the message names the signal.
    """
    job = Job.model_validate_json(Path(file).read_text(encoding="utf-8"))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=job.ranks, start_method="fork", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id=uuid.uuid4().hex,
    )  # fmt: skip
    # DeepSpeed runs the C compiler to fill this table: here that happens once, and not in each rank.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # elastic_launch asks `inspect` for the call stack. `python -m` puts frames of "<frozen runpy>" there, and inspect
    # looks for this file in 7,000 modules each time, which takes 0.8 CPU seconds for each training.
    inspect.modulesbyfile["<frozen runpy>"] = runpy.__name__
    elastic_launch(config, _rank)(file)


if __name__ == "__main__":
    startup.end()
    start(sys.argv[1])
