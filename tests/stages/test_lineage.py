"""The walk from a benchmark number, or from a row, to LLM calls; also over stages that did not run."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from longwriter.cli import main as cli
from tests.small import MODELS
from tests.workspace import Workspace

Step = dict[str, Any]


@pytest.fixture(autouse=True)
def mlflow_of_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _lineage(workspace: Workspace, *words: str, code: int = 0) -> tuple[str, str]:
    """Return what `longwriter lineage` says and complains."""
    return _longwriter(workspace, "lineage", *words, code=code)


def _longwriter(workspace: Workspace, *words: str, code: int = 0) -> tuple[str, str]:
    """Return what a command says and complains, in this process: a new one imports for 4 seconds."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["longwriter", *words]
    try:
        with (
            contextlib.chdir(workspace.path),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    finally:
        sys.argv = argv
    assert (ended.value.code or 0) == code, err.getvalue()
    return out.getvalue(), err.getvalue()


def _walk(workspace: Workspace, *words: str) -> list[Step]:
    """Return the steps that `longwriter lineage` prints."""
    return _steps(_lineage(workspace, "--json", "--full", *words)[0])


def _steps(text: str) -> list[Step]:
    decoder, steps, at = json.JSONDecoder(), [], 0
    while at < len(text):
        step, end = decoder.raw_decode(text, at)
        steps.append(step)
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return steps


def _only(steps: list[Step], key: str) -> Step:
    [step] = [step for step in steps if key in step]
    return step


def _runs(workspace: Workspace) -> dict[str, str]:
    """Return {stage: page of the run that produced its output}."""
    pages = {}
    for file in (workspace.path / "data/lineage").glob("*.json"):
        run_id = json.loads(file.read_text())["run_id"]
        pages[file.stem] = f"/runs/{run_id}"
    return pages


def _leads_to_calls(workspace: Workspace, steps: list[Step], path: str) -> None:
    """Check that the row of a walk is a row of `path`, followed by its own calls in full."""
    row = _only(steps, "row")["row"]
    assert row in workspace.rows(path)
    calls = {
        call["call_id"]: call
        for stage in ("plan", "write")
        for call in workspace.rows(f"data/{stage}/calls.jsonl.zst")
    }
    written = [step["call"] for step in steps if step.get("stage") in ("plan", "write")]
    assert [call["call_id"] for call in written] == row["call_ids"]
    assert written == [calls[call_id] for call_id in row["call_ids"]]
    last = written[-1]["answer"]["choices"][0]["message"]["content"]
    assert row["messages"][-1]["content"].endswith(last.strip())


@pytest.mark.parametrize("model", MODELS)
def test_a_benchmark_number_leads_to_an_answer_and_its_own_call(finished: Workspace, model: str) -> None:
    steps = _walk(finished, "--benchmark", "tiny", "--model", model)
    number, runs = _only(steps, "number")["number"], _runs(finished)
    report = finished.json("data/report/tiny/metrics.json")
    assert number == {
        "benchmark": "tiny",
        "model": model,
        "S_l": pytest.approx(report[f"{model}_length_score_mean"], abs=1e-3),
        "n": 4,
    }
    score, answer = _only(steps, "score"), _only(steps, "answer")
    scores = finished.rows(f"data/score/{model}-tiny/scores.jsonl")
    assert score["score"]["length_score"] == min(row["length_score"] for row in scores)
    assert score["run"]["url"].endswith(runs[f"score@{model}-tiny"])
    assert answer["answer"]["generation_id"] == score["score"]["generation_id"]
    assert answer["run"]["url"].endswith(runs[f"generate@{model}-tiny"])
    [call] = [step["call"] for step in steps if step.get("stage") == f"generate@{model}-tiny"]
    assert [call["call_id"]] == answer["answer"]["call_ids"]
    assert call["answer"]["choices"][0]["message"]["content"] == answer["answer"]["text"]
    weights = next(step for step in steps if "weights" in step)
    assert weights["logged_model"].startswith("models:/m-")
    assert weights["run"]["url"].endswith(runs[model])


def test_a_trained_models_number_leads_over_sft_and_a_pack_to_the_calls_behind_a_row(
    finished: Workspace,
) -> None:
    steps = _walk(finished, "--benchmark", "tiny", "--model", "dpo")
    models, runs = [step for step in steps if "weights" in step], _runs(finished)
    assert [step["model"] for step in models] == ["dpo", "sft"]
    pack, row = _only(steps, "pack"), _only(steps, "row")["row"]
    assert pack["run"]["url"].endswith(runs["pack"])
    assert row["sample_id"] in pack["sample_ids"]
    assert pack["of"] == finished.json("data/pack/metrics.json")["train_packs"]
    made = _only(steps, "runs")["runs"]
    assert all(made[stage]["url"].endswith(runs[stage]) for stage in ("dataset", "write", "plan"))
    _leads_to_calls(finished, steps, "data/dataset/train.jsonl")


def test_the_base_models_number_ends_at_its_weights(finished: Workspace) -> None:
    steps = _walk(finished, "--benchmark", "tiny", "--model", "base_model")
    assert [step.get("model") for step in steps][-1] == "base_model"
    assert not [step for step in steps if "row" in step]


def test_a_row_leads_to_its_calls(finished: Workspace) -> None:
    rows = [row for row in finished.rows("data/dataset/test.jsonl") if row["call_ids"]]
    steps = _steps(finished.longwriter("lineage", "--json", "--full", rows[-1]["sample_id"]).stdout)
    assert _only(steps, "row")["row"] == rows[-1]
    _leads_to_calls(finished, steps, "data/dataset/test.jsonl")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-such-row"], "no row no-such-row in data/dataset/train.jsonl"),
        (["--benchmark", "it's"], "MLflow has no report of the benchmark it's: there are reports of tiny"),
        (
            ["--benchmark", "tiny", "--model", "ppo"],
            "the report of tiny has no model ppo; it compares base_model, sft, dpo",
        ),
        (["no-such-answer", "--benchmark", "tiny"], "no row with generation_id no-such-answer"),
    ],
)
def test_a_missing_link_is_named(finished: Workspace, words: list[str], told: str) -> None:
    _, complaint = _lineage(finished, *words, code=2)
    assert told in complaint
    assert complaint.count("\n") == 1


@pytest.fixture(scope="module")
def forgetful(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose MLflow store a test may damage, and `whole.db`, what it was before."""
    workspace = finished.copy(tmp_path_factory.mktemp("forgetful") / "checkout", with_mlflow=True)
    shutil.copy(workspace.path / ".lw/mlflow.db", workspace.path / "whole.db")
    return workspace


_OF_STAGE = "(SELECT run_uuid FROM tags WHERE key = 'lw.stage' AND value = ?)"
_DELETED = f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid IN {_OF_STAGE}"
_WITHOUT_DATA = f"DELETE FROM inputs WHERE destination_id IN {_OF_STAGE}"
_WITHOUT_DATASET = "DELETE FROM inputs WHERE source_id IN (SELECT dataset_uuid FROM datasets WHERE name = ?)"
_WITHOUT_RUN = f"DELETE FROM runs WHERE run_uuid IN {_OF_STAGE}"


@pytest.mark.parametrize("benchmark", [False, True])
@pytest.mark.parametrize(
    ("statement", "name", "complaint"),
    [
        (_DELETED, "dataset", "MLflow has no dataset run that wrote a file with md5"),
        (_DELETED, "plan", "; the row names "),
        (_WITHOUT_DATASET, "data/plan/calls.jsonl.zst", "(plan) has no output data/plan/calls.jsonl.zst: MLflow has lost"),
        (_WITHOUT_DATASET, "data/write/calls.jsonl.zst", "(write) has no output data/write/calls.jsonl.zst: MLflow has"),
        (_WITHOUT_DATASET, "data/write/drafts.jsonl", "(dataset) has no input data/write/drafts.jsonl: its stage had other"),
    ],
)  # fmt: skip
def test_what_mlflow_has_lost_is_one_line_after_all_that_is_still_known(
    forgetful: Workspace, statement: str, name: str, complaint: str, benchmark: bool
) -> None:
    text, told = _after(forgetful, statement, name, ["--benchmark", "tiny"] if benchmark else [])
    assert "row  " in text
    assert complaint in told


@pytest.mark.parametrize(
    ("statement", "name", "known", "complaint"),
    [
        (_DELETED, "pack", "model  sft", "MLflow has no pack run that wrote a file with md5"),
        (_WITHOUT_DATASET, "data/dataset/train.jsonl", "model  sft", "(pack) has no input data/dataset/train.jsonl"),
        (_WITHOUT_DATASET, "data/generate/sft-tiny/calls.jsonl.zst", "answer", "has no output data/generate/sft-tiny/calls"),
        (_WITHOUT_DATASET, "data/pack/train.parquet", "model  sft", "(sft) has no input data/pack/train.parquet"),
        (_WITHOUT_DATA, "sft", "model  sft", "(sft) has no input data/pack/train.parquet"),
        (_WITHOUT_RUN, "sft", "answer", "MLflow has no sft run that wrote weights with md5"),
        (_WITHOUT_DATA, "report@tiny", "", "it compares no model: MLflow has lost the inputs of its run"),
    ],
)  # fmt: skip
def test_what_mlflow_has_lost_of_a_training_is_one_line_after_all_that_is_still_known(
    forgetful: Workspace, statement: str, name: str, known: str, complaint: str
) -> None:
    text, told = _after(forgetful, statement, name, ["--benchmark", "tiny", "--model", "sft"])
    assert known in text
    assert complaint in told


def test_a_gate_whose_inputs_mlflow_has_lost_is_named(forgetful: Workspace) -> None:
    _, told = _after(forgetful, _WITHOUT_DATA, "validate", [])
    assert "(validate) has no input data/dataset/train.jsonl" in told


def _after(workspace: Workspace, statement: str, name: str, words: list[str]) -> tuple[str, str]:
    """Return what `longwriter lineage` says and complains after a statement has damaged the MLflow store."""
    store_file, whole_file = workspace.path / ".lw/mlflow.db", workspace.path / "whole.db"
    with (
        contextlib.closing(sqlite3.connect(store_file)) as store,
        contextlib.closing(sqlite3.connect(whole_file)) as whole,
    ):
        whole.backup(store)
        store.execute(statement, (name,))
        store.commit()
    text, told = _lineage(workspace, *words, code=2)
    assert told.count("\n") == 1
    return text, told


def test_a_number_is_traced_after_params_yaml_names_another_benchmark(
    finished: Workspace, tmp_path: Path
) -> None:
    workspace = finished.copy(tmp_path / "checkout", with_mlflow=True)
    workspace.set_params({"generate.benchmarks": ["mine"]})
    text, _ = _lineage(workspace, "--benchmark", "tiny", "--model", "sft")
    assert text.startswith("number  sft on tiny: ")


def test_the_tree_of_a_number_has_about_twenty_lines_from_the_number_to_the_calls(
    finished: Workspace,
) -> None:
    text, _ = _lineage(finished, "--benchmark", "tiny", "--model", "dpo")
    lines = text.splitlines()
    words = [line.replace("└─", "").split()[0] for line in lines]
    order = [
        "number",
        "report",
        "score",
        "answer",
        "to",
        "call",
        "model",
        "pair",
        "model",
        "pack",
        "row",
        "prompt",
    ]
    assert words[: len(order)] == order
    assert words[-1] == "call"
    assert 15 <= len(lines) <= 30
    assert max(map(len, lines)) < 250


def test_a_row_leads_forwards_to_every_data_set_model_and_number_that_holds_it(finished: Workspace) -> None:
    row = next(row for row in finished.rows("data/dataset/train.jsonl") if row["kind"] == "agentwrite")
    kept = next(
        item
        for item in finished.rows("data/instructions/instructions.jsonl")
        if item["instruction_id"] == row["instruction_id"]
    )
    for key in (row["sample_id"], row["instruction_id"]):
        holders = json.loads(_lineage(finished, "--json", "--row", key)[0])
        assert set(holders["ids"]) >= {row["sample_id"], row["instruction_id"]}
        assert holders["origins"] == [kept["origin"]]
        assert {"data/plan/plans.jsonl", "data/dataset/train.jsonl", "data/pack/train.parquet"} <= set(
            holders["data"]
        )
        assert {"data/sft/weights", "data/dpo/weights"} <= set(holders["models"])
        assert holders["numbers"] == ["data/report/tiny/metrics.json"]
        assert "base_model" not in holders["stale"]
        assert {"instructions", "plan", "write", "sft", "report@tiny"} <= set(holders["stale"])
    source = kept["origin"].rpartition(":")[0]
    text, _ = _lineage(finished, "--source", source)
    assert "data     data/dataset/train.jsonl: " in text
    _, complaint = _lineage(finished, "--source", "no.jsonl", code=2)
    assert source in complaint


def test_what_was_not_searched_for_a_row_or_changed_since_is_named(workspace: Workspace) -> None:
    row = next(row for row in workspace.rows("data/dataset/train.jsonl") if row["kind"] == "agentwrite")
    words = ("--row", row["sample_id"])
    assert json.loads(_lineage(workspace, "--json", *words)[0])["doubts"] == {}
    drafts, plans = (workspace.path / f"data/{name}.jsonl" for name in ("write/drafts", "plan/plans"))
    drafts.unlink()
    plans.write_text(plans.read_text().replace("e", "a", 1))
    text, _ = _lineage(workspace, *words)
    assert "missing  data/write/drafts.jsonl: not searched; `dvc checkout data/write/drafts.jsonl`" in text
    assert "changed  data/plan/plans.jsonl: searched, but it is not as its stage wrote it" in text


def test_a_file_that_cannot_be_read_is_named_when_a_row_is_searched(workspace: Workspace) -> None:
    row = workspace.rows("data/dataset/train.jsonl")[0]
    lineage, rows, pack = (
        workspace.path / "data" / name
        for name in ("lineage/dataset.json", "dataset/train.jsonl", "pack/train.parquet")
    )
    for file, contents in ((lineage, (b"[]", b"{}")), (rows, (b"{", b"[]", b"\xff")), (pack, (b"", b"PAR1"))):
        kept = file.read_bytes()
        for content in contents:
            file.write_bytes(content)
            _, complaint = _lineage(workspace, "--row", row["sample_id"], code=2)
            assert file.name in complaint
        file.unlink()
        file.mkdir()
        _, complaint = _lineage(workspace, "--row", row["sample_id"], code=2)
        assert f"{file.name} is a folder, a pipe or a device" in complaint
        file.rmdir()
        file.write_bytes(kept)


@pytest.mark.services  # a minute; tests/unit/exclusions/test_withdrawn.py and instructions/ have the rule
def test_a_withdrawn_row_is_out_of_every_data_set_on_the_next_run_and_what_held_it_is_named(
    workspace: Workspace,
) -> None:
    rows = workspace.rows("data/dataset/train.jsonl")
    row = next(row for row in rows if row["kind"] == "agentwrite")
    general = next(row for row in rows if row["kind"] == "general")
    answer = workspace.rows("data/generate/sft-tiny/generations.jsonl")[0]
    before = (workspace.path / "src/longwriter/seeds/withdrawn.txt").read_text()
    text, _ = _longwriter(workspace, "withdraw", "--dry-run", row["sample_id"])
    assert f"without --dry-run: {row['instruction_id']} in src/longwriter/seeds/withdrawn.txt" in text
    assert (workspace.path / "src/longwriter/seeds/withdrawn.txt").read_text() == before
    text, _ = _longwriter(workspace, "withdraw", row["sample_id"])
    for part in (
        "data     data/pack/train.parquet: ",
        "model    data/dpo/weights",
        "number   data/report/tiny/",
    ):
        assert part in text
    assert f"withdrawn: {row['instruction_id']} in" in text
    assert "already" in _longwriter(workspace, "withdraw", row["instruction_id"])[0]
    assert (
        f"withdrawn: {general['sample_id']} in" in _longwriter(workspace, "withdraw", general["sample_id"])[0]
    )
    _, complaint = _longwriter(workspace, "withdraw", answer["generation_id"], code=2)
    assert "is in no training data, only in data/generate/" in complaint
    workspace.dvc("repro", "dataset")
    for path in ("instructions/instructions", "plan/plans", "write/drafts", "dataset/train", "dataset/test"):
        assert row["instruction_id"] not in (workspace.path / f"data/{path}.jsonl").read_text()
    rejections = [
        (item["row_id"], item["reason"]) for item in workspace.rows("data/instructions/rejected.jsonl")
    ]
    assert (row["instruction_id"], "withdrawn") in rejections
    ids = {item["sample_id"] for item in workspace.rows("data/dataset/train.jsonl")}
    assert general["sample_id"] not in ids


@pytest.fixture(scope="module")
def reused(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose newest runs are light ones: the gate was skipped, the report restored."""
    workspace = finished.copy(tmp_path_factory.mktemp("reused") / "checkout", with_mlflow=True)
    seed = {"report.seed": 1}
    workspace.set_params(seed)
    workspace.dvc("repro", "--single-item", "report@tiny")
    workspace.set_params({"report.seed": 0})
    workspace.flow = workspace.run("python", "-m", "flows.pipeline", "report", "validate")
    return workspace


def test_a_matrix_name_runs_all_its_items_and_the_report_is_pointed_to(reused: Workspace) -> None:
    table = [line for line in reused.flow.stdout.splitlines() if line.startswith("| ")]
    told = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in table}
    assert (told["validate"], told["report@tiny"]) == ("unchanged", "restored")
    assert f"report: {reused.path.resolve()}/data/report/tiny/report.md\n" in reused.flow.stdout
    kept = reused.path / ".lw/logs/report@tiny.log"
    assert "is cached - skipping run" in kept.read_text(encoding="utf-8")


def test_the_walk_holds_for_stages_that_were_skipped_or_restored(reused: Workspace) -> None:
    newest = {
        run.data.tags["lw.stage"]: run for run in reversed(reused.runs()) if "lw.stage" in run.data.tags
    }
    assert newest["report@tiny"].data.tags["lw.status"] == "restored"
    assert newest["validate"].data.tags["lw.status"] == "unchanged"
    steps = _walk(reused, "--benchmark", "tiny", "--model", "sft")
    assert _only(steps, "report")["report"]["status"] == "restored"
    _leads_to_calls(reused, steps, "data/dataset/train.jsonl")
    steps = _walk(reused)
    assert _only(steps, "gate")["gate"]["status"] == "unchanged"
    _leads_to_calls(reused, steps, "data/dataset/train.jsonl")


def test_the_walk_holds_for_data_that_was_replaced_here(reused: Workspace) -> None:
    before = _walk(reused, "--benchmark", "tiny", "--model", "sft")
    for path in ("data/dataset/train.jsonl", "data/score/sft-tiny/scores.jsonl", "data/pack/train.parquet"):
        Path(reused.path / path).unlink()
    assert _walk(reused, "--benchmark", "tiny", "--model", "sft") == before
