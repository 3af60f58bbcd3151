"""What an endpoint honours, found out by asking: servers answer 200 to fields they ignore.

`transformers serve` ignores JSON schemas and takes its sampling from the first request it ever
saw; providers differ in the name of the repetition penalty. So nothing is assumed. What a local
engine honours is decided by its version and its weights, so that is asked once and remembered; a
server elsewhere may change any night and is always asked.
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
_TRIES = 3  # before a "no" is believed that rests on two answers being alike


class Ask(Protocol):
    """Asks one user message with further request fields; None where they are refused."""

    def __call__(self, prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        """Return the answer's text; None = `max_tokens` is not sent."""
        ...


class Capabilities(NamedTuple):
    """What an endpoint was seen to honour."""

    tokens_field: str | None
    """Name of the request field that caps an answer; None = no request is answered at all."""
    json_schema: bool
    json_object: bool
    seed: bool
    temperature: bool
    stop: bool
    repetition_penalty: str | None
    """Name of the request field, or None where there is none."""

    def formats(self) -> list[AnswerFormat]:
        """Return the answer formats there are, the strictest first."""
        there: dict[AnswerFormat, bool] = {
            "json_schema": self.json_schema,
            "json_object": self.json_object,
            "lines": True,
        }
        return [name for name, is_there in there.items() if is_there]


NONE = Capabilities(
    tokens_field="max_tokens",
    json_schema=False,
    json_object=False,
    seed=False,
    temperature=False,
    stop=False,
    repetition_penalty=None,
)


def lacking(there: Capabilities, sampling: Sampling) -> list[str]:
    """Return the settings that `sampling` asks for and the endpoint does not honour."""
    asked = {
        "temperature": sampling.temperature > 0 and not there.temperature,
        "stop": bool(sampling.stop) and not there.stop,
        "repetition_penalty": sampling.repetition_penalty is not None and not there.repetition_penalty,
    }
    return [name for name, missing in asked.items() if missing]


def identity(model: str, params: LLMParams) -> str:
    """Return the hash of all that decides what a local engine honours, and of how this file asks.

    Args:
        model: Name of the model, with the hash of its weights in it.
        params: Engine and the fields that go with every request.
    """
    package = _PACKAGES[params.engine]
    probes = inspect.getsource(sys.modules[__name__])
    return content_hash([package, version(package), model, params.extra_body, probes])


async def honoured(
    ask: Ask, sampling: Sampling, memory: ReplayCache, key: str | None
) -> tuple[Capabilities, list[str]]:
    """Return what the endpoint honours, and which settings of `sampling` it does not.

    Args:
        ask: Asks the endpoint.
        sampling: What is wanted of it.
        memory: Where what was seen is kept.
        key: What it is kept under; None asks anew. A remembered "no" that `sampling` needs as a
            "yes" is asked again, since a probe can be unlucky.
    """
    stored = memory.capabilities(key) if key else None
    if stored and not lacking(Capabilities(**stored), sampling):
        return Capabilities(**stored), []
    there = await probe(ask)
    if key:
        memory.put_capabilities(key, there._asdict())
    return there, lacking(there, sampling)


async def probe(ask: Ask) -> Capabilities:
    """Return what the endpoint behind `ask` was seen to honour, by about 17 short requests; more where answers vary.

    One after another: most of them compare answers, which on some engines differ in the last bits by
    what else is in the batch.
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
    """Return the field that caps an answer: OpenAI's reasoning models refuse `max_tokens`."""
    if await ask("Say yes.", 16) is not None:
        return "max_tokens"
    renamed = "max_completion_tokens"
    return None if await ask("Say yes.", None, **{renamed: 16}) is None else renamed


def _renamed(ask: Ask, field: str) -> Ask:
    def asked(prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        return ask(prompt, None, **{field: max_tokens}, **fields)

    return asked


async def _honours_schema(ask: Ask) -> bool:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["kumquat"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "probe", "schema": schema, "strict": True}}
    text = await ask("What colour is the sky?", 60, temperature=0, response_format=wanted)
    try:
        return text is not None and json.loads(text) == {"answer": "kumquat"}
    except ValueError:
        return False


async def _honours_json_mode(ask: Ask) -> bool:
    """Tell whether JSON mode gives a bare object: models fence it by themselves, or answer in prose."""
    prompt = "What colour is the sky? Answer in JSON."
    text = await ask(prompt, 60, temperature=0, response_format={"type": "json_object"})
    try:
        return text is not None and isinstance(json.loads(text), dict)
    except ValueError:
        return False


async def _repeated(again: Callable[[], Awaitable[str | None]]) -> str | None:
    """Return the first answer that comes twice, asked for one after another; None where none does.

    Three tries of two: a server rounds differently in other batches, so that no answer is sure to repeat.
    """
    seen: set[str] = set()
    for _ in range(2 * _TRIES):
        text = await again()
        if text is None or text in seen:
            return text
        seen.add(text)
    return None


async def _honours_seed(ask: Ask) -> bool:
    def drawn(seed: int) -> Awaitable[str | None]:
        return ask("Make up a name for a boat and say why.", 24, temperature=1.5, seed=seed)

    same = await _repeated(lambda: drawn(7))
    return same is not None and len({same, await drawn(8), await drawn(9)}) > 1


async def _honours_temperature(ask: Ask) -> bool:
    def drawn(temperature: float) -> Awaitable[str | None]:
        return ask("Make up a name for a dog and say why.", 24, temperature=temperature)

    same = await _repeated(lambda: drawn(0))
    return same is not None and len({await drawn(1.5) for _ in range(3)}) > 1


async def _honours_stop(ask: Ask) -> bool:
    prompt = "Tell me about the sea in two sentences."
    for _ in range(_TRIES):
        whole = await ask(prompt, 32, temperature=0)
        word = next((w for w in (whole or "").split()[2:] if len(w) > 2), None)
        if whole is None or word is None:
            return False
        cut = await ask(prompt, 32, temperature=0, stop=[word])
        if cut is None or word in cut:
            return False
        if len(cut) < len(whole):
            return True  # else it is another answer, without the word: that tells nothing
    return False


async def _penalty_field(ask: Ask) -> str | None:
    prompt = "Say the word yes ten times: yes yes yes yes yes"
    plain = await ask(prompt, 24, temperature=0)
    for field in ("repeat_penalty", "repetition_penalty"):
        text = await ask(prompt, 24, temperature=0, extra_body={field: 2.0})
        if text is not None and text != plain:
            return field
    return None
