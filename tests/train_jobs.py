"""Runs training jobs one after the other, each in new ranks forked from a process that has imported everything.

A rank's imports take longer than its training of a tiny model. What a launch itself does (torchrun, signals,
exit codes) is tested with `launch.run`; here the ranks' module runs as it does under torchrun.

Run: `python -m tests.train_jobs JOB.json …`
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
from pathlib import Path

import longwriter.training.ranks.rank as ranks_module
from longwriter.training.launch import Job


def _rank(file: str, environment: dict[str, str]) -> None:
    """Run the module of a rank, as `python -m` would."""
    os.environ.update(environment)
    sys.argv = [ranks_module.__name__, file]
    runpy.run_module(ranks_module.__name__, run_name="__main__")


def train(file: str) -> None:
    """Run a job to its end in ranks of its own; exit where one fails."""
    job = Job.model_validate_json(Path(file).read_text(encoding="utf-8"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(job.ranks)}
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=_rank, args=(file, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}))
        for rank in range(job.ranks)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    if codes := [rank.exitcode for rank in ranks if rank.exitcode]:
        sys.exit(f"{file}: ranks ended with {codes}")


if __name__ == "__main__":
    for job_file in sys.argv[1:]:
        train(job_file)
