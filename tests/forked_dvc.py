"""Runs `dvc repro`, and the stages in forks of one process, so that they import MLflow and the like only once.

DVC executes each command of dvc.yaml by a shell, as ever. The `python` that the shell finds on its PATH gives a
stage to the process below, which forks; it becomes the real Python for anything else. Every stage runs below
this process, which shows the command line of dvc, as stages look for it.

Run: `python -m tests.forked_dvc repro …` in a workspace, also in a fork of `fork_server.py`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NoReturn

from tests import fork_server, forking


def _next_stage(listener: socket.socket) -> list[str]:
    """Wait for stages and fork for each; return the words of a stage, in the fork that is to run it."""
    while True:
        shell, _ = listener.accept()
        head, fds, _, _ = socket.recv_fds(shell, 8, 3)
        with shell.makefile("rb") as request:
            [_, *words], folder, env = json.loads(request.read(int.from_bytes(head, "big")))
        importlib.import_module(words[0])
        if (child := os.fork()) == 0:
            for number, fd in enumerate(fds):
                os.dup2(fd, number)
            os.closerange(3, 256)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(env, PATH=env["PATH"].partition(os.pathsep)[2])
            sys.executable = os.environ.pop(fork_server.PYTHON)
            return words
        for fd in fds:
            os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        shell.sendall(str(code if code >= 0 else 128 - code).encode())
        shell.close()


def _run_stages(listener: socket.socket) -> NoReturn:
    """Serve until dvc ends; in a fork, run its stage and exit with its code."""
    from longwriter.io import process

    process.die_with_parent(signal.SIGKILL)
    gc.disable()  # until a stage has its imports
    sys.argv = _next_stage(listener)
    warnings.simplefilter("ignore", RuntimeWarning)  # runpy's: the module was imported before
    fork_server.run_and_exit(lambda: runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True))


def _show_command(words: list[str]) -> None:
    """Make the command line that other processes see of this one `words`."""
    start, end = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47]
    size = int(end) - int(start)
    ctypes.memmove(int(start), "\0".join(words).encode()[:size].ljust(size, b"\0"), size)


def main() -> int:
    """Run dvc with the arguments of this process; return its exit code."""
    _show_command(["dvc", *sys.argv[1:]])
    folder = Path(tempfile.mkdtemp())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "stages"))
    listener.listen()
    if (forks := os.fork()) == 0:
        _run_stages(listener)
    listener.close()
    # The ranks of a training are forks of the first server.
    sockets = {"longwriter.stages.": str(folder / "stages"), forking.RANKS: os.environ[fork_server.ADDRESS]}
    forking.write_python(folder / "python", sockets)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    try:
        from dvc import cli

        return int(cli.main(sys.argv[1:]))
    finally:
        os.kill(forks, signal.SIGKILL)
        os.waitpid(forks, 0)
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
