"""Finds out which request fields an endpoint honours, by sending short test requests (probes).

Servers answer 200 to fields they ignore: `transformers serve` ignores JSON schemas and keeps the
sampling of the first request it ever got, and providers differ in the name of the repetition penalty.
So nothing is assumed. What a local engine honours depends only on its version and its weights: it is
probed once and remembered. Any other server may change at any time, so it is probed by every client.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Literal, NamedTuple, Protocol

from longwriter.hashing import content_hash
from longwriter.llm.replay import ReplayCache
from longwriter.params import LLMParams, Sampling

AnswerFormat = Literal["json_schema", "json_object", "lines"]

_PACKAGES = {"llama.cpp": "xllamacpp", "vllm": "vllm"}
_TRIES = 3  # a test that compares answers is repeated this often before it fails


class Ask(Protocol):
    """Sends one user message with further request fields; the result is None if the server refuses it."""

    def __call__(self, prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        """Return the text of the answer; `max_tokens` None = the field is not sent."""
        ...


class Capabilities(NamedTuple):
    """The request fields and formats that an endpoint was seen to honour."""

    tokens_field: str | None
    """Name of the request field that limits the length of an answer; None = every request is refused."""
    json_schema: bool
    json_object: bool
    seed: bool
    temperature: bool
    stop: bool
    repetition_penalty: str | None
    """Name of the request field; None = there is none."""

    def formats(self) -> list[AnswerFormat]:
        """Return the answer formats that are honoured, the strictest first."""
        is_honoured: dict[AnswerFormat, bool] = {
            "json_schema": self.json_schema,
            "json_object": self.json_object,
            "lines": True,
        }
        return [name for name, honoured in is_honoured.items() if honoured]


NONE = Capabilities(
    tokens_field="max_tokens",
    json_schema=False,
    json_object=False,
    seed=False,
    temperature=False,
    stop=False,
    repetition_penalty=None,
)


def ignored_settings(capabilities: Capabilities, sampling: Sampling) -> list[str]:
    """Return the settings of `sampling` that the endpoint does not honour."""
    penalty = sampling.repetition_penalty
    is_ignored = {
        "temperature": sampling.temperature > 0 and not capabilities.temperature,
        "stop": bool(sampling.stop) and not capabilities.stop,
        "repetition_penalty": penalty is not None and not capabilities.repetition_penalty,
    }
    return [name for name, ignored in is_ignored.items() if ignored]


def identity(model: str, params: LLMParams) -> str:
    """Return the hash of everything that decides what a local engine honours, and of this file's source.

    Args:
        model: Name of the model, which holds the hash of its weights.
        params: The engine, and the fields that go with every request.
    """
    package = _PACKAGES[params.engine]
    probes = inspect.getsource(sys.modules[__name__])
    return content_hash([package, version(package), model, params.extra_body, probes])


async def honoured(
    ask: Ask, sampling: Sampling, cache: ReplayCache, key: str | None
) -> tuple[Capabilities, list[str]]:
    """Return what the endpoint honours, and the settings of `sampling` that it does not honour.

    Args:
        ask: Sends a probe.
        sampling: The settings that the caller needs.
        cache: Stores the result.
        key: Key of the stored result; None = always probe. If the stored result says that a setting of
            `sampling` is not honoured, the endpoint is probed again, because a probe can fail by chance.
    """
    stored = cache.capabilities(key) if key else None
    if stored and not ignored_settings(Capabilities(**stored), sampling):
        return Capabilities(**stored), []
    capabilities = await probe(ask)
    if key:
        cache.put_capabilities(key, capabilities._asdict())
    return capabilities, ignored_settings(capabilities, sampling)


async def probe(ask: Ask) -> Capabilities:
    """Return what the endpoint behind `ask` honours, found with about 17 short requests; more if answers vary.

    They are sent one after another: most of them compare answers, and on some engines an answer depends
    a little on the other requests in the batch.
    """
    field = await _tokens_field(ask)
    if field is None:
        return NONE._replace(tokens_field=None)
    if field != "max_tokens":
        ask = _renamed(ask, field)
    return Capabilities(
        tokens_field=field,
        json_schema=await _honours_schema(ask),
        json_object=await _honours_json_mode(ask),
        seed=await _honours_seed(ask),
        temperature=await _honours_temperature(ask),
        stop=await _honours_stop(ask),
        repetition_penalty=await _penalty_field(ask),
    )


async def _tokens_field(ask: Ask) -> str | None:
    """Return the field that limits the length of an answer: OpenAI's reasoning models refuse `max_tokens`."""
    if await ask("Say yes.", 16) is not None:
        return "max_tokens"
    renamed = "max_completion_tokens"
    return None if await ask("Say yes.", None, **{renamed: 16}) is None else renamed


def _renamed(ask: Ask, field: str) -> Ask:
    def ask_with_field(prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        return ask(prompt, None, **{field: max_tokens}, **fields)

    return ask_with_field


async def _honours_schema(ask: Ask) -> bool:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["kumquat"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "probe", "schema": schema, "strict": True},
    }
    text = await ask("What colour is the sky?", 60, temperature=0, response_format=response_format)
    return _json(text) == {"answer": "kumquat"}


async def _honours_json_mode(ask: Ask) -> bool:
    """Return whether JSON mode gives a bare object: without it, models put it in a code fence or write prose."""
    prompt = "What colour is the sky? Answer in JSON."
    text = await ask(prompt, 60, temperature=0, response_format={"type": "json_object"})
    return isinstance(_json(text), dict)


def _json(text: str | None) -> object:
    """Return the JSON value of a text; None if there is none."""
    try:
        return json.loads(text or "")
    except ValueError:
        return None


async def _repeated(draw: Callable[[], Awaitable[str | None]]) -> str | None:
    """Return the first answer that comes twice among `2 * _TRIES` answers; None if none does.

    Two answers are not enough: rounding depends on the batch, so even a server that honours the setting
    may give two different answers.
    """
    seen: set[str] = set()
    for _ in range(2 * _TRIES):
        text = await draw()
        if text is None or text in seen:
            return text
        seen.add(text)
    return None


async def _honours_seed(ask: Ask) -> bool:
    def draw(seed: int) -> Awaitable[str | None]:
        return ask("Make up a name for a boat and say why.", 24, temperature=1.5, seed=seed)

    same = await _repeated(lambda: draw(7))
    return same is not None and len({same, await draw(8), await draw(9)}) > 1


async def _honours_temperature(ask: Ask) -> bool:
    def draw(temperature: float) -> Awaitable[str | None]:
        return ask("Make up a name for a dog and say why.", 24, temperature=temperature)

    same = await _repeated(lambda: draw(0))
    return same is not None and len({await draw(1.5) for _ in range(3)}) > 1


async def _honours_stop(ask: Ask) -> bool:
    prompt = "Tell me about the sea in two sentences."
    for _ in range(_TRIES):
        whole = await ask(prompt, 32, temperature=0)
        word = next((word for word in (whole or "").split()[2:] if len(word) > 2), None)
        if whole is None or word is None:
            return False
        cut = await ask(prompt, 32, temperature=0, stop=[word])
        if cut is None or word in cut:
            return False
        if len(cut) < len(whole):
            return True  # else it may be another answer that lacks the word, which proves nothing
    return False


async def _penalty_field(ask: Ask) -> str | None:
    prompt = "Say the word yes ten times: yes yes yes yes yes"
    plain = await ask(prompt, 24, temperature=0)
    for field in ("repeat_penalty", "repetition_penalty"):
        text = await ask(prompt, 24, temperature=0, extra_body={field: 2.0})
        if text is not None and text != plain:
            return field
    return None
