"""What a dry run says: which stages would run, why, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from flows import forecast
from longwriter.tracking import versioning

PIPELINE = """
stages:
  collect: {cmd: echo 1 > rows, outs: [rows]}
  check: {cmd: echo 1 > verdict, deps: [rows], outs: [verdict]}
  train: {cmd: echo 1 > weights, deps: [verdict], outs: [weights]}
  other: {cmd: echo 1 > other, outs: [other]}
"""


def test_stages_behind_a_stage_are_those_that_read_its_output_directly_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(PIPELINE)
    assert versioning.stages_behind(["collect"]) == {"check", "train"}
    assert versioning.stages_behind(["train", "other"]) == set()
    assert versioning.stages_behind([]) == set()


def test_a_dry_run_lists_changed_stages_and_those_behind_them_in_order_with_the_seconds_of_the_last_run() -> (
    None
):
    rows = forecast.rows(
        ["plan", "write", "sft", "report"], {"write"}, {"sft", "report"}, {"write": 60.0, "sft": 7200.0}
    )
    assert rows == [
        ("write", "its files or parameters have changed", 60.0),
        ("sft", "reads the output of a stage that runs", 7200.0),
        ("report", "reads the output of a stage that runs", 7.0),  # the seconds of the demo
    ]
    assert forecast.rows(["plan"], {"write"}, {"sft"}, {}) == []


def test_the_cost_is_of_the_stages_that_run_and_not_known_if_one_price_is_not() -> None:
    estimates = [
        {"stage": "plan", "cost_usd": 1.5},
        {"stage": "write", "cost_usd": 20.0},
        {"stage": "instructions", "cost_usd": None},
    ]
    assert forecast.cost(estimates, {"write", "sft"}) == 20.0
    assert forecast.cost(estimates, {"plan", "write"}) == 21.5
    assert forecast.cost(estimates, {"plan", "instructions"}) is None
    assert forecast.cost([], {"write"}) == 0


def test_the_judges_of_a_stage_are_a_part_of_its_cost() -> None:
    costs = {"instructions.judge": 4.0, "plan": 1.5, "plan.judge": 0.5, "score": 2.0, "score 2": 8.0}
    estimates = [{"stage": stage, "cost_usd": dollars} for stage, dollars in costs.items()]
    assert forecast.cost(estimates, {"plan"}) == 2.0
    assert forecast.cost(estimates, {"score@small", "score@other"}) == 10.0
    assert forecast.cost(estimates, {"instructions"}) == 4.0
