"""A server for tests of the client: answers "tell …" as it is told, and everything else with "yes"."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from aiohttp import web

from longwriter.llm import probing
from longwriter.llm.call_log import Call
from longwriter.llm.client import LLM, Answer, Endpoint, connect
from longwriter.llm.replay import ReplayCache
from longwriter.params import LLMParams, Sampling

KEY = "sk-secret-7Jq2"
SAMPLING = Sampling(temperature=0, max_tokens=50, top_p=None, repetition_penalty=None, stop=[], seed=0)
PARAMS = LLMParams(
    engine="llama.cpp", model="m", base_url=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=4, requests_per_minute=None, tokens_per_minute=None, max_cost_usd=None, timeout_s=5,
    max_retries=2,
)  # fmt: skip

Reply = web.StreamResponse
Breaking = Callable[[web.Request], Awaitable[Reply]]


def completion(text: str | None = "yes", finish: str | None = "stop", **changed: Any) -> dict[str, Any]:
    """Return the JSON of a chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **changed,
    }


def ok(text: str | None = "yes", finish: str | None = "stop", **changed: Any) -> Reply:
    """Return a 200 with a chat completion."""
    return web.json_response(completion(text, finish, **changed))


def status(code: int, message: str = "no", **headers: str) -> Reply:
    """Return an error as OpenAI writes it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"error": {"message": message, "code": None}}, status=code, headers=named)


async def reset(request: web.Request) -> Reply:
    """Cut the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_short(request: web.Request) -> Reply:
    """Promise more bytes than come."""
    whole = json.dumps(completion()).encode()
    reply = web.StreamResponse(
        headers={"Content-Length": str(len(whole)), "Content-Type": "application/json"}
    )
    await reply.prepare(request)
    await reply.write(whole[: len(whole) // 2])
    return await reset(request)


async def no_http(request: web.Request) -> Reply:
    """Answer in another language."""
    assert request.transport is not None
    request.transport.write(b"220 mail.example ESMTP ready\r\n\r\n")  # type: ignore[attr-defined]
    return await reset(request)


async def drip(request: web.Request) -> Reply:
    """Send a space in a while, for ever."""
    reply = web.StreamResponse()
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.1)


class Server:
    """What a running server was told and asked.

    `told` are its next answers to "tell …"; then `once` has the first answer to "tell NAME" by name;
    then it is "yes".
    """

    def __init__(self) -> None:
        self.url = ""
        self.told: list[Callable[[], Reply | Breaking]] = []
        self.once: dict[str, Callable[[], Reply | Breaking]] = {}
        self.asked: list[dict[str, Any]] = []
        self.open_now = self.most_open = 0
        self.delay_s = 0.0
        self.all_down = False
        self.refuses = self.refused_field = ""

    def tell(self, *replies: Callable[[], Reply | Breaking]) -> None:
        self.told.extend(replies)

    async def answer(self, request: web.Request) -> Reply:
        body = json.loads(await request.read())
        if self.all_down:
            return status(503, "down for good", retry_after_ms="1")
        if self.refuses or self.refused_field in body:
            return status(400, self.refuses or f"unsupported field {self.refused_field}")
        if not body["messages"][0]["content"].startswith("tell"):
            return ok()
        self.asked.append(body)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await asyncio.sleep(self.delay_s)
            name = body["messages"][0]["content"].removeprefix("tell ")
            told = self.told.pop(0)() if self.told else self.once.pop(name, ok)()
            return told if isinstance(told, web.StreamResponse) else await told(request)
        finally:
            self.open_now -= 1


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Yield a server on a free port of this machine."""
    server = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(server: Server, folder: Path, **changed: Any) -> AsyncIterator[LLM]:
    """Yield a client of `server` with all its files in `folder`; a local one, that needs no probe."""
    params = PARAMS.model_copy(update=changed)
    is_local = params.engine != "external"
    if is_local:
        with closing(ReplayCache(folder / "r.sqlite")) as cache:
            cache.put_capabilities(probing.identity("m", params), probing.NONE._asdict())
    endpoint = Endpoint(server.url, "m", KEY, is_local)
    async with connect(endpoint, params, SAMPLING, folder / "r.sqlite", folder / "calls.zst") as llm:
        yield llm


def run(
    folder: Path, replies: list[Callable[[], Reply | Breaking]], prompts: list[str], **changed: Any
) -> tuple[list[Answer], Server, dict[str, float]]:
    """Return (answers to the prompts, one after the other, the server, usage)."""

    async def go() -> tuple[list[Answer], Server, dict[str, float]]:
        async with serving() as server:
            server.tell(*replies)
            async with client(server, folder, **changed) as llm:
                answers = [await llm.ask(prompt, SAMPLING) for prompt in prompts]
                return answers, server, llm.usage()

    return asyncio.run(go())


def call(key: str, text: str = "yes", replayed: bool = False) -> Call:
    """Return a call of 100 tokens in and 10 out."""
    return Call(key, {"model": "m", "attempt": 0, "messages": [key]}, completion(text), 0.25, replayed)
