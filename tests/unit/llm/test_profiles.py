"""Known endpoints: what is found out about them, what they get, and how refused settings are named."""

import asyncio
import re

import pytest

from longwriter.errors import ModelUnusable
from longwriter.llm.client import Endpoint, connect
from longwriter.llm.probing import Capabilities
from longwriter.params import Sampling
from tests.chat_server import wire
from tests.chat_server.profiles import PROFILES, handler
from tests.unit.llm.endpoint import PARAMS

FULL = Sampling(temperature=0.7, max_tokens=40, top_p=0.9, repetition_penalty=1.05, stop=["\n\n"], seed=0)
PLAIN = Sampling(temperature=1, max_tokens=900, top_p=1, repetition_penalty=None, stop=[], seed=0)
OWN = PLAIN.model_copy(update={"temperature": None, "top_p": None})
ALL = Capabilities("max_tokens", json_schema=True, json_object=True, seed=True, temperature=True, stop=True, repetition_penalty=None)  # fmt: skip

HONOURED = {
    "openai": ALL,
    "o-series": ALL._replace(tokens_field="max_completion_tokens", temperature=False, stop=False, fixed_temperature=True, left_out=("top_p",)),
    "azure": ALL._replace(json_schema=False),
    "vllm": ALL._replace(repetition_penalty="repetition_penalty"),
    "llama.cpp": ALL._replace(repetition_penalty="repeat_penalty"),
    "ollama": ALL,
    "openrouter": ALL._replace(json_schema=False, seed=False, repetition_penalty="repetition_penalty"),
    "litellm": ALL._replace(json_schema=False, json_object=False, seed=False),
    "gemini": ALL._replace(seed=False),
    "anthropic": ALL._replace(json_schema=False, json_object=False, seed=False, left_out=("top_p",)),
}  # fmt: skip
SENT = {
    "o-series": {"max_completion_tokens", "seed"},
    "anthropic": {"temperature", "max_tokens"},
    **{name: {"temperature", "max_tokens", "top_p"} for name in ("openrouter", "litellm", "gemini")},
    **{name: {"temperature", "max_tokens", "top_p", "seed"} for name in ("openai", "azure", "vllm", "llama.cpp", "ollama")},
}  # fmt: skip
NAMED = {
    "o-series": ["temperature", "stop", "repetition_penalty", "top_p"],
    "anthropic": ["repetition_penalty", "stop"],
    **{name: ["repetition_penalty"] for name in ("openai", "azure", "ollama", "litellm", "gemini")},
    **{name: [] for name in ("vllm", "llama.cpp", "openrouter")},
}


def ask(name, folder, sampling, **fields):
    """Return (capabilities, the last request, the number of requests) after one question."""

    async def go():
        requests = []
        params = PARAMS.model_copy(update={"engine": "external", **fields})
        async with wire.serving(handler(name, requests)) as url:
            endpoint = Endpoint(url, "m", "none")
            cache, calls = folder / "r.sqlite", folder / "calls.zst"
            async with connect(endpoint, params, sampling, cache, calls, "plan.sampling") as llm:
                await llm.ask("Tell me about the lamps in the old harbour.", sampling)
                return llm.capabilities, requests[-1], len(requests)

    return asyncio.run(go())


@pytest.mark.parametrize("name", PROFILES)
def test_the_prober_learns_what_a_known_endpoint_honours_and_sends_nothing_that_it_refuses(tmp_path, name):
    capabilities, body, _ = ask(name, tmp_path, PLAIN)
    assert capabilities == HONOURED[name]
    assert body.keys() - {"model", "messages"} == SENT[name]


@pytest.mark.parametrize("name", PROFILES)
def test_all_settings_that_a_known_endpoint_does_not_take_are_named_at_once(tmp_path, name):
    if not NAMED[name]:
        assert ask(name, tmp_path, FULL)[1]["temperature"] == 0.7
        return
    with pytest.raises(ModelUnusable) as error:
        ask(name, tmp_path, FULL)
    assert re.findall(r"plan\.sampling\.(\w+)", str(error.value)) == NAMED[name]
    assert "does not take these settings: plan.sampling." in str(error.value)


def test_the_advice_for_a_fixed_temperature_leads_to_a_run(tmp_path):
    with pytest.raises(ModelUnusable, match=r"temperature 0\.7 is refused: .*; set it to 1 or null"):
        ask("o-series", tmp_path, PLAIN.model_copy(update={"temperature": 0.7}))
    for temperature in (1, None):
        body = ask("o-series", tmp_path, OWN.model_copy(update={"temperature": temperature}))[1]
        assert "temperature" not in body


def test_a_temperature_of_null_is_never_sent(tmp_path):
    assert "temperature" not in ask("openai", tmp_path, OWN)[1]


def test_a_value_that_is_refused_is_quoted_with_its_key_and_the_servers_words(tmp_path):
    with pytest.raises(
        ModelUnusable, match=r"plan\.sampling\.max_tokens 9000 \(refused: .*max_model_len=8192"
    ):
        ask("vllm", tmp_path, PLAIN.model_copy(update={"max_tokens": 9000}))
    with pytest.raises(ModelUnusable, match=r"plan\.sampling\.stop .*at most 4"):
        ask("openai", tmp_path, PLAIN.model_copy(update={"stop": list("abcde")}))


def test_two_settings_that_are_refused_only_together_are_both_named(tmp_path):
    both = PLAIN.model_copy(update={"temperature": 0.7, "top_p": 0.9})
    with pytest.raises(ModelUnusable) as error:
        ask("anthropic", tmp_path, both)
    assert "plan.sampling.temperature, plan.sampling.top_p together" in str(error.value)
    assert "cannot both be specified" in str(error.value)


def test_refused_fields_of_extra_body_are_named_with_the_settings(tmp_path):
    extra = {"min_p": 0.1, "user": "ann", "guided_choice": []}
    with pytest.raises(ModelUnusable) as error:
        ask("openai", tmp_path, PLAIN.model_copy(update={"repetition_penalty": 1.1}), extra_body=extra)
    assert re.findall(r"(?:extra_body|sampling)\.(\w+)", str(error.value)) == [
        "min_p", "guided_choice", "repetition_penalty",
    ]  # fmt: skip


def test_a_second_client_of_an_endpoint_sends_no_probe(tmp_path):
    async def go():
        requests = []
        params = PARAMS.model_copy(update={"engine": "external"})
        async with wire.serving(handler("openai", requests)) as url:
            counts = []
            for _ in range(2):
                async with connect(
                    Endpoint(url, "m", "none"), params, PLAIN, tmp_path / "r.sqlite", tmp_path / "c.zst"
                ):
                    counts.append(len(requests))
            return counts

    first, second = asyncio.run(go())
    assert first == second > 0
