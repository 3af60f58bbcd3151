"""The one door to every model: OpenAI-compatible HTTP, with replay and a log of every call.

Requests carry only what the endpoint was seen to honour (`probe`): servers answer 200 to fields
they ignore, and a greedy server called at temperature 0.8 would look like a bad model.
An answer is handed out when it is on the disk, and its slot is held until then: a kill costs at
most `max_concurrency` answers, and nobody judges what could be lost.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from longwriter.errors import ModelUnusable, NoAnswer
from longwriter.hashing import content_hash
from longwriter.llm import call_log, prices, probing
from longwriter.llm import limits as throttle
from longwriter.llm import requests as request
from longwriter.llm.call_log import Answer, Call, CallStore
from longwriter.llm.in_flight import Flights
from longwriter.llm.meter import Meter
from longwriter.llm.probing import AnswerFormat
from longwriter.llm.replay import ReplayCache
from longwriter.llm.sending import Sender
from longwriter.llm.transport import Endpoint, Fault, Post, Reply
from longwriter.params import LLMParams, Sampling

__all__ = ["LLM", "Answer", "Endpoint", "connect"]

log = logging.getLogger(__name__)

_CONNECT_S, _IDLE_S = 30.0, 60.0  # to connect; how long an idle connection is kept
_MACHINE = ["Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async"]


class LLM:
    """A client of one endpoint; made by `connect`."""

    def __init__(
        self, endpoint: Endpoint, params: LLMParams, sender: Sender, cache: ReplayCache, store: CallStore
    ) -> None:
        """Hold what `ask` needs."""
        self._endpoint, self._params, self._sender = endpoint, params, sender
        self._cache, self._store = cache, store
        self._flights: Flights[Call] = Flights(params.max_concurrency)
        price = prices.FREE if endpoint.is_local else prices.price(endpoint.model)
        self._meter = Meter(endpoint.model, price, params.max_cost_usd)
        self.capabilities = probing.NONE

    def usage(self) -> dict[str, float]:
        """Return what this client did: calls sent, replayed and retried, tokens, and their cost.

        Tokens and `cost_usd` are those of the answers used, replayed ones included. A local engine
        costs 0; a model without a price has no `cost_usd`.
        """
        return {**self._meter.usage(), "calls_retried": self._sender.retried}

    def note(self) -> str:
        """Return what a progress bar shows of it."""
        return self._meter.note()

    def answer_format(self, asked: str) -> AnswerFormat:
        """Return the format to ask for.

        Args:
            asked: `json_schema`, `json_object`, `lines`, or `auto`: the first that is honoured.

        Raises:
            ModelUnusable: the endpoint does not honour the format.
        """
        formats = self.capabilities.formats()
        for name in formats:
            if asked in (name, "auto"):
                return name
        raise ModelUnusable(
            f"{self._endpoint!r} does not honour {asked}: set answer_format to auto or {' or '.join(formats)}"
        )

    async def ask(
        self,
        prompt: str,
        sampling: Sampling,
        *,
        schema: dict[str, Any] | None = None,
        json_object: bool = False,
        attempt: int = 0,
    ) -> Answer:
        """Return the answer to one user message, from the replay cache where it is stored.

        A request that is under way when its asker is cancelled still ends and is stored.

        Args:
            prompt: The user message.
            sampling: How to draw; what the server does not honour was refused by `probe`.
            schema: JSON schema of the answer.
            json_object: Ask for any JSON object; the prompt has to say which.
            attempt: 0, or the number of earlier answers to this prompt that were no good; each
                attempt is a request of its own, with its own seed.

        Raises:
            NoAnswer: the endpoint refuses this request, or fails at it every time, and answers others.
            EndpointUnavailable: it answers nobody (every later request fails at once), or wants a long wait.
            ModelUnusable: it refuses the key or the model, or the request is beyond its limits.
            BudgetReached: the answers used cost `max_cost_usd`; those under way still end, so at
                most `max_concurrency` answers are paid beyond it.
        """
        identity = request.identity(
            self._endpoint.model, prompt, sampling, self._params.extra_body,
            schema=schema, json_object=json_object, attempt=attempt,
        )  # fmt: skip
        call_id = content_hash(identity)
        self._sender.check()
        self._meter.check()
        stored = self._cache.get(call_id)
        if stored is not None:
            call = await self._store.keep(Call(call_id, identity, **stored, replayed=True))
            self._meter.add(call)
            return call_log.answer(call)
        call, is_shared = await self._flights.join(call_id, lambda: self._sent(call_id, identity))
        if is_shared:
            call = call._replace(replayed=True)
            self._meter.add(call)
        return call_log.answer(call)

    async def _sent(self, call_id: str, identity: request.Identity) -> Call:
        """Return the call once it is answered, stored and counted."""
        self._sender.check()
        self._meter.check()
        prompt, max_tokens = identity["messages"][0]["content"], identity["sampling"]["max_tokens"]
        started = time.monotonic()
        answer = await self._sender.complete(
            request.body(identity, self.capabilities),
            lambda: throttle.tokens_of(prompt, max_tokens),
            self._tiny,
            sent=self._flights.takes_off,
            failed=self._flights.comes_back,
        )
        latency_s = round(time.monotonic() - started, 3)
        call = await self._store.keep(Call(call_id, identity, answer, latency_s, replayed=False))
        self._meter.add(call)  # before the slot is free
        return call

    def _tiny(self) -> bytes:
        """Return a request that any healthy endpoint answers."""
        limit = {self.capabilities.tokens_field or "max_tokens": 8}
        return request.plain(self._endpoint.model, "Say yes.", limit, self._params.extra_body)

    async def probe(self, sampling: Sampling) -> None:
        """Find out what the endpoint honours, by asking or from memory; set `capabilities`.

        Raises:
            ModelUnusable: `sampling` asks for something that is not honoured, or it answers nothing.
        """
        refusals: list[str] = []

        async def ask(prompt: str, max_tokens: int | None, **fields: Any) -> str | None:
            if max_tokens is not None:
                fields["max_tokens"] = max_tokens
            body = request.plain(self._endpoint.model, prompt, fields, self._params.extra_body)
            try:
                answer = await self._sender.first(body, lambda: throttle.tokens_of(prompt, max_tokens or 16))
            except NoAnswer as refusal:
                refusals.append(str(refusal))
                return None
            return answer["choices"][0]["message"].get("content") or ""

        key = probing.identity(self._endpoint.model, self._params) if self._endpoint.is_local else None
        self.capabilities, refused = await probing.honoured(ask, sampling, self._cache, key)
        if self.capabilities.tokens_field is None:
            raise ModelUnusable(
                f"{self._endpoint.where} refuses every request: {refusals[0]}. Check llm.extra_body and the key"
            )
        log.info("%r honours %s", self._endpoint, self.capabilities)
        if refused:
            raise ModelUnusable(
                f"{self._endpoint!r} does not honour {', '.join(refused)}: "
                "set it to null (stop: [], temperature: 0), or choose another llm.engine"
            )

    async def land(self) -> None:
        """Let what was sent end and be stored, whoever asked for it."""
        await self._flights.land(self._params.timeout_s)


def _untold(*names: str) -> Any:
    """Return headers about this machine that the library leaves out: no endpoint needs them, each costs time."""
    return {f"X-Stainless-{name}": openai.Omit() for name in names}


def _posting(client: AsyncOpenAI, timeout_s: float) -> Post:
    """Return how a body is sent once; the answer stays bytes, which takes half of the time of a model."""
    url = f"{client.base_url}chat/completions"  # whole: a relative one is put together anew each time
    bare: Any = {"headers": _untold("Retry-Count", "Read-Timeout")}

    async def post(body: bytes) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                reply = await client.post(url, cast_to=httpx2.Response, content=body, options=bare)
        except openai.APIStatusError as error:
            reply = error.response
        except TimeoutError:
            raise Fault(f"gave no answer in {timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            raise Fault(f"cannot be reached ({error.__cause__ or error})") from None
        except (aiohttp.ClientError, httpx2.HTTPError) as error:
            raise Fault(f"sent what is no HTTP ({error})") from None
        return Reply(reply.status_code, reply.headers, reply.content)

    return post


@asynccontextmanager
async def connect(
    endpoint: Endpoint, params: LLMParams, sampling: Sampling, cache_path: Path, calls: Path
) -> AsyncIterator[LLM]:
    """Yield a probed client of `endpoint`; `calls` is the call log to write."""
    gc.freeze()  # the modules stay: to walk them again and again takes a sixth of the client's time
    limits = httpx2.Limits(max_connections=params.max_concurrency + 8, keepalive_expiry=_IDLE_S)
    client = AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        timeout=httpx2.Timeout(params.timeout_s, connect=min(_CONNECT_S, params.timeout_s)),
        max_retries=0,
        default_headers=_untold(*_MACHINE),
        http_client=DefaultAioHttpClient(limits=limits),
    )
    name = f"{endpoint.where} {endpoint.model}"
    with closing(ReplayCache(cache_path)) as cache:
        async with (
            client,
            throttle.opened(params, name, cache_path.parent / "limits") as limit,
            call_log.opened(cache, calls) as store,
        ):
            sender = Sender(_posting(client, params.timeout_s), endpoint, limit, params.max_retries)
            llm = LLM(endpoint, params, sender, cache, store)
            try:
                await llm.probe(sampling)
                yield llm
            finally:
                await llm.land()
