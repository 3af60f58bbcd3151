"""One text for one prompt: its instruction, its limits, and the text against a chat server."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from longwriter import params
from longwriter.agentwrite import one_text
from longwriter.errors import ModelUnusable, UserError
from longwriter.records import Rejection
from longwriter.text.basics.counting import count_words

PARAMS = params.load()  # plan: 3 to 5 steps of 60 to 100 words


@pytest.mark.parametrize(
    ("prompt", "words", "full_prompt", "required"),
    [
        ("Write about rain in 300 words.", None, "Write about rain in 300 words.", 300),
        ("Write about rain in 300 words.", 300, "Write about rain in 300 words.", 300),
        ("Write about rain.", 3000, "Write about rain.\n\nWrite about 3000 words.", 3000),
        ("写一篇关于雨的文章。", 800, "写一篇关于雨的文章。\n\n写800字。", 800),
    ],
)
def test_the_instruction_states_the_length_that_is_asked_for(prompt, words, full_prompt, required):
    row = one_text.instruction(prompt, words)
    assert (row.prompt, row.required_words) == (full_prompt, required)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Write about rain.", "states no length"),
        (" \n", "the prompt is empty"),
        ("Write about \udcff in 300 words.", "the prompt is not UTF-8"),
        ("Write about rain in 5000000 words.", "5,000,000 words are asked for; at most 1,000,000"),
    ],
)
def test_a_prompt_that_cannot_be_written_is_refused(prompt, message):
    with pytest.raises(UserError, match=message):
        one_text.instruction(prompt, None)


def test_a_longer_text_gets_more_tokens_and_more_context():
    fitted = one_text.fit_limits(PARAMS, 15_000, seed=7)
    assert (fitted.plan.max_steps, fitted.plan.sampling.max_tokens) == (
        5,
        2592,
    )  # 36 chapters instead of 5 steps
    assert fitted.llm.context_tokens == 3592
    assert {fitted.plan.sampling.seed, fitted.write.sampling.seed, fitted.write.direct_sampling.seed} == {7}
    short = one_text.fit_limits(PARAMS, 200, seed=0)
    assert (short.plan.max_steps, short.plan.sampling.max_tokens) == (5, 360)


def test_a_text_is_planned_and_written_and_the_progress_is_shown(chat_server, tmp_path, monkeypatch, capsys):
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(root / "src")
    write = {"mode": "serial", "prompt": "src/longwriter/prompts/write.txt"}
    llm = {"engine": "external", "model": "scripted", "base_url": chat_server.url}
    settings = PARAMS.model_copy(
        update={"llm": PARAMS.llm.model_copy(update=llm), "write": PARAMS.write.model_copy(update=write)}
    )
    row = one_text.instruction("Write a story about a harbour at night.", 400)
    plans, begun = [], []
    shown = one_text.Progress(begun.append, plans.append)
    text = asyncio.run(one_text.write_text(one_text.fit_limits(settings, 400, 0), row, shown, tmp_path))
    steps = len(plans[0].steps)
    assert len(text.paragraphs) == steps
    assert begun == [f"connects to scripted at {chat_server.url}"] * 2
    bars = capsys.readouterr().err
    assert re.search(r"plan: 100%.* 1/1 .*calls?, .* tokens in .* out", bars)
    assert re.search(rf"write: 100%.* {steps}/{steps} .*paragraphs", bars)
    assert 200 <= count_words("\n".join(text.paragraphs)) <= 800
    assert {"plan_calls.jsonl.zst", "write_calls.jsonl.zst"} <= {file.name for file in tmp_path.iterdir()}
    assert text.usage["prompt_tokens"] > 0


def test_a_text_longer_than_one_plan_is_planned_by_chapters(chat_server, tmp_path, monkeypatch, capsys):
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(root / "src")
    llm = {"engine": "external", "model": "scripted", "base_url": chat_server.url}
    settings = PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update=llm)})
    row = one_text.instruction("Write a story about a harbour at night.", 1500)
    plans = []
    shown = one_text.Progress(lambda _: None, plans.append)
    text = asyncio.run(one_text.write_text(one_text.fit_limits(settings, 1500, 0), row, shown, tmp_path))
    [plan] = plans
    assert plan.instruction == row
    assert len(text.paragraphs) == len(plan.steps) > settings.plan.max_steps
    assert 750 <= sum(step.word_count for step in plan.steps) <= 2250
    assert re.search(r"plan parts: 100%", capsys.readouterr().err)


def test_a_text_without_a_plan_is_one_answer(chat_server, tmp_path, monkeypatch):
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(root / "src")
    llm = {"engine": "external", "model": "scripted", "base_url": chat_server.url}
    settings = PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update=llm)})
    row = one_text.instruction("Write a story about a harbour at night.", 400)
    plans = []
    shown = one_text.Progress(lambda _: None, plans.append)
    fitted = one_text.fit_limits(settings, 400, 0, direct=True)
    text = asyncio.run(one_text.write_text(fitted, row, shown, tmp_path))
    assert plans == []
    assert text.paragraphs
    assert [path.name for path in tmp_path.glob("*_calls.jsonl.zst")] == ["write_calls.jsonl.zst"]


@pytest.mark.parametrize(("words", "needs_chapters"), [(500, False), (501, True)])
def test_a_text_without_a_usable_plan_says_why_and_what_to_try(words, needs_chapters):
    last = Rejection(row_id="i", stage="plan", reason="duplicate_points", detail="The sea / the sea")
    message = one_text.no_plan(PARAMS.plan, words, last, Counter(too_few_steps=1, duplicate_points=8))
    assert message.startswith(
        "no usable plan: the last was refused as duplicate_points (The sea / the sea); "
        "those before as duplicate_points 8, too_few_steps 1. "
    )
    assert all(way in message for way in ("--seed", "--words", "--direct", "plan.llm", "plan.max_attempts"))
    assert ("more than 500 words" in message) == needs_chapters


@pytest.mark.parametrize(
    ("reasked", "note"),
    [({}, "3 calls"), ({"empty_point": 2, "cut_off": 1}, "asked again: empty_point 2, cut_off 1; 3 calls")],
)
def test_the_bar_says_why_the_model_was_asked_again(reasked, note):
    assert one_text.note("3 calls", Counter(reasked)) == note


def test_a_missing_local_model_is_reported_with_its_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = one_text.instruction("Write about rain.", 100)
    shown = one_text.Progress(lambda _: None, lambda _: None)
    with pytest.raises(ModelUnusable, match=r"^llm\.model: data/base_model/weights is missing: `dvc repro"):
        asyncio.run(one_text.write_text(PARAMS, row, shown, tmp_path))
