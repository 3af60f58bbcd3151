"""Models in MLflow: who wrote them, who read them, what was measured, and which one is handed on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.small import ITEMS, MODELS
from tests.workspace import Workspace


def _weights(finished: Workspace) -> dict[str, str]:
    """Return the digest of each model's weights, as DVC locked it."""
    locked = {out["path"]: out["md5"] for stage in finished.lock().values() for out in stage["outs"]}
    return {model: locked[f"data/{model}/weights"] for model in MODELS}


def _finished_models(workspace: Workspace) -> dict[str, object]:
    client, experiment = workspace.mlflow()
    found = client.search_logged_models([experiment], filter_string="tags.`dvc.md5` != ''")
    return {model.name: model for model in found}


def test_each_model_is_a_logged_model_of_the_run_that_wrote_it(finished: Workspace) -> None:
    found, weights = _finished_models(finished), _weights(finished)
    assert set(found) == set(MODELS)
    for name, model in found.items():
        assert model.tags["dvc.md5"] == weights[name]
        assert model.source_run_id == finished.json(f"data/lineage/{name}.json")["run_id"]


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_training_run_shows_its_checkpoints_and_its_curve(finished: Workspace, stage: str) -> None:
    client, _ = finished.mlflow()
    run = client.get_run(finished.json(f"data/lineage/{stage}.json")["run_id"])
    outputs = {client.get_logged_model(item.model_id).name: item.step for item in run.outputs.model_outputs}
    steps = int(finished.json(f"data/{stage}/metrics.json")["steps"])
    assert steps >= 2
    assert outputs[stage] == outputs[f"{stage}-step-{steps}"] == steps
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [item.step for item in history] == list(range(1, steps + 1))
    rows = (finished.path / f"data/{stage}/curve.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    assert [item.value for item in history] == [float(row.split(",")[column]) for row in rows[1:]]


def test_the_curve_of_dpo_has_the_held_out_numbers_of_its_last_step(finished: Workspace) -> None:
    rows = list(csv.DictReader((finished.path / "data/dpo/curve.csv").open(encoding="utf-8")))
    metrics = finished.json("data/dpo/metrics.json")
    assert float(rows[-1]["test_loss"]) > 0
    for name in ("test_reward_accuracy", "test_reward_margin"):
        assert float(rows[-1][name]) == metrics[name]


def test_stages_that_use_weights_show_the_model_as_input(finished: Workspace) -> None:
    names = {model.model_id: name for name, model in _finished_models(finished).items()}
    client, _ = finished.mlflow()
    runs = [client.get_run(run.info.run_id) for run in finished.runs()]
    read = {
        run.data.tags["lw.stage"]: {names[item.model_id] for item in run.inputs.model_inputs}
        for run in runs
        if run.inputs.model_inputs
    }
    measured = {f"generate@{item}": {"base_model", item.split("-")[0]} for item in ITEMS}
    measured |= {f"short_prompts@{model}": {"base_model", model} for model in MODELS}
    assert read == {
        **{stage: {"base_model"} for stage in ("plan", "write", "pack", "sft")},
        "sample": {"base_model", "sft"},
        "dpo": {"sft"},
        "register": {"dpo"},
        **measured,
    }


def test_the_numbers_of_a_model_are_on_its_page_with_the_benchmark(finished: Workspace) -> None:
    client, _ = finished.mlflow()
    benchmark = next(
        dep["md5"] for dep in finished.lock()["generate@sft-tiny"]["deps"] if dep["path"].endswith(".jsonl")
    )
    for name, model in _finished_models(finished).items():
        metrics = client.get_logged_model(model.model_id).metrics
        found = {metric.key: metric.value for metric in metrics if metric.dataset_name == "tiny"}
        scores = finished.json(f"data/score/{name}-tiny/metrics.json")
        answers = finished.json(f"data/generate/{name}-tiny/metrics.json")
        assert {**answers, **scores}.items() <= found.items()
        assert {metric.dataset_digest for metric in metrics} == {benchmark}


def test_the_alias_leads_to_the_weights_and_to_all_they_come_from(finished: Workspace) -> None:
    client, _ = finished.mlflow()
    version = client.get_model_version_by_alias("longwriter", "candidate")
    trained = finished.json("data/lineage/dpo.json")
    report = finished.json("data/report/tiny/metrics.json")
    data = next(out for out in finished.lock()["dataset"]["outs"] if out["path"].endswith("train.jsonl"))
    model = _finished_models(finished)["dpo"]
    assert version.run_id == trained["run_id"]
    assert version.source == model.model_uri
    expected = {
        "dvc.md5": _weights(finished)["dpo"],
        "dvc.data_md5": data["md5"],
        "lw.stage": "dpo",
        "lw.run_id": trained["run_id"],
        "lw.model_id": model.model_id,
        "git.commit": finished.git("rev-parse", "HEAD~1"),
        "tiny.length_score_mean": str(report["dpo_length_score_mean"]),
        "tiny.ended_share": str(report["dpo_ended_share"]),
        "lw.scores_run_id": finished.json("data/lineage/register.json")["run_id"],
        "gate.candidate": "given",
        "gate.candidate.compared_with": "SFT",
        "gate.candidate.reasons": "none",
        "gate.champion": "not given",
        "gate.champion.compared_with": "the base model",
        "gate.judge": "none",
    }
    assert expected.items() <= version.tags.items()
    assert "4 prompts in common with the base model, 60 are needed" in version.tags["gate.champion.reasons"]
    assert "**candidate: given**, compared with SFT." in version.description
    assert "champion" not in client.get_registered_model("longwriter").aliases
    assert finished.json("data/register/candidate.json") == {
        "name": "longwriter",
        "alias": "candidate",
        "model": "dpo",
        "weights_md5": version.tags["dvc.md5"],
        "data_md5": data["md5"],
    }


@pytest.mark.parametrize(
    ("stage", "parent", "rows"),
    [
        ("sft", "data/base_model/weights", "data/pack/train.parquet"),
        ("dpo", "data/sft/weights", "data/preferences/train.jsonl"),
    ],
)
def test_a_card_names_what_a_model_was_made_from_and_nothing_that_varies(
    finished: Workspace, stage: str, parent: str, rows: str
) -> None:
    card = (finished.path / f"data/{stage}/weights/README.md").read_text()
    lineage = finished.json(f"data/lineage/{stage}.json")
    assert f"| trained from | {parent}, DVC `{lineage['inputs'][parent]}` |" in card
    assert f"| training rows | {rows}, DVC `{lineage['inputs'][rows]}` |" in card
    assert "learning_rate: " in card
    assert lineage["run_id"] not in card
    assert str(finished.path) not in card
    assert "a local folder, revision unknown" in card


def test_the_alias_follows_the_params_there_and_back(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "checkout", with_mlflow=True)
    weights, candidate = _weights(finished), finished.json("data/register/candidate.json")
    client, _ = workspace.mlflow()
    for model in ("sft", "dpo"):
        workspace.set_params({"register.model": model})
        done = workspace.dvc("repro", "--single-item", "register")
        assert "Running stage 'register'" in done.stdout, "restored from a cache: no alias moves"
        version = client.get_model_version_by_alias("longwriter", "candidate")
        assert version.tags["dvc.md5"] == weights[model]
    assert workspace.json("data/register/candidate.json") == candidate
    assert len(client.search_model_versions("name = 'longwriter'")) == 2


def test_a_model_that_is_not_shown_to_be_no_worse_leaves_the_alias_and_a_person_can_choose(
    finished: Workspace, tmp_path: Path
) -> None:
    workspace = finished.copy(tmp_path / "checkout", with_mlflow=True)
    client, _ = workspace.mlflow()
    before = client.get_model_version_by_alias("longwriter", "candidate").version
    workspace.set_params(
        {"register.model": "sft", "register.margins.ended": 0.0, "register.margins.length_score": 0.0}
    )
    assert "is not candidate: may be worse than the base model in" in workspace.stage("register").stderr
    assert client.get_model_version_by_alias("longwriter", "candidate").version == before
    newest = max(int(row.version) for row in client.search_model_versions("name = 'longwriter'"))
    assert client.get_model_version("longwriter", str(newest)).tags["gate.candidate"] == "not given"
    done = workspace.longwriter("promote", str(newest), "--reason", "read by hand")
    assert f"promoted: version {newest} of longwriter is champion" in done.stdout
    assert client.get_model_version_by_alias("longwriter", "champion").version == newest
    workspace.stage("register")
    again = client.get_model_version_by_alias("longwriter", "champion")
    assert (again.version, again.tags["gate.champion"]) == (newest, "given"), "it was compared with itself"
    done = workspace.longwriter("fetch", str(newest), "OUT")
    assert "fetched longwriter" in done.stdout
    source = finished.path / "data/sft/weights"
    exported = {file.name: file.read_bytes() for file in (workspace.path / "OUT").iterdir()}
    card = exported.pop("README.md").decode()
    assert exported == {file.name: file.read_bytes() for file in source.iterdir() if file.name != "README.md"}
    published = (source / "README.md").read_text()
    assert card.startswith(published)
    added = card.removeprefix(published)
    lineage = finished.json("data/lineage/sft.json")
    for part in (
        f"version {newest}",
        lineage["run_id"],
        lineage["git_commit"],
        "- Benchmark **tiny**",
        "may be worse than",
    ):
        assert part in added, part
    failed = workspace.longwriter("rollback", "--reason", "too short", code=2)
    assert "longwriter has no version with the alias former-champion" in failed.stderr


def test_weights_that_are_not_their_runs_are_not_registered(workspace: Workspace) -> None:
    file = workspace.path / "data/dpo/weights/config.json"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content + b"\n")
    done = workspace.stage("register", code=2)
    assert "data/lineage/dpo.json names" in done.stderr
    assert "Traceback" not in done.stderr
