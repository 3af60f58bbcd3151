"""What happens to a request when its callers are cancelled."""

import asyncio

from tests.unit.llm.endpoint import SAMPLING, client, run, serving, status


def test_a_request_that_waits_for_a_slot_goes_on_for_its_other_caller(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path, max_concurrency=1) as llm:
            server.delay_s = 0.1
            busy = asyncio.create_task(llm.ask("tell 0", SAMPLING))
            first, second = (asyncio.create_task(llm.ask("tell 1", SAMPLING)) for _ in range(2))
            await asyncio.sleep(0.05)
            first.cancel()
            answers = await asyncio.gather(busy, second)
            return answers, first.cancelled(), len(server.requests)

    answers, is_cancelled, asked = asyncio.run(go())
    assert ([answer.text for answer in answers], is_cancelled, asked) == (["yes", "yes"], True, 2)


def test_a_request_whose_only_caller_was_cancelled_is_sent_for_the_next_one(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path, max_concurrency=1) as llm:
            server.delay_s = 0.1
            busy = asyncio.create_task(llm.ask("tell 0", SAMPLING))
            first = asyncio.create_task(llm.ask("tell 1", SAMPLING))
            await asyncio.sleep(0.05)
            first.cancel()
            await asyncio.sleep(0)
            answers = await asyncio.gather(busy, llm.ask("tell 1", SAMPLING))
            return answers, len(server.requests)

    answers, asked = asyncio.run(go())
    assert ([answer.text for answer in answers], asked) == (["yes", "yes"], 2)
    assert not answers[1].replayed


def test_a_sent_request_is_joined_by_the_next_caller_after_its_first_was_cancelled(tmp_path):
    async def go():
        async with serving() as server, client(server, tmp_path) as llm:
            server.delay_s = 0.2
            first = asyncio.create_task(llm.ask("tell 1", SAMPLING))
            await server.has_got(1)
            first.cancel()
            answer = await llm.ask("tell 1", SAMPLING)
            return answer, len(server.requests), llm.usage()

    answer, asked, usage = asyncio.run(go())
    assert (answer.text, answer.replayed, asked) == ("yes", True, 1)
    assert (usage["calls_sent"], usage["calls_replayed"]) == (1, 1)


def test_a_failed_request_for_which_no_task_waits_is_not_retried(tmp_path):
    async def go():
        async with serving() as server:
            server.delay_s = 0.2
            server.reply_with(*[lambda: status(500, retry_after_ms="1")] * 2)
            async with client(server, tmp_path) as llm:
                task = asyncio.create_task(llm.ask("tell 1", SAMPLING))
                await server.has_got(1)
                task.cancel()
            return len(server.requests)

    assert asyncio.run(go()) == 1
    again, server, _ = run(tmp_path, [], ["tell 1"])
    assert ([answer.replayed for answer in again], len(server.requests)) == ([False], 1)
