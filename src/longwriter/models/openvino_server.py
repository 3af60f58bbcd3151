"""The OpenVINO server process: answers with one GGUF file on the CPU until its parent ends.

Run: `python -m longwriter.models.openvino_server FILE NAME SLOTS CONTEXT_TOKENS SOCKET`; SOCKET is the path of the
Unix socket where it listens. It answers OpenAI's API (`POST /v1/chat/completions`, `/v1/models`), `/health`, and
`/slots` as llama.cpp has it.

OpenVINO uses the widest integer instructions of a CPU; the packaged llama.cpp uses those that every CPU of the last
ten years has. infra/bench/README.md compares them.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from longwriter.io.process import die_with_parent
from longwriter.models.openvino_engine import Answer, BadRequest, Engine, last_line
from longwriter.models.openvino_requests import ChatRequest


def app(engine: Engine, name: str) -> Starlette:
    """Return the application; `name` is the model's name in answers."""

    async def complete(request: Request) -> Response:
        try:
            body = ChatRequest.model_validate_json(await request.body())
            answer = engine.begin(body)
        except ValidationError as error:
            first = error.errors()[0]
            return _refusal(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except BadRequest as error:
            return _refusal(str(error))
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}
        if body.stream:
            return StreamingResponse(_events(engine, answer, head), media_type="text/event-stream")
        leaving = asyncio.create_task(_client_leaves(request))
        ending = asyncio.create_task(_end_of(answer))
        await asyncio.wait({leaving, ending}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        ending.cancel()
        engine.drop(answer)
        if answer.error:
            return _refusal(answer.error)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": answer.reason,
        }
        return JSONResponse(
            head | {"object": "chat.completion", "choices": [choice], "usage": _usage(answer)}
        )

    async def slots(_: Request) -> Response:
        return JSONResponse(
            [{"is_processing": True, "next_token": [{"n_decoded": n}]} for n in engine.lengths()]
        )

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"}]})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
            Route("/slots", slots),
        ]
    )


async def _events(engine: Engine, answer: Answer, head: dict[str, Any]) -> AsyncIterator[str]:
    """Yield an answer as server-sent events, as it is written; a text at which it may stop is held back."""
    held_back = max((len(stop) - 1 for stop in answer.stops), default=0)
    sent = 0
    try:
        while True:
            await answer.news.wait()
            answer.news.clear()
            if answer.error:
                yield _event({"error": {"message": answer.error, "code": 400}})
                return
            until = len(answer.text) - (held_back if answer.is_open else 0)
            if until > sent:
                yield _event(head | _delta(answer.text[sent:until], None))
                sent = until
            if not answer.is_open:
                yield _event(head | _delta("", answer.reason) | {"usage": _usage(answer)})
                yield "data: [DONE]\n\n"
                return
    finally:  # the client may have left
        engine.drop(answer)


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _delta(text: str, reason: str | None) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def _usage(answer: Answer) -> dict[str, int]:
    prompt, completion = len(answer.prompt), len(answer.ids)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _refusal(message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": 400}}, 400)


async def _end_of(answer: Answer) -> None:
    while answer.is_open:
        await answer.news.wait()
        answer.news.clear()


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def main(file: Path, name: str, slots: int, context_tokens: int, socket: str) -> None:
    """Serve `file` as model `name` on a Unix socket, `slots` requests at once of `context_tokens` each."""
    try:
        engine = Engine(file, slots, context_tokens)
    except RuntimeError as error:
        sys.exit(
            f"OpenVINO cannot read {file} ({last_line(error)}): it reads Llama and Qwen models in F16, Q8_0 and some "
            "other types; set precision to Q8_0 or F16, or the engine to llama.cpp"
        )
    config = uvicorn.Config(app(engine, name), uds=socket, log_level="error", timeout_graceful_shutdown=1)
    serving = asyncio.create_task(uvicorn.Server(config).serve())
    writing = asyncio.create_task(engine.run())
    done, _ = await asyncio.wait({serving, writing}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()  # raises what ended it


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    path, name, slots, context_tokens, socket = sys.argv[1:]
    asyncio.run(main(Path(path), name, int(slots), int(context_tokens), socket))
