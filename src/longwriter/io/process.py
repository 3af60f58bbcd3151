"""Processes: one writer a stage, and none that outlives whoever started it.

DVC forwards no signal to its stage, and lets a second `dvc repro` in while an orphan still writes.
So a stage holds its own lock, asks the kernel for SIGTERM when its parent dies, and watches the
`dvc` above it too, since a shell may stand between them.

Run: `python -m longwriter.io.process COMMAND …` becomes COMMAND, killed when its parent dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from longwriter.errors import StageBusy

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_WATCH_S = 0.5  # how often the starter is looked for
_GRACE_S = 8.0  # how long a stage may take to end its run after SIGTERM


def die_with_parent(sign: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `sign` to this process when the thread that started it ends (Linux).

    Survives exec. A parent that died before this call is noticed too, where init or another
    process of another session took its place.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    if os.getppid() != parent or _is_adopted():
        os.kill(os.getpid(), sign)


def _is_adopted() -> bool:
    """Tell whether another process than the present parent surely started this one.

    A child is born into the session of its parent, and leaves it only to lead one of its own.
    """
    try:
        return os.getsid(0) not in (os.getpid(), os.getsid(os.getppid()))
    except ProcessLookupError:  # gone this very moment
        return True


def _starters() -> list[psutil.Process]:
    """Return the parent, and the nearest `dvc` above it."""
    parents = psutil.Process().parents()
    dvc = next((p for p in parents if "dvc" in (Path(w).name for w in p.cmdline()[:3])), None)
    return [p for p in (parents[:1] + ([dvc] if dvc else [])) if p.pid != 1]


def die_with_starter() -> None:
    """End this process by SIGTERM within a second of its parent's or its dvc's death.

    A process that has not ended `_GRACE_S` after the signal is killed.
    """
    starters = _starters()

    def watch() -> None:
        while all(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in starters):
            time.sleep(_WATCH_S)
        log.error("the process that started this stage is gone: stopping")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    def safe_watch() -> None:
        try:
            watch()
        except psutil.NoSuchProcess:
            os.kill(os.getpid(), signal.SIGTERM)

    die_with_parent()
    threading.Thread(target=safe_watch, name="starter-watch", daemon=True).start()


def exit_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit(143), so that servers stop and the MLflow run is ended."""

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, stop)


@contextlib.contextmanager
def only_one(name: str, folder: Path, wait_s: float = 20.0) -> Iterator[None]:
    """Hold the lock `name`; a dying holder gets `wait_s` seconds to let go.

    Raises:
        StageBusy: another live process still holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, owner = folder / f"{name}.lock", folder / f"{name}.pid"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        pid = owner.read_text().strip() if owner.exists() else "?"
        raise StageBusy(
            f"stage {name} is running in process {pid}: wait for it, or end that process"
        ) from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def last_lines(log: Path, count: int = 3) -> str:
    """Return the last lines of a process's log as one line, for an error message."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-count:])


def boot_id() -> str:
    """Return an id of this boot of this machine."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else f"{psutil.boot_time():.0f}"


def identity() -> dict[str, str]:
    """Return what tells this process from every other: host, boot, pid and its start time."""
    return {
        "lw.host": socket.gethostname(),
        "lw.boot_id": boot_id(),
        "lw.pid": str(os.getpid()),
        "lw.pid_started": f"{psutil.Process().create_time():.2f}",
    }


def is_dead(tags: dict[str, str]) -> bool:
    """Tell whether the process that `identity` described is surely gone.

    False for a process of another host, and for tags that describe none.
    """
    if tags.get("lw.host") != socket.gethostname() or "lw.pid" not in tags:
        return False
    if tags.get("lw.boot_id") != boot_id():
        return True
    try:
        process = psutil.Process(int(tags["lw.pid"]))
        started = f"{process.create_time():.2f}"
        return started != tags.get("lw.pid_started") or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])
