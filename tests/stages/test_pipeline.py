"""The whole pipeline by `dvc repro`: texts come from the chat server; trained, sampled and measured for real."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests import buckets
from tests.small import STAGES
from tests.workspace import Workspace, seed_of


def test_every_stage_ran_and_nothing_is_stale_after(finished: Workspace) -> None:
    assert [name for name in STAGES if f"Running stage '{name}'" in finished.repro] == list(STAGES)
    sent = len(finished.requests())
    assert "up to date" in finished.dvc("status").stdout
    again = finished.dvc("repro")
    assert "Running stage" not in again.stdout
    assert again.stdout.count("didn't change, skipping") == len(STAGES)
    assert len(finished.requests()) == sent


def test_every_output_exists_and_rows_are_conserved(finished: Workspace) -> None:
    for name, stage in finished.lock().items():
        for out in stage["outs"]:
            assert (finished.path / out["path"]).exists(), out["path"]
        numbers = finished.json(f"{finished.folder(name)}/metrics.json")
        counts = [key for key in numbers if key.startswith("rejected_") and not key.endswith("_mean")]
        rejected = sum(numbers[key] for key in counts)
        assert numbers["rows_in"] == numbers["rows_kept"] + rejected, name
    for gate in ("validate", "preferences"):
        assert finished.json(f"data/{gate}/verdict.json")["passed"] is True
    assert finished.json("data/dataset/metrics.json")["rows_kept"] >= 10


def test_metrics_and_plots_are_shown_by_dvc(finished: Workspace) -> None:
    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    numbers = finished.json("data/dataset/metrics.json")
    assert set(files) == {f"{finished.folder(name)}/headline.json" for name in STAGES}
    assert files["data/dataset/headline.json"]["data"]["kept"] == numbers["rows_kept"]
    assert numbers["train_rows"] + numbers["test_rows"] == numbers["rows_kept"] + numbers["general_rows"]
    page = finished.path / ".lw" / "plots"
    finished.dvc("plots", "show", "--out", str(page))
    shown = (page / "index.html").read_text(encoding="utf-8")
    stages = yaml.safe_load((finished.path / "dvc.yaml").read_text())["stages"].values()
    plots = {file: axes for stage in stages for plot in stage.get("plots", ()) for file, axes in plot.items()}
    assert set(plots) >= {"data/dataset/lengths.csv", "data/sft/curve.csv", "data/dpo/curve.csv"}
    for file, axes in plots.items():
        assert re.sub(r"\W", "_", file) in shown
        header = (finished.path / file).read_text().splitlines()[0].split(",")
        assert {axes["x"], axes["y"]} <= set(header), "dvc.yaml plots columns that the file lacks"


def test_mlflow_has_one_finished_run_a_stage_with_the_digests_of_the_lock(finished: Workspace) -> None:
    runs = finished.runs()
    [parent] = [run for run in runs if run.data.tags.get("lw.kind") == "pipeline"]
    stages = {run.data.tags["lw.stage"]: run for run in runs if run is not parent}
    assert len(runs) == len(stages) + 1
    assert Counter(run.info.status for run in runs) == {"FINISHED": len(STAGES) + 1}
    assert set(stages) == set(STAGES)
    for name, run in stages.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        digests = {item.dataset.name: item.dataset.digest for item in run.inputs.dataset_inputs}
        locked = finished.lock()[name]
        expected = {}
        for item in locked["deps"] + locked["outs"]:
            path = item["path"]
            is_code = path.endswith(".py") or any((finished.path / path).glob("*.py"))
            if path in (
                "data/generate",
                "data/short_prompts",
                "data/score",
                "data/report",
            ):  # listed file by file, without what varies
                expected |= {
                    out["path"]: out["md5"]
                    for other in finished.lock().values()
                    for out in other["outs"]
                    if out["path"].startswith(f"{path}/")
                    and not out["path"].endswith(("calls.jsonl.zst", "summary.json"))
                }
            elif not is_code and not path.startswith("data/lineage"):
                expected[path] = item["md5"]
        assert digests == expected
        lineage = finished.json(f"data/lineage/{name}.json")
        assert lineage["run_id"] == run.info.run_id
        assert lineage["pipeline_run_id"] == parent.info.run_id
        numbers = finished.json(f"{finished.folder(name)}/metrics.json")
        assert {key: run.data.metrics[key] for key in numbers} == numbers


def test_the_commit_of_a_run_is_clean(finished: Workspace) -> None:
    first = finished.git("rev-parse", "HEAD~1")
    for run in finished.runs():
        assert run.data.tags["git.commit"] == first
        assert run.data.tags["git.dirty"] == "false"


def test_each_row_names_calls_that_are_in_the_call_logs(finished: Workspace) -> None:
    calls = {
        row["call_id"]: row
        for stage in ("plan", "write")
        for row in finished.rows(f"data/{stage}/calls.jsonl.zst")
    }
    rows = finished.rows("data/dataset/train.jsonl") + finished.rows("data/dataset/test.jsonl")
    long = [row for row in rows if row["kind"] == "agentwrite"]
    assert long
    for row in long:
        assert set(row["call_ids"]) <= set(calls)
        last = calls[row["call_ids"][-1]]["answer"]["choices"][0]["message"]["content"]
        assert row["messages"][-1]["content"].endswith(last.strip())
    assert {row["seed"] for row in finished.requests()} >= {seed_of(row["request"]) for row in calls.values()}


def test_a_client_setting_re_runs_nothing(workspace: Workspace) -> None:
    workspace.set_params({"llm.max_concurrency": 7, "llm.timeout_s": 33, "llm.max_retries": 9})
    assert "Running stage" not in workspace.dvc("repro").stdout


def _clone_has_metrics(workspace: Workspace, folder: Path, **env: str) -> None:
    workspace.run("git", "clone", "--quiet", str(workspace.path), str(folder))
    clone = Workspace(folder)
    config = workspace.path / ".dvc" / "config.local"
    (folder / ".dvc" / "config.local").write_bytes(config.read_bytes())
    clone.dvc("pull", **env)
    assert "up to date" in clone.dvc("status").stdout
    assert clone.dvc("metrics", "show").stdout == workspace.dvc("metrics", "show").stdout
    assert (folder / "data/dataset/train.jsonl").read_bytes() == (
        workspace.path / "data/dataset/train.jsonl"
    ).read_bytes()


def test_a_new_benchmark_makes_instructions_stale_only_if_one_of_its_prompts_is_there(
    workspace: Workspace,
) -> None:
    row = {"prompt": "Describe in 90 words a bridge nobody crosses.", "type": "Essay", "length": 90}
    workspace.write_rows("benchmarks/bridge.jsonl", [row])
    printed = workspace.dvc("repro", "validate").stdout
    assert [name for name in STAGES if f"Running stage '{name}'" in printed] == ["benchmarks", "dataset"]

    repeated = workspace.rows("data/instructions/instructions.jsonl")[0]["prompt"]
    workspace.write_rows("benchmarks/bridge.jsonl", [row, row | {"prompt": repeated.upper()}])
    workspace.dvc("repro", "benchmarks")
    assert "Running stage 'instructions'" in workspace.dvc("repro", "--dry", "instructions").stdout


def test_another_judge_makes_only_the_stages_that_ask_it_stale(workspace: Workspace) -> None:
    llm = yaml.safe_load((workspace.path / "params.yaml").read_text())["llm"] | {
        "engine": "external",
        "model": "judge",
        "max_retries": 0,
    }
    for key, stages in (
        ("instructions.judge.llm", {"instructions"}),
        ("plan.judge.llm", {"plan"}),
        ("preferences.judge.llm", {"preferences", "report@tiny"}),
    ):
        workspace.set_params({key: llm})
        assert set(json.loads(workspace.dvc("status", "--json").stdout)) == stages
        workspace.set_params({key: None})
    workspace.set_params({"score.judges": [llm]})
    stale = {name.partition("@")[0] for name in json.loads(workspace.dvc("status", "--json").stdout)}
    assert stale == {"fitness", "score", "pairwise", "report"}


def test_a_fresh_clone_pulls_what_was_pushed_to_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    workspace.dvc("remote", "add", "--local", "--force", "local", str(tmp_path / "remote"))
    workspace.dvc("push")
    _clone_has_metrics(workspace, tmp_path / "clone")


@pytest.fixture
def s3(tmp_path: Path):
    with buckets.server(tmp_path) as (env, client):
        yield env["AWS_ENDPOINT_URL"], client


def test_a_fresh_clone_pulls_what_was_pushed_to_s3(workspace: Workspace, tmp_path: Path, s3) -> None:
    url, client = s3
    client.create_bucket(Bucket="longwriter")
    client.put_object(Bucket="longwriter", Key="preflight", Body=b"here")
    assert client.get_object(Bucket="longwriter", Key="preflight")["Body"].read() == b"here"
    env = {
        **buckets.KEYS,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    workspace.dvc("remote", "add", "--local", "--default", "bucket", "s3://longwriter/dvc")
    workspace.dvc("remote", "modify", "--local", "bucket", "endpointurl", url)
    workspace.dvc("push", **env)
    listed = client.list_objects_v2(Bucket="longwriter", Prefix="dvc/")
    md5 = next(o["md5"] for o in workspace.lock()["validate"]["outs"] if o["path"].endswith("verdict.json"))
    assert any(item["Key"].endswith(f"{md5[:2]}/{md5[2:]}") for item in listed["Contents"])
    _clone_has_metrics(workspace, tmp_path / "clone", **env)
