"""Runs an application of ours behind its door, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from longwriter.web import door
from tests.workspace import wait_for


@contextmanager
def served(app: Any, start_pages: Sequence[str] = ("/",)) -> Iterator[str]:
    """Run an ASGI application as `door.serve` does; yield its URL."""
    with door.listen(0) as bound:
        server = uvicorn.Server(uvicorn.Config(door.Door(app, start_pages), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            wait_for(lambda: server.started, "the application is served")
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
