"""What a night removes, and that nothing is removed on which the registry or today's data rest."""

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from longwriter.params.retention import RetentionParams
from longwriter.retention import old_runs
from longwriter.retention import policy as retention
from longwriter.traces import traces
from longwriter.tracking import connection, logged_models
from longwriter.tracking import runs as tracking
from tests.unit.retention import test_old_data as old_data_tests
from tests.unit.retention.test_leftovers import training, write
from tests.unit.retention.test_old_data import repo  # noqa: F401
from tests.unit.traces import test_traces as text_traces
from tests.unit.tracking.test_versioning import initialised  # noqa: F401

NOTHING = dict.fromkeys(RetentionParams.model_fields)


def policy(**days):
    return RetentionParams(**{**NOTHING, **days})


def applied(**days):
    return list(retention.apply(policy(**days)))


DAY_MS = 86_400_000
WEIGHTS, ANSWERS, DRAFTS, OLD_DRAFTS = "a" * 32 + ".dir", "b" * 32, "c" * 32, "d" * 32


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ended(stage, how="executed", days=200, parent=None, reads=None, writes=None):
    """Return a run of a stage that ended some days ago."""
    client, experiment = connection.client()
    tags = {"lw.stage": stage, "lw.status": how} if how else {"lw.kind": "pipeline"}
    if parent:
        tags["mlflow.parentRunId"] = parent
    run_id = client.create_run(experiment, run_name=stage, tags=tags).info.run_id
    for data, context in ((reads, "input"), (writes, "output")):
        tracking.log_datasets(run_id, data or {}, context)
    client.set_terminated(run_id, "FINISHED", end_time=int(time.time() * 1000) - days * DAY_MS)
    return run_id


def test_runs_of_unchanged_stages_go_with_their_night_and_the_runs_that_they_name_stay(store, folder):
    producer = ended("sft")
    quiet, recent, mixed = (ended("nightly", None) for _ in range(3))
    unchanged = [ended("sft", "unchanged", parent=quiet), ended("dpo", "unchanged", parent=quiet)]
    ended("sft", "unchanged", days=1, parent=recent)
    half = ended("sft", "unchanged", parent=mixed)
    ended("dpo", "executed", parent=mixed)
    restored = ended("plan", "restored")
    assert applied(unchanged_run_days=30) == [
        "4 MLflow runs of unchanged stages (mlflow gc removes them for good)"
    ]
    left = {run.info.run_id for run in store.search_runs([connection.client()[1]])}
    assert left.isdisjoint({*unchanged, quiet, half})
    assert {producer, recent, mixed, restored} <= left
    assert applied(unchanged_run_days=30) == []


def test_traces_go_unless_the_registry_or_the_data_of_today_rest_on_them(store, folder):
    write_run = ended("write", writes={"data/write/drafts.jsonl": DRAFTS})
    training_run = ended(
        "sft", reads={"data/write/drafts.jsonl": DRAFTS}, writes={"data/sft/weights": WEIGHTS}
    )
    logged_models.register("writer", training_run, {"dvc.md5": WEIGHTS})
    answering = ended("generate@sft-a", reads={"data/sft/weights": WEIGHTS})
    today = ended("plan")
    Path("data/lineage").mkdir(parents=True)
    Path("data/lineage/plan.json").write_text(
        json.dumps({"stage": "plan", "run_id": today, "inputs": {}, "outputs": {}})
    )
    former = ended("write", writes={"data/write/drafts.jsonl": OLD_DRAFTS})
    young = ended("write", days=10)
    for number, run_id in enumerate((write_run, training_run, answering, today, former, young)):
        text_traces.write(run_id, [text_traces.text(number)])
    text_traces.write(
        former, [text_traces.text(0), text_traces.text(50)]
    )  # the first is one of `write_run` too
    assert applied(trace_days=180) == ["2 traces in MLflow"]
    shown = [
        len(traces.ids_of(run_id)) for run_id in (write_run, training_run, answering, today, former, young)
    ]
    assert shown == [1, 1, 1, 1, 1, 1]
    assert applied(trace_days=180) == []


def test_files_go_by_the_days_of_their_kind_and_stay_without_days(folder):
    state = training("sft", is_finished=True)  # a day old
    going_on = training("dpo", is_finished=False)
    log = write(".lw/logs/a.log", days=40)
    assert applied() == []
    assert applied(checkpoint_days=2, log_days=41, conversion_days=1) == []
    assert state.exists()
    assert log.exists()
    assert applied(checkpoint_days=1) == ["0.00 GB in 1 path of .lw"]
    assert not state.exists()
    assert going_on.exists()
    assert log.exists()
    assert len(applied(log_days=39, checkpoint_days=1, conversion_days=1)) == 1
    assert not log.exists()


def test_prompts_go_unless_the_data_of_today_rests_on_them(store, folder):
    Path(".lw").mkdir()
    Path("a.txt").write_text("Write about {topic}.")
    needed = ended("plan", reads={"a.txt": "a" * 32})
    tracking.log_prompts(needed, {"a.txt": ("clean-a", "a" * 32)})
    tracking.log_prompts(needed, {"a.txt": ("clean-b", "b" * 32)})
    Path("data/lineage").mkdir(parents=True)
    Path("data/lineage/plan.json").write_text(
        json.dumps({"stage": "plan", "run_id": needed, "inputs": {}, "outputs": {}})
    )
    assert retention.old_prompts(timedelta(days=1)) == []
    assert ("clean-b", "1") in retention.old_prompts(timedelta(0))
    assert ("clean-a", "1") not in retention.old_prompts(timedelta(0))
    old_runs.delete_prompts([("clean-b", "1")])
    assert ("clean-b", "1") not in retention.old_prompts(timedelta(0))
    tracking.log_prompts(needed, {"a.txt": ("clean-b", "b" * 32)})
    assert ("clean-b", "2") in retention.old_prompts(timedelta(0))


def test_the_data_of_a_registered_model_stays_in_the_cache_and_other_old_data_goes(store, repo):  # noqa: F811
    digest = old_data_tests.cached_folder("weights")
    old_data_tests.run_with("first", "main")
    old_data_tests.run_with("never committed")
    old_data_tests.run_with("first")
    run = ended("sft", writes={"data/sft/weights": digest})
    logged_models.register("writer-of-data", run, {"dvc.md5": digest})
    [sentence] = applied(data_nights=1)
    assert sentence == "0.00 GB in 2 files of DVC's cache"
    texts, entries = old_data_tests.cached()
    assert "a" in texts
    assert "never committed" not in texts
    assert entries == 1
