import asyncio

import pytest

from longwriter.edges import probing
from longwriter.edges.replay import ReplayCache
from longwriter.params import LLMParams, Sampling

GREEDY = Sampling(temperature=0, max_tokens=9, top_p=None, repetition_penalty=None, stop=[], seed=0)
PENALISED = GREEDY.model_copy(update={"repetition_penalty": 1.1})
LOCAL = LLMParams(
    engine="llama.cpp", model="folder", base_url=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=1, timeout_s=1, max_retries=0,
)  # fmt: skip


class Engine:
    """Answers every request the same, or longer under a penalty; counts what it is asked."""

    def __init__(self, penalty=None):
        self.penalty, self.asked = penalty, 0

    async def __call__(self, prompt, max_tokens, **fields):
        self.asked += 1
        return "yes yes" if self.penalty in fields.get("extra_body", {}) else "yes"


def seen(engine, cache, key, sampling=GREEDY):
    return asyncio.run(probing.honoured(engine, sampling, cache, key))


@pytest.fixture
def cache(tmp_path):
    return ReplayCache(tmp_path / "r.sqlite")


def test_a_local_engine_is_asked_once_and_the_next_process_remembers(tmp_path, cache):
    engine = Engine("repeat_penalty")
    first = seen(engine, cache, "k", PENALISED)
    assert first == (probing.NONE._replace(repetition_penalty="repeat_penalty"), [])
    asked = engine.asked
    cache.close()
    assert seen(engine, ReplayCache(tmp_path / "r.sqlite"), "k", PENALISED) == first
    assert 0 < asked == engine.asked


def test_an_endpoint_without_a_key_is_asked_every_time(cache):
    engine = Engine()
    assert seen(engine, cache, None) == seen(engine, cache, None) == (probing.NONE, [])
    alone = Engine()
    seen(alone, cache, None)
    assert engine.asked == 2 * alone.asked


def test_another_key_is_another_engine(cache):
    assert seen(Engine("repeat_penalty"), cache, "k")[0].repetition_penalty == "repeat_penalty"
    assert seen(Engine(), cache, "other")[0].repetition_penalty is None


def test_a_remembered_no_is_asked_again_when_it_matters(cache):
    assert seen(Engine(), cache, "k") == (probing.NONE, [])
    assert seen(Engine(), cache, "k", PENALISED) == (probing.NONE, ["repetition_penalty"])
    able = Engine("repetition_penalty")
    assert seen(able, cache, "k", PENALISED)[1] == []
    asked = able.asked
    assert seen(able, cache, "k", PENALISED)[0].repetition_penalty == "repetition_penalty"
    assert able.asked == asked


def test_weights_and_added_fields_are_part_of_what_is_remembered():
    one = probing.identity("folder@1", LOCAL)
    assert probing.identity("folder@1", LOCAL.model_copy(update={"max_concurrency": 9})) == one
    added = LOCAL.model_copy(update={"extra_body": {"min_p": 0.1}})
    assert len({one, probing.identity("folder@2", LOCAL), probing.identity("folder@1", added)}) == 3
