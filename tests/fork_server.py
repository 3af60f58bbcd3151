"""Forks Python processes from one that has imported what stages, dvc and tests import, which saves that time.

A request is JSON: `words` (arguments of Python: `-m MODULE …` or `-c CODE`), `folder` and `env`; three file
descriptors come with it. The answer is the exit code. A client that hangs up has its process killed. Only
libraries and `longwriter` are imported, because pytest rewrites the modules of the tests as it imports them.

Run: `python tests/fork_server.py FD MODULE …`, which imports the modules, and then forks for who connects to the
listening socket FD.
`python -IS tests/fork_server.py SOCKET -c CODE` is a client: it runs the code in a fork, as if it were Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ADDRESS = "LW_TESTS_FORKS"
"""Variable of the environment: path of the server's socket."""
PYTHON = "LW_TESTS_PYTHON"
"""Variable of a request's environment: what the process starts as `sys.executable`; see `forking.write_python`."""


def request(
    address: str, words: list[str], folder: str, env: dict[str, str], fds: list[int]
) -> socket.socket:
    """Ask the server for a process with `fds` as stdin, stdout and stderr; return the connection."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    body = json.dumps([words, folder, env]).encode()
    socket.send_fds(server, [len(body).to_bytes(8, "big")], fds)
    server.sendall(body)
    return server


def exit_code(server: socket.socket) -> int:
    """Wait for the process; return its exit code, 137 if the server has ended."""
    return int(server.recv(8) or b"137")


def _serve(listener: socket.socket) -> list[str]:
    """Fork for each request; return the words of a request, in its fork."""
    children: dict[socket.socket, int] = {}
    wake, waker = os.pipe()
    for end in (wake, waker):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(waker)
    while True:
        ready = select.select([listener, wake, *children], [], [])[0]
        if wake in ready:
            os.read(wake, 4096)
            while ended := _ended_child():
                for client in [client for client, pid in children.items() if pid == ended[0]]:
                    del children[client]
                    with client:
                        _answer(client, ended[1])
        for client in children.keys() & set(ready):  # it hung up
            _kill(children.pop(client))
            client.close()
        if listener in ready:
            client, _ = listener.accept()
            head, fds, _, _ = socket.recv_fds(client, 8, 3)
            body = b""
            while len(body) < int.from_bytes(head, "big") and (part := client.recv(1 << 20)):
                body += part
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for inherited in (listener, client, *children):
                    inherited.close()  # not later, when its number may be another file's
                return _become(json.loads(body), fds)
            children[client] = pid
            for fd in fds:
                os.close(fd)


def _ended_child() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def _kill(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:  # it leads no session yet
        os.kill(leader, signal.SIGKILL)


def _answer(client: socket.socket, code: int) -> None:
    with contextlib.suppress(OSError):  # it hung up
        client.sendall(str(code if code >= 0 else 128 - code).encode())


def _become(process: tuple[list[str], str, dict[str, str]], fds: list[int]) -> list[str]:
    """Make this fork the process of a request; return its words."""
    words, folder, env = process
    os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.closerange(3, 256)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.executable = os.environ.pop(PYTHON, sys.executable)
    return words


def _prepare() -> None:
    """Do what most stages would do first: load the models of refusals, and map MLflow's tables."""
    from sqlalchemy.orm import configure_mappers

    from longwriter.talk import classifier

    classifier.prepare()
    configure_mappers()


def run_and_exit(run: Callable[[], object]) -> NoReturn:
    """Call `run`, and end this fork with the exit code that Python would have.

    Python ends by clearing all modules, which writes to every object: a fork would copy all the memory that it
    shares with its parent, and that takes 0.6 CPU seconds.
    """
    import atexit
    import threading

    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # waits for the threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(code & 0xFF)


def _main(fd: int, modules: list[str]) -> None:
    import gc
    import importlib

    from longwriter.io import process

    process.die_with_parent(signal.SIGKILL)
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    if "mlflow" in sys.modules:
        _prepare()
    gc.freeze()
    words = _serve(socket.socket(fileno=fd))
    gc.enable()
    run_and_exit(lambda: _run(words[words[0] == "-u" :]))


def _run(words: list[str]) -> None:
    """Run the module or the code of a request, as Python would."""
    import logging
    import runpy
    import types
    import warnings

    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path[0] = ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(words[1], main.__dict__)
        return
    logging.root.handlers.clear()  # Prefect's, which a stage or dvc would not have imported
    logging.root.setLevel(logging.WARNING)
    warnings.simplefilter("ignore", RuntimeWarning)  # runpy's: the module was imported before
    sys.argv = words[1:]
    sys.path[0] = str(Path.cwd())  # as `python -m` does
    runpy.run_module(words[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if not sys.argv[1].isdigit():
        with request(sys.argv[1], sys.argv[2:], str(Path.cwd()), dict(os.environ), [0, 1, 2]) as server:
            sys.exit(exit_code(server))
    _main(int(sys.argv[1]), sys.argv[2:])
