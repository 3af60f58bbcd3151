import asyncio
import base64
import json
import sqlite3
from contextlib import closing

import pytest

from longwriter.calls import answers
from longwriter.calls import call_log as calls
from longwriter.calls.replay import ReplayCache
from longwriter.io import files
from longwriter.text.basics.prompts import Refused
from tests.unit.llm.endpoint import call, completion


def keep(folder, *given):
    """Return (what came of keeping each call, all at once; the lines of the log)."""

    async def go():
        with closing(ReplayCache(folder / "r.sqlite")) as cache:
            async with calls.open_store(cache, folder / "calls.zst") as store:
                return await asyncio.gather(*[store.keep(one) for one in given], return_exceptions=True)

    came = asyncio.run(go())
    return came, [json.loads(line) for line in files.read_zstd_lines(folder / "calls.zst")]


def test_a_call_is_in_the_cache_with_its_numbers_and_in_the_log_when_it_is_handed_out(tmp_path):
    (kept,), (row,) = keep(tmp_path, call("a", "潮\u2028\n🌊"))
    assert kept == call("a", "潮\u2028\n🌊")
    assert ReplayCache(tmp_path / "r.sqlite").get("a") == (kept.completion, 0.25)
    assert (row["call_id"], row["request"], row["answer"]) == ("a", kept.request, completion("潮\u2028\n🌊"))
    with closing(sqlite3.connect(tmp_path / "r.sqlite")) as db:
        numbers = db.execute(
            "SELECT model, latency_s, prompt_tokens, completion_tokens FROM answers"
        ).fetchall()
    assert numbers == [("m", 0.25, 100, 10)]


def test_hundreds_of_calls_at_once_are_all_kept_in_their_order(tmp_path):
    given = [call(str(n), str(n)) for n in range(3000)]
    came, rows = keep(tmp_path, *given)
    assert came == given
    assert [row["call_id"] for row in rows] == [str(n) for n in range(3000)]
    assert ReplayCache(tmp_path / "r.sqlite").get("2999").completion.text == "2999"


def test_a_replayed_call_is_logged_and_not_stored(tmp_path):
    _, rows = keep(tmp_path, call("a", replayed=True))
    assert [row["replayed"] for row in rows] == [True]
    assert ReplayCache(tmp_path / "r.sqlite").get("a") is None


def test_where_another_process_was_first_its_answer_is_handed_out_and_logged(tmp_path):
    keep(tmp_path, call("a", "first"))
    (kept,), (row,) = keep(tmp_path, call("a", "second"))
    assert kept == call("a", "first", replayed=True)
    assert (row["answer"], row["replayed"]) == (completion("first"), True)


def test_an_answer_that_cannot_be_stored_is_an_error_of_its_callers_and_the_next_one_works(tmp_path):
    async def go():
        with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:
            async with calls.open_store(cache, tmp_path / "calls.zst") as store:
                bad = call("a")._replace(request={"model": None, "attempt": 0})
                with pytest.raises(sqlite3.IntegrityError):
                    await store.keep(bad)
                return await store.keep(call("b"))

    assert asyncio.run(go()) == call("b")


def test_an_answer_that_came_before_the_end_is_stored_even_if_no_task_waits(tmp_path):
    async def go():
        with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:
            async with calls.open_store(cache, tmp_path / "calls.zst") as store:
                task = asyncio.create_task(store.keep(call("a")))
                await asyncio.sleep(0)
                task.cancel()

    asyncio.run(go())
    assert ReplayCache(tmp_path / "r.sqlite").get("a").completion.text == "yes"


def test_why_answers_were_not_used_is_written_beside_the_log(tmp_path):
    async def go(name, refusals):
        with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:
            async with calls.open_store(cache, tmp_path / name) as store:
                store.refusals.update(refusals)

    asyncio.run(go("calls.jsonl.zst", {"a": Refused("loop", "60 % 潮")}))
    asyncio.run(go("other_calls.jsonl.zst", {}))
    (line,) = files.read_zstd_lines(tmp_path / "refusals.jsonl.zst")
    assert json.loads(line) == {"call_id": "a", "reason": "loop", "detail": "60 % 潮"}
    assert not (tmp_path / "other_refusals.jsonl.zst").exists()


ODD = [
    b'{"choices": [{"message": {"content": "half \\ud83d"}}], "x": NaN}',
    b'{\n "choices": [\r\n{"message": {"content": "in lines"}}]}',
    b'{"choices": [{"message": {"content": "bytes \xff\xfe"}}]}',
    b' {"choices":[{"message":{"content":"a,\\"latency_s\\":9}"}}],"usage":{"prompt_tokens":1e3},"n":18446744073709551616}',
]


@pytest.mark.parametrize("body", ODD)
def test_the_body_of_a_reply_is_stored_and_logged_byte_for_byte(tmp_path, body):
    odd = call("a")._replace(completion=answers.read(body))
    with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:

        async def go():
            async with calls.open_store(cache, tmp_path / "calls.zst") as store:
                return await store.keep(odd)

        assert asyncio.run(go()) == odd
        assert cache.get("a") == (odd.completion, 0.25)
    (line,) = files.read_zstd_lines(tmp_path / "calls.zst")
    row = json.loads(line)
    if row["answer"] is not None:
        assert body.decode() in line
    elif "body" in row:
        assert row["body"].encode() == body
    else:
        assert base64.b64decode(row["body_base64"]) == body


def test_the_log_names_the_model_that_answered(tmp_path):
    _, (row,) = keep(tmp_path, call("a"))
    assert (row["model"], row["served_model"]) == ("m", "m")


def test_a_token_in_extra_body_is_masked_in_the_log_and_texts_are_not(tmp_path):
    secret = call("a")
    secret.request["extra_body"] = {"provider": {"apiKey": "abc-123"}, "min_p": 0.1, "max_tokens": 5}
    secret.request["messages"] = ["my token: abc"]
    _, (row,) = keep(tmp_path, secret)
    assert row["request"]["extra_body"] == {"provider": {"apiKey": "***"}, "min_p": 0.1, "max_tokens": 5}
    assert row["request"]["messages"] == ["my token: abc"]
    assert secret.request["extra_body"]["provider"] == {"apiKey": "abc-123"}  # what is sent stays
