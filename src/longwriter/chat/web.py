"""The web server of `longwriter serve`: an OpenAI-compatible API, and a page for two models side by side.

It passes requests on to the models, which listen on Unix sockets that no browser reaches; `web/door.py` first refuses
requests of other web pages. A request names a model as the command line did (`sft`). A field that is missing gets
the benchmark's value.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from longwriter.chat import measures, requests
from longwriter.errors import UserError
from longwriter.llm.client import Endpoint

if TYPE_CHECKING:
    from longwriter.params import Params

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_LARGEST_BODY = 8 * 2**20  # bytes; a text of 100,000 words has 0.6 MB
_CLIENT_LEFT = 499  # status of a reply that no client reads; nginx logs the same
_NO_ANSWER = "the model does not answer: see .lw/logs/chat"
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Refusal(Exception):
    """A request that is not answered: the status and the reason, as an OpenAI-compatible error."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the status and the reason."""
        super().__init__(reason)
        self.status = status


def app(models: Mapping[str, Endpoint] | None = None, params: Params | None = None) -> Starlette:
    """Return the application.

    Args:
        models: {name: endpoint}; each endpoint has a socket.
        params: The section `generate` has the defaults of a request; None is allowed only without models.
    """
    endpoints = dict(models or {})

    async def complete(request: Request) -> Response:
        body = await json_body(request)
        endpoint = _endpoint(body, endpoints)
        assert params is not None
        try:
            filled_body = requests.with_defaults(body, params) | {"model": endpoint.model}
        except UserError as error:
            raise Refusal(400, str(error)) from None
        try:
            content = json.dumps(filled_body, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):  # NaN and lone surrogates, which Python's reader of JSON accepts
            raise Refusal(
                400, "the body is not JSON: it has NaN, an infinite number, or a broken text"
            ) from None
        return await _pass_on(request, endpoint, content)

    async def listing(_: Request) -> Response:
        rows = [{"id": name, "object": "model", "owned_by": item.model} for name, item in endpoints.items()]
        return JSONResponse({"object": "list", "data": rows})

    return Starlette(
        routes=[
            Route("/", page_file(_HERE / "page.html")),
            Route("/page.js", page_file(_HERE / "page.js")),
            Route("/page.css", page_file(_HERE / "page.css")),
            Route("/health", _health),
            Route("/v1/models", listing),
            Route(requests.ROUTE, complete, methods=["POST"]),
            Route("/measure", _measure, methods=["POST"]),
        ],
        exception_handlers={Refusal: refusal_response},
    )


def page_file(path: Path) -> Any:
    """Return a handler that sends a file of a page, which may load only from its own server."""

    async def send(_: Request) -> Response:
        headers = {"Content-Security-Policy": _CONTENT_POLICY, "Cache-Control": "no-store"}
        return FileResponse(path, headers=headers)

    return send


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _measure(request: Request) -> Response:
    """Answer {"prompt", "text"} with the measures of the text."""
    body = await json_body(request)
    prompt, text = body.get("prompt"), body.get("text")
    if not isinstance(prompt, str) or not isinstance(text, str):
        raise Refusal(400, "prompt and text: two texts are needed")
    return JSONResponse(measures.measure(prompt, text)._asdict())


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        Refusal: it holds no JSON object, is too large, or the client went away before its end.
    """
    content = bytearray()
    try:
        async for part in request.stream():
            content += part
            if len(content) > _LARGEST_BODY:
                raise Refusal(413, f"the body is larger than {_LARGEST_BODY:,} bytes")
    except ClientDisconnect:
        raise Refusal(400, "the body is not complete") from None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is not a JSON object")
    return value


def _endpoint(body: Mapping[str, Any], endpoints: Mapping[str, Endpoint]) -> Endpoint:
    name = body.get("model")
    if not isinstance(name, str) or name not in endpoints:
        raise Refusal(404, f"no such model; this server has {', '.join(endpoints) or 'none'}")
    return endpoints[name]


async def _pass_on(request: Request, endpoint: Endpoint, content: bytes) -> Response:
    """Send a request to a model, and pass its reply on piece by piece; the model stops when the client goes away."""
    client = httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=endpoint.socket, verify=False), timeout=None
    )
    answering = asyncio.create_task(_answer(client, content))
    leaving = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        is_answered = answering.done()
    finally:
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.wait({answering})
            await client.aclose()
    if not is_answered:
        return Response(status_code=_CLIENT_LEFT)
    try:
        reply = answering.result()
    except httpx2.HTTPError as error:
        await client.aclose()
        log.error("%s does not answer: %s", endpoint.model, error)
        raise Refusal(503, _NO_ANSWER) from None
    kind = reply.headers.get("content-type", "application/json")
    if reply.is_closed:
        await client.aclose()
        return Response(reply.content, reply.status_code, media_type=kind)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in reply.aiter_bytes():
                yield piece
        except httpx2.HTTPError as error:
            log.error("%s ended in the middle of an answer: %s", endpoint.model, error)
            yield f"data: {json.dumps(_error(503, _NO_ANSWER))}\n\n".encode()
        finally:
            await reply.aclose()
            await client.aclose()

    return StreamingResponse(pieces(), reply.status_code, media_type=kind)


async def _answer(client: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
    """Return the reply of a model; its body is read, unless the reply is a stream."""
    headers = {"Content-Type": "application/json"}
    request = client.build_request(
        "POST", f"http://localhost{requests.ROUTE}", content=content, headers=headers
    )
    reply = await client.send(request, stream=True)
    if not reply.headers.get("content-type", "").startswith("text/event-stream"):
        await reply.aread()
    return reply


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client of a request goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def refusal_response(_: Request, error: Exception) -> Response:
    """Return the reply to a refused request."""
    assert isinstance(error, Refusal)
    return JSONResponse(_error(error.status, str(error)), error.status)


def _error(status: int, message: str) -> dict[str, Any]:
    """Return an error as OpenAI's API words it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "code": status}}
