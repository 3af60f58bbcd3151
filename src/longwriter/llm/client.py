"""The client of every model: OpenAI-compatible HTTP, with a replay cache and a log of every call.

`LLM.ask` builds a `Request` and looks for its answer in the replay cache. If there is none, the request
passes `in_flight` (concurrency), `sending` (rate limits and retries) and `transport` (HTTP), and `call_log`
writes the answer to disk. No answer is used before it is on disk.

Requests contain only fields that the endpoint honours, as `probing` found out. Servers answer 200 even if
they ignore a field, so a server that ignores a temperature of 0.8 would look like a bad model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from longwriter.calls import call_log, prices, replay
from longwriter.calls.answers import Answer
from longwriter.calls.call_log import Call, CallStore
from longwriter.calls.meter import Meter
from longwriter.calls.replay import ReplayCache, Stored
from longwriter.endpoints import reading
from longwriter.endpoints.endpoint import Endpoint, origin
from longwriter.endpoints.limits import open_limits
from longwriter.errors import ModelUnusable
from longwriter.hashing import content_hash
from longwriter.io import progress
from longwriter.llm import probing, requests
from longwriter.llm.in_flight import InFlight
from longwriter.llm.prober import Prober, Trial
from longwriter.llm.probing import AnswerFormat, Capabilities
from longwriter.llm.sending import Sender
from longwriter.params import LLMParams, Sampling
from longwriter.text.basics.prompts import Refused

__all__ = ["LLM", "Answer", "Endpoint", "connect"]

log = logging.getLogger(__name__)

_WATCH_S = 2.0  # seconds between two looks at the tokens of the answers under way


class LLM:
    """A client of one endpoint; made by `connect`."""

    def __init__(
        self, endpoint: Endpoint, params: LLMParams, sender: Sender, cache: ReplayCache, store: CallStore
    ) -> None:
        """Store what `ask` needs."""
        price = prices.FREE if endpoint.is_local else prices.price(endpoint.model)
        self._endpoint = endpoint
        self._params = params
        self._sender = sender
        self._cache = cache
        self._store = store
        self._meter = Meter(endpoint.model, price, params.max_cost_usd)
        self._in_flight = InFlight(params.max_concurrency, sender, store, self._meter)
        self._tokens_under_way = 0
        self.capabilities = probing.NONE
        own = "" if endpoint.is_local else endpoint.origin
        self.capabilities_key = probing.identity(endpoint.model, params, own)
        self._owner = owner(endpoint, params)
        self._has_old_answers = cache.owner(endpoint.model, self._owner) == self._owner != ""
        self._served = {endpoint.model, None}

    def identity(self) -> tuple[str, str]:
        """Return (model, endpoint) as stored answers know them; the endpoint is empty for a local engine."""
        return self._endpoint.model, self._owner

    async def ask(
        self,
        prompt: str,
        sampling: Sampling,
        *,
        schema: dict[str, Any] | None = None,
        json_object: bool = False,
        attempt: int = 0,
        opening: str = "",
    ) -> Answer:
        """Return the answer to one user message, from the replay cache if it is stored there.

        If the caller is cancelled, a request that was already sent still gets its answer, which is stored.

        Args:
            prompt: The user message.
            sampling: Sampling settings; `connect` has checked that the endpoint honours them.
            schema: JSON schema of the answer.
            json_object: Ask for any JSON object; the prompt has to describe it.
            attempt: 0, or the number of earlier answers to this prompt that were not usable; each
                attempt is a separate request with its own seed.
            opening: Text with which the answer begins, so that the model only continues it; only for our own
                servers. llama.cpp repeats the opening in its answer, vLLM does not.

        Raises:
            NoAnswer: the endpoint refuses this request, or fails at it every time but answers others.
            EndpointUnavailable: the endpoint answers no request (every later request then fails at once), or
                asks for a long wait.
            ModelUnusable: the endpoint refuses the key or the model, or the request is above a limit.
            BudgetReached: the answers used cost `max_cost_usd` or more. Requests that were already sent
                still get their answers, so at most `max_concurrency` more answers are paid.
        """
        request = requests.chat(
            self._endpoint.model,
            prompt,
            sampling,
            self._params.extra_body,
            self.capabilities,
            schema=schema,
            json_object=json_object,
            attempt=attempt,
            opening=opening,
        )
        self._sender.raise_if_ended()
        self._meter.raise_if_spent()
        earlier = await self._stored(replay.key(request.call_id, self._owner))
        if earlier is None and self._has_old_answers:
            earlier = await self._stored(request.call_id)
        if earlier is None:
            call = await self._in_flight.run(request)
        else:
            call = await self._store.keep(Call(request.call_id, request.identity, *earlier, replayed=True))
            self._meter.add(call)
        if call.completion.model not in self._served:
            self._served.add(call.completion.model)
            log.warning(
                "%s was asked for %s and answered as %s; the call log names the model of each answer",
                self._endpoint.where, self._endpoint.model, call.completion.model,
            )  # fmt: skip
        return call_log.answer(call)

    def refuse(self, call_id: str, refused: Refused) -> None:
        """Note beside the call log why an answer is not used."""
        self._store.refusals[call_id] = refused

    async def _stored(self, key: str) -> Stored | None:
        """Return the answer that is stored under a key, or None."""
        packed = self._cache.packed(key)
        if packed is None:
            return None
        return replay.usable(await reading.run_by_size(replay.size(packed), replay.read, packed), key)

    def usage(self) -> dict[str, float]:
        """Return counts of this client: calls sent, replayed and retried, tokens, and their cost.

        Tokens and `cost_usd` count every answer that was used, also replayed ones. A local engine
        costs 0; a model without a price has no `cost_usd`.
        """
        return {**self._meter.usage(), "calls_retried": self._sender.retried}

    def note(self) -> str:
        """Return the usage in one line, for a progress bar, with what is under way."""
        if not (requests := self._in_flight.under_way()):
            return self._meter.note()
        tokens = f" with {self._tokens_under_way:,} tokens" if self._tokens_under_way else ""
        return f"{self._meter.note()}, {requests:,} under way{tokens}"

    async def watch(self) -> None:
        """Count the tokens of the answers under way every few seconds, as long as the endpoint says how many."""
        tokens: int | None = 0
        while tokens is not None:
            await asyncio.sleep(_WATCH_S)
            tokens = await self._sender.tokens_under_way() if self._in_flight.under_way() else 0
            self._tokens_under_way = tokens or 0

    def answer_format(self, setting: str) -> AnswerFormat:
        """Return the format that answers should have.

        Args:
            setting: `json_schema`, `json_object`, `lines`, or `auto`: the first of these that is honoured.

        Raises:
            ModelUnusable: the endpoint does not honour the format.
        """
        formats = self.capabilities.formats()
        for name in formats:
            if setting in (name, "auto"):
                return name
        raise ModelUnusable(
            f"{self._endpoint.name} does not honour {setting}: set answer_format to auto or {' or '.join(formats)}"
        )

    async def probe(self, sampling: Sampling, section: str) -> None:
        """Set `capabilities` to what the endpoint honours, from test requests or an earlier stored result.

        Args:
            sampling: The settings that the work needs.
            section: Their key in params.yaml, for the error.

        Raises:
            ModelUnusable: the endpoint ignores or refuses settings, or refuses every request. The message
                names all of them.
            EndpointUnavailable: it answers no request.
        """
        if self._cache.capabilities(self.capabilities_key) is not None:
            await self._probe(sampling, section, lambda _: None)
            return
        log.info("%s: finding out which settings it takes, by short requests", self._endpoint.name)
        async with progress.counter(f"settings of {self._endpoint.model}", "short requests") as tick:
            await self._probe(sampling, section, tick)

    async def _probe(self, sampling: Sampling, section: str, tick: progress.Tick) -> None:
        trust = probing.LOCAL if self._endpoint.is_local else probing.REMOTE
        prober = Prober(self._endpoint.model, self._params.extra_body, self._sender, tick)
        key = self.capabilities_key
        capabilities = await probing.honoured(prober, sampling, self._cache, key, trust)
        problems: list[str] = []
        if capabilities.tokens_field is None and prober.extra_body:
            problems = await prober.drop_refused_extra_body(trust)
            if problems:
                capabilities = await probing.probe(prober, trust)
        if capabilities.tokens_field is None:
            raise ModelUnusable(
                f"{self._endpoint.where} refuses every request: {prober.refusal}. "
                "Check llm.extra_body and the key"
            )
        unusable = probing.unusable(capabilities, sampling)
        problems += [f"{section}.{name} {why}" for name, why in unusable.items()]
        if not self._endpoint.is_local:
            trial = await self._rehearse(prober, capabilities, sampling, section, unusable)
            capabilities = capabilities._replace(left_out=trial.left_out)
            problems += trial.problems
        log.info("%s %s", self._endpoint.name, takes(capabilities))
        if problems:
            raise ModelUnusable(f"{self._endpoint.name} does not take these settings: {'; '.join(problems)}")
        self.capabilities = capabilities

    async def _rehearse(
        self,
        prober: Prober,
        capabilities: probing.Capabilities,
        sampling: Sampling,
        section: str,
        unusable: Collection[str],
    ) -> Trial:
        """Return what `Prober.try_settings` does, from an earlier stored result if nothing was refused."""
        key = content_hash([self.capabilities_key, sampling.model_dump(), capabilities._asdict()])
        earlier = self._cache.capabilities(key)
        if earlier is not None and isinstance(earlier.get("left_out"), list):
            return Trial(tuple(earlier["left_out"]), [])
        trial = await prober.try_settings(capabilities, sampling, section, probing.REMOTE, unusable)
        if not trial.problems and not unusable:
            self._cache.put_capabilities(key, {"left_out": trial.left_out})
        return trial

    async def finish(self) -> None:
        """Wait until the requests that were already sent are answered and stored."""
        await self._in_flight.finish(self._params.timeout_s)


def takes(capabilities: Capabilities) -> str:
    """Return a sentence for the log: which fields an endpoint takes, and which it does not take."""
    fields = {
        "JSON schema": capabilities.json_schema,
        "JSON mode": capabilities.json_object,
        "seed": capabilities.seed,
        "temperature": capabilities.temperature,
        "stop": capabilities.stop,
        capabilities.repetition_penalty or "repetition penalty": bool(capabilities.repetition_penalty),
    }
    taken = ", ".join(name for name, is_taken in fields.items() if is_taken)
    if not taken:
        return f"takes: nothing of {', '.join(fields)}"
    missing = ", ".join(name for name, is_taken in fields.items() if not is_taken)
    left_out = ", ".join(capabilities.left_out)
    return f"takes: {taken}{missing and f'; not: {missing}'}{left_out and f'; not sent: {left_out}'}"


def owner(endpoint: Endpoint, params: LLMParams) -> str:
    """Return the endpoint whose stored answers `endpoint` uses, as `replay.key` takes it."""
    if endpoint.is_local:
        return ""
    return origin(params.replay_as) if params.replay_as else endpoint.origin


@asynccontextmanager
async def connect(
    endpoint: Endpoint,
    params: LLMParams,
    sampling: Sampling,
    cache_path: Path,
    calls: Path,
    section: str = "sampling",
) -> AsyncIterator[LLM]:
    """Yield a probed client of an endpoint.

    Args:
        endpoint: URL, model and key.
        params: Limits, retries, budget, and the fields that go with every request.
        sampling: Sampling settings that the caller will use.
        cache_path: File of the replay cache; the rate limits that processes share are in `limits/` beside it.
        calls: File of the call log that is written.
        section: Key of `sampling` in params.yaml, for errors.

    Raises:
        ModelUnusable: the endpoint does not honour `sampling`, refuses every request, or has a budget
            and no price.
        EndpointUnavailable: it answers no request.
    """
    if "@" in urlsplit(endpoint.where).netloc:
        raise ModelUnusable(
            "llm.base_url holds a user or a password (not shown): remove it, and put the key into the environment "
            "variable that llm.api_key_env names"
        )
    from longwriter.endpoints.transport import open_transport  # imports openai

    name = f"{endpoint.where} {endpoint.model}"
    with closing(ReplayCache(cache_path)) as cache:
        async with (
            open_transport(endpoint, params) as transport,
            open_limits(params, name, cache_path.parent / "limits") as limits,
            call_log.open_store(cache, calls, owner(endpoint, params)) as store,
        ):
            llm = LLM(endpoint, params, Sender(transport, limits, params.max_retries), cache, store)
            watching = asyncio.create_task(llm.watch()) if endpoint.is_local else None
            try:
                await llm.probe(sampling, section)
                yield llm
            except ModelUnusable:  # the endpoint may change, so the next client probes it again
                cache.forget_capabilities(llm.capabilities_key)
                raise
            finally:
                if watching is not None:
                    watching.cancel()
                await llm.finish()
