"""Passes connections on to a server, until a request comes with which a drill begins."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

_BYTES = 2**16
_TAIL = 4096  # bytes of a request that are looked at again with those that follow
_TIMEOUT_S = 600.0


class Relay:
    """Listens on a free port of loopback; `has_begun` is set when the drill begins, and then nothing else begins one."""

    def __init__(self, port: int, pattern: bytes, number: int, begin: Callable[[], None]) -> None:
        """Prepare a relay.

        Args:
            port: Port of the server on loopback.
            pattern: Regular expression that finds the request.
            number: Which request begins the drill; 1 = the first with the pattern.
            begin: Called before this request goes on; the request then loses its connection.
        """
        self._port, self._pattern, self._rest, self._begin = port, re.compile(pattern), number, begin
        self._lock, self.has_begun = threading.Lock(), threading.Event()

    @contextlib.contextmanager
    def url(self) -> Iterator[str]:
        """Yield the address of the relay, which works while the block runs."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),  # either side may be gone
            socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_S) as server,
        ):
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Copy requests to the server; a request that begins the drill is cut off."""
        tail = b""
        while data := client.recv(_BYTES):
            text = tail + data
            for match in self._pattern.finditer(text):
                if match.end() > len(tail) and self._begins():
                    self._begin()
                    for side in (client, server):
                        with contextlib.suppress(OSError):
                            side.shutdown(socket.SHUT_RDWR)
                    return
            tail = text[-_TAIL:]
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)

    def _begins(self) -> bool:
        with self._lock:
            self._rest -= 1
            if self._rest == 0:
                self.has_begun.set()
            return self._rest == 0


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
