import asyncio
import inspect
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from longwriter.endpoints import limits
from longwriter.errors import ModelUnusable
from longwriter.llm.requests import estimated_tokens
from tests.unit.llm.endpoint import PARAMS

TAKER = """
import asyncio, sys
from pathlib import Path
from longwriter.endpoints import limits
from longwriter.params import LLMParams

PASSES

async def go():
    params = LLMParams.model_validate_json(sys.argv[3])
    async with limits.open_limits(params, sys.argv[2], Path(sys.argv[1])) as limit:
        for taken in range(99):
            if not await passes(limit, 1):
                return taken

limits._MINUTE_MS = 900_000  # a slow machine may take more than a minute for the others
print(asyncio.run(go()))
"""


async def passes(limit, size):
    """Tell whether a reservation passes while the event loop turns forty times, which takes two seconds or more.

    A busy machine makes the turns longer too.
    """
    task = asyncio.create_task(limit.reserve(size))
    for _ in range(40):
        done, _ = await asyncio.wait([task], timeout=0.05)
        if done:
            await task
            return True
    task.cancel()
    return False


def granted(folder, sizes, **changed):
    """Return how many reservations of these sizes pass before one has to wait."""

    async def go():
        params = PARAMS.model_copy(update=changed)
        passed = 0
        async with limits.open_limits(params, "here m", folder) as limit:
            for size in sizes:
                if not await passes(limit, size):
                    break
                passed += 1
        return passed

    return asyncio.run(go())


def test_processes_that_ask_one_endpoint_share_its_limit_and_others_do_not(tmp_path):
    params = PARAMS.model_copy(update={"requests_per_minute": 30}).model_dump_json()

    def taker(endpoint):
        command = [
            sys.executable,
            "-c",
            TAKER.replace("PASSES", inspect.getsource(passes)),
            str(tmp_path),
            endpoint,
            params,
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    takers = [taker("one"), taker("one"), taker("other")]
    taken = [int(one.communicate(timeout=600)[0]) for one in takers]
    assert (taken[0] + taken[1], taken[2]) == (30, 30)


def test_no_more_requests_than_the_limit_pass_in_a_minute(tmp_path):
    assert granted(tmp_path, [1] * 9, requests_per_minute=5) == 5
    assert granted(tmp_path, [1] * 9, requests_per_minute=5) == 0  # the next process, in the same minute


@pytest.mark.parametrize(
    ("limit", "sizes", "passed"),
    [
        (1000, [400, 400, 400], 2),
        (1000, [1000, 1], 1),
        (1_000_001, [400_000] * 3, 2),
        (2_000_000, [100_001] * 30, 19),  # counted in pieces of 1,000, upwards
    ],
)
def test_no_more_tokens_than_the_limit_pass_in_a_minute(tmp_path, limit, sizes, passed):
    assert granted(tmp_path, sizes, tokens_per_minute=limit) == passed


def test_a_request_that_no_minute_has_room_for_is_refused_and_one_of_just_a_minute_is_not(tmp_path):
    with pytest.raises(ModelUnusable, match=r"1,001 tokens .* larger than llm\.tokens_per_minute 1,000"):
        granted(tmp_path, [1001], tokens_per_minute=1000)
    assert granted(tmp_path, [123_456], tokens_per_minute=123_456) == 1


def test_without_a_limit_nothing_is_counted_and_no_file_is_made(tmp_path):
    assert granted(tmp_path / "limits", [10**9] * 3) == 3
    assert not (tmp_path / "limits").exists()


def test_waiting_is_over_when_the_minute_is(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_MINUTE_MS", 1500)
    began = time.monotonic()
    assert granted(tmp_path, [1], requests_per_minute=1) == 1

    async def go():
        params = PARAMS.model_copy(update={"requests_per_minute": 1})
        async with limits.open_limits(params, "here m", tmp_path) as limit:
            await limit.reserve(1)

    asyncio.run(go())
    assert 1.4 < time.monotonic() - began < 50  # a real minute takes 60


@pytest.mark.parametrize(
    ("prompt", "tokens"), [("", 58), ("a" * 400, 158), ("潮" * 400, 358), ("\ud83d", 58)]
)
def test_tokens_are_estimated_from_bytes_and_all_that_the_answer_may_take_is_added(prompt, tokens):
    assert estimated_tokens(prompt, 50) == tokens


def recorded(folder):
    (file,) = folder.glob("*-requests.sqlite")
    return file


def test_a_clock_that_was_moved_back_stops_no_request(tmp_path):
    assert granted(tmp_path, [1, 1], requests_per_minute=2) == 2
    with closing(sqlite3.connect(recorded(tmp_path))) as db:
        db.execute("UPDATE rate_bucket SET item_timestamp = item_timestamp + 86400000")  # sent "tomorrow"
        db.commit()
    assert granted(tmp_path, [1, 1, 1], requests_per_minute=2) == 2


def test_what_was_sent_a_few_seconds_ahead_still_counts(tmp_path):
    assert granted(tmp_path, [1, 1], requests_per_minute=2) == 2
    with closing(sqlite3.connect(recorded(tmp_path))) as db:
        db.execute("UPDATE rate_bucket SET item_timestamp = item_timestamp + 5000")
        db.commit()
    assert granted(tmp_path, [1], requests_per_minute=2) == 0


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_record_of_the_last_minute_is_set_aside(tmp_path, caplog, content):
    assert granted(tmp_path, [1], requests_per_minute=2) == 1
    file = recorded(tmp_path)
    for path in tmp_path.glob(f"{file.name}-*"):
        path.unlink()
    file.write_bytes(content)
    assert granted(tmp_path, [1, 1, 1], requests_per_minute=2) == 2
    [line] = [message for message in caplog.messages if "damaged" in message]
    assert str(file) in line
    assert [path.read_bytes() for path in tmp_path.glob("*.damaged-*Z")] == [content]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".lock"])
def test_a_folder_in_the_place_of_a_file_beside_the_record_is_set_aside_and_no_request_is_forgotten(
    tmp_path, suffix
):
    assert granted(tmp_path, [1], requests_per_minute=2) == 1
    file = recorded(tmp_path)
    beside = file.with_name(file.name + suffix)
    beside.unlink(missing_ok=True)
    beside.mkdir()
    assert granted(tmp_path, [1, 1], requests_per_minute=2) == 1
    assert list(tmp_path.glob(f"{beside.name}.damaged-*Z"))
