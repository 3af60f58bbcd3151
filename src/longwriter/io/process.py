"""Processes: only one process writes for a stage, and no process lives longer than its starter.

DVC forwards no signal to its stage, and a second `dvc repro` can start while an orphaned stage still
writes. So a stage holds a lock of its own, and has the kernel send SIGTERM when its parent ends. It also watches
the `dvc` process above it, because a shell may be between them.

Run: `python -m longwriter.io.process COMMAND …` becomes COMMAND, which ends when its parent ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
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
from longwriter.io import databases

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_WATCH_S = 0.5  # between two checks of the starting processes
_PID = re.compile("[0-9]{1,9}")
_GRACE_S = 8.0  # time for a stage to end its MLflow run after SIGTERM


def die_with_parent(sign: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `sign` to this process when the thread that started it ends (Linux).

    The setting survives exec. If the parent ended before this call, `sign` is sent too, provided that init or
    a process of another session has adopted this process.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    if os.getppid() != parent or _is_adopted():
        os.kill(os.getpid(), sign)


def _is_adopted() -> bool:
    """Tell whether it is certain that this process was not started by its current parent.

    A child starts in the session of its parent, and leaves it only to lead a session of its own.
    """
    try:
        return os.getsid(0) not in (os.getpid(), os.getsid(os.getppid()))
    except ProcessLookupError:  # the parent has just ended
        return True


def _starters() -> list[psutil.Process]:
    """Return the parent process, and the nearest `dvc` process above it."""
    parents = psutil.Process().parents()
    dvc = [parent for parent in parents if "dvc" in (Path(word).name for word in parent.cmdline()[:3])]
    return [starter for starter in (*parents[:1], *dvc[:1]) if starter.pid != 1]


def die_with_starter() -> None:
    """Send SIGTERM to this process within a second after its parent or its `dvc` process has ended.

    If this process is still alive `_GRACE_S` seconds later, it is killed.
    """
    starters = _starters()

    def watch() -> None:
        while all(item.is_running() and item.status() != psutil.STATUS_ZOMBIE for item in starters):
            time.sleep(_WATCH_S)
        log.error("the process that started this stage has ended: stopping")
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
    """Turn SIGTERM into SystemExit(143), so that servers are stopped and the MLflow run is ended."""

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, stop)


def file_lock(path: Path) -> FileLock:
    """Return the lock of a file; a folder that stands in its place is renamed."""
    if moved := databases.clear(path):
        log.warning("%s was a folder, and a file is needed there: kept as %s", path, moved.name)
    return FileLock(path)


@contextlib.contextmanager
def only_one(name: str, folder: Path, wait_s: float = 20.0) -> Iterator[None]:
    """Hold the lock `name`; if another process holds it, wait at most `wait_s` seconds.

    Raises:
        StageBusy: another live process still holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, owner = folder / f"{name}.lock", folder / f"{name}.pid"
    lock = file_lock(path)
    databases.clear(owner)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        pid = owner.read_text(errors="replace").strip() if owner.exists() else "?"
        raise StageBusy(
            f"stage {name} is running in process {pid}: wait for it, or end that process"
        ) from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def last_lines(log: Path) -> str:
    """Return the last three lines of a process's log as one line, for an error message."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])


def boot_id() -> str:
    """Return an id that changes each time this machine boots."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else f"{psutil.boot_time():.0f}"


def identity() -> dict[str, str]:
    """Return tags that identify this process among all others: host, boot, pid and start time."""
    return {
        "lw.host": socket.gethostname(),
        "lw.boot_id": boot_id(),
        "lw.pid": str(os.getpid()),
        "lw.pid_started": start_of(psutil.Process()),
    }


def start_of(process: psutil.Process) -> str:
    """Return when a process started.

    On Linux: ticks since boot, which stay the same if somebody sets the clock. Elsewhere: seconds since 1970.

    Raises:
        psutil.NoSuchProcess: the process has ended.
    """
    if sys.platform != "linux":
        return f"{process.create_time():.2f}"
    file = Path(f"/proc/{process.pid}/stat")
    try:
        fields = file.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # FileNotFoundError, or ProcessLookupError if it ends meanwhile
        raise psutil.NoSuchProcess(process.pid) from None
    return f"{fields[19]} ticks"  # field 22 of the file; 2 fields stand before the last bracket


def is_dead(tags: dict[str, str]) -> bool:
    """Tell whether the process that `identity` described has ended.

    False for a process of another host, and for tags without a process.
    """
    if tags.get("lw.host") != socket.gethostname() or not _PID.fullmatch(tags.get("lw.pid", "")):
        return False
    if tags.get("lw.boot_id") != boot_id():
        return True
    try:
        process = psutil.Process(int(tags["lw.pid"]))
        started = tags.get("lw.pid_started")
        return started != start_of(process) or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])
