"""The one door to every model: OpenAI-compatible HTTP, with replay and a log of every call.

Requests carry only what the endpoint was seen to honour (`probe`): servers answer 200 to fields
they ignore, and a greedy server called at temperature 0.8 would look like a bad model.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import IO, Any, NamedTuple

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient
from openai.types.chat import ChatCompletion

from longwriter.edges import probing
from longwriter.edges.replay import ReplayCache
from longwriter.errors import EndpointUnavailable, ModelUnusable
from longwriter.params import LLMParams, Sampling
from longwriter.records import content_hash

log = logging.getLogger(__name__)


class Endpoint(NamedTuple):
    """Where a model answers: URL ending in /v1, the model's name there, and the key.

    `model` identifies the weights: an engine that this pipeline started (`is_local`) has their hash
    in it, since it is part of every request hash. The key never shows in a repr.
    """

    base_url: str | None
    model: str
    api_key: str
    is_local: bool = False

    def __repr__(self) -> str:
        """Return all but the key."""
        return f"Endpoint(base_url={self.base_url!r}, model={self.model!r})"


class Answer(NamedTuple):
    """A complete answer; `call_id` is the hash of the request."""

    call_id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    replayed: bool


class LLM:
    """A client of one endpoint; made by `connect`."""

    def __init__(
        self, client: AsyncOpenAI, endpoint: Endpoint, params: LLMParams, cache: ReplayCache, calls: IO[str]
    ) -> None:
        """Hold what `ask` needs; `calls` gets one JSON line an answer."""
        self._client, self._endpoint, self._params = client, endpoint, params
        self._cache, self._calls = cache, calls
        self._slots = asyncio.Semaphore(params.max_concurrency)
        self.capabilities = probing.NONE
        self.asked = self.replayed = self.completion_tokens = self.prompt_tokens = 0

    def usage(self) -> dict[str, float]:
        """Return what this client did: calls sent, answers replayed, tokens of both."""
        return {
            "calls_sent": self.asked,
            "calls_replayed": self.replayed,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }

    def note(self) -> str:
        """Return what a progress bar shows of it."""
        return f"{self.asked:,} calls, {self.replayed:,} replayed, {self.completion_tokens:,} tokens"

    def use_schema(self, answer_format: str) -> bool:
        """Tell whether to ask for JSON by schema.

        Raises:
            ModelUnusable: the format is `json_schema` and the endpoint does not honour it.
        """
        if answer_format == "json_schema" and not self.capabilities.json_schema:
            raise ModelUnusable(
                f"{self._endpoint!r} does not honour JSON schemas: set plan.answer_format to lines"
            )
        return answer_format != "lines" and self.capabilities.json_schema

    async def ask(
        self, prompt: str, sampling: Sampling, *, schema: dict[str, Any] | None = None, attempt: int = 0
    ) -> Answer:
        """Return the answer to one user message, from the replay cache where it is stored.

        Args:
            prompt: The user message.
            sampling: How to draw; what the server does not honour was refused by `probe`.
            schema: JSON schema of the answer.
            attempt: 0, or the number of earlier answers to this prompt that were no good; each
                attempt is a request of its own, with its own seed.

        Raises:
            EndpointUnavailable: no answer after all retries.
            ModelUnusable: the endpoint refuses the request for good (key, model name, fields).
        """
        identity = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "sampling": sampling.model_dump(),
            "extra_body": self._params.extra_body,
            "schema": schema,
            "attempt": attempt,
        }
        call_id = content_hash(identity)
        stored = self._cache.get(call_id)
        replayed = stored is not None
        if stored is None:
            async with self._slots:
                started = time.monotonic()
                seed = int(content_hash({**identity, "model": None})[:7], 16)  # the same for every model
                completion = await self._send(self._body(prompt, sampling, schema, seed))
                latency_s = round(time.monotonic() - started, 3)
            stored = {"answer": completion.model_dump(mode="json"), "latency_s": latency_s}
            await asyncio.to_thread(self._cache.put, call_id, stored)
        row = {"call_id": call_id, "request": identity, "replayed": replayed, **stored}
        self._calls.write(json.dumps(row, ensure_ascii=False) + "\n")
        answer = _answer(call_id, ChatCompletion.model_validate(stored["answer"]), replayed)
        self.asked += not replayed
        self.replayed += replayed
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        return answer

    def _body(
        self, prompt: str, sampling: Sampling, schema: dict[str, Any] | None, seed: int
    ) -> dict[str, Any]:
        """Return the fields of a request."""
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "extra_body": dict(self._params.extra_body),
        }
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = sampling.stop
        if sampling.repetition_penalty is not None and self.capabilities.repetition_penalty:
            body["extra_body"][self.capabilities.repetition_penalty] = sampling.repetition_penalty
        if self.capabilities.seed:
            body["seed"] = seed
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        return body

    async def _send(self, body: dict[str, Any]) -> ChatCompletion:
        """Return the endpoint's complete answer; the client retries what can pass by itself."""
        where = self._endpoint.base_url or "https://api.openai.com/v1"
        try:
            completion: Any = await self._client.chat.completions.create(**body)
        except openai.APIStatusError as error:
            text = f"{where} answered {error.status_code}: {str(error.message)[:300]}"
            if error.status_code in (408, 409, 429) or error.status_code >= 500:
                raise EndpointUnavailable(f"{text} (after {self._params.max_retries} retries)") from None
            raise ModelUnusable(f"{text}. Check llm.model, llm.base_url and the key") from None
        except openai.APIConnectionError as error:
            raise EndpointUnavailable(
                f"{where} cannot be reached ({error.__cause__ or error}): check llm.base_url, or start the server"
            ) from None
        except (openai.APIError, ValueError) as error:
            raise EndpointUnavailable(f"{where} gave no chat completion: {error}") from None
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise EndpointUnavailable(
                f"{where} answered 200 without a chat completion: {str(completion)[:200]}"
            )
        return completion

    async def probe(self, sampling: Sampling) -> None:
        """Find out what the endpoint honours, by asking or from memory; set `capabilities`.

        Raises:
            ModelUnusable: `sampling` asks for something that is not honoured.
        """
        key = probing.identity(self._endpoint.model, self._params) if self._endpoint.is_local else None
        self.capabilities, refused = await probing.honoured(self._try, sampling, self._cache, key)
        log.info("%r honours %s", self._endpoint, self.capabilities)
        if refused:
            raise ModelUnusable(
                f"{self._endpoint!r} does not honour {', '.join(refused)}: "
                "set it to null (stop: [], temperature: 0), or choose another llm.engine"
            )

    async def _try(self, prompt: str, max_tokens: int, **fields: Any) -> str | None:
        """Return a probe's answer text; None where the endpoint refuses the fields."""
        body = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            **fields,
            "extra_body": {**self._params.extra_body, **fields.get("extra_body", {})},
        }
        try:
            return (await self._send(body)).choices[0].message.content or ""
        except ModelUnusable as error:
            if "answered 400" in str(error) or "answered 422" in str(error):
                return None
            raise


def _answer(call_id: str, completion: ChatCompletion, replayed: bool) -> Answer:
    choice, usage = completion.choices[0], completion.usage
    return Answer(
        call_id,
        choice.message.content or "",
        choice.finish_reason or "unknown",
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
        replayed,
    )


@asynccontextmanager
async def connect(
    endpoint: Endpoint, params: LLMParams, sampling: Sampling, cache_path: Path, calls: IO[str]
) -> AsyncIterator[LLM]:
    """Yield a probed client of `endpoint`; `calls` is an open text file for the call log."""
    with closing(ReplayCache(cache_path)) as cache:
        client = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            timeout=params.timeout_s,
            max_retries=params.max_retries,
            http_client=DefaultAioHttpClient(),
        )
        async with client:
            llm = LLM(client, endpoint, params, cache, calls)
            await llm.probe(sampling)
            yield llm
