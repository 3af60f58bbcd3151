import asyncio
import hashlib
import json
import sqlite3
from contextlib import closing

import pytest
from aiohttp import web

from longwriter.calls.answers import Answer, Usage
from longwriter.calls.replay import ReplayCache
from longwriter.endpoints.endpoint import origin
from longwriter.errors import ModelUnusable
from longwriter.io import files
from longwriter.llm import probing
from longwriter.llm.client import Endpoint, connect, takes
from longwriter.llm.probing import Capabilities
from longwriter.params import Sampling
from tests.chat_server import wire
from tests.chat_server.server import chat_server_thread
from tests.unit.llm.endpoint import PARAMS, SAMPLING, client, completion, ok, run, serving

PICKY = Sampling(temperature=0.8, max_tokens=9, top_p=None, repetition_penalty=1.1, stop=["."], seed=0)


def logged(folder):
    return [json.loads(line) for line in files.read_zstd_lines(folder / "calls.zst")]


async def capabilities(endpoint, cache, **fields):
    params = PARAMS.model_copy(update=fields)
    async with connect(endpoint, params, PICKY, cache, cache.with_suffix(".zst")) as llm:
        return llm.capabilities


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with chat_server_thread(tmp_path_factory.mktemp("server") / "requests.jsonl") as running:
        yield running


@pytest.mark.parametrize("is_local", [True, False])
def test_what_an_endpoint_honours_is_remembered(tmp_path, server, is_local):
    endpoint = Endpoint(server.url, "folder@1234", "none", is_local)
    before = len(server.requests("probe"))
    first = asyncio.run(capabilities(endpoint, tmp_path / "r.sqlite"))
    once = len(server.requests("probe"))
    assert asyncio.run(capabilities(endpoint, tmp_path / "r.sqlite")) == first
    assert first.json_schema
    assert first.repetition_penalty == "repetition_penalty"
    assert len(server.requests("probe")) == once > before


def test_what_an_endpoint_takes_is_logged_as_a_sentence(tmp_path, server, caplog):
    caplog.set_level("INFO")
    asyncio.run(capabilities(Endpoint(server.url, "m", "a-secret-key"), tmp_path / "r.sqlite"))
    lines = [record.getMessage() for record in caplog.records if record.name == "longwriter.llm.client"]
    assert lines == [
        f"m at {server.url}: finding out which settings it takes, by short requests",
        f"m at {server.url} takes: JSON schema, seed, temperature, stop, repetition_penalty; not: JSON mode",
    ]


@pytest.mark.parametrize(
    ("capabilities", "sentence"),
    [
        (
            probing.NONE,
            "takes: nothing of JSON schema, JSON mode, seed, temperature, stop, repetition penalty",
        ),
        (
            probing.NONE._replace(seed=True, stop=True, left_out=("top_p",)),
            "takes: seed, stop; not: JSON schema, JSON mode, temperature, repetition penalty; not sent: top_p",
        ),
    ],
)
def test_the_sentence_also_names_what_an_endpoint_does_not_take(capabilities, sentence):
    assert takes(capabilities) == sentence


@pytest.mark.parametrize("run", range(3))
def test_thirty_percent_faults_while_it_is_probed_do_not_change_what_an_endpoint_honours(tmp_path, run):
    flags = ("--faults", "0.3", "--probe-faults", "--fault", "hang=0", "--fault", "status_429=0")
    with chat_server_thread(tmp_path / "requests.jsonl", *flags) as faulty:
        result = asyncio.run(
            capabilities(Endpoint(faulty.url, f"m{run}", "none"), tmp_path / "r.sqlite", max_retries=6)
        )
    assert result == Capabilities(
        "max_tokens", json_schema=True, json_object=False, seed=True, temperature=True, stop=True,
        repetition_penalty="repetition_penalty",
    )  # fmt: skip


def test_a_key_never_shows():
    assert "secret" not in repr(Endpoint("http://127.0.0.1/v1", "m", "secret"))


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path):
    endpoint = Endpoint("http://ann:s3cret@127.0.0.1:9/v1", "m", "none")
    with pytest.raises(ModelUnusable, match="base_url holds a user or a password") as error:
        asyncio.run(capabilities(endpoint, tmp_path / "r.sqlite"))
    assert "s3cret" not in str(error.value)


def test_an_answer_is_returned_as_the_server_gave_it(tmp_path):
    (answer,), _, _ = run(tmp_path, [lambda: ok("潮\n", "length")], ["tell me"])
    assert answer == Answer(answer.call_id, "潮\n", "length", Usage(100, 0, 10), replayed=False, served="m")


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        (completion(None, "content_filter"), "", "content_filter"),
        (completion("", None), "", "unknown"),
        (completion() | {"choices": [{"message": {"content": None, "refusal": "I can't."}}]}, "I can't.", "unknown"),
        (completion() | {"choices": [{"message": {"content": "so", "reasoning_content": "hm"}}]}, "so", "unknown"),
    ],
)  # fmt: skip
def test_an_empty_answer_a_filtered_one_and_a_refusal_are_answers_and_reasoning_is_none(
    tmp_path, reply, text, finish
):
    (answer,), server, _ = run(tmp_path, [lambda: ok(**reply)], ["tell me"])
    assert (answer.text, answer.finish_reason, len(server.requests)) == (text, finish, 1)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 7}}, (9, 7, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5}, (9, 5, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}, (9, 0, 2)),
        (None, None),
        ("many", None),
    ],
)  # fmt: skip
def test_tokens_are_counted_as_each_provider_tells_them(tmp_path, usage, counts):
    (answer,), _, told = run(tmp_path, [lambda: ok(usage=usage)], ["tell me"])
    assert answer.usage == counts
    assert told["calls_uncounted"] == (counts is None)
    assert (told["prompt_tokens"], told["cached_tokens"], told["completion_tokens"]) == (counts or (0, 0, 0))


def test_a_stored_answer_is_replayed_by_the_next_client_and_is_in_its_log_too(tmp_path):
    first, server, _ = run(tmp_path, [lambda: ok("one")], ["tell me"])
    again, other, usage = run(tmp_path, [lambda: ok("two")], ["tell me"])
    assert again == [first[0]._replace(replayed=True)]
    assert (len(server.requests), len(other.requests)) == (1, 0)
    assert (usage["calls_sent"], usage["calls_replayed"], usage["prompt_tokens"]) == (0, 1, 100)
    (row,) = logged(tmp_path)
    assert (row["call_id"], row["replayed"], row["finish_reason"]) == (first[0].call_id, True, "stop")
    assert (row["answer"]["choices"][0]["message"]["content"], row["usage"]["prompt_tokens"]) == ("one", 100)
    assert (row["request"]["messages"][0]["content"], row["attempt"], row["model"]) == ("tell me", 0, "m")


ODD = {
    "usage as text": lambda: ok(usage={"prompt_tokens": "12", "completion_tokens": -1}),
    "usage beyond 64 bits": lambda: ok(usage={"prompt_tokens": 2**63, "completion_tokens": 2**70}),
    "a refusal as an object": lambda: ok(choices=[{"message": {"content": None, "refusal": {"code": 7}}}]),
    "a list of parts": lambda: ok(choices=[{"message": {"content": [{"type": "text", "text": "The "}, "sea."]}}]),
    "half a surrogate": lambda: ok("The \ud83d sea."),
    "NUL": lambda: ok("The \x00sea."),
    "only reasoning": lambda: ok(choices=[{"message": {"content": None, "reasoning_content": "The sea?"}}]),
    "thinking": lambda: ok("<think>The sea?</think>The sea."),
    "a number without end": lambda: web.Response(text=json.dumps(completion()).replace("100", "9" * 5000)),
    "lines": lambda: web.Response(text=json.dumps(completion("The sea."), indent=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_asked_once_and_read_alike_at_each_restart(tmp_path, name):
    first, server, usage = run(tmp_path, [ODD[name]], ["tell me"])
    again, other, replayed = run(tmp_path, [], ["tell me"])
    assert again == [first[0]._replace(replayed=True)]
    assert (len(server.requests), len(other.requests)) == (1, 0)
    assert usage["calls_uncounted"] == replayed["calls_uncounted"] == (first[0].usage is None)
    assert len(logged(tmp_path)) == 1


def test_each_attempt_is_a_request_of_its_own_and_json_mode_too(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            plain = [await llm.ask("tell me", SAMPLING, attempt=n) for n in (0, 1)]
            mode = await llm.ask("tell me", SAMPLING, json_object=True)
            shaped = await llm.ask("tell me", SAMPLING, schema={"type": "object"})
            return {a.call_id for a in (*plain, mode, shaped)}, server.requests

    ids, asked = asyncio.run(go())
    assert len(ids) == len(asked) == 4
    assert [body.get("response_format", {}).get("type") for body in asked] == [
        None, None, "json_object", "json_schema",
    ]  # fmt: skip


def test_a_request_from_before_json_mode_keeps_its_hash(tmp_path):
    (answer,), _, _ = run(tmp_path, [], ["tell me"])
    identity = (
        '{"attempt":0,"extra_body":{},"messages":[{"content":"tell me","role":"user"}],"model":"m","sampling":'
        '{"max_tokens":50,"repetition_penalty":null,"seed":0,"stop":[],"temperature":0.0,"top_p":null},'
        '"schema":null}'
    )
    assert answer.call_id == hashlib.sha256(identity.encode()).hexdigest()


def test_two_who_ask_the_same_at_once_share_one_request(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            server.delay_s = 0.05
            server.reply_with(lambda: ok("one"), lambda: ok("two"))
            answers = await asyncio.gather(*[llm.ask("tell me", SAMPLING) for _ in range(3)])
            return answers, len(server.requests), llm.usage()

    answers, asked, usage = asyncio.run(go())
    assert ([a.text for a in answers], asked) == (["one"] * 3, 1)
    assert (usage["calls_sent"], usage["calls_replayed"]) == (1, 2)


def test_no_more_requests_are_under_way_than_max_concurrency_says(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path, max_concurrency=3) as llm:
            server.delay_s = 0.02
            await asyncio.gather(*[llm.ask(f"tell {n}", SAMPLING) for n in range(12)])
            return server.most_open, len(server.requests)

    assert asyncio.run(go()) == (3, 12)


def test_what_was_sent_when_another_row_failed_still_ends_and_is_stored_and_the_rest_is_not_sent(tmp_path):
    async def go():
        async with serving() as server:
            server.delay_s = 0.3
            async with client(server, tmp_path, max_concurrency=2) as llm:
                tasks = [asyncio.create_task(llm.ask(f"tell {n}", SAMPLING)) for n in range(5)]
                await server.has_got(2)
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
            return server.requests, results

    asked, results = asyncio.run(go())
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert [body["messages"][0]["content"] for body in asked] == ["tell 0", "tell 1"]
    again, server, _ = run(tmp_path, [], ["tell 0", "tell 1"])
    assert ([answer.replayed for answer in again], server.requests) == ([True, True], [])


def test_a_full_disk_is_an_error_of_the_request(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            await llm.ask("tell 0", SAMPLING)
            with sqlite3.connect(tmp_path / "r.sqlite") as other:
                pages = other.execute("PRAGMA page_count").fetchone()[0]
            llm._cache._writer.execute(f"PRAGMA max_page_count = {pages}")
            server.reply_with(lambda: ok("long " * 200_000 + "".join(map(chr, range(0x4E00, 0x9F00)))))
            with pytest.raises(sqlite3.OperationalError, match="full"):
                await llm.ask("tell 1", SAMPLING)
            return await llm.ask("tell 0", SAMPLING)

    assert asyncio.run(go()).replayed


@pytest.mark.parametrize(
    ("there", "asked", "given"),
    [
        ({"json_schema": True, "json_object": True}, "auto", "json_schema"),
        ({"json_schema": True, "json_object": True}, "json_object", "json_object"),
        ({"json_object": True}, "auto", "json_object"),
        ({}, "auto", "lines"),
        ({"json_schema": True}, "lines", "lines"),
        ({"json_object": True}, "json_schema", None),
        ({"json_schema": True}, "json_object", None),
    ],
)
def test_the_answer_format_is_the_requested_one_or_the_strictest_that_is_honoured(
    tmp_path, there, asked, given
):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            llm.capabilities = llm.capabilities._replace(**there)
            return llm.answer_format(asked)

    if given is None:
        with pytest.raises(
            ModelUnusable, match=f"does not honour {asked}: set answer_format to auto or .*lines"
        ):
            asyncio.run(go())
    else:
        assert asyncio.run(go()) == given


def test_answers_stored_before_models_were_noted_are_replayed(tmp_path):
    (answer,), _, _ = run(tmp_path, [lambda: ok("old")], ["tell me"])
    with sqlite3.connect(tmp_path / "r.sqlite") as db:
        for column in ("model", "latency_s", "prompt_tokens", "completion_tokens"):
            db.execute(f"ALTER TABLE answers DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 0")
    db.close()
    again, server, _ = run(tmp_path, [], ["tell me", "tell more"])
    assert (again[0], len(server.requests)) == (answer._replace(replayed=True), 1)
    assert ReplayCache(tmp_path / "r.sqlite").get(again[1].call_id) is not None


def asked(folder, **fields):
    """Return the text of an answer of a fresh external server that says its own URL, and its requests."""

    async def go():
        async with serving() as server:
            server.reply_with(lambda: ok(server.url))
            async with client(server, folder, engine="external", **fields) as llm:
                answer = await llm.ask("tell me", SAMPLING)
                return answer, server.url, len(server.requests)

    return asyncio.run(go())


def test_two_endpoints_with_one_model_name_share_no_answer_and_have_the_same_call_ids(tmp_path):
    first, url, _ = asked(tmp_path)
    second, other_url, _ = asked(tmp_path)
    assert (first.text, second.text) == (url, other_url)
    assert first.call_id == second.call_id
    assert [row["endpoint"] for row in logged(tmp_path)] == [other_url.removesuffix("/v1")]


def test_an_endpoint_uses_the_answers_of_another_if_replay_as_says_so(tmp_path):
    first, url, _ = asked(tmp_path)
    second, _, requests = asked(tmp_path, replay_as=f"{url}/")
    assert (second.text, second.replayed, requests) == (first.text, True, 0)


def as_before_endpoints(folder):
    """Turn a cache into one of the version before keys held the endpoint."""
    (row,) = logged(folder)
    with sqlite3.connect(folder / "r.sqlite") as db:
        db.execute("UPDATE answers SET request_hash = ?", (row["call_id"],))
        db.execute("DROP TABLE owners")
        db.execute("PRAGMA user_version = 1")
    db.close()


def test_answers_stored_before_keys_held_the_endpoint_belong_to_the_first_that_asks(tmp_path):
    first, _, _ = asked(tmp_path)
    as_before_endpoints(tmp_path)
    second, url, requests = asked(tmp_path)
    assert (second.text, second.replayed, requests) == (first.text, True, 0)
    third, other_url, _ = asked(tmp_path)
    assert (third.text, third.replayed) == (other_url, False)
    again, _, requests = asked(tmp_path, replay_as=url)
    assert (again.text, requests) == (first.text, 0)


def test_an_external_model_with_the_name_of_a_local_one_has_its_own_answers(tmp_path):
    local, _, _ = run(tmp_path, [lambda: ok("local")], ["tell me"])
    external, url, _ = asked(tmp_path)
    assert (local[0].text, external.text) == ("local", url)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://Models.Example/v1", "https://models.example:443"),
        ("https://models.example:443/other/", "https://models.example:443"),
        ("http://models.example/v1", "http://models.example:80"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1", "http://::1:8000"),
        ("our-cluster", "our-cluster"),
    ],
)
def test_an_endpoint_is_its_scheme_host_and_port(url, key):
    assert origin(url) == key


def test_another_served_model_is_named_once_and_is_in_the_call_log(tmp_path, caplog):
    served = lambda: ok(model="m-2024-08-06", system_fingerprint="fp_1")  # noqa: E731
    run(tmp_path, [served] * 3, ["tell 0", "tell 1", "tell 2"])
    assert caplog.text.count("was asked for m and answered as m-2024-08-06") == 1
    rows = logged(tmp_path)
    assert {(row["model"], row["served_model"], row["system_fingerprint"]) for row in rows} == {
        ("m", "m-2024-08-06", "fp_1")
    }


def test_the_note_counts_the_tokens_of_the_answers_under_way(tmp_path):
    slots = [
        {"is_processing": True, "next_token": [{"n_decoded": 1200}]},
        {"is_processing": True, "next_token": [{"n_decoded": 34}]},
        {"is_processing": False, "next_token": [{"n_decoded": 500}]},
        {"is_processing": True},
    ]

    async def go():
        is_read = asyncio.Event()

        async def chat(request):
            await asyncio.wait_for(is_read.wait(), 60)
            return ok()

        async def page(request):
            return web.json_response(slots)

        async with wire.serving(chat, pages={"/slots": page}) as url:
            with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:
                cache.put_capabilities(probing.identity("m", PARAMS), probing.NONE._asdict())
            endpoint = Endpoint(url, "m", "none", is_local=True)
            places = tmp_path / "r.sqlite", tmp_path / "calls.zst"
            async with connect(endpoint, PARAMS, SAMPLING, *places) as llm, asyncio.timeout(60):
                asked = asyncio.create_task(llm.ask("tell me", SAMPLING))
                while "with" not in llm.note():
                    await asyncio.sleep(0.01)
                during = llm.note()
                is_read.set()
                await asked
                return during, llm.note()

    during, after = asyncio.run(go())
    assert during == "0 calls, 0 replayed, 0 tokens in (0 cached), 0 out, 1 under way with 1,234 tokens"
    assert after == "1 call, 0 replayed, 100 tokens in (0 cached), 10 out"
