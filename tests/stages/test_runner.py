"""What a stage process does around its work: its summary, an MLflow that cannot be reached, damaged and write-protected state."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from dvc.repo import Repo
from mlflow.tracking import MlflowClient

from longwriter.errors import GateStopped, Unavailable, UserError
from tests import disks, forking
from tests.unit.tracking.test_openlineage import catalogue
from tests.workspace import PATIENCE_S, ROOT, environment

STAGE = """
from longwriter.execution import runner
from longwriter.errors import GateStopped

def lose_mlflow():
    "Have SQLite take the database for one of a newer version, which it reads and does not write."
    with open(".lw/mlflow.db", "r+b") as file:
        file.seek(18)
        file.write(bytes([9]))
        file.seek(24)
        file.write(bytes([99] * 4))

def work(params, folder, run):
    (folder / "rows.txt").write_text("text")
    {then}
    return runner.Summary(3, 2, {{"refused": 1}}, {{"words": 5}}, {{"calls_sent": 4, "cost_usd": 0.5}})

runner.main("toy", work)
"""
DVC = """
stages:
  toy:
    cmd: python toy.py
    deps: [toy.py]
    params: [plan.max_steps]
    outs: [data/toy/rows.txt, {more}data/lineage/toy.json]
    metrics: [data/toy/metrics.json]
"""


@pytest.fixture(autouse=True)
def with_mlflow(tmp_path: Path, mlflow_tables: Path) -> None:
    (tmp_path / ".lw").mkdir()
    shutil.copy(mlflow_tables, tmp_path / ".lw" / "mlflow.db")


def stage(
    folder: Path, then: str = "pass", more: str = "data/toy/summary.json, ", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a stage of three rows in `folder`; `then` is what happens at the end of its work."""
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for name in ("src", "infra"):  # params.yaml names files there
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "dvc.yaml").write_text(DVC.format(more=more), encoding="utf-8")
    (folder / "toy.py").write_text(STAGE.format(then=then), encoding="utf-8")
    if not (folder / ".dvc").exists():
        Repo.init(str(folder), no_scm=True).close()
    out, err = folder / "toy.out", folder / "toy.err"
    code = forking.run("toy", [], folder, {**environment(folder), **env}, (out, err), PATIENCE_S)
    return subprocess.CompletedProcess(["toy"], code, out.read_text(), err.read_text())


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says why a stage stopped."""
    assert "Traceback" not in done.stderr, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("toy: ") and "/#/" not in line]
    return line


def status(folder: Path) -> list[str]:
    """Return the status of each run of the stage."""
    client = MlflowClient(f"sqlite:///{folder / '.lw' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("longwriter").experiment_id
    return [run.info.status for run in client.search_runs([experiment]) if run.info.run_name == "toy"]


def mend_mlflow(folder: Path) -> None:
    with (folder / ".lw" / "mlflow.db").open("r+b") as file:
        file.seek(18)
        file.write(bytes([1]))


def test_the_summary_holds_what_varies_and_mlflow_and_the_closing_line_have_it_too(tmp_path: Path) -> None:
    done = stage(tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "data/toy/summary.json").read_text())
    assert summary.pop("seconds") < 60
    assert summary == {
        "rows_in": 3, "rows_kept": 2, "rejected": {"refused": 1}, "calls_sent": 4, "cost_usd": 0.5,
    }  # fmt: skip
    metrics = json.loads((tmp_path / "data/toy/metrics.json").read_text())
    assert metrics == {"rows_in": 3, "rows_kept": 2, "rejected_refused": 1, "words": 5}
    assert "toy: 3 in, 2 kept, 1 rejected (refused 1) in 0.0 s, 4 calls, " in told(done)
    assert told(done).endswith("$0.50")
    run_id = json.loads((tmp_path / "data/lineage/toy.json").read_text())["run_id"]
    client = MlflowClient(f"sqlite:///{tmp_path / '.lw' / 'mlflow.db'}")
    assert {"summary.json", "lineage-toy.json"} <= {item.path for item in client.list_artifacts(run_id)}
    assert client.get_run(run_id).data.metrics["cost_usd"] == 0.5


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ('runner.Summary(3, 0, {"refused": 3})', "0 of 3 rows are kept; rejected: refused 3"),
        (
            'runner.Summary(3, 1, {"refused": 2}, min_kept_share=0.5)',
            "1 of 3 rows are kept, toy.min_kept_share",
        ),
    ],
)
def test_a_stage_that_keeps_nothing_or_too_little_publishes_nothing_and_shows_what_it_rejected(
    tmp_path: Path, summary: str, words: str
) -> None:
    done = stage(tmp_path, f'(folder / "rejected.jsonl").write_text("why"); return {summary}')
    assert done.returncode == 3
    assert told(done).startswith(f"toy: GateStopped: {words}")
    assert ".lw/stopped/toy/rejected.jsonl" in told(done)
    assert not (tmp_path / "data/toy").exists()
    assert (tmp_path / ".lw/stopped/toy/rejected.jsonl").read_text() == "why"
    assert status(tmp_path) == ["FAILED"]


def test_a_stage_that_its_gate_stops_shows_what_it_rejected_before(tmp_path: Path) -> None:
    rows = "".join(f'{{"reason": "{reason}"}}\n' for reason in ("no_json", "refused", "no_json"))
    then = f'(folder / "rejected.jsonl").write_text({rows!r}); raise GateStopped("too few")'
    done = stage(tmp_path, then)
    assert done.returncode == 3
    file = ".lw/stopped/toy/rejected.jsonl"
    assert (
        told(done)
        == f"toy: GateStopped: too few. Rejected before the gate: no_json 2, refused 1 (all: {file})"
    )
    assert (tmp_path / file).read_text() == rows
    run = MlflowClient(f"sqlite:///{tmp_path / '.lw' / 'mlflow.db'}").search_runs(["1"])[0]
    client = MlflowClient(f"sqlite:///{tmp_path / '.lw' / 'mlflow.db'}")
    assert "rejected.jsonl" in [item.path for item in client.list_artifacts(run.info.run_id)]


def test_the_lineage_events_of_a_stage_have_the_run_and_the_digests_of_mlflow_and_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalogue(monkeypatch) as received:
        assert stage(tmp_path).returncode == 0
        whole = json.loads((tmp_path / "data/lineage/toy.json").read_text())
        assert stage(tmp_path, "raise GateStopped('too few')").returncode == 3
    assert [event["eventType"] for event in received] == ["START", "COMPLETE", "START", "FAIL"]
    start, end = received[:2]
    assert start["job"]["name"] == "toy"
    assert end["run"]["runId"].replace("-", "") == whole["run_id"]
    assert end["run"]["facets"]["parent"]["run"]["runId"].replace("-", "") == whole["pipeline_run_id"]
    for events, digests in ((start["inputs"], whole["inputs"]), (end["outputs"], whole["outputs"])):
        sent = {item["name"]: item["facets"]["version"]["datasetVersion"] for item in events}
        assert sent == digests
        assert sent
    assert received[3]["outputs"] == []
    assert received[3]["run"]["facets"]["errorMessage"]["message"] == "GateStopped: too few"


def test_a_stage_that_declares_no_summary_has_none(tmp_path: Path) -> None:
    assert stage(tmp_path, more="").returncode == 0
    assert sorted(path.name for path in (tmp_path / "data/toy").iterdir()) == ["metrics.json", "rows.txt"]


def test_a_tracking_server_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://user:hidden@127.0.0.1:{free.getsockname()[1]}"
    done = stage(tmp_path, MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == Unavailable.exit_code
    assert told(done).startswith("toy: Unavailable: cannot reach MLflow at http://127.0.0.1:")
    assert told(done).endswith(": nothing was done")
    assert "hidden" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_stage_that_loses_mlflow_during_its_work_can_be_tried_again(tmp_path: Path) -> None:
    done = stage(tmp_path, "lose_mlflow()")
    assert done.returncode == Unavailable.exit_code, done.stderr
    assert told(done).startswith("toy: Unavailable: cannot reach MLflow at sqlite:///")
    assert "readonly database): the work is done" in told(done)
    assert told(done).endswith("the next try repeats the work from stored answers and checkpoints")
    assert (tmp_path / "data/toy/rows.txt").exists()
    mend_mlflow(tmp_path)
    assert status(tmp_path) == ["RUNNING"]
    assert stage(tmp_path).returncode == 0
    assert sorted(status(tmp_path)) == ["FINISHED", "KILLED"]


def test_an_unreachable_mlflow_hides_no_failure_of_the_work(tmp_path: Path) -> None:
    done = stage(tmp_path, "lose_mlflow(); raise GateStopped('too few rows')")
    assert done.returncode == GateStopped.exit_code, done.stderr
    assert told(done) == "toy: GateStopped: too few rows"
    assert "cannot reach MLflow at sqlite:///" in done.stderr
    assert "to end this run" in done.stderr
    assert not (tmp_path / "data/toy").exists()


def test_a_damaged_database_of_mlflow_is_set_aside_and_its_whole_runs_are_kept(tmp_path: Path) -> None:
    assert stage(tmp_path).returncode == 0
    database = tmp_path / ".lw" / "mlflow.db"
    root = _root_page(database, "trace_info")
    content = bytearray(database.read_bytes())
    content[root * 4096 - 4096 : root * 4096] = b"\xff" * 4096
    database.write_bytes(content)
    done = stage(tmp_path)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "is damaged" in line]
    [aside] = database.parent.glob("mlflow.db.damaged-*Z")
    assert aside.name in line
    assert aside.read_bytes() == content
    assert status(tmp_path) == ["FINISHED", "FINISHED"]


def test_an_unreadable_database_of_mlflow_is_set_aside_and_a_new_one_is_used(tmp_path: Path) -> None:
    assert stage(tmp_path).returncode == 0
    database = tmp_path / ".lw" / "mlflow.db"
    database.write_bytes(b"overwritten" * 1000)
    done = stage(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0 rows could be read" in done.stderr
    assert status(tmp_path) == ["FINISHED"]


def _root_page(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0])


def test_a_write_protected_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disks.disk(disk, "size=100m"):
        try:
            assert stage(disk).returncode == 0
            subprocess.run(["mount", "--bind", str(disk / ".lw"), str(disk / ".lw")], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(disk / ".lw")], check=True)
            done = stage(disk)
            assert done.returncode == UserError.exit_code, done.stderr
            assert re.fullmatch(
                r"toy: no access to \S+ \(Read-only file system\): give this user the right to read and write it "
                r"and run again; LLM answers and checkpoints that are stored will be used again",
                told(done),
            )
            subprocess.run(["umount", str(disk / ".lw")], check=True)
            assert stage(disk).returncode == 0
        finally:
            subprocess.run(["umount", "--lazy", str(disk / ".lw")], check=False, capture_output=True)
