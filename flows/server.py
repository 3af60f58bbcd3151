"""A Prefect server for one flow run, where none is set: on loopback, and gone with the flow.

Prefect's own temporary server outlives a flow process that is killed; this one does not.
"""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

_settings = ExitStack()  # never closed: what is set holds until this process ends
_START_S = 180  # 10 s on an idle machine; the first start makes the database


def ensure_api() -> None:
    """Have a Prefect API for the rest of this process: PREFECT_API_URL's, else one of our own.

    Our own ends with this process, after Prefect sent its last logs at exit.

    Raises:
        RuntimeError: our own does not start.
    """
    if PREFECT_API_URL.value():
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    log = Path(".lw/logs/prefect-server.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "longwriter.io.process",
        sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
        "--host", "127.0.0.1", "--port", port, "--log-level", "error", "--timeout-graceful-shutdown", "3",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            process_group=0,  # a signal to the flow's group ends the flow first, which tells the server so
        )  # fmt: skip
    atexit.register(server.terminate)
    deadline = time.monotonic() + _START_S
    while not _is_healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise RuntimeError(f"the Prefect server did not start; see {log}: {' | '.join(tail)}")
        time.sleep(0.2)
    _settings.enter_context(temporary_settings({PREFECT_API_URL: url}))


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused or reset: not up yet
        return False
