"""A Prefect server on loopback for one flow run, where no PREFECT_API_URL is set.

Prefect's own temporary server survives a flow process that is killed; this one ends with it.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from longwriter.io import net, process

_START_S = 180  # 10 s on an idle machine; the first start creates the database


@contextmanager
def api() -> Iterator[None]:
    """Run the block with a Prefect API: the one of PREFECT_API_URL, else a server of this process.

    Raises:
        RuntimeError: the server does not start.
    """
    if PREFECT_API_URL.value():
        yield
        return
    with temporary_settings({PREFECT_API_URL: _start()}):
        yield


def _start() -> str:
    """Start a server that ends with this process; return the URL of its API once it answers."""
    port = net.free_port()
    log = Path(".lw/logs/prefect-server.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "longwriter.io.process",
        sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
        "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--timeout-graceful-shutdown", "3",
    ]  # fmt: skip
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            process_group=0,  # a signal to the flow's group must reach the flow first: it reports to the server
        )
    atexit.register(server.terminate)  # not at the end of the block: Prefect sends its last logs at exit
    url = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + _START_S
    while not net.is_healthy(f"{url}/health"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the Prefect server did not start; see {log}: {process.last_lines(log)}")
        time.sleep(0.2)
    return url
