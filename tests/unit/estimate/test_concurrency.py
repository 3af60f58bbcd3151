"""How many requests at once suit an endpoint: the rule, and the requests that are sent to find out."""

import asyncio
import json

import pytest

from longwriter import params
from longwriter.errors import ModelUnusable
from longwriter.estimate import concurrency
from longwriter.estimate.concurrency import LEVELS, Round
from longwriter.io import files
from tests.chat_server.server import chat_server_thread


def rounds(*speeds):
    return [Round(level, speed) for level, speed in zip(LEVELS, speeds, strict=False)]


@pytest.mark.parametrize(
    ("speeds", "best", "is_enough"),
    [
        ([2.0], 1, False),
        ([2.0, 2.1], 1, False),
        ([2.0, 2.1, 2.1], 1, True),  # one request after the other
        ([2.0, 4.0, 7.9], 4, False),
        ([2.0, 4.0, 4.1], 2, False),  # one round may be slow by chance
        ([2.0, 4.0, 4.1, 3.0], 2, True),
        ([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], 64, False),
        ([2.0, 4.0, 4.3, 4.6, 5.0], 8, False),  # small steps add up
    ],
)
def test_more_requests_at_once_have_to_be_clearly_faster(speeds, best, is_enough):
    assert concurrency.best(rounds(*speeds)) == best
    assert concurrency.is_enough(rounds(*speeds)) is is_enough


PARAMS = params.load().llm


def llm(url):
    return PARAMS.model_copy(
        update={
            "engine": "external",
            "model": "scripted",
            "base_url": url,
            "api_key_env": "",
            "max_concurrency": 1,
        }
    )


def test_each_round_sends_new_requests_and_all_of_them_are_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = []
    with chat_server_thread(tmp_path / "requests.jsonl") as server:
        for _ in range(2):  # no answer of the first time is used again
            calls = tmp_path / "calls.zst"
            result = asyncio.run(concurrency.measure(llm(server.url), calls, shown.append))
            sent = [json.loads(line) for line in files.read_zstd_lines(calls)]
            assert len(sent) == sum(item.requests for item in result) > 1
            assert {(row["replayed"], row["request"]["sampling"]["max_tokens"]) for row in sent} == {
                (False, 48)
            }
            assert shown[-len(result) :] == result


def test_a_wrong_model_is_named_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        chat_server_thread(tmp_path / "requests.jsonl", "--model", "other") as server,
        pytest.raises(ModelUnusable, match="scripted"),
    ):
        asyncio.run(concurrency.measure(llm(server.url), tmp_path / "calls.zst", print))
