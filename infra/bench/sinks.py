"""A web hook and a mail server on loopback that keep the messages that they get; the tests of the messages use them too."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def web_hook(status: int = 200) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield the address of a web hook for apprise, and the messages that it got, with `title` and `message`.

    Args:
        status: What it answers.
    """
    messages: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep the message."""
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Write nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"json://user:secret@127.0.0.1:{port}/hook", messages


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a mail server for apprise, and the mails that it got, with their headers."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            """Answer the few commands of SMTP that a sender needs."""
            self.wfile.write(b"220 ready\r\n")
            while line := self.rfile.readline():
                if line.strip().upper() == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    mails.append("".join(text.decode() for text in iter(self.rfile.readline, b".\r\n")))
                self.wfile.write(b"221 bye\r\n" if line[:4].upper() == b"QUIT" else b"250 ok\r\n")
                if line[:4].upper() == b"QUIT":
                    return

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"mailto://127.0.0.1:{port}?from=night@example.org&to=me@example.org&mode=insecure", mails


@contextlib.contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with server:
        yield int(server.server_address[1])
        server.shutdown()
