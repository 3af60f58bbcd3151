"""The gate: what is poisoned stops here, with the reason said and nothing published."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from longwriter.text.basics.counting import count_words
from tests.workspace import Workspace

Row = dict[str, Any]


def _answer(row: Row, text: str) -> None:
    """Give a row another answer, its recorded length true."""
    row["messages"][-1]["content"] = text
    row["words"] = row["required_words"] = count_words(text)


def _loop(first: Row, _second: Row) -> None:
    _answer(first, "The rain falls on the roof and nobody knows why. " * 20)


def _refusal(first: Row, _second: Row) -> None:
    _answer(first, "I'm sorry, but I cannot write this text. " + first["messages"][-1]["content"])


def _duplicate(first: Row, second: Row) -> None:
    _answer(first, second["messages"][-1]["content"])


def _too_short(first: Row, _second: Row) -> None:
    _answer(first, "A short answer of seven words only.")


@pytest.mark.parametrize(
    ("poison", "expectation", "bound"),
    [
        (_loop, "no_loop", "<= 0.2 of the 5-grams are repeats"),
        (_refusal, "no_refusal", "no answer that refuses"),
        (_duplicate, "unique_answers", "each answer once"),
        (_too_short, "length_in_bounds", "50 to 1000 words"),
    ],
)
def test_the_gate_stops_a_poisoned_data_set(
    workspace: Workspace, poison: Callable[[Row, Row], None], expectation: str, bound: str
) -> None:
    file = workspace.path / "data/dataset/train.jsonl"
    rows = workspace.rows("data/dataset/train.jsonl")
    first, second = [row for row in rows if row["kind"] == "agentwrite"][:2]
    poison(first, second)
    file.unlink()  # DVC may have linked it to its cache
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    for published in (workspace.path / "data/validate").iterdir():
        published.unlink()

    done = workspace.stage("validate", code=3)

    [line] = [line for line in done.stderr.splitlines() if "GateStopped" in line]
    [sentence] = [part for part in line.split(" | ") if f"{expectation}: observed" in part]
    assert f"bound {bound}" in sentence
    assert first["sample_id"] in sentence
    assert "Traceback" not in done.stderr
    assert not (workspace.path / "data/validate/verdict.json").exists()
    [run] = [run for run in workspace.runs() if run.data.tags.get("lw.stage") == "validate"]
    assert run.info.status == "FAILED"
    assert expectation in run.data.tags["lw.error"]
    artifacts = Path(unquote(urlsplit(run.info.artifact_uri).path))
    verdict = json.loads((artifacts / "verdict.json").read_text(encoding="utf-8"))
    [failed] = [row for row in verdict["expectations"] if row["name"] == expectation]
    assert verdict["passed"] is False
    assert failed["passed"] is False
    assert first["sample_id"] in failed["rows"]


def test_the_gate_names_every_expectation_in_its_own_verdict(finished: Workspace) -> None:
    verdict = finished.json("data/validate/verdict.json")
    assert len(verdict["expectations"]) == finished.json("data/validate/metrics.json")["expectations"]
    assert all(row["passed"] for row in verdict["expectations"] if row["critical"])
    locked = {item["path"]: item["md5"] for item in finished.lock()["validate"]["deps"]}
    assert verdict["data"].items() <= locked.items()


def test_the_gate_stops_preference_pairs_that_are_too_few(workspace: Workspace) -> None:
    workspace.write_rows("data/sample/generations.jsonl", [])
    for published in (workspace.path / "data/preferences").iterdir():
        published.unlink()

    done = workspace.stage("preferences", code=3)

    assert "GateStopped" in done.stderr
    assert "enough_pairs: observed 0, bound >= " in done.stderr
    assert "Traceback" not in done.stderr
    assert list((workspace.path / "data/preferences").iterdir()) == []
    verdict = workspace.json(".lw/stopped/preferences/verdict.json")
    stopped = [row["name"] for row in verdict["expectations"] if row["critical"] and not row["passed"]]
    assert stopped == ["enough_pairs", "both_sides_have_pairs"]
    assert (workspace.path / ".lw/data_docs/preferences/index.html").is_file()


@pytest.mark.services  # a minute; tests/unit/preferences/test_steps.py and tokens/test_packing.py have the rules
def test_pairs_at_a_step_come_from_continuations_and_dpo_trains_on_these_alone(workspace: Workspace) -> None:
    workspace.set_params({"sample.steps": "written", "sample.limit": 6, "dpo.optimizer.epochs": 1})
    workspace.stage("sample")
    workspace.stage("preferences")
    workspace.stage("dpo")

    calls = {row["call_id"]: row["request"] for row in workspace.rows("data/sample/calls.jsonl.zst")}
    texts = {row["messages"][-1]["content"] for row in workspace.rows("data/dataset/train.jsonl")}
    continued = [row for row in workspace.rows("data/sample/generations.jsonl") if "prefix" in row]
    assert len(continued) == 4 * workspace.json("data/sample/metrics.json")["steps"]
    for row in continued:
        assert any(text.startswith(row["prefix"] + "\n\n") for text in texts)
        assert row["text"].startswith(row["prefix"])
        assert calls[row["call_ids"][0]]["messages"][1]["content"].strip() == row["prefix"]
    pairs = [
        row
        for side in ("train", "test")
        for row in workspace.rows(f"data/preferences/{side}.jsonl")
        if len(row["prompt"]) == 2
    ]
    assert len(pairs) == workspace.json("data/preferences/metrics.json")["step_pairs"] > 0
    assert {row["prompt"][1]["content"] for row in pairs} <= {row["prefix"] for row in continued}
    assert all(set(row["call_ids"]) & set(calls) for row in pairs)
    assert workspace.json("data/dpo/metrics.json")["train_pairs"] > 0


LOOSE = {
    "llm.engine": "llama.cpp",
    "llm.model": "data/base_model/weights",
    "llm.base_url": None,
    "llm.context_tokens": 2048,
    "instructions.limit": 4,
    "instructions.gate.min_rows": 1,
    "plan.gate.min_rows": 1,
    "plan.gate.min_kept_share": 0.0,
    "plan.gate.warn": ["points_say_something", "points_differ", "no_refusal", "sum_is_near"],
    "plan.min_steps": 1,
    "plan.max_steps": 2,
    "plan.max_point_chars": 40,
    "plan.sampling.max_tokens": 1000,
    "plan.sampling.repetition_penalty": None,
    "write.keep": "whole_answer",
    "write.min_paragraph_words": 1,
    "write.max_length_ratio": None,
    "write.max_repeated_share": 1.0,
    "write.max_attempts": 5,
    "write.sampling.max_tokens": 400,
    "write.sampling.repetition_penalty": None,
    "write.sampling.stop": [],
    "dataset.min_words": 1,
    "dataset.max_words": 100_000,
    "dataset.max_repeated_share": 1.0,
    "dataset.repetition": {},
    "dataset.max_section_overlap": 1.0,
    "dataset.max_other_script_share": 1.0,
    "dataset.require_ending": False,
    "dataset.min_length_score": 0.0,
    "validate.min_rows": 1,
}


@pytest.mark.services  # a minute; the tests below and tests/unit/gates have each way to stop
def test_the_gate_stops_what_a_random_model_writes(workspace: Workspace) -> None:
    workspace.set_params(LOOSE)
    done = workspace.dvc("repro", code=None)
    assert done.returncode != 0
    assert "Running stage 'validate'" in done.stdout, done.stderr
    assert "GateStopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workspace.path / "data/validate/verdict.json").exists()
    served = workspace.rows("data/plan/calls.jsonl.zst")[0]["request"]["model"]
    assert re.fullmatch(r"[0-9a-f]{16}-Q8_0@[0-9a-f]{16}", served)
    assert workspace.processes() == []


@pytest.mark.parametrize(
    ("stage", "limits", "expectation"),
    [
        ("instructions", {"instructions.gate.min_rows": 999}, "enough_rows"),
        ("plan", {"plan.gate.min_rows": 999}, "enough_rows"),
    ],
)
def test_a_gate_stops_before_the_next_stage_asks_a_model(
    workspace: Workspace, stage: str, limits: dict[str, Any], expectation: str
) -> None:
    workspace.set_params(limits)
    for published in (workspace.path / f"data/{stage}").iterdir():
        published.unlink()

    done = workspace.stage(stage, code=3)

    assert f"{stage}: GateStopped" in done.stderr
    assert f"{expectation}: observed 12, bound >= 999" in done.stderr
    assert list((workspace.path / f"data/{stage}").iterdir()) == []
    assert (workspace.path / f".lw/data_docs/{stage}/index.html").is_file()


def test_a_gate_whose_expectation_only_warns_lets_the_data_through(workspace: Workspace) -> None:
    workspace.set_params(
        {
            "instructions.gate.min_rows": 999,
            "instructions.gate.warn": ["enough_rows"],
            "instructions.gate.max_type_share": 1.0,
        }
    )
    workspace.stage("instructions")
    verdict = workspace.json("data/instructions/verdict.json")
    assert verdict["passed"] is True
    assert [row["name"] for row in verdict["expectations"] if not row["passed"]] == ["enough_rows"]
    assert workspace.json("data/instructions/metrics.json")["warnings"] == 1
