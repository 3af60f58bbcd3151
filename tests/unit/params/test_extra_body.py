"""Fields of `extra_body`: which ones a request can take."""

import orjson
import pytest

from longwriter import params
from longwriter.errors import BadParams
from longwriter.llm import requests
from longwriter.llm.probing import NONE
from longwriter.params.extra_body import RESERVED
from longwriter.params.models import Sampling
from tests.unit.params.fields import text_with
from tests.unit.settings.test_texts import errors

SAMPLING = Sampling(temperature=0.5, max_tokens=9, top_p=0.9, repetition_penalty=1.1, stop=["."], seed=1)
SENDABLE = {
    "min_p": 0.05, "top_k": 40, "chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low",
    "provider": {"order": ["a", "b"], "allow_fallbacks": False}, "logit_bias": {"50256": -100}, "user": "night run",
    "stop_token_ids": [1, 2], "bad_words": [], "metadata": {"model": "x", "seed": 1}, "presence_penalty": -0.5, "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("name", RESERVED)
def test_a_field_that_the_program_sets_is_refused_with_what_to_do_instead(name):
    for spelled in (name, name.upper()):
        [line] = errors("llm.extra_body", {"min_p": 0.1, spelled: 1})
        assert line.startswith(f"params.yaml: llm.extra_body.{spelled}: found 1; allowed: fields that ")
        assert line.endswith(f"({RESERVED[name]})")


def test_every_field_that_requests_set_is_reserved():
    capabilities = NONE._replace(
        json_schema=True, json_object=True, seed=True, repetition_penalty="repeat_penalty"
    )
    for schema, json_object in (({"type": "object"}, False), (None, True)):
        request = requests.chat(
            "m", "Hi", SAMPLING, {}, capabilities, schema=schema, json_object=json_object, attempt=0
        )
        assert set(orjson.loads(request.body)) <= set(RESERVED)
        assert set(orjson.loads(request.check_body)) <= set(RESERVED)


def test_other_fields_of_servers_are_accepted():
    assert errors("llm.extra_body", SENDABLE) == []


@pytest.mark.parametrize("name", ["messages ", "mеssages", "", "min p", "min_p\n", "🚀"])
def test_a_name_that_no_server_knows_is_refused(name):
    [line] = errors("llm.extra_body", {name: 1})
    assert "allowed: names of fields: ASCII letters, digits" in line


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (float("nan"), "a finite number"),
        (float("-inf"), "a finite number"),
        (2**63, "a number of at most 64 bits"),
        (b"bytes", "what JSON has"),
        ({1, 2}, "what JSON has"),
    ],
)
def test_a_value_that_json_does_not_have_is_refused_at_its_place(value, allowed):
    [line] = errors("plan.judge.llm.extra_body", {"a": {"b": [0, value]}})
    assert line.startswith("params.yaml: plan.judge.llm.extra_body.a.b.1: found ")
    assert f"allowed: {allowed}" in line


@pytest.mark.parametrize("name", ["api_key", "Authorization", "token"])
def test_a_secret_is_refused_by_the_name_of_its_field_and_not_shown(name):
    [line] = errors("llm.extra_body", {"options": {name: "tell nobody"}})
    assert line.startswith(
        f"params.yaml: llm.extra_body.options.{name}: found (not shown); allowed: no secrets"
    )
    assert "nobody" not in line


def test_a_body_is_looked_at_although_another_key_of_its_section_is_wrong(tmp_path):
    text, places = text_with(**{"llm.extra_body": "{n: 2}", "llm.max_retries": "-1"})
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadParams) as error:
        params.load(tmp_path / "params.yaml")
    assert [line.partition(": found")[0].split("/")[-1] for line in str(error.value).split("\n")] == [
        f"params.yaml:{places['llm.extra_body']}: llm.extra_body.n",
        f"params.yaml:{places['llm.max_retries']}: llm.max_retries",
    ]


def test_all_troubles_of_a_body_are_named_at_once():
    lines = errors("llm.extra_body", {"model": "m", "n": 2, "a": float("inf"), "b": {"secret": "x"}})
    assert [line.split(": ")[1] for line in lines] == [
        f"llm.extra_body.{key}" for key in ("model", "n", "a", "b.secret")
    ]
