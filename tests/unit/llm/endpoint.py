"""A chat server for tests of the client: each test says what it replies to the prompts "tell …"."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from aiohttp import web

from longwriter.calls import answers
from longwriter.calls.call_log import Call
from longwriter.calls.replay import ReplayCache
from longwriter.llm import probing
from longwriter.llm.client import LLM, Answer, Endpoint, connect
from longwriter.params import LLMParams, Sampling
from tests.chat_server import wire
from tests.chat_server.wire import Handler, Reply, error, reset

KEY = "sk-secret-7Jq2"
SAMPLING = Sampling(temperature=0, max_tokens=50, top_p=None, repetition_penalty=None, stop=[], seed=0)
PARAMS = LLMParams(
    engine="llama.cpp", model="m", base_url=None, replay_as=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=4, requests_per_minute=None, tokens_per_minute=None, max_cost_usd=None, timeout_s=30,
    max_retries=2,
)  # fmt: skip

Script = Callable[[], Reply | Handler]


def completion(text: str | None = "yes", finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    """Return the JSON of a chat completion of 100 tokens in and 10 out, with changed `fields`."""
    return {**wire.completion(text, finish, "m", "1", 100, 10), **fields}


def ok(text: str | None = "yes", finish: str | None = "stop", **fields: Any) -> Reply:
    """Return a 200 with a chat completion."""
    return web.json_response(completion(text, finish, **fields))


def status(code: int, message: str = "no", **headers: str) -> Reply:
    """Return an error as OpenAI writes it."""
    return error(code, message, **headers)


async def cut_short(request: web.Request) -> Reply:
    """Promise more bytes than are sent."""
    return await wire.cut_short(request, json.dumps(completion()))


async def no_http(request: web.Request) -> Reply:
    """Reply in another protocol."""
    assert request.transport is not None
    request.transport.write(b"220 mail.example ESMTP ready\r\n\r\n")  # type: ignore[attr-defined]
    return await reset(request)


async def drip(request: web.Request) -> Reply:
    """Send a space every 0.1 s, without end."""
    reply = web.StreamResponse()
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.1)


class Server:
    """A server, the replies it will give, and the requests it got.

    To "tell NAME" it gives the next of `replies`; when there is none, the reply `once[NAME]`, the first time;
    else "yes". To every other prompt it says "yes".
    """

    def __init__(self) -> None:
        self.url = ""
        self.replies: list[Script] = []
        self.once: dict[str, Script] = {}
        self.requests: list[dict[str, Any]] = []
        self.open_now = self.most_open = 0
        self.delay_s = 0.0
        self.all_down = False
        self.refuses = self.refused_field = ""

    def reply_with(self, *replies: Script) -> None:
        self.replies.extend(replies)

    async def has_got(self, number: int) -> None:
        """Wait until `number` requests have arrived."""
        while len(self.requests) < number:
            await asyncio.sleep(0.005)

    async def answer(self, request: web.Request) -> Reply:
        body = json.loads(await request.read())
        if self.all_down:
            return status(503, "down for good", retry_after_ms="1")
        if self.refuses or self.refused_field in body:
            return status(400, self.refuses or f"unsupported field {self.refused_field}")
        prompt = body["messages"][0]["content"]
        if not prompt.startswith("tell"):
            return ok()
        self.requests.append(body)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await asyncio.sleep(self.delay_s)
            script = self.replies.pop(0) if self.replies else self.once.pop(prompt.removeprefix("tell "), ok)
            reply = script()
            return reply if isinstance(reply, web.StreamResponse) else await reply(request)
        finally:
            self.open_now -= 1


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Yield a server on a free port of this machine."""
    server = Server()
    async with wire.serving(server.answer) as server.url:
        yield server


@asynccontextmanager
async def client(server: Server, folder: Path, **fields: Any) -> AsyncIterator[LLM]:
    """Yield a client of `server` with all its files in `folder`; a local one, that needs no probe."""
    params = PARAMS.model_copy(update=fields)
    is_local = params.engine != "external"
    if is_local:
        with closing(ReplayCache(folder / "r.sqlite")) as cache:
            cache.put_capabilities(probing.identity("m", params), probing.NONE._asdict())
    endpoint = Endpoint(server.url, "m", KEY, is_local)
    async with connect(endpoint, params, SAMPLING, folder / "r.sqlite", folder / "calls.zst") as llm:
        yield llm


def run(
    folder: Path, replies: list[Script], prompts: list[str], **fields: Any
) -> tuple[list[Answer], Server, dict[str, float]]:
    """Return (answers to the prompts, one after the other, the server, usage)."""

    async def go() -> tuple[list[Answer], Server, dict[str, float]]:
        async with serving() as server:
            server.reply_with(*replies)
            async with client(server, folder, **fields) as llm:
                answers = [await llm.ask(prompt, SAMPLING) for prompt in prompts]
                return answers, server, llm.usage()

    return asyncio.run(go())


def call(key: str, text: str = "yes", replayed: bool = False) -> Call:
    """Return a call of 100 tokens in and 10 out."""
    body = answers.read(json.dumps(completion(text), ensure_ascii=False).encode())
    return Call(key, {"model": "m", "attempt": 0, "messages": [key]}, body, 0.25, replayed)
