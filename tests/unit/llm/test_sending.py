"""Every fault of an LLM API, over a real socket."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate

import pytest
from aiohttp import web

from longwriter.endpoints.endpoint import Endpoint
from longwriter.endpoints.transport import wait_s
from longwriter.errors import EndpointUnavailable, ModelUnusable, NoAnswer
from longwriter.io import progress
from tests.unit.llm.endpoint import (
    KEY,
    SAMPLING,
    client,
    completion,
    cut_short,
    drip,
    no_http,
    ok,
    reset,
    serving,
    status,
)

PASSING = {
    **{f"status {code}": lambda code=code: status(code) for code in (408, 409, 429, 500, 502, 503, 504, 529)},
    "reset": lambda: reset,
    "cut short": lambda: cut_short,
    "no HTTP": lambda: no_http,
    "too slow": lambda: drip,
    "half a JSON": lambda: web.Response(text='{"choices": [{"mess', content_type="application/json"),
    "no bytes": lambda: web.Response(text="", content_type="application/json"),
    "a page": lambda: web.Response(text="<html>Please log in</html>", content_type="text/html"),
    "an error with 200": lambda: web.json_response({"error": {"message": "overloaded", "code": 502}}),
    "no choices": lambda: web.json_response(completion() | {"choices": []}),
    "null choices": lambda: web.json_response(completion() | {"choices": None}),
    "choices and an error": lambda: web.json_response(completion("half") | {"error": {"message": "gone"}}),
    "no message": lambda: web.json_response(completion() | {"choices": [{"finish_reason": "stop"}]}),
    "a failed choice": lambda: ok("half", "error"),
    "a number for a text": lambda: web.json_response(completion() | {"choices": [{"message": {"content": 1}}]}),
    "a list": lambda: web.json_response([completion()]),
}  # fmt: skip


def ask(folder, *replies, down=False, prompts=("tell me",), **changed):
    """Return (what came of each prompt, asked one after the other; the server; usage)."""

    async def go():
        async with serving() as server:
            server.reply_with(*replies)
            async with client(server, folder, **changed) as llm:
                server.all_down = down
                came = []
                for prompt in prompts:
                    came += await asyncio.gather(llm.ask(prompt, SAMPLING), return_exceptions=True)
                return came, server, llm.usage()

    return asyncio.run(go())


def test_every_passing_fault_is_requested_again_and_never_becomes_a_text(tmp_path):
    async def go():
        async with serving() as server:
            server.once = dict(PASSING)
            async with client(server, tmp_path, max_concurrency=99, timeout_s=5) as llm:
                prompts = [f"tell {name}" for name in PASSING]
                return await asyncio.gather(*[llm.ask(p, SAMPLING) for p in prompts]), server, llm.usage()

    answers, server, usage = asyncio.run(go())
    assert {name: answer.text for name, answer in zip(PASSING, answers, strict=True)} == dict.fromkeys(
        PASSING, "yes"
    )
    asked = [body["messages"][0]["content"] for body in server.requests]
    assert {name: asked.count(f"tell {name}") for name in PASSING} == dict.fromkeys(PASSING, 2)
    assert (usage["calls_sent"], usage["calls_retried"]) == (len(PASSING), len(PASSING))


def test_a_server_that_asks_to_wait_is_waited_for(tmp_path):
    began = time.monotonic()
    (answer,), server, _ = ask(tmp_path, lambda: status(429, Retry_After="2"))
    assert (answer.text, len(server.requests)) == ("yes", 2)
    assert time.monotonic() - began >= 2


def test_a_retry_is_the_same_request(tmp_path):
    _, server, _ = ask(tmp_path, lambda: status(500, retry_after_ms="1"))
    assert server.requests[0] == server.requests[1]


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": formatdate(NOW + 120, usegmt=True)}, 120.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=-5))}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_wait_is_what_the_server_asks_for_in_each_of_its_forms(headers, seconds):
    assert wait_s(headers, NOW) == seconds


def test_a_long_wait_is_logged(tmp_path, caplog):
    async def go():
        async with serving() as server:
            server.reply_with(lambda: status(429, "slow down", Retry_After="600"))
            async with client(server, tmp_path) as llm:
                task = asyncio.create_task(llm.ask("tell me", SAMPLING))
                while not caplog.text:
                    await asyncio.sleep(0.01)
                task.cancel()

    with caplog.at_level(logging.WARNING):
        began = time.monotonic()
        asyncio.run(go())
    assert "asked to wait 600 s: answered 429: slow down" in caplog.text
    assert time.monotonic() - began < 300  # who waits to send again is not waited for


@pytest.mark.parametrize("code", [429, 503])
def test_a_wait_of_more_than_a_quarter_of_an_hour_ends_the_stage_at_once(tmp_path, code):
    (error,), server, _ = ask(tmp_path, lambda: status(code, "quota of today", Retry_After="86400"))
    assert isinstance(error, EndpointUnavailable)
    assert f"/v1 answered {code}: quota of today. It asks to wait 86,400 s: run again" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 405])
def test_a_wrong_key_or_model_is_fatal_at_once_and_the_key_is_not_shown(tmp_path, code):
    (error,), server, _ = ask(tmp_path, lambda: status(code, f"key {KEY} may not use model m"))
    assert isinstance(error, ModelUnusable)
    assert f"/v1 answered {code}: key (key) may not use model m. Check llm.model" in str(error)
    assert len(server.requests) == 1


def test_a_key_at_the_end_of_a_long_message_is_not_shown_in_part():
    words = Endpoint(None, "m", KEY).quote("x" * 295 + KEY)
    assert words == "x" * 295 + "(key)"


@pytest.mark.parametrize("code", [400, 413, 422])
def test_one_refused_request_is_no_answer_and_others_go_on(tmp_path, code):
    too_long = lambda: status(code, "context length exceeded")  # noqa: E731
    (error, answer), server, _ = ask(tmp_path, too_long, prompts=["tell 0", "tell 1"])
    assert isinstance(error, NoAnswer)
    assert (str(error), error.reason, error.exit_code) == (
        f"answered {code}: context length exceeded", "request_refused", 2,
    )  # fmt: skip
    assert (answer.text, len(server.requests)) == ("yes", 2)


def test_a_request_that_fails_where_another_is_answered_is_no_answer(tmp_path):
    failing = [lambda: status(500, "a poisoned prompt", retry_after_ms="1")] * 3
    (error, answer), server, usage = ask(tmp_path, *failing, prompts=["tell 0", "tell 1"])
    assert isinstance(error, NoAnswer)
    assert (error.reason, error.exit_code) == ("request_failed", 75)
    assert (
        str(error) == "answered 500: a poisoned prompt (after 2 retries, while other requests are answered)"
    )
    assert (answer.text, len(server.requests), usage["calls_retried"]) == ("yes", 4, 2)


def test_an_endpoint_that_answers_nobody_is_down_and_is_not_asked_again(tmp_path):
    (first, second), _, _ = ask(tmp_path, down=True, prompts=["tell 0", "tell 1"], max_retries=0)
    assert isinstance(first, EndpointUnavailable)
    assert "/v1 answered 503: down for good (after 3 retries): check its address in params.yaml" in str(first)
    assert isinstance(second, EndpointUnavailable)
    assert str(second) == str(first)


def test_every_waiting_caller_gets_the_error_when_the_endpoint_goes_down(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path, max_retries=1) as llm:
            server.all_down = True
            asks = [llm.ask(f"tell {n}", SAMPLING) for n in range(6)]
            return await asyncio.gather(*asks, return_exceptions=True)

    assert [type(came) for came in asyncio.run(go())] == [EndpointUnavailable] * 6


def test_nothing_listens(tmp_path):
    async def go():
        async with serving() as server:
            pass
        async with client(server, tmp_path, engine="external", max_retries=0):
            pytest.fail("it cannot be reached")

    with pytest.raises(EndpointUnavailable, match=r"cannot be reached .*check its address in params.yaml"):
        asyncio.run(go())


def test_an_endpoint_that_refuses_every_request_says_so_before_the_work(tmp_path):
    async def go():
        async with serving() as server:
            server.refuses = "unknown tenant"
            async with client(server, tmp_path, engine="external"):
                pytest.fail("it answers nothing")

    with pytest.raises(ModelUnusable, match="refuses every request: answered 400: unknown tenant"):
        asyncio.run(go())


def test_a_model_that_wants_another_field_for_max_tokens_gets_it(tmp_path):
    async def go():
        async with serving() as server:
            server.refused_field = "max_tokens"
            async with client(server, tmp_path, engine="external") as llm:
                await llm.ask("tell me", SAMPLING)
                return llm.capabilities.tokens_field, server.requests

    field, (body,) = asyncio.run(go())
    assert (field, body["max_completion_tokens"], "max_tokens" in body) == (
        "max_completion_tokens",
        50,
        False,
    )


POLICY = "This deployment takes no such request (request id 7f3c2a1e-0{n:02d}-4b)"


def refused(n):
    return lambda: status(400, POLICY.format(n=n))


def test_the_same_refusal_of_ten_rows_in_a_row_ends_the_stage_and_rejects_none_of_the_others(tmp_path):
    prompts = [f"tell {n}" for n in range(20)]
    results, server, _ = ask(tmp_path, ok, *[refused(n) for n in range(20)], prompts=prompts)
    assert [type(result).__name__ for result in results] == (
        ["Answer"] + ["NoAnswer"] * 9 + ["ModelUnusable"] * 10
    )
    assert len(server.requests) == 11
    assert "refused 10 different rows in a row with the same message, so the cause is not these rows" in str(
        results[-1]
    )
    assert "This deployment takes no such request" in str(results[-1])


@pytest.mark.parametrize("between", [[ok], [lambda: status(400, "max_tokens is below 1")]])
def test_an_answer_or_another_refusal_between_them_shows_that_it_is_the_rows(tmp_path, between):
    nine = [refused(n) for n in range(9)]
    prompts = [f"tell {n}" for n in range(19)]
    results, _, _ = ask(tmp_path, *nine, *between, *nine, prompts=prompts)
    assert ModelUnusable not in {type(result) for result in results}


def test_rows_that_are_too_long_are_refused_one_by_one(tmp_path):
    too_long = lambda: status(400, "the request exceeds the available context size")  # noqa: E731
    results, _, _ = ask(tmp_path, *[too_long] * 12, prompts=[f"tell {n}" for n in range(13)])
    assert [type(result).__name__ for result in results] == ["NoAnswer"] * 12 + ["Answer"]


def test_many_refused_requests_of_one_row_are_one_row(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            server.reply_with(*[refused(n) for n in range(15)])

            async def paragraphs(topic):
                asks = [llm.ask(f"tell {topic} {n}", SAMPLING) for n in range(5)]
                return await asyncio.gather(*asks, return_exceptions=True)

            return await progress.each(["lamps", "boats", "rivers"], paragraphs, "write")

    results = [result for row in asyncio.run(go()) for result in row]
    assert {type(result) for result in results} == {NoAnswer}
