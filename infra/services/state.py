"""The folder of the services: ports, secrets, logs, and the processes that the script has started."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from longwriter.errors import UserError
from longwriter.io import process

_START_S = 300.0  # 5 to 10 s on an idle machine
_STOP_S = 60.0
PORTS = ("postgres", "s3", "mlflow", "prefect", "ceph", "ceph_v1")
_SECRETS = (
    "postgres_admin", "postgres_mlflow", "postgres_prefect", "mlflow_admin", "mlflow_pipeline", "mlflow_flask",
    "prefect",
)  # fmt: skip


class State:
    """The folder, with what is stored in it. All files are 0600, all folders but the first 0700."""

    def __init__(self, folder: Path, first_port: int | None = None) -> None:
        """Open the folder; the first time it is made, with ports from `first_port` on (0 = any) and new secrets.

        Raises:
            UserError: the folder is not there and `first_port` is None, or it belongs to another user.
        """
        self.folder = folder.resolve()
        settings = self.folder / "services.json"
        if not settings.exists():
            if first_port is None:
                raise UserError(f"{folder}: no services here: python -m infra.services start makes them")
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            self.folder.chmod(0o711)  # so that PostgreSQL's own user reaches its folder below
            (self.folder / "logs").mkdir(mode=0o700, exist_ok=True)
            write_private(self.folder / "secrets.json", {name: secrets.token_hex(24) for name in _SECRETS})
            ports = {name: first_port + offset for offset, name in enumerate(PORTS)}
            if first_port == 0:
                ports = free_ports()
            write_private(settings, {"ports": ports})
        elif settings.stat().st_uid != os.getuid():
            raise UserError(
                f"{folder}: belongs to another user: run this as that user, or name another --folder"
            )
        self.ports: dict[str, int] = self.settings["ports"]

    @property
    def settings(self) -> dict[str, Any]:
        """The ports, and what options of `start` have set."""
        return dict(json.loads((self.folder / "services.json").read_text()))

    def keep_settings(self, values: dict[str, Any]) -> None:
        """Add settings to the file."""
        write_private(self.folder / "services.json", {**self.settings, **values})

    @property
    def secrets(self) -> dict[str, str]:
        """The passwords and keys by their names."""
        return dict(json.loads((self.folder / "secrets.json").read_text()))

    def keep_secrets(self, values: dict[str, str]) -> None:
        """Add secrets to the file."""
        write_private(self.folder / "secrets.json", {**self.secrets, **values})

    def url(self, name: str) -> str:
        """Return the address of a server."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> Path:
        """Return the log file of a server."""
        return self.folder / "logs" / f"{name}.log"

    def running(self, name: str) -> psutil.Process | None:
        """Return the process of a server that `start` has started and that still runs."""
        record = self._processes().get(name)
        try:
            child = psutil.Process(record["pid"]) if record else None
        except psutil.NoSuchProcess:
            return None
        if child is None or process.start_of(child) != record["start"]:
            return None
        return None if child.status() == psutil.STATUS_ZOMBIE else child

    def start(
        self, name: str, command: list[str], is_ready: Callable[[], bool], env: dict[str, str] | None = None,
        user: str | None = None,
    ) -> None:  # fmt: skip
        """Start a server in a session of its own, and wait until it is ready.

        Raises:
            UserError: another process uses the port, or the server ended.
        """
        if self.running(name) is None:
            self._check_port(name)
            with self.log(name).open("ab") as log:
                os.fchmod(log.fileno(), 0o600)
                child = subprocess.Popen(
                    command, env={**base_env(), **(env or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, user=user, group=user, extra_groups=[] if user else None,
                    cwd="/" if user else self.folder, umask=0o077,
                )  # fmt: skip
            record = {"pid": child.pid, "start": process.start_of(psutil.Process(child.pid))}
            write_private(self.folder / "processes.json", {**self._processes(), name: record})
        deadline = time.monotonic() + _START_S
        while not is_ready():
            if self.running(name) is None or time.monotonic() > deadline:
                last = process.last_lines(self.log(name))
                raise UserError(f"{name} did not start; {self.log(name)} ends with: {last}")
            time.sleep(0.2)

    def stop(self, name: str, sign: signal.Signals = signal.SIGTERM) -> bool:
        """End a server and its children; False if it did not run. What does not end within minutes is killed."""
        if (child := self.running(name)) is None:
            return False
        family = [child, *child.children(recursive=True)]
        child.send_signal(sign)
        psutil.wait_procs([child], timeout=_STOP_S)
        for end in (
            "terminate",
            "kill",
        ):  # what is left, for example the workers of a server that did not answer
            for rest in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(rest, end)()
            _, family = psutil.wait_procs(family, timeout=_STOP_S)
        return True

    def _processes(self) -> dict[str, Any]:
        file = self.folder / "processes.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _check_port(self, name: str) -> None:
        port = self.ports.get(name)
        if port is None:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                cure = f"end the process that uses it, or change the port in {self.folder / 'services.json'}"
                raise UserError(f"{name}: cannot serve on port {port} ({error.strerror}): {cure}") from None


def free_ports() -> dict[str, int]:
    """Return a different free port of 127.0.0.1 for each name."""
    with contextlib.ExitStack() as probes:
        sockets = {name: probes.enter_context(socket.socket()) for name in PORTS}
        for probe in sockets.values():
            probe.bind(("127.0.0.1", 0))
        return {name: int(probe.getsockname()[1]) for name, probe in sockets.items()}


def base_env() -> dict[str, str]:
    """Return the environment without settings and secrets of pipeline, clients and proxies."""
    prefixes = ("PREFECT_", "MLFLOW_", "_MLFLOW_", "LW_", "AWS_", "PG", "OPENAI_", "CEPH_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) and not name.lower().endswith("_proxy")
    }


def write_private(file: Path, content: Any) -> None:
    """Replace a file by text, or by a value as JSON; only this user can read it."""
    text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def need(commands: Iterable[str], package: str, find: Callable[[str], str | None]) -> None:
    """Do nothing if all commands are installed.

    Raises:
        UserError: some are missing; the message names the Debian package.
    """
    if missing := [command for command in commands if find(command) is None]:
        raise UserError(f"{', '.join(missing)}: not installed: apt install {package}")
