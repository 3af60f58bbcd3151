"""A long answer is read in another process, while the event loop serves other requests."""

import asyncio
import json
import os
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from longwriter.calls import answers
from longwriter.calls.answers import NoCompletion
from longwriter.endpoints import reading
from longwriter.errors import Unavailable
from tests.unit.llm.endpoint import SAMPLING, client, completion, serving

LONG = json.dumps(completion("<" * 2_000_000)).encode()


def process_of(size):
    return asyncio.run(reading.run_by_size(size, os.getpid))


def cpu_s(process):
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def test_only_a_long_answer_is_read_in_another_process_and_always_in_the_same():
    assert process_of(100) == os.getpid()
    assert process_of(100_000) == process_of(8_000) != os.getpid()
    assert psutil.Process(process_of(8_000)).ppid() == os.getpid()


def test_an_exception_of_the_other_process_is_raised_here():
    with pytest.raises(NoCompletion, match="a web page"):
        asyncio.run(reading.run_in_process(answers.read, b"<html>"))
    assert process_of(8_000) != os.getpid()


def test_after_the_other_process_was_killed_a_new_one_starts_with_the_next_answer():
    first = process_of(8_000)
    with pytest.raises(Unavailable, match="the system killed the process that reads answers"):
        asyncio.run(reading.run_in_process(os._exit, 1))
    second = process_of(8_000)
    assert second not in (first, os.getpid())
    assert not psutil.pid_exists(first)


def test_a_fork_starts_a_process_of_its_own(tmp_path):
    mine, result = process_of(8_000), tmp_path / "process"
    child = os.fork()
    if not child:
        try:
            result.write_text(str(process_of(8_000)))
            reading._READER.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(result.read_text()) not in (mine, child)
    assert process_of(8_000) == mine


def test_calls_of_many_tasks_get_their_own_results():
    async def go():
        return await asyncio.gather(*[reading.run_in_process(divmod, number, 7) for number in range(50)])

    assert asyncio.run(go()) == [divmod(number, 7) for number in range(50)]


def test_calls_that_come_together_share_messages_and_each_raises_only_its_own_exception():
    async def go():
        calls = [reading.run_in_process(divmod, 7, number % 2) for number in range(40)]
        return await asyncio.gather(*calls, return_exceptions=True)

    reader = psutil.Process(process_of(8_000))
    before = reader.io_counters().read_count
    results = asyncio.run(go())
    reads = reader.io_counters().read_count - before
    assert [str(result) for result in results] == ["integer division or modulo by zero", "(7, 0)"] * 20
    assert reads < 20  # two a message: the first call may go alone, then up to 32 in each


def test_the_next_message_reaches_the_process_while_it_works_on_the_first(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def go():
        calls = [reading.run_in_process(divmod, number, 7) for number in range(100)]
        return await asyncio.gather(reading.run_in_process(Path.read_text, pipe), *calls)

    process = psutil.Process(process_of(8_000))
    before = process.io_counters().read_count
    results = []
    caller = threading.Thread(target=lambda: results.extend(asyncio.run(go())))
    caller.start()
    while process.io_counters().read_count < before + 4:  # two a message
        time.sleep(0.01)
    pipe.write_text("read")
    caller.join()
    assert results == ["read", *[divmod(number, 7) for number in range(100)]]


def test_a_call_that_cannot_be_sent_leaves_the_others_their_results():
    async def go():
        first = [reading.run_in_process(divmod, number, 7) for number in range(64)]
        bad = reading.run_in_process(len, [lambda: None])
        return await asyncio.gather(*first, bad, return_exceptions=True)

    *results, error = asyncio.run(go())
    assert results[:32] == [divmod(number, 7) for number in range(32)]
    assert "pickle" in str(error)
    assert asyncio.run(reading.run_in_process(divmod, 9, 7)) == (1, 2)


def test_the_process_can_be_prepared_before_the_first_call(tmp_path):
    here = str(Path.cwd())
    reading.begin(partial(os.chdir, tmp_path))
    assert asyncio.run(reading.run_in_process(os.getcwd)) == str(tmp_path)
    reading.begin(partial(os.chdir, here))
    reading.begin(partial(divmod, 1, 0))  # a call that needs what failed here raises the exception itself
    assert asyncio.run(reading.run_in_process(os.getcwd)) == here


def test_a_call_that_is_cancelled_leaves_the_others_their_results():
    async def go():
        calls = [asyncio.create_task(reading.run_in_process(divmod, number, 7)) for number in range(10)]
        await asyncio.sleep(0)
        calls[4].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(go())
    assert isinstance(results.pop(4), asyncio.CancelledError)
    assert results == [divmod(number, 7) for number in range(10) if number != 4]
    assert asyncio.run(reading.run_in_process(divmod, 9, 7)) == (1, 2)


def test_an_answer_of_two_megabytes_and_its_replay_are_read_in_the_other_process(tmp_path):
    reader = process_of(8_000)

    async def go():
        async with serving() as server:
            server.reply_with(lambda: web.Response(body=LONG, content_type="application/json"))
            async with client(server, tmp_path, timeout_s=60) as llm:
                times_s, texts = [cpu_s(reader)], []
                for _ in range(2):
                    texts.append((await llm.ask("tell me", SAMPLING)).text)
                    times_s.append(cpu_s(reader))
                return times_s, texts

    times_s, texts = asyncio.run(go())
    assert [len(text) for text in texts] == [2_000_000, 2_000_000]
    assert times_s[0] < times_s[1] < times_s[2]  # reading takes some tenths of a second
