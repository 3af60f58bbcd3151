"""The API and the page of `longwriter serve`, in front of a real model server."""

import json
import queue
import socket
import threading
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from longwriter import params
from longwriter.chat import web
from longwriter.llm.client import Endpoint
from longwriter.models import servers
from tests.serving import served

PARAMS = params.load()


def serving(models):
    """Serve models; the value is a context manager that yields the URL."""
    return served(web.app(models, PARAMS))


@pytest.fixture(scope="module")
def url(tiny_model, tmp_path_factory):
    """A server of one random model, `tiny`, and of one whose process is gone, `gone`."""
    serving_params = PARAMS.serving.model_copy(update={"max_concurrency": 2, "context_tokens": 512})
    copy = tmp_path_factory.mktemp("model")
    (copy / "model.gguf").symlink_to(
        tiny_model / "model.gguf"
    )  # a folder with a GGUF alone is served as it is
    local = servers.local(copy, copy, serving_params)
    gone = Endpoint("http://localhost/v1", "gone@0", "none", True, str(copy / "no.sock"))
    with (
        servers.serve(local, tmp_path_factory.mktemp("logs")) as endpoint,
        serving({"tiny": endpoint, "gone": gone}) as own,
    ):
        yield own


def test_an_openai_client_gets_an_answer_whole_and_as_a_stream(url):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    assert [model.id for model in client.models.list()] == ["tiny", "gone"]
    prompt = [{"role": "user", "content": "Say a word."}]
    whole = client.chat.completions.create(model="tiny", messages=prompt, max_tokens=5, seed=1)
    assert whole.usage.completion_tokens <= 5
    parts = list(
        client.chat.completions.create(model="tiny", messages=prompt, max_tokens=5, seed=1, stream=True)
    )
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == whole.choices[0].message.content != ""


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/chat/completions", b"{", 400, "the body is not JSON"),
        ("/v1/chat/completions", b"[" * 100_000, 400, "the body is not JSON"),
        ("/v1/chat/completions", b"[]", 400, "the body is not a JSON object"),
        ("/v1/chat/completions", b'{"model": "gpt-4o"}', 404, "no such model; this server has tiny, gone"),
        ("/v1/chat/completions", b'{"model": ["tiny"]}', 404, "no such model; this server has tiny, gone"),
        ("/v1/chat/completions", b'{"model": "tiny"}', 400, "messages: a list of"),
        (
            "/v1/chat/completions",
            b'{"model": "gone", "messages": [{"role": "user", "content": "x"}]}',
            503,
            "the model does not answer",
        ),
        (
            "/v1/chat/completions",
            b'{"model": "tiny", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
            400,
            "the body is not JSON: it has NaN",
        ),
        (
            "/v1/chat/completions",
            b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud800"}]}',
            400,
            "the body is not JSON: it has NaN",
        ),
        ("/measure", b'{"prompt": 1, "text": "x"}', 400, "prompt and text: two texts are needed"),
        ("/measure", b'"' + b"x" * 9_000_000 + b'"', 413, "the body is larger than"),
    ],
)
def test_a_bad_request_is_refused_in_words(url, path, body, status, message):
    reply = httpx2.post(f"{url}{path}", content=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, status)
    assert reply.json()["error"]["message"].startswith(message)


@contextmanager
def model_that(behaves, folder):
    """Serve, as the model `odd`, one connection by `behaves(connection, requests)`; yield the URL and the requests."""
    requests = queue.Queue()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "odd.sock"))
        listener.listen()
        thread = threading.Thread(target=lambda: behaves(listener.accept()[0], requests), daemon=True)
        thread.start()
        endpoint = Endpoint("http://localhost/v1", "odd@0", "none", True, str(folder / "odd.sock"))
        with serving({"odd": endpoint}) as own:
            yield own, requests
        thread.join(20)


BODY = {"model": "odd", "messages": [{"role": "user", "content": "x"}]}


def test_a_model_stops_when_the_client_of_a_whole_reply_goes_away(tmp_path):
    def never_answers(connection, requests):
        with connection:
            while piece := connection.recv(65536):
                requests.put(piece)
        requests.put(b"closed")

    with model_that(never_answers, tmp_path) as (own, requests):
        parts = urlsplit(own)
        with closing(socket.create_connection((parts.hostname, parts.port), timeout=120)) as browser:
            body = json.dumps(BODY)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            browser.sendall(
                f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            assert requests.get(timeout=120).startswith(b"POST")
        while (piece := requests.get(timeout=120)) != b"closed":
            assert b'"odd@0"' in piece


def test_a_model_that_dies_in_the_middle_of_a_stream_ends_it_with_an_error(tmp_path, caplog):
    def dies(connection, _):
        with connection:
            connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head + b"8\r\ndata: 1\n\r\n")

    with model_that(dies, tmp_path) as (own, _):
        reply = httpx2.post(f"{own}/v1/chat/completions", json={**BODY, "stream": True})
    assert reply.text.startswith("data: 1\ndata: ")
    assert json.loads(reply.text.splitlines()[1].removeprefix("data: ")) == {
        "error": {
            "message": "the model does not answer: see .lw/logs/chat",
            "type": "server_error",
            "code": 503,
        }
    }
    assert [record.levelname for record in caplog.records if record.exc_info] == []
    assert "odd@0 ended in the middle of an answer" in caplog.text


def test_the_page_loads_nothing_from_elsewhere_and_may_run_only_its_own_script(url):
    page = httpx2.get(f"{url}/", headers={"Sec-Fetch-Site": "none"})
    assert "side by side" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "://" not in page.text + httpx2.get(f"{url}/page.js").text + httpx2.get(f"{url}/page.css").text


def test_a_text_is_measured_against_its_prompt(url):
    body = {"prompt": "Write about rain in 4 words.", "text": "Rain falls on stones."}
    assert httpx2.post(f"{url}/measure", json=body).json() == {
        "words": 4,
        "required_words": 4,
        "length_score": 100.0,
    }
