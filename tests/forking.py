"""Runs stages and dvc in processes forked from one that has imported them, which saves the time of imports."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import warnings
from pathlib import Path

_STAGES = Path(__file__).parents[1] / "src" / "longwriter" / "stages"
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        *(f"longwriter.stages.{file.stem}" for file in _STAGES.glob("[!_]*.py")),
        "dvc.cli",
        "mlflow.store.tracking.sqlalchemy_store",  # imported late, by the first client
    ]
)


def run(
    module: str,
    words: list[str],
    folder: Path,
    env: dict[str, str],
    output: tuple[Path, Path],
    limit_s: float,
) -> int:
    """Run `python -m module words` in `folder`; return the exit code.

    Args:
        module: A module with the work below `if __name__ == "__main__"`.
        words: Its arguments.
        folder: The working directory.
        env: The whole environment; no module may read it at import.
        output: Files for stdout and stderr.
        limit_s: How long it may take.
    """
    child = _processes.Process(target=_run_module, args=(module, words, folder, env, output))
    child.start()
    child.join(limit_s)
    if child.exitcode is None:
        os.killpg(child.pid, signal.SIGKILL)
        raise TimeoutError(f"{module} {words} took more than {limit_s:.0f} s")
    return child.exitcode


def _run_module(
    module: str, words: list[str], folder: Path, env: dict[str, str], output: tuple[Path, Path]
) -> None:
    os.setsid()
    for number, file in enumerate(output, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as `python -m` does
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *words]
    warnings.simplefilter("ignore", RuntimeWarning)  # runpy's: the module was imported before
    runpy.run_module(module, run_name="__main__", alter_sys=True)
