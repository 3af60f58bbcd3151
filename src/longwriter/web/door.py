"""The door before every web server of this project: it lets only programs and the server's own pages pass.

A web page that somebody opens in a browser can send requests to every port of the machine: forms, scripts,
images, WebSockets. If its host name resolves to 127.0.0.1 (DNS rebinding), the page can also read the
answers. The door refuses such requests before the server sees them, so they change nothing and read nothing:

- `Host` must name this machine. Any other name is a foreign name that resolves to this machine.
- `Origin`, which browsers send with every request that can change something, must be the server itself.
- `Sec-Fetch-Site`, which browsers send with every request, must be `same-origin` or `none` (an address that
  the person typed). A link on another page may open only a start page.
- Browsers without `Sec-Fetch-Site` send `Referer`, which must be the server itself.

Programs (the clients of Prefect and MLflow, curl) send none of the last three headers.
The door also waits for the body of a request, so that half-sent requests do not hold a server (`bodies`).

Run: `python -m longwriter.web.door NAME PORT`, with a NAME of `servers()`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

from longwriter.errors import UserError
from longwriter.io import access, databases, startup
from longwriter.io.files import LOCAL
from longwriter.web.bodies import WAIT_S, Body, Message, Receive

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_THIS_MACHINE = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_POLICY = 1008  # WebSocket close code: the message violates a policy
_HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Headers of every answer: no page of another origin can show it in a frame, embed it or keep its window."""
_UVICORN: dict[str, Any] = {"log_level": "error", "proxy_headers": False, "timeout_graceful_shutdown": 3}


class Server(NamedTuple):
    """A web server that `infra/ui.sh` or a flow starts.

    `app` is an ASGI application as uvicorn names it, `MODULE:NAME`; `health` is a path that answers when the
    server is ready. Variables of `env` are set if the environment does not have them. `start_pages` are paths
    of pages without data; links on other pages may open them.
    """

    app: str
    health: str
    env: Mapping[str, str] = {}
    is_factory: bool = False
    start_pages: tuple[str, ...] = ("/",)


def servers() -> dict[str, Server]:
    """Return every web server of the project by its name; add a new one here."""
    local = LOCAL.resolve()
    return {
        # No job consumers: one process instead of about 8. Runs record file:// paths of their artifacts, which
        # the server reads itself; experiments from the UI use the same folder. `mlflow server` passes its
        # options to its application in these variables.
        "mlflow": Server(
            "mlflow.server.fastapi_app:app",
            "/health",
            {
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{local / 'mlflow.db'}",
                "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
                "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(local / "mlartifacts"),
                "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            },
        ),
        "prefect": Server(
            "prefect.server.api.server:create_app",
            "/api/health",
            {
                "PREFECT_HOME": str(local / "prefect"),
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "PREFECT_SERVER_UI_API_URL": "/api",  # of the page's own origin, 127.0.0.1 or localhost
                "DO_NOT_TRACK": "1",
            },
            is_factory=True,
            start_pages=("/", "/v2/"),  # `/` leads to `/v2/`
        ),
        "docs": Server("longwriter.web.door:data_docs", "/", is_factory=True),
        # `longwriter serve` starts it with models; without that command it shows its page, and has no models.
        "chat": Server("longwriter.chat.web:app", "/health", is_factory=True),
    }


def data_docs() -> App:
    """Return an ASGI application that serves the Data Docs."""
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    folder = LOCAL / "data_docs"
    folder.mkdir(parents=True, exist_ok=True)
    return Starlette(routes=[Mount("/", StaticFiles(directory=folder, html=True))])


class Door:
    """An ASGI application that checks each request before it passes it on; see the top of this file."""

    def __init__(self, app: App, start_pages: Sequence[str] = (), wait_s: float = WAIT_S) -> None:
        """Put a door before `app`; `start_pages` as in `Server`, `wait_s` as in `bodies`."""
        self._app = app
        self._start_pages = start_pages
        self._wait_s = wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: answer 403 or 408 (its body is late), or close a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = refusal(scope, self._start_pages)
        if scope["type"] == "websocket":
            if reason is None:
                await self._app(scope, receive, _with_headers(send))
            else:
                await send({"type": "websocket.close", "code": _POLICY, "reason": "refused"})
            return
        if reason is not None:
            await _refuse(send, 403, reason)
            return
        body = Body(receive, self._wait_s)
        try:
            await body.hold()
        except TimeoutError:
            await _refuse(send, 408, "the body of the request did not come in time")
            return
        await self._app(scope, body.receive, _with_headers(send))


async def _refuse(send: Send, status: int, reason: str) -> None:
    """Answer a request with the reason why it is refused, and close its connection."""
    body = f"refused: {reason}\n".encode()
    own = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    headers = [*own, (b"connection", b"close"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refusal(scope: Scope, start_pages: Sequence[str]) -> str | None:
    """Return why a request may not pass; None if it may.

    Args:
        scope: ASGI scope of an HTTP or WebSocket request.
        start_pages: Paths that links on other pages may open.
    """
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip().lower())
    hosts = headers.get("host", [])
    if len(hosts) != 1 or not _THIS_MACHINE.fullmatch(hosts[0]):
        return "Host must be 127.0.0.1 or localhost"
    own = f"http://{hosts[0]}"
    if any(origin != own for origin in headers.get("origin", [])):
        return "a page of another origin sent it"
    sites = headers.get("sec-fetch-site", [])
    if any(site not in ("same-origin", "none") for site in sites):
        is_link = scope.get("path") in start_pages and _is_link(scope, headers)
        return None if is_link else "a page of another origin sent it"
    if not sites and any(not f"{page}/".startswith(f"{own}/") for page in headers.get("referer", [])):
        return "a page of another origin sent it"
    return None


def _is_link(scope: Scope, headers: Mapping[str, list[str]]) -> bool:
    """Tell whether a request opens a page in its own window, as a link does and a frame does not."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == ["navigate"]
        and headers.get("sec-fetch-dest") == ["document"]
    )


def _with_headers(send: Send) -> Send:
    """Return `send` with the door's headers, and without those that let other origins read an answer."""
    own = {name for name, _ in _HEADERS}

    async def send_closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [
                (name, value)
                for name, value in message.get("headers", [])
                if name.lower() not in own and not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": [*others, *_HEADERS]}
        await send(message)

    return send_closed


def command(name: str, port: int) -> list[str]:
    """Return the command that serves one of `servers()` on a port of 127.0.0.1."""
    return [sys.executable, "-m", "longwriter.web.door", name, str(port)]


def listen(port: int) -> socket.socket:
    """Return a socket that is bound to a port of 127.0.0.1; 0 = any free port.

    Raises:
        UserError: another process holds the port, or the number is not a port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or "ports are 0 to 65535"
        raise UserError(f"cannot serve on port {port} ({reason}): name a free one with --port") from None
    return listener


def serve(app: App, listener: socket.socket, start_pages: Sequence[str] = ("/",)) -> None:
    """Serve an application behind its door on a socket of `listen`, until the process is stopped."""
    import uvicorn

    config = uvicorn.Config(Door(app, start_pages), **_UVICORN)
    uvicorn.Server(config).run(sockets=[listener])


def main(name: str, port: int) -> None:
    """Serve one of `servers()` behind its door until the process ends."""
    import uvicorn
    from uvicorn.importer import import_from_string

    server = servers()[name]
    for variable, value in server.env.items():
        os.environ.setdefault(variable, value)
    os.umask(0o077)  # a server writes only into .lw
    access.keep_private(LOCAL)
    if name == "mlflow":
        databases.adopt_artifacts(LOCAL / "mlflow.db", LOCAL / "mlartifacts")
    with startup.imports():
        app = import_from_string(server.app)
        app = app() if server.is_factory else app
    uvicorn.run(
        Door(app, server.start_pages),
        host="127.0.0.1",
        port=port,
        **_UVICORN,
    )


if __name__ == "__main__":
    from longwriter.io.process import die_with_parent

    die_with_parent(signal.SIGTERM)
    main(sys.argv[1], int(sys.argv[2]))
