"""What one can say to the flow: stages, items, matrix stages and groups."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from dvc.repo import Repo

from flows import tables
from longwriter.errors import UserError
from longwriter.tracking import versioning

SMALL = """
stages:
  collect: {meta: {group: data}, cmd: echo}
  check: {meta: {group: data}, cmd: echo}
  train: {meta: {group: training}, cmd: echo}
  answer:
    meta: {group: benchmark}
    matrix: {model: [base, tuned], benchmark: [short]}
    cmd: echo ${item.model} ${item.benchmark}
  report: {meta: {group: benchmark}, cmd: echo}
"""
ALL = ["collect", "check", "train", "answer@base-short", "answer@tuned-short", "report"]


@pytest.fixture(scope="module")
def pipeline() -> ModuleType:
    """The flows; imported late, as Prefect takes seconds and each pytest process imports this file."""
    from flows import pipeline

    return pipeline


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline of five stages, one of them a matrix."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(SMALL)


@pytest.mark.parametrize(
    ("names", "stages"),
    [
        ([], ALL),
        (["data", "training", "benchmark"], ALL),
        (["data"], ALL[:2]),
        (["training"], ["train"]),
        (["benchmark"], ALL[3:]),
        (["answer"], ["answer@base-short", "answer@tuned-short"]),
        (["answer@tuned-short"], ["answer@tuned-short"]),
        (["report", "train", "check", "train"], ["check", "train", "report"]),
    ],
)
def test_names_groups_and_matrix_names_stand_for_stages_in_order(
    small: None, pipeline: ModuleType, names: list[str], stages: list[str]
) -> None:
    assert pipeline.expand(names) == stages


def test_a_new_stage_is_run_with_its_group(small: None, pipeline: ModuleType) -> None:
    Path("dvc.yaml").write_text(SMALL + "  publish: {meta: {group: benchmark}, cmd: echo}\n")
    assert pipeline.expand(["benchmark"]) == [*ALL[3:], "publish"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "answer@tuned-lon",
            " (did you mean answer@tuned-short?); there are data, training, benchmark, collect, check, "
            "train, answer@base-short, answer@tuned-short, report",
        ),
        (
            "colect",
            " (did you mean collect?); there are data, training, benchmark, collect, check, train, answer, report",
        ),
        ("", "; there are data, training, benchmark, collect, check, train, answer, report"),
    ],
)
def test_an_unknown_name_is_reported_with_the_names_that_exist(
    small: None, pipeline: ModuleType, name: str, said: str
) -> None:
    with pytest.raises(UserError) as error:
        pipeline.expand(["data", name])
    assert str(error.value) == f"unknown stage {name}{said}"


def test_each_stage_of_the_pipeline_is_in_the_group_of_a_flow(pipeline: ModuleType) -> None:
    groups = versioning.stage_groups()
    assert set(groups.values()) == {
        flow.name for flow in (pipeline.data, pipeline.training, pipeline.benchmark)
    }
    assert pipeline.expand([]) == pipeline.expand(["data", "training", "benchmark"]) == list(groups)
    assert pipeline.expand(["data"])[-1] == "validate"
    assert pipeline.expand(["training"])[0] == "pack"
    assert pipeline.expand(["benchmark"])[-1] == "register"


def test_the_page_of_a_flow_shows_what_ran_its_rows_and_links() -> None:
    row = {"stage": "write", "how": "executed", "seconds": 1.25, "run": "http://m/#/runs/r1"}
    rows = [{**row, "rows_in": 12, "kept": 10, "rejected": 2}]
    lines = [" ".join(line.split()) for line in tables.overview(rows).splitlines()]
    assert lines[0] == "| stage | what happened | seconds | rows in | kept | rejected |"
    assert lines[2:] == [
        "| [write](http://m/#/runs/r1) | executed | 1.2 | 12 | 10 | 2 |",
        "| all | | 1.2 | | | |",
    ]
