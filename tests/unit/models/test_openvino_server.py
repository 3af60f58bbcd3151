"""The server of the engine openvino, as a process with a model of 100 kB that writes nonsense."""

import json
import threading

import httpx2
import pytest

from longwriter.models import servers
from longwriter.params import LLMParams
from tests.unit.models.test_servers import LOCAL

URL = "http://localhost/v1/chat/completions"


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    """Return a function that sends a request to a server and returns its reply."""
    folder = tmp_path_factory.mktemp("openvino")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own = LOCAL | {"engine": "openvino", "precision": "F16", "model": str(tiny_model)}
        params = LLMParams.model_validate(own)
        with servers.serve(params, folder) as endpoint:
            transport = httpx2.HTTPTransport(uds=endpoint.socket)
            with httpx2.Client(transport=transport, timeout=120) as client:
                yield client, endpoint


def ask(model, text="Say yes.", **fields):
    """Return the status and the JSON of a reply; at most 12 tokens."""
    client, endpoint = model
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": text}], "max_tokens": 12}
    reply = client.post(URL, json=body | fields)
    return reply.status_code, reply.json()


def answer(model, *texts, **fields):
    status, body = ask(model, *texts, **fields)
    assert status == 200, body
    return body["choices"][0]["message"]["content"]


def test_an_answer_has_text_reason_and_usage(model):
    _, body = ask(model, temperature=0)
    [choice] = body["choices"]
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 12
    assert body["usage"]["total_tokens"] == 12 + body["usage"]["prompt_tokens"]
    assert body["model"].endswith("-openvino")


def test_a_seed_repeats_an_answer_and_another_one_does_not(model):
    first = answer(model, seed=1, temperature=1.5)
    assert answer(model, seed=1, temperature=1.5) == first
    assert answer(model, seed=2, temperature=1.5) != first
    assert len({answer(model, temperature=1.5) for _ in range(3)}) > 1  # without a seed


def test_an_answer_ends_before_the_first_of_its_stops(model):
    whole = answer(model, temperature=0)
    stops = [whole[3:5], whole[5:7]]
    _, body = ask(model, temperature=0, stop=stops)
    assert body["choices"][0]["message"]["content"] == whole[: min(whole.index(stop) for stop in stops)]
    assert body["choices"][0]["finish_reason"] == "stop"


def test_pieces_of_a_stream_are_the_answer_and_never_show_a_stop(model):
    client, endpoint = model
    whole = answer(model, temperature=0)
    for stop, text in ((None, whole), (whole[4:7], whole[: whole.index(whole[4:7])])):
        body = {"model": endpoint.model, "messages": [{"role": "user", "content": "Say yes."}]}
        body |= {"max_tokens": 12, "temperature": 0, "stream": True, "stop": stop}
        lines = client.post(URL, json=body).text.split("\n\n")
        events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
        assert lines[-2:] == ["data: [DONE]", ""]
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == text
        assert events[-1]["choices"][0]["finish_reason"] == ("stop" if stop else "length")


def test_an_answer_follows_its_schema(model):
    parts = {"a": {"enum": ["tide", "ebb"]}, "n": {"type": "integer", "minimum": 7, "maximum": 12}}
    own = {"type": "object", "properties": parts, "required": ["a", "n"]}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": own}}
    value = json.loads(answer(model, response_format=schema, max_tokens=40))
    assert value["a"] in ("tide", "ebb")
    assert 7 <= value["n"] <= 12


def test_an_answer_follows_a_schema_that_has_no_grammar_of_ours(model):
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"anyOf": [{"const": "tide"}]}}}
    assert json.loads(answer(model, response_format=schema)) == "tide"


def test_a_schema_that_cannot_be_used_is_refused_and_all_others_are_answered(model):
    whole = answer(model, temperature=0, max_tokens=100)
    others = []
    threads = [
        threading.Thread(target=lambda: others.append(answer(model, temperature=0, max_tokens=100)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "tide"}}}
    status, body = ask(model, response_format=schema)
    for thread in threads:
        thread.join()
    assert status == 400
    assert "response_format cannot be used" in body["error"]["message"]
    assert others == [whole, whole]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": []}, "tools"),
        ({"messages": [{"role": "user", "content": ""}] * 3_000}, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 200}]}, "the context has 256"),
    ],
)
def test_a_request_that_cannot_be_answered_as_it_says_is_refused(model, fields, words):
    status, body = ask(model, **fields)
    assert status == 400
    assert words in body["error"]["message"]


def test_an_answer_ends_where_the_context_ends(model):
    _, body = ask(model, temperature=1.5, max_tokens=4000, seed=3, frequency_penalty=2)
    assert body["usage"]["total_tokens"] <= 256


def test_an_answer_that_nobody_waits_for_is_no_longer_written(model):
    client, endpoint = model
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": "Say yes."}], "stream": True}
    with client.stream("POST", URL, json=body) as reply:
        next(reply.iter_bytes())
    assert answer(model)
    assert client.get("http://localhost/slots").json() == []
