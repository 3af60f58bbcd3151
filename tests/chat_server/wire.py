"""Chat completions over HTTP: their JSON, errors, broken connections, and the server around a handler."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

Reply = web.StreamResponse
Handler = Callable[[web.Request], Awaitable[Reply]]


def completion(
    text: str | None, finish: str | None, model: str, id_: str, prompt_tokens: int, completion_tokens: int
) -> dict[str, Any]:
    """Return the JSON of a chat completion."""
    return {
        "id": id_,
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}},
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def error(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """Return an error in OpenAI's shape; `Retry_After` is the header Retry-After."""
    kind = "invalid_request_error" if status < 429 else "server_error"
    content = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(content, status=status, headers=named)


async def reset(request: web.Request) -> Reply:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def cut_short(request: web.Request, text: str) -> Reply:
    """Announce the whole `text`, send half of it, and close the connection."""
    data = text.encode()
    headers = {"Content-Length": str(len(data)), "Content-Type": "application/json"}
    reply = web.StreamResponse(headers=headers)
    with contextlib.suppress(OSError):  # the client may have gone
        await reply.prepare(request)
        await reply.write(data[: len(data) // 2])
    await reset(request)
    return reply


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, port: int = 0, pages: dict[str, Handler] | None = None
) -> AsyncIterator[str]:
    """Yield the base URL of a server that answers chat requests with `handler`; port 0 is any free one.

    `pages`: paths beside the chat, each with what answers a GET.
    """
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", handler)
    for path, page in (pages or {}).items():
        app.router.add_get(path, page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listening = socket.create_server(("127.0.0.1", port), backlog=512)
        await web.SockSite(runner, listening).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        await runner.cleanup()
