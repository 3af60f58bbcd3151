"""Finds out which request fields an endpoint honours, by sending short test requests (probes).

Servers answer 200 to fields they ignore: `transformers serve` ignores JSON schemas and keeps the
sampling of the first request it ever got, and providers differ in the name of the repetition penalty.
Others refuse fields: OpenAI's reasoning models take neither `max_tokens` nor a temperature. So nothing is
assumed, and the result is remembered: for endpoint and model, or for the version of the engine.

One answer proves little, because an endpoint may fail at a probe as it fails at any request: a false 400, a
refusal, a text that is cut off. So each question is asked several times in other words, and a result counts
when it leads by `Trust.lead`. For an engine that this pipeline started, one answer is enough.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Literal, NamedTuple, Protocol

from longwriter.calls.replay import ReplayCache
from longwriter.hashing import content_hash
from longwriter.params import LLMParams, Sampling

AnswerFormat = Literal["json_schema", "json_object", "lines"]

_PACKAGES = {"llama.cpp": "xllamacpp", "openvino": "openvino-genai", "vllm": "vllm"}
_THINGS = (
    "boat", "dog", "bakery", "village", "song", "river", "horse", "ferry", "garden", "street", "planet", "robot",
    "library", "kite", "bridge", "lamp",
)  # fmt: skip
_FRUITS = ("kumquat", "medlar", "quince", "papaya", "loquat", "damson", "guava", "sloe")


class Ask(Protocol):
    """Sends one user message with further request fields.

    The result is None if the server refuses it, and empty if the answer says nothing about the server.
    """

    def __call__(self, prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        """Return the text of the answer; `max_tokens` None = the field is not sent."""
        ...


class Trust(NamedTuple):
    """How many answers are needed until a result is believed."""

    lead: int
    """How many more answers say yes than no, or no than yes."""
    draws: int
    """Answers among which two must be equal to show that answers repeat."""
    hot_draws: int
    """Answers of which two must differ to show that a temperature is used."""
    trials: int
    """Number of trials; if no side leads after them, the result is no."""


LOCAL = Trust(lead=1, draws=6, hot_draws=3, trials=3)
"""For an engine that this pipeline started: there is no proxy or network in between, but rounding depends on the batch."""
REMOTE = Trust(lead=4, draws=3, hot_draws=2, trials=16)
"""If 30 % of the requests fail, a trial of two requests is wrong in about 1 of 7 cases; a lead of 4 is wrong in 1 of 1,400."""


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
    fixed_temperature: bool = False
    """Whether temperatures are refused: the model has one of its own."""
    left_out: tuple[str, ...] = ()
    """Fields that are not sent, because the endpoint refuses them and the caller's value has no effect."""

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


def unusable(capabilities: Capabilities, sampling: Sampling) -> dict[str, str]:
    """Return why settings of `sampling` cannot be used at an endpoint, by their names."""
    temperature, penalty = sampling.temperature, sampling.repetition_penalty
    reasons: dict[str, str] = {}
    if capabilities.fixed_temperature:
        if temperature not in (None, 1):
            reasons["temperature"] = f"{temperature:g} is refused: the model has its own; set it to 1 or null"
    elif temperature and not capabilities.temperature:
        reasons["temperature"] = "is ignored: set it to 0, or to null for the model's own"
    if sampling.stop and not capabilities.stop:
        reasons["stop"] = "is ignored or refused: set it to []"
    if penalty not in (None, 1) and not capabilities.repetition_penalty:
        reasons["repetition_penalty"] = "is ignored or refused: set it to null"
    return reasons


def identity(model: str, params: LLMParams, endpoint: str = "") -> str:
    """Return the hash of everything that decides what an endpoint honours, and of this file's source.

    llama.cpp and OpenVINO read the fields and constrain the answers in the same way for all weights, so their
    versions stand for them: the models of one pipeline are probed once.

    Args:
        model: Name of the model; of a local engine it holds the hash of its weights.
        params: The engine, and the fields that go with every request.
        endpoint: `Endpoint.origin` of an external endpoint; empty for a local engine.
    """
    probes = inspect.getsource(sys.modules[__name__])
    package = _PACKAGES.get(params.engine)
    if endpoint or not package:
        return content_hash([endpoint, model, params.extra_body, probes])
    weights = [model] if params.engine == "vllm" else []
    return content_hash([package, version(package), *weights, params.extra_body, probes])


async def honoured(
    ask: Ask, sampling: Sampling, cache: ReplayCache, key: str, trust: Trust = LOCAL
) -> Capabilities:
    """Return what the endpoint honours, from an earlier stored result if there is one.

    Args:
        ask: Sends a probe.
        sampling: The settings that the caller needs.
        cache: Stores the result.
        key: Key of the stored result. If that result says that a setting of `sampling` is not honoured, the
            endpoint is probed again, because it may have changed.
        trust: How many answers are needed.
    """
    entry = cache.capabilities(key)
    if entry and (capabilities := _capabilities(entry)) and not unusable(capabilities, sampling):
        return capabilities
    capabilities = await probe(ask, trust)
    if capabilities.tokens_field is not None:
        cache.put_capabilities(key, {k: v for k, v in capabilities._asdict().items() if k != "left_out"})
    return capabilities


def _capabilities(entry: dict[str, Any]) -> Capabilities | None:
    """Return stored capabilities; None if they have other fields, as another version of this program stores."""
    required = set(Capabilities._fields) - Capabilities._field_defaults.keys()
    fits = required <= entry.keys() <= set(Capabilities._fields)
    return Capabilities(**entry) if fits else None


async def probe(ask: Ask, trust: Trust = LOCAL) -> Capabilities:
    """Return what the endpoint behind `ask` honours: about 17 short requests for a local engine, else about 60.

    A local engine gets them one after another: most of them compare answers, and an answer depends a little
    on the other requests in the batch.
    """
    field = await _tokens_field(ask, trust)
    if field is None:
        return NONE._replace(tokens_field=None)
    if field != "max_tokens":
        ask = _with_tokens_field(ask, field)
    cold = await _first_accepted(ask, (0, 0.01), trust)
    hot = None if cold is None else await _first_accepted(ask, (1.5, 1.0), trust)
    fixed = cold is None or hot is None
    low, high = ({}, {}) if fixed else ({"temperature": cold}, {"temperature": hot})
    tests: list[Callable[[], Awaitable[Any]]] = [
        lambda: _majority(lambda n: _honours_schema(ask, n, low), trust),
        lambda: _majority(lambda n: _honours_json_mode(ask, n, low), trust),
        lambda: _majority(lambda n: _honours_seed(ask, n, high, trust), trust),
        lambda: (
            _no() if fixed else _majority(lambda n: _honours_temperature(ask, n, low, high, trust), trust)
        ),
        lambda: _majority(lambda n: _honours_stop(ask, n, low), trust),
        lambda: _no() if fixed else _penalty_field(ask, low, trust),
    ]
    if trust is LOCAL:
        results = [await test() for test in tests]
    else:
        results = await _together(tests)
    schema, json_object, seed, temperature, stop, penalty = results
    return Capabilities(field, schema, json_object, seed, temperature, stop, penalty or None, fixed)


async def _no() -> bool:
    return False


async def _together(tests: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Return the results of tests that run at the same time; raises the first failure alone."""

    async def run(test: Callable[[], Awaitable[Any]]) -> Any:
        return await test()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(test)) for test in tests]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _majority(trial: Callable[[int], Awaitable[bool | None]], trust: Trust) -> bool:
    """Return the result of the trials as soon as one side leads by `trust.lead`; a trial that gives None does not count."""
    balance = 0
    for number in range(trust.trials):
        result = await trial(number)
        balance += 0 if result is None else 1 if result else -1
        if abs(balance) >= trust.lead:
            return balance > 0
    return False


async def is_accepted(ask: Ask, trust: Trust, max_tokens: int | None = 16, **fields: Any) -> bool:
    """Return whether an endpoint accepts these fields; they count as refused only if every try is refused."""
    for number in range(trust.lead):
        if await ask(f"Say {'yes' if number == 0 else _THINGS[number]}.", max_tokens, **fields) is not None:
            return True
    return False


async def _tokens_field(ask: Ask, trust: Trust) -> str | None:
    """Return the field that limits the length of an answer: OpenAI's reasoning models refuse `max_tokens`."""
    if await is_accepted(ask, trust):
        return "max_tokens"
    new_name = "max_completion_tokens"
    return new_name if await is_accepted(ask, trust, None, **{new_name: 16}) else None


async def _first_accepted(ask: Ask, temperatures: tuple[float, ...], trust: Trust) -> float | None:
    """Return the first temperature that is accepted: TGI refuses 0, some models refuse values above 1."""
    for temperature in temperatures:
        if await is_accepted(ask, trust, temperature=temperature):
            return temperature
    return None


def _with_tokens_field(ask: Ask, field: str) -> Ask:
    def ask_with_field(prompt: str, max_tokens: int | None, **fields: Any) -> Awaitable[str | None]:
        return ask(prompt, None, **{field: max_tokens}, **fields)

    return ask_with_field


async def _honours_schema(ask: Ask, number: int, low: dict[str, Any]) -> bool | None:
    fruit = _FRUITS[number % len(_FRUITS)]
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": [fruit]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "probe", "schema": schema, "strict": True},
    }
    prompt = f"What colour is the {'sky' if number == 0 else _THINGS[number]}?"
    text = await ask(prompt, 60, **low, response_format=response_format)
    return None if text == "" else _json(text) == {"answer": fruit}


async def _honours_json_mode(ask: Ask, number: int, low: dict[str, Any]) -> bool | None:
    """Return whether JSON mode gives a bare object: without it, models put it in a code fence or write prose."""
    prompt = f"What colour is the {'sky' if number == 0 else _THINGS[number]}? Answer in JSON."
    text = await ask(prompt, 60, **low, response_format={"type": "json_object"})
    return None if text == "" else isinstance(_json(text), dict)


def _json(text: str | None) -> object:
    """Return the JSON value of a text; None if there is none."""
    try:
        return json.loads(text or "")
    except ValueError:
        return None


async def _first_repeat(draw: Callable[[], Awaitable[str | None]], draws: int) -> str | None:
    """Return the first answer that comes twice among `draws` answers; None if none does.

    Two answers are not enough: rounding depends on the batch, so even a server that honours the setting
    may give two different answers.
    """
    texts: set[str] = set()
    for _ in range(draws):
        text = await draw()
        if text is None or text in texts:
            return text
        texts.add(text)
    return None


async def _honours_seed(ask: Ask, number: int, high: dict[str, Any], trust: Trust) -> bool | None:
    def draw(seed: int) -> Awaitable[str | None]:
        return ask(f"Make up a name for a {_THINGS[number]} and say why.", 24, **high, seed=seed)

    same = await _first_repeat(lambda: draw(7), trust.draws)
    return same is not None and len({same, await draw(8), await draw(9)}) > 1


async def _honours_temperature(
    ask: Ask, number: int, low: dict[str, Any], high: dict[str, Any], trust: Trust
) -> bool | None:
    def draw(temperature: dict[str, Any]) -> Awaitable[str | None]:
        return ask(
            f"Make up a name for a {_THINGS[number + 1 - len(_THINGS)]} and say why.", 24, **temperature
        )

    same = await _first_repeat(lambda: draw(low), trust.draws)
    return same is not None and len({await draw(high) for _ in range(trust.hot_draws)}) > 1


async def _honours_stop(ask: Ask, number: int, low: dict[str, Any]) -> bool | None:
    if not low:  # without a temperature of 0 answers differ, except to this question
        text = await ask(
            "Write the numbers from one to ten as words: one, two, three, ...", 60, stop=["seven"]
        )
        return None if text == "" else text is not None and "six" in text and "seven" not in text
    prompt = f"Tell me about the {'sea' if number == 0 else _THINGS[number]} in two sentences."
    whole = await ask(prompt, 32, **low)
    word = next((word for word in (whole or "").split()[2:] if len(word) > 2), None)
    if whole is None or word is None:
        return None if whole == "" else False
    cut = await ask(prompt, 32, **low, stop=[word])
    if cut is None or word in cut:
        return False
    # if it is not shorter, it is another answer that happens to lack the word
    return True if len(cut) < len(whole) else None


async def _penalty_field(ask: Ask, low: dict[str, Any], trust: Trust) -> str | None:
    for field in ("repeat_penalty", "repetition_penalty"):

        async def trial(number: int, field: str = field) -> bool | None:
            word = "yes" if number == 0 else _THINGS[number]
            prompt = f"Say the word {word} ten times: {' '.join([word] * 5)}"
            plain = await ask(prompt, 24, **low)
            if trust is not LOCAL and plain != await ask(prompt, 24, **low):
                return None  # answers differ for another reason
            text = await ask(prompt, 24, **low, extra_body={field: 2.0})
            return None if "" in (plain, text) else text is not None and text != plain

        if await _majority(trial, trust):
            return field
    return None
