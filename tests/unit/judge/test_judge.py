"""The judge against the chat server, over a real socket."""

import asyncio
import json
from pathlib import Path

import pytest

from longwriter import params as parameters
from longwriter.errors import EndpointUnavailable
from longwriter.io import files
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import DIMENSIONS, Question
from longwriter.records import Judgement, Unscored
from tests.chat_server.server import chat_server_thread
from tests.unit.llm import endpoint

ROOT = Path.cwd()
VERDICT = json.dumps({"analysis": "It is short.", **dict.fromkeys(DIMENSIONS, 3)})
TEXTS = [
    Question("Write on tea.", "Tea is warm."), Question("Write on rain.", "Rain is wet."), Question("Write.", " \n"),
]  # fmt: skip


def judge(folder, monkeypatch, url=None, **changed):
    """Return what the judge at `url` says of TEXTS, with `folder` as the working folder."""
    given = parameters.load().model_dump(by_alias=True)["preferences"]["judge"]
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
    p = parameters.QualityJudgeParams.model_validate(values).model_copy(update={"prompt": template})
    return asyncio.run(judge_texts(p, TEXTS, folder / "calls.jsonl.zst", "judge", "judge"))


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


def test_a_judge_whose_answers_are_cut_is_asked_only_max_attempts_times(tmp_path, monkeypatch):
    sampling = parameters.load().preferences.judge.sampling.model_dump() | {"max_tokens": 3}
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
            p = parameters.QualityJudgeParams.model_validate(values["preferences"]["judge"] | changed)
            p = p.model_copy(update={"prompt": str(template)})
            return await judge_texts(p, TEXTS, tmp_path / "calls.jsonl.zst", "judge", "judge")

    monkeypatch.chdir(tmp_path)
    (tea, rain, _), _ = asyncio.run(go())
    assert isinstance(tea, Unscored)
    assert (tea.reason, tea.call_ids) == (reason, [])
    assert tea.detail.startswith(detail)
    assert isinstance(rain, Judgement)


def scoring(tmp_path, url, models=("m",), context_tokens=4096, **changed):
    """Return the section `score` with these judges at `url`."""
    values = parameters.load(ROOT / "params.yaml").model_dump(by_alias=True)
    template = tmp_path / "judge.txt"
    template.write_text("tell {text} of {instruction}")
    judge = values["llm"] | {"engine": "external", "base_url": url, "max_retries": 0, "max_concurrency": 1}
    judges = [{**judge, "model": model, "context_tokens": context_tokens} for model in models]
    sampling = endpoint.SAMPLING.model_dump()
    p = parameters.Params.model_fields["score"].annotation.model_validate(
        values["score"] | {"judges": judges, "sampling": sampling} | changed
    )
    return p.model_copy(update={"prompt": str(template)})


def scored(tmp_path, monkeypatch, replies, questions, **changed):
    """Return what the judges say who give these replies."""

    async def go():
        async with endpoint.serving() as server:
            server.reply_with(*replies)
            judges = [judge.model_copy(update={"base_url": server.url}) for judge in p.judges]
            at = p.model_copy(update={"judges": judges})
            return await judge_texts(at, questions, tmp_path / "calls.jsonl.zst", "score", "score")

    p = scoring(tmp_path, "http://127.0.0.1:1/v1", **changed)  # reads files of the checkout
    monkeypatch.chdir(tmp_path)
    return asyncio.run(go())


def reply(mark, model="m"):
    verdict = json.dumps({"analysis": "So.", **dict.fromkeys(DIMENSIONS, mark)})
    return lambda: endpoint.ok(verdict, model=model)


def test_a_panel_gives_the_mean_of_its_members_and_logs_the_calls_of_all(tmp_path, monkeypatch):
    tea, rain, _ = TEXTS
    replies = [reply(2), reply(4), reply(5, "n"), lambda: endpoint.ok("fine", model="n")]
    (first, second), usage = scored(
        tmp_path, monkeypatch, replies, [tea, rain], models=("m", "n"), max_attempts=1
    )
    assert (first.quality_score, first.dimensions["Clarity"]) == (62.5, 3.5)  # (25 + 100) / 2
    assert [member.quality_score for member in first.members] == [25.0, 100.0]
    assert first.judge == " + ".join(member.judge for member in first.members)
    assert (second.reason, len(second.call_ids)) == ("no_json", 2)
    assert len(list(files.read_zstd_lines(tmp_path / "calls.jsonl.zst"))) == usage["calls_sent"] == 4


def test_the_served_model_is_part_of_the_judge(tmp_path, monkeypatch):
    tea, rain, _ = TEXTS
    replies = [reply(2), reply(2, "m-2027-01-01")]
    (first, second), _ = scored(tmp_path, monkeypatch, replies, [tea, rain])
    assert first.judge.startswith("m at http")
    assert second.judge.startswith("m (served as m-2027-01-01) at http")
    assert first.judge.partition("#")[2] != second.judge.partition("#")[2]


LONG = Question("Write on tea.", "\n\n".join("Tea is warm and good. " * 10 for _ in range(6)))  # 331 tokens


def test_a_text_beyond_the_context_of_the_judge_is_refused_before_it_is_sent(tmp_path, monkeypatch):
    results, usage = scored(tmp_path, monkeypatch, [], [LONG], context_tokens=300)
    assert results[0].reason == "beyond_context"
    assert results[0].detail.startswith("the text has about 333 tokens, m has room for ")
    assert usage["calls_sent"] == 0


def test_a_text_beyond_the_context_is_judged_in_chunks_if_params_say_so(tmp_path, monkeypatch):
    replies = [reply(mark) for mark in (1, 3, 5)]
    results, _ = scored(
        tmp_path, monkeypatch, replies, [LONG], context_tokens=240, long_texts="chunks", max_attempts=1
    )
    assert results[0].chunks == 3
    assert results[0].quality_score == pytest.approx(50.0, abs=2)
    assert len(results[0].call_ids) == 3


def test_a_text_whose_chunks_were_judged_by_two_models_is_unscored(tmp_path, monkeypatch):
    replies = [reply(1), reply(3, "m-2027-01-01"), reply(5)]
    results, _ = scored(
        tmp_path, monkeypatch, replies, [LONG], context_tokens=240, long_texts="chunks", max_attempts=1
    )
    assert (results[0].reason, len(results[0].call_ids)) == ("judge_changed", 3)
    assert "m (served as m-2027-01-01) at http" in results[0].detail
