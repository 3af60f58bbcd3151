"""A Prefect server on loopback for one flow run, where no server is configured.

Prefect's own temporary server survives a flow process that is killed; this one ends with it. This module
does not import Prefect, so that the server can start before Prefect is imported.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from longwriter.errors import LongWriterError, StageBusy, Unavailable, UserError, without_password
from longwriter.io import databases, files, process
from longwriter.web import door, net

_START_S = 180  # 10 s on an idle machine; the first start creates the database


class Server(NamedTuple):
    """A server that was started: its process, the URL of its API, its log file, and the lock of its start."""

    child: subprocess.Popen[bytes]
    url: str
    log: Path
    lock: FileLock

    def wait(self) -> None:
        """Wait until the API answers.

        Raises:
            Unavailable: the server ended, or does not answer within three minutes.
        """
        deadline = time.monotonic() + _START_S
        try:
            while not net.is_healthy(f"{self.url}/health"):
                if self.child.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(
                        f"the Prefect server did not start; see {self.log}: {process.last_lines(self.log)}"
                    )
                time.sleep(0.2)
        finally:
            self.lock.release()


def is_configured() -> bool:
    """Tell whether a Prefect server is named by PREFECT_API_URL or by a profile in PREFECT_HOME."""
    profiles = Path(os.environ.get("PREFECT_HOME", ".lw/prefect")) / "profiles.toml"
    in_profile = profiles.is_file() and "PREFECT_API_URL" in profiles.read_text(encoding="utf-8")
    return in_profile or bool(os.environ.get("PREFECT_API_URL"))


def trouble(error: Exception) -> LongWriterError | None:
    """Return the error to show for one of Prefect's client: login refused, no server or another one; None for any other error."""
    import httpx  # of Prefect's client

    url = without_password(os.environ.get("PREFECT_API_URL", "the address of its profile"))
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return UserError(
            f"Prefect at {url} refuses this login ({status}): correct PREFECT_API_AUTH_STRING (user:password)"
        )
    if status in (404, 405) or isinstance(error, json.JSONDecodeError):  # a page, or the address without /api
        return UserError(f"{url} is no API of Prefect: correct PREFECT_API_URL, which ends in /api")
    if status is not None and status >= 500:
        return Unavailable(f"Prefect at {url} answers {status}: its log says why; run this again then")
    is_first_call = isinstance(error, RuntimeError) and str(error).startswith("Failed to reach API")
    if is_first_call or isinstance(error, httpx.TransportError):  # of a server that ended while the flow ran
        return Unavailable(f"cannot reach Prefect at {url}: start the server, or correct PREFECT_API_URL")
    return None


def start(wait_s: float = _START_S) -> Server:
    """Start a server that ends with this process, and set PREFECT_API_URL; call before Prefect is imported.

    The servers of two flows of one checkout have the same database, which only one of them can make or upgrade. So
    this waits while another one starts.

    Args:
        wait_s: How long it waits for the start of another server.

    Raises:
        StageBusy: the other one still starts.
    """
    log = files.LOCAL / "logs" / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    (files.LOCAL / "locks").mkdir(exist_ok=True)
    lock = process.file_lock(files.LOCAL / "locks" / "prefect-server.lock")
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise StageBusy(
            f"another flow of this checkout has been starting its Prefect server for {wait_s:.0f} s: run this again "
            "when that flow has ended, or start one server for all flows (bash infra/ui.sh) and set PREFECT_API_URL"
        ) from None
    port = net.free_port()
    home = Path(os.environ.get("PREFECT_HOME", ".lw/prefect"))
    if message := databases.repair(home / "prefect.db"):
        sys.stderr.write(f"{message}; the Prefect UI no longer shows flow runs that are missing there\n")
    with log.open("wb") as output:
        child = subprocess.Popen(
            door.command("prefect", port),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            process_group=0,  # a signal to the flow's group must not end the server too early
        )
    atexit.register(child.terminate)  # runs after Prefect has sent its last logs, also at exit
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    return Server(child, os.environ["PREFECT_API_URL"], log, lock)
