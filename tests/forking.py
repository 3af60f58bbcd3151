"""Runs stages and dvc in processes forked from one that has imported them, which saves the time of imports."""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import fork_server

_ROOT = Path(__file__).parents[1]
_STAGES = (
    *(f"longwriter.stages.{file.stem}" for file in (_ROOT / "src/longwriter/stages").glob("[!_]*.py")),
    "longwriter.cli.main",
    "dvc.cli",
    "mlflow.store.tracking.sqlalchemy_store",  # imported late, by the first client
    "longwriter.endpoints.transport",  # imported late, by a stage that asks a model
)
_TESTS = (*_STAGES, "flows.pipeline", "longwriter.training.ranks.attention", "trl", "boto3")
"""What the test files import, too."""
RANKS = "longwriter.training.cpu_ranks"
_TEMPLATES = "longwriter.models.base.rendering"
_PYTHON = """#!{real} -IS
import json, os, socket, sys
for module, address in {forks}.items():
    if sys.argv[1:2] == ["-m"] and sys.argv[2].startswith(module):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(address)
            env = dict(os.environ, {variable}=sys.argv[0])
            request = json.dumps([sys.argv[1:], os.getcwd(), env]).encode()
            socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
            server.sendall(request)
            sys.exit(int(server.recv(8) or b"137"))
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


def start(modules: tuple[str, ...] = _STAGES) -> None:
    """Start the server of forks for this process and those that it starts, unless one runs already."""
    if fork_server.ADDRESS not in os.environ:
        os.environ[fork_server.ADDRESS] = _serve(modules)


def _serve(modules: tuple[str, ...]) -> str:
    """Start a server of forks that ends with this process; return the path of its socket."""
    folder = Path(tempfile.mkdtemp())
    address = folder / "forks"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        command = [sys.executable, fork_server.__file__, str(listener.fileno()), *modules]
        env = {**os.environ, "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}"}
        server = subprocess.Popen(
            command, cwd=_ROOT, env=env, stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()]
        )

    def end() -> None:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return str(address)


def python() -> list[str]:
    """Return a command that takes the arguments of Python and runs them in a fork, with its stdin and output."""
    start()
    return [sys.executable, "-IS", fork_server.__file__, os.environ[fork_server.ADDRESS]]


def workers() -> str:
    """Return the command line of `python`, for processes that collect all tests."""
    start(_TESTS)
    return shlex.join(python())


def write_python(file: Path, forks: dict[str, str]) -> None:
    """Write a command that runs `-m MODULE` in a fork of a server, and does all else as the real Python.

    The fork has this command as its `sys.executable`.

    Args:
        file: The command.
        forks: {beginning of a module's name: path of the socket of a server}.
    """
    file.write_text(_PYTHON.format(real=sys.executable, forks=forks, variable=fork_server.PYTHON))
    file.chmod(0o755)


def python_of_ranks(folder: Path) -> str:
    """Return a command for `sys.executable` with which a training takes 4 CPU seconds less: its ranks are forks.

    Not for a test that kills something: the processes of a training have other parents, and other command lines.
    """
    start()
    write_python(
        folder / "python", dict.fromkeys((RANKS, "tests.train_job"), os.environ[fork_server.ADDRESS])
    )
    return str(folder / "python")


@functools.cache
def python_of_templates() -> str:
    """Return a command for `sys.executable` with which a trial of a chat template takes 0.6 CPU seconds less.

    The forks are of a server of their own: the trial limits its memory, and the first server has nearly as much.
    Not for a template that is ended by a signal: the command's exit code is another.
    """
    address = _serve((_TEMPLATES, "transformers.utils.chat_template_utils"))
    file = Path(address).with_name("python")
    write_python(file, {_TEMPLATES: address})
    return str(file)


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
        env: The environment, without the address of the server; no module may read it at import.
        output: Files for stdout and stderr.
        limit_s: How long it may take.
    """
    start()
    with Path(os.devnull).open() as nothing, output[0].open("wb") as out, output[1].open("wb") as err:
        fds = [file.fileno() for file in (nothing, out, err)]
        address = os.environ[fork_server.ADDRESS]
        env = {**env, fork_server.ADDRESS: address}
        server = fork_server.request(address, ["-m", module, *words], str(folder), env, fds)
    with server:
        server.settimeout(limit_s)
        try:
            return fork_server.exit_code(server)
        except TimeoutError:
            raise TimeoutError(f"{module} {words} took more than {limit_s:.0f} s") from None
