import asyncio

import pytest

from longwriter.calls.replay import ReplayCache
from longwriter.llm import probing
from longwriter.params import LLMParams, Sampling

GREEDY = Sampling(temperature=0, max_tokens=9, top_p=None, repetition_penalty=None, stop=[], seed=0)
PENALISED = GREEDY.model_copy(update={"repetition_penalty": 1.1})
LOCAL = LLMParams(
    engine="llama.cpp", model="folder", base_url=None, replay_as=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=1, requests_per_minute=None, tokens_per_minute=None, max_cost_usd=None, timeout_s=1,
    max_retries=0,
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


def test_an_engine_is_asked_once_and_the_next_process_remembers(tmp_path, cache):
    engine = Engine("repeat_penalty")
    first = seen(engine, cache, "k", PENALISED)
    assert first == probing.NONE._replace(repetition_penalty="repeat_penalty")
    asked = engine.asked
    cache.close()
    assert seen(engine, ReplayCache(tmp_path / "r.sqlite"), "k", PENALISED) == first
    assert 0 < asked == engine.asked


@pytest.mark.parametrize(
    "stored", [{"a": 1}, {"tokens_field": "max_tokens"}, {**probing.NONE._asdict(), "new": 1}]
)
def test_capabilities_that_another_version_stored_are_measured_again(cache, stored):
    cache.put_capabilities("k", stored)
    assert seen(Engine("repeat_penalty"), cache, "k").repetition_penalty == "repeat_penalty"


def test_another_key_is_another_engine(cache):
    assert seen(Engine("repeat_penalty"), cache, "k").repetition_penalty == "repeat_penalty"
    assert seen(Engine(), cache, "other").repetition_penalty is None


def test_a_remembered_no_is_asked_again_when_it_matters(cache):
    assert seen(Engine(), cache, "k") == probing.NONE
    assert seen(Engine(), cache, "k", PENALISED) == probing.NONE
    able = Engine("repetition_penalty")
    assert seen(able, cache, "k", PENALISED).repetition_penalty == "repetition_penalty"
    asked = able.asked
    assert seen(able, cache, "k", PENALISED).repetition_penalty == "repetition_penalty"
    assert able.asked == asked


def test_all_weights_share_what_one_llama_cpp_honours():
    first = probing.identity("folder@1", LOCAL)
    assert probing.identity("folder@2", LOCAL) == first
    assert probing.identity("folder@1", LOCAL.model_copy(update={"max_concurrency": 9})) == first


def test_added_fields_and_the_models_of_an_endpoint_are_part_of_what_is_remembered():
    added = LOCAL.model_copy(update={"extra_body": {"min_p": 0.1}})
    external = LOCAL.model_copy(update={"engine": "external"})
    keys = [probing.identity("folder@1", LOCAL), probing.identity("folder@1", added)]
    keys += [probing.identity(model, external, "https://one.example/v1") for model in ("a", "b")]
    keys += [probing.identity("a", external, "https://two.example/v1")]
    assert len(set(keys)) == 5


class Picky:
    """Refuses the fields named, and answers in JSON mode with `in_json_mode`."""

    def __init__(self, refused=(), in_json_mode="yes"):
        self.refused, self.in_json_mode = set(refused), in_json_mode

    async def __call__(self, prompt, max_tokens, **fields):
        if max_tokens is not None:
            fields["max_tokens"] = max_tokens
        if self.refused & set(fields):
            return None
        wanted = fields.get("response_format", {}).get("type")
        return self.in_json_mode if wanted == "json_object" else "yes"


@pytest.mark.parametrize(
    ("text", "honoured"),
    [
        ('{"colour": "blue"}', True),
        (' {"a": {"b": 1}}\n', True),
        ('```json\n{"colour": "blue"}\n```', False),
        ('["blue"]', False),
        ("Blue.", False),
        ('{"colour": "bl', False),
        ("", False),
        (None, False),
    ],
)
def test_json_mode_is_honoured_where_a_bare_object_comes(cache, text, honoured):
    assert seen(Picky(in_json_mode=text), cache, "k").json_object is honoured


def test_the_field_that_caps_an_answer_is_the_one_that_is_not_refused(cache):
    assert seen(Picky(), cache, "a").tokens_field == "max_tokens"
    assert seen(Picky(["max_tokens"]), cache, "b").tokens_field == "max_completion_tokens"
    assert seen(Picky(["max_tokens", "max_completion_tokens"]), cache, "c").tokens_field is None


def test_the_formats_are_those_honoured_the_strictest_first():
    assert probing.NONE.formats() == ["lines"]
    able = probing.NONE._replace(json_schema=True, json_object=True)
    assert able.formats() == ["json_schema", "json_object", "lines"]


class Hesitant:
    """Gives the next of `cold` at temperature 0 (or under seed 7), and a new text to all other requests."""

    def __init__(self, *cold):
        self.cold, self.asked = iter(cold), []

    async def __call__(self, prompt, max_tokens, **fields):
        self.asked.append(fields)
        is_cold = fields.get("temperature") == 0 or fields.get("seed") == 7
        return next(self.cold) if is_cold else f"answer {len(self.asked)}"


COLD, HOT = {"temperature": 0}, {"temperature": 1.5}


def temperature(ask):
    return probing._honours_temperature(ask, 0, COLD, HOT, probing.LOCAL)


def seed(ask):
    return probing._honours_seed(ask, 0, HOT, probing.LOCAL)


@pytest.mark.parametrize(("honours", "others"), [(temperature, 3), (seed, 2)])
@pytest.mark.parametrize(
    ("cold", "honoured", "asked"),
    [
        ("aa", True, 2),
        ("aba", True, 3),
        ("abcdea", True, 6),
        ("abcdef", False, 6),
        ([None], False, 1),
    ],
)
def test_two_like_answers_of_six_show_that_answers_repeat(honours, others, cold, honoured, asked):
    engine = Hesitant(*cold)
    assert asyncio.run(honours(engine)) is honoured
    assert len(engine.asked) == asked + others * honoured


SEA = "The sea is wide and blue."


@pytest.mark.parametrize(
    ("cold", "honoured"),
    [
        ([SEA, "The sea "], True),
        ([SEA, "Water covers most of our Earth."], None),
        ([SEA, SEA], False),
        ([SEA, None], False),
        ([""], None),
    ],
)
def test_an_answer_that_only_differs_says_nothing_of_stop_words(cold, honoured):
    assert asyncio.run(probing._honours_stop(Hesitant(*cold), 0, COLD)) is honoured


@pytest.mark.parametrize(
    ("results", "trust", "believed", "used"),
    [
        ("y", probing.LOCAL, True, 1),
        ("n", probing.LOCAL, False, 1),
        ("??y", probing.LOCAL, True, 3),
        ("???", probing.LOCAL, False, 3),
        ("yyyy", probing.REMOTE, True, 4),
        ("nnnn", probing.REMOTE, False, 4),
        ("nyyyyy", probing.REMOTE, True, 6),
        ("ynynnnnn", probing.REMOTE, False, 8),
        ("?n?yyy?yy", probing.REMOTE, True, 9),
        ("yn" * 8, probing.REMOTE, False, 16),
    ],
)
def test_a_result_is_believed_when_it_leads(results, trust, believed, used):
    asked = []

    async def trial(number):
        asked.append(number)
        return {"y": True, "n": False, "?": None}[results[number]]

    assert asyncio.run(probing._majority(trial, trust)) is believed
    assert asked == list(range(used))
