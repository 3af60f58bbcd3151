"""What a process needs to start an HTTP server on this machine: a free port, and whether the server is up."""

from __future__ import annotations

import socket
import urllib.request


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str) -> bool:
    """Tell whether a server answers `GET url` with status 200; False also while it does not answer at all."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # refused, reset, timed out, or an HTTP error: not up yet
        return False
