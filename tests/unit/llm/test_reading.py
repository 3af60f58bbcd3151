"""A long answer is read while the event loop serves other requests."""

import asyncio
import json
import threading
import time

from aiohttp import web

from longwriter.llm import reading
from tests.unit.llm.endpoint import SAMPLING, client, completion, serving

LONG = json.dumps(completion("<" * 2_000_000)).encode()


def thread(size):
    return asyncio.run(reading.apart(size, threading.current_thread))


def test_only_a_long_answer_is_read_in_another_thread():
    assert thread(100) is threading.main_thread()
    assert thread(100_000) is not threading.main_thread()


def test_an_answer_of_two_megabytes_leaves_the_event_loop_free_and_so_does_its_replay(tmp_path):
    async def turns_during(work):
        """The share of the CPU time that the event loop took, and how often another task ran meanwhile."""
        turns = 0

        async def beat():
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        beating = asyncio.create_task(beat())
        start, all_start = time.thread_time(), time.process_time()
        answer = await work
        beating.cancel()
        loop_s, all_s = time.thread_time() - start, time.process_time() - all_start
        return answer.text, loop_s / all_s, turns

    async def go():
        async with serving() as server:
            server.reply_with(lambda: web.Response(body=LONG, content_type="application/json"))
            async with client(server, tmp_path, timeout_s=60) as llm:
                return [await turns_during(llm.ask("tell me", SAMPLING)) for _ in range(2)]

    for text, share, turns in asyncio.run(go()):
        assert len(text) == 2_000_000
        assert share < 0.5  # it takes all if it reads the answer itself
        assert turns > 5
