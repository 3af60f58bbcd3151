"""What a process needs to start an HTTP server on this machine: a free port, and whether the server is up."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str, unix_socket: str | None = None) -> bool:
    """Tell whether a server answers `GET url` with status 200; False too if it gives no answer.

    Args:
        url: URL to request; if the server listens on a Unix socket, only its path counts.
        unix_socket: Path of the Unix socket where the server listens; None = a port.
    """
    import httpx2  # here: flows start a server before they import anything slow

    try:
        # verify=False: to read the certificates takes 20 ms, and no URL here is https
        transport = httpx2.HTTPTransport(uds=unix_socket, verify=False)
        with httpx2.Client(transport=transport, timeout=5) as client:
            return client.get(url).status_code == 200
    except httpx2.TransportError:  # refused, reset or timed out: not up yet
        return False
