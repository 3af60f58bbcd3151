"""Starts model servers, and keeps one of them from one stage of a flow to the next.

A stage is a process of its own, so a server that it starts ends with it. In a flow, stages therefore ask the flow's
keeper, a thread that starts servers for them. The keeper gives a stage the server of the stage before if both need
the same command in the same folder; otherwise it ends that server and starts another one. That saves 4 s with
OpenVINO, and minutes with vLLM. The command names the weights by their digest, the slots and the context, so a stage
never gets settings of another stage. Without a flow, a server ends with its stage.

A keeper has at most one server. The kernel ends the server when the thread that started it ends, so a flow that is
killed leaves none. The keeper runs every command that it is asked for. This gives nobody new rights: its socket
lies in a folder that only its user may enter (0700), and this user can start any command anyway.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.io import scratch
from longwriter.web import net

log = logging.getLogger(__name__)

SOCKET = "{socket}"
"""Stands in a command for the path of the socket where the server is to listen."""
_ADDRESS = (
    "LW_SERVER_KEEPER"  # the environment variable that names the keeper's socket to the stages of a flow
)
_ANSWER_S = 60.0  # the keeper needs at most 15: for a server that neither answers nor ends
_REQUEST_BYTES = 1_000_000
_in_use = threading.Lock()  # of this process: held while it uses the keeper's server


class Running(NamedTuple):
    """A server that was started: the path of its socket, how it ended (None: it runs), whether a stage used it before."""

    socket: str
    poll: Callable[[], int | None]
    is_reused: bool


@contextlib.contextmanager
def running(command: Sequence[str], log_file: Path) -> Iterator[Running]:
    """Yield a server, which may still load its weights: one of the flow's keeper, or one that ends with the block.

    Args:
        command: Command line, with `SOCKET` in place of the socket's path.
        log_file: File for the output of the server.
    """
    with _kept(command, log_file) as server:
        if server:
            yield server
            return
    with scratch.folder() as folder:
        socket = str(folder / "llm.sock")
        process = start(command, socket, log_file)
        try:
            yield Running(socket, process.poll, is_reused=False)
        finally:
            stop(process)


@contextlib.contextmanager
def _kept(command: Sequence[str], log_file: Path) -> Iterator[Running | None]:
    """Yield the keeper's server; None without a keeper, or for a second server at the same time."""
    address = os.environ.get(_ADDRESS)
    if not address or not _in_use.acquire(blocking=False):
        yield None
        return
    server = None
    try:
        request = {"command": list(command), "folder": str(Path.cwd()), "log_file": str(log_file)}
        try:
            reply = _ask(address, request)
            server = Running(reply["socket"], lambda: _exit_code(address), reply["is_reused"])
        except (OSError, EOFError, KeyError) as error:
            log.warning("the flow cannot start the server (%r): this stage starts one of its own", error)
        yield server
    finally:
        _in_use.release()


def _exit_code(address: str) -> int | None:
    """Return how the keeper's server ended; None if it runs. If the keeper has ended, its server has too."""
    try:
        code: int | None = _ask(address, {"poll": "server"})["code"]
    except (OSError, EOFError):
        return -signal.SIGTERM
    return code


def start(
    command: Sequence[str], socket: str, log_file: Path, folder: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a server in `folder`, with its output in `log_file`; return its process.

    The output is no pipe: nobody reads it, and a server stops when the 64 KiB of a pipe are full.
    """
    words = [socket if word == SOCKET else word for word in command]
    with log_file.open("wb") as output:
        return subprocess.Popen(
            words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder
        )


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server; kill it if it has not ended after 10 seconds."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextlib.contextmanager
def keep() -> Iterator[None]:
    """Keep the servers of the stages that the block runs; the last one ends with the block."""
    with scratch.folder() as folder:
        address = str(folder / "keeper.sock")
        with Listener(address, "AF_UNIX") as listener:
            keeper = threading.Thread(target=_serve, args=(listener, folder), daemon=True)
            keeper.start()
            os.environ[_ADDRESS] = address
            try:
                yield
            finally:
                del os.environ[_ADDRESS]
                with contextlib.suppress(OSError, EOFError):
                    _ask(address, {"end": "keeper"})
                keeper.join(_ANSWER_S)


def end() -> None:
    """End the server that the keeper of this flow has, so that its memory is free; without one, do nothing."""
    if address := os.environ.get(_ADDRESS):
        with contextlib.suppress(OSError, EOFError):  # the keeper has ended, and so has its server
            _ask(address, {"end": "server"})


def _ask(address: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the keeper's reply.

    Raises:
        OSError, EOFError: the keeper has ended, does not answer in time, or could not do it.
    """
    with Client(address, "AF_UNIX") as connection:
        connection.send_bytes(json.dumps(request).encode())
        if not connection.poll(_ANSWER_S):
            raise TimeoutError(f"no answer after {_ANSWER_S:.0f} s")
        reply: dict[str, Any] = json.loads(connection.recv_bytes())
    if "error" in reply:
        raise OSError(reply["error"])
    return reply


def _serve(listener: Listener, folder: Path) -> None:
    """Answer requests, one after the other, until one ends the keeper."""
    keeper, request = _Keeper(folder), None
    while request != {"end": "keeper"}:
        try:
            connection = listener.accept()
        except OSError:  # it is closed
            return
        with contextlib.suppress(OSError, EOFError), connection:  # the stage may have ended
            if not connection.poll(_ANSWER_S):
                continue
            data = connection.recv_bytes(_REQUEST_BYTES)
            try:
                request = json.loads(data)
                reply = keeper.reply(request)
            except Exception as error:  # the server would end with this thread
                reply = {"error": repr(error)}
            connection.send_bytes(json.dumps(reply).encode())


class _Keeper:
    """The one server of a flow, and the request that started it."""

    def __init__(self, folder: Path) -> None:
        """Begin without a server; the sockets of servers will lie in `folder`."""
        self._folder = folder
        self._request: object = None
        self._socket = ""
        self._server: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def reply(self, request: object) -> dict[str, Any]:
        """Return the reply to a request: for a server, for its exit code, or for the end of it or of the keeper."""
        match request:
            case {"end": "server" | "keeper"}:
                self._end()
                return {}
            case {"poll": "server"}:
                return {"code": self._server.poll() if self._server else -signal.SIGTERM}
            case {"command": [*command], "folder": str(folder), "log_file": str(log_file)}:
                is_reused = request == self._request and self._is_healthy()
                if not is_reused:
                    self._end()
                    self._starts += 1
                    self._socket = str(self._folder / f"llm{self._starts}.sock")
                    self._server = start(command, self._socket, Path(folder) / log_file, folder)
                    self._request = request
                return {"socket": self._socket, "is_reused": is_reused}
        return {"error": "no request of a stage"}

    def _is_healthy(self) -> bool:
        is_alive = self._server is not None and self._server.poll() is None
        return is_alive and net.is_healthy("http://localhost/health", self._socket)

    def _end(self) -> None:
        if self._server:
            stop(self._server)
        self._server, self._request = None, None
