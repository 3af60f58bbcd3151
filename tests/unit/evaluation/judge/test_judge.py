"""The judge against the chat server, over a real socket."""

import asyncio
import json
from pathlib import Path

import pytest

from longwriter import params as parameters
from longwriter.errors import EndpointUnavailable
from longwriter.evaluation.judge.judge import judge_texts
from longwriter.evaluation.judge.judgements import DIMENSIONS
from longwriter.io import files
from longwriter.records import Judgement, Unscored
from tests.chat_server.server import chat_server_thread
from tests.unit.llm import endpoint

ROOT = Path.cwd()
VERDICT = json.dumps({"analysis": "It is short.", **dict.fromkeys(DIMENSIONS, 3)})
TEXTS = [("Write on tea.", "Tea is warm."), ("Write on rain.", "Rain is wet."), ("Write.", " \n")]


def judge(folder, monkeypatch, url=None, **changed):
    """Return what the judge at `url` says of TEXTS, with `folder` as the working folder."""
    given = parameters.load().model_dump(by_alias=True)["judge"]
    llm = parameters.load().llm.model_dump() | {
        "engine": "external",
        "model": "scripted",
        "base_url": url,
        "max_retries": 0,
    }
    template = str(ROOT / given["prompt"])
    values = {**given, "llm": llm if url else None, **changed}
    monkeypatch.chdir(folder)
    Path(".lw").mkdir()
    p = parameters.JudgeParams.model_validate(values).model_copy(update={"prompt": template})
    return asyncio.run(judge_texts(p, TEXTS, folder / "calls.jsonl.zst", "judge"))


def test_without_a_judge_every_text_is_unscored_and_the_call_log_is_empty(tmp_path, monkeypatch):
    results, usage = judge(tmp_path, monkeypatch)
    assert [result.reason for result in results] == ["no_judge"] * 3
    assert (usage, list(files.read_zstd_lines(tmp_path / "calls.jsonl.zst"))) == ({}, [])


def test_each_text_is_judged_by_a_call_of_its_own_and_an_empty_one_by_none(tmp_path, monkeypatch):
    with chat_server_thread(tmp_path / "requests.jsonl") as server:
        (tea, rain, empty), usage = judge(tmp_path, monkeypatch, server.url)
    assert isinstance(tea, Judgement)
    assert isinstance(rain, Judgement)
    assert set(tea.dimensions) == set(DIMENSIONS)
    assert 0 <= tea.quality_score <= 100
    assert tea.judge == rain.judge
    assert tea.judge.startswith(f"scripted at {server.url.removesuffix('/v1')} #")
    assert empty == Unscored(reason="empty", detail="there is no text to judge")
    calls = [json.loads(line) for line in files.read_zstd_lines(tmp_path / "calls.jsonl.zst")]
    assert sorted(call["call_id"] for call in calls) == sorted(tea.call_ids + rain.call_ids)
    assert usage["calls_sent"] == 2


def test_a_judge_that_is_cut_off_is_asked_so_often_and_no_more(tmp_path, monkeypatch):
    sampling = parameters.load().judge.sampling.model_dump() | {"max_tokens": 3}
    with chat_server_thread(tmp_path / "requests.jsonl") as server:
        results, usage = judge(tmp_path, monkeypatch, server.url, sampling=sampling, max_attempts=3)
    assert [result.reason for result in results] == ["cut_off", "cut_off", "empty"]
    assert [len(set(result.call_ids)) for result in results] == [3, 3, 0]
    assert usage["calls_sent"] == 6


def test_a_judge_that_does_not_answer_stops_the_stage(tmp_path, monkeypatch):
    with (
        chat_server_thread(tmp_path / "requests.jsonl", "--status", "503") as server,
        pytest.raises(EndpointUnavailable),
    ):
        judge(tmp_path, monkeypatch, server.url)


@pytest.mark.parametrize(
    ("replies", "reason", "detail"),
    [
        ([400], "judge_refused", "answered 400: beyond the context"),
        ([500, 500, 500], "judge_failed", "answered 500: beyond the context (after 2 retries"),
    ],
)
def test_a_text_that_the_judge_has_no_answer_for_is_unscored_and_the_others_are_judged(
    tmp_path, monkeypatch, replies, reason, detail
):
    def reply(code):
        return lambda: endpoint.status(code, "beyond the context", retry_after_ms="1")

    values = parameters.load().model_dump(by_alias=True)
    template = tmp_path / "judge.txt"
    template.write_text("tell {text} of {instruction}")
    judge_llm = values["llm"] | {"engine": "external", "model": "m", "max_retries": 2, "max_concurrency": 1}
    sampling = endpoint.SAMPLING.model_dump()

    async def go():
        async with endpoint.serving() as server:
            server.reply_with(*map(reply, replies), lambda: endpoint.ok(VERDICT))
            changed = {
                "llm": judge_llm | {"base_url": server.url},
                "sampling": sampling,
            }
            p = parameters.JudgeParams.model_validate(values["judge"] | changed)
            p = p.model_copy(update={"prompt": str(template)})
            return await judge_texts(p, TEXTS, tmp_path / "calls.jsonl.zst", "judge")

    monkeypatch.chdir(tmp_path)
    (tea, rain, _), _ = asyncio.run(go())
    assert isinstance(tea, Unscored)
    assert (tea.reason, tea.call_ids) == (reason, [])
    assert tea.detail.startswith(detail)
    assert isinstance(rain, Judgement)
