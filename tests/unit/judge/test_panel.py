"""A panel of judges: their answers side by side, their calls in one log, and the sum of their usages."""

import asyncio

from longwriter.io import files
from longwriter.judge import panel

ANSWERS = {"a": ["good", "bad"], "b": ["fair", "good"]}


async def ask(judge, log):
    """Return the answers of a made-up judge, and write one line to its call log."""
    with files.zstd_lines(log) as out:
        out.write(f'{{"judge": "{judge}"}}\n')
    return ANSWERS[judge], {"calls": 2.0} if judge == "a" else {"calls": 3.0, "cost_usd": 1.0}


def test_each_question_has_the_answers_of_all_judges_and_their_calls_stand_in_one_log(tmp_path):
    calls = tmp_path / "calls.jsonl.zst"
    answers, usage = asyncio.run(panel.ask_all(["a", "b"], calls, ask))
    assert answers == [("good", "fair"), ("bad", "good")]
    assert usage == {"calls": 5.0}
    assert list(files.read_zstd_lines(calls)) == ['{"judge": "a"}\n', '{"judge": "b"}\n']
    assert [path.name for path in tmp_path.iterdir()] == ["calls.jsonl.zst"]


def test_without_a_judge_there_is_no_answer_and_the_call_log_is_empty(tmp_path):
    calls = tmp_path / "calls.jsonl.zst"
    assert asyncio.run(panel.ask_all([], calls, ask)) == ([], {})
    assert list(files.read_zstd_lines(calls)) == []


def test_a_total_has_the_cost_only_if_every_judge_has_a_price():
    assert panel.total([{"calls": 1, "cost_usd": 2}, {"calls": 2}]) == {"calls": 3}
    assert panel.total([{"calls": 1, "cost_usd": 2}, {"calls": 2, "cost_usd": 3}]) == {
        "calls": 3,
        "cost_usd": 5,
    }
