"""The nightly deployment, through a real Prefect server and worker."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from longwriter.web import door
from tests.small import STAGES
from tests.workspace import Workspace, wait_for

BIN = Path(sys.executable).parent
RUN_S = 1200.0  # one nightly run; many times what it takes on an idle machine
NEWS = {"report@tiny", "register"}  # what `first_night` changes


class Prefect:
    """A server and a worker for one workspace, asked over HTTP."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self.workspace, self.url = workspace, url
        self.env = {"PREFECT_API_URL": url}

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the server's answer; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def deploy(self, cron: str = "0 2 29 2 *", flow: str = "nightly") -> str:
        """Create or update the deployment of a flow; return its id."""
        words = ["--flow", flow, "--cron", cron]
        done = self.workspace.run("python", "-m", "flows.deployments", *words, **self.env)
        found = re.search(rf"^deployment {flow}/{flow} ([0-9a-f-]{{36}}):", done.stdout, re.MULTILINE)
        assert found, done.stdout
        return found[1]

    def run_to_end(self, deployment: str) -> dict[str, Any]:
        """Start a run of the deployment and return it when it has ended."""
        made = self.ask(f"/deployments/{deployment}/create_flow_run", {})
        return self.ended(made["id"])

    def ended(self, run_id: str) -> dict[str, Any]:
        """Return a flow run once its state is final."""
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        def look() -> dict[str, Any] | None:
            run = self.ask(f"/flow_runs/{run_id}")
            return run if run["state_type"] in final else None

        return wait_for(look, f"flow run {run_id} ends", RUN_S)

    def states(self, run_id: str) -> dict[str, str]:
        """Return {stage: name of its task run's state}."""
        rows = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 100})
        return {row["name"]: row["state_name"] for row in rows}

    def artifact(self, key: str) -> str:
        """Return the newest artifact of a key."""
        return self.ask(f"/artifacts/{key}/latest")["data"]

    def logs(self, run_id: str) -> str:
        """Return a run's log lines, for a failure's message."""
        rows = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200})
        return "\n".join(row["message"] for row in rows)


@contextlib.contextmanager
def _process(workspace: Workspace, log: Path, *words: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a long-lived process in a session of its own; all that runs in the workspace is ended after."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            words, cwd=workspace.path, env={**workspace.env, **env}, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield child
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
        for left in workspace.processes():  # a night that the worker had begun
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


@pytest.fixture(scope="module")
def prefect(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    folder = tmp_path_factory.mktemp("prefect")
    workspace = finished.copy(folder / "checkout")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    prefect = Prefect(workspace, f"http://127.0.0.1:{port}/api")
    server_log, worker_log = folder / "server.log", folder / "worker.log"
    with _process(workspace, server_log, *door.command("prefect", int(port))) as server:

        def is_up() -> bool:
            assert server.poll() is None, server_log.read_text()
            with contextlib.suppress(OSError, urllib.error.URLError):
                return bool(prefect.ask("/health"))
            return False

        wait_for(is_up, "the Prefect server answers")
        prefect.deployment = prefect.deploy()
        words = [str(BIN / "prefect"), "worker", "start", "--pool", "longwriter"]
        with _process(workspace, worker_log, *words, **prefect.env, PREFECT_WORKER_QUERY_SECONDS="2"):
            yield prefect


@pytest.fixture(scope="module")
def first_night(prefect: Prefect) -> dict[str, Any]:
    """The first nightly run; news for the report, and for the stage that depends on its output."""
    prefect.workspace.set_params({"report.seed": 1})
    prefect.head = prefect.workspace.git("rev-parse", "HEAD")
    prefect.tree = prefect.workspace.git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    prefect.day = datetime.now(UTC)
    return prefect.run_to_end(prefect.deployment)


def test_a_night_with_news_completes(prefect: Prefect, first_night: dict[str, Any]) -> None:
    assert first_night["state_type"] == "COMPLETED", prefect.logs(first_night["id"])
    wanted = {name: "Executed" if name in NEWS else "Unchanged" for name in STAGES}
    assert prefect.states(first_night["id"]) == wanted
    assert "up to date" in prefect.workspace.dvc("status").stdout
    assert "in sync" in prefect.workspace.dvc("status", "--cloud").stdout


def test_the_lock_file_goes_to_a_branch_and_the_checkout_stays(
    prefect: Prefect, first_night: dict[str, Any]
) -> None:
    workspace = prefect.workspace
    [branch] = workspace.git("for-each-ref", "--format=%(refname:short)", "refs/heads/nightly").splitlines()
    assert branch in {f"nightly/{day:%Y-%m-%d}" for day in (prefect.day, datetime.now(UTC))}
    assert workspace.git("diff", "--name-only", "main", branch).split() == ["dvc.lock", "params.yaml"]
    assert (
        workspace.git("show", f"{branch}:params.yaml") == (workspace.path / "params.yaml").read_text().strip()
    )
    assert workspace.git("show", f"{branch}:dvc.lock") == (workspace.path / "dvc.lock").read_text().strip()
    assert workspace.git("rev-parse", f"{branch}~1") == prefect.head
    assert workspace.git("rev-parse", "HEAD") == prefect.head
    assert workspace.git("symbolic-ref", "--short", "HEAD") == "main"
    assert workspace.git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock") == prefect.tree
    assert workspace.git("diff", "--cached", "--name-only") == ""


def test_skipped_stages_are_light_runs_that_name_their_producer(
    prefect: Prefect, first_night: dict[str, Any]
) -> None:
    runs = prefect.workspace.runs()
    [parent] = [
        run
        for run in runs
        if run.data.tags.get("prefect.flow_run_id") == first_night["id"] and run.data.tags.get("lw.kind")
    ]
    children = {
        r.data.tags["lw.stage"]: r
        for r in runs
        if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert parent.info.status == "FINISHED"
    assert set(children) == set(STAGES)
    for name, run in children.items():
        lineage = prefect.workspace.json(f"data/lineage/{name}.json")
        assert run.info.status == "FINISHED"
        if name in NEWS:
            assert run.data.tags["lw.status"] == "executed"
            assert lineage["run_id"] == run.info.run_id
            continue
        assert run.info.run_name == f"{name} (reused)"
        assert run.data.tags["lw.status"] == "unchanged"
        assert run.data.tags["lw.producer_run_id"] == lineage["run_id"] != run.info.run_id
        assert run.data.metrics == {}
        digests = {item.dataset.name: item.dataset.digest for item in run.inputs.dataset_inputs}
        named = {**lineage["inputs"], **lineage["outputs"]}
        code = {
            path
            for path in named
            if path.endswith(".py") or any((prefect.workspace.path / path).glob("*.py"))
        }
        assert digests == {path: md5 for path, md5 in named.items() if path not in code}


def test_reports_and_runs_are_artifacts(prefect: Prefect, first_night: dict[str, Any]) -> None:
    workspace = prefect.workspace
    report = (workspace.path / "data/report/tiny/report.md").read_text(encoding="utf-8")
    assert prefect.artifact("report-tiny") == report
    run_id = workspace.json("data/lineage/report@tiny.json")["run_id"]
    assert f"/runs/{run_id})" in prefect.artifact("report-tiny-mlflow-run")
    [reused] = [
        run.info.run_id
        for run in workspace.runs()
        if run.data.tags.get("lw.stage") == "generate@base_model-tiny"
    ]
    assert f"/runs/{reused})" in prefect.artifact("generate-base-model-tiny-mlflow-run")
    page = re.sub(" +", " ", prefect.artifact("time-budget"))
    [night] = [
        run.data.tags
        for run in workspace.runs()
        if run.data.tags.get("lw.kind") == "pipeline"
        and run.data.tags.get("prefect.flow_run_id") == first_night["id"]
    ]
    assert page.splitlines()[2] in night["mlflow.note.content"]
    did = dict(re.findall(r"\| \[(\S+)\]\(http\S+\) \| (\w+) \|", page))
    assert did == {name: "executed" if name in NEWS else "unchanged" for name in STAGES}
    numbers = workspace.json("data/dataset/metrics.json")
    assert f"| {numbers['rows_in']:g} | {numbers['rows_kept']:g} |" in page


def test_a_flow_whose_training_does_not_fit_ends_before_its_first_stage(
    prefect: Prefect, first_night: dict[str, Any]
) -> None:
    workspace = prefect.workspace
    before = (workspace.path / "params.yaml").read_text()
    workspace.set_params({"write.sampling.seed": 1, "dpo.max_length": 5000})
    done = workspace.run("python", "-m", "flows", "write", "sft", code=2, **prefect.env)
    (workspace.path / "params.yaml").write_text(before)
    assert (
        "UserError: the training does not fit: the positions of the model reach 4,096 tokens, but dpo.max_length is "
        "5,000: lower it, choose a base_model.source with a longer context"
    ) in done.stderr
    assert "Traceback" not in done.stderr
    assert "stage 1 of" not in done.stderr


@pytest.fixture(scope="module")
def cron_night(prefect: Prefect, first_night: dict[str, Any]) -> dict[str, Any]:
    """The first run that a one-minute cron made; the schedule ends with the worker."""
    prefect.deploy("* * * * *")

    def due() -> dict[str, Any] | None:
        rows = prefect.ask(
            "/flow_runs/filter",
            {
                "deployments": {"id": {"any_": [prefect.deployment]}},
                "sort": "EXPECTED_START_TIME_ASC",
                "limit": 200,
            },
        )
        fired = [
            row for row in rows if row["auto_scheduled"] and row["state_type"] not in ("SCHEDULED", "PENDING")
        ]
        return fired[0] if fired else None

    return prefect.ended(wait_for(due, "the cron fires", 300)["id"])


def test_a_one_minute_cron_fires(prefect: Prefect, cron_night: dict[str, Any]) -> None:
    assert cron_night["auto_scheduled"] is True
    assert cron_night["state_type"] == "COMPLETED", prefect.logs(cron_night["id"])


def test_a_night_without_news_says_so(prefect: Prefect, cron_night: dict[str, Any]) -> None:
    assert cron_night["state_name"] == "NoNews"
    assert set(prefect.states(cron_night["id"]).values()) == {"Unchanged"}
    branches = prefect.workspace.git("for-each-ref", "--format=%(refname:short)", "refs/heads/nightly")
    assert len(branches.splitlines()) == 1
    assert prefect.workspace.git("rev-list", "--count", f"main..{branches}") == "1"


@pytest.mark.services
def test_a_cancelled_run_is_cancelled_at_every_level_and_its_parameters_leave_no_trace(
    prefect: Prefect,
) -> None:
    workspace = prefect.workspace

    def state() -> dict[str, Any]:
        files = {name: (workspace.path / name).read_text() for name in ("params.yaml", "dvc.lock")}
        return {**files, "git": workspace.git("status", "--porcelain")}

    def mlflow() -> dict[str, str]:
        """Return {name of an MLflow run of this flow: its status}."""
        runs = [run for run in workspace.runs() if run.data.tags.get("prefect.flow_run_id") == made["id"]]
        assert all(run.data.tags["dvc.experiment"].endswith(f"-{made['id'][:6]}") for run in runs)
        return {run.data.tags.get("lw.stage", "pipeline"): run.info.status for run in runs}

    before = state()
    deployment = prefect.deploy(flow="longwriter")
    parameters = {"stages": ["sft"], "overrides": ["sft.optimizer.seed=5"]}
    made = prefect.ask(f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    wait_for(lambda: mlflow().get("sft") == "RUNNING", "the training begins", RUN_S)
    prefect.ask(f"/flow_runs/{made['id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert prefect.ended(made["id"])["state_name"] == "Cancelled", prefect.logs(made["id"])
    assert prefect.states(made["id"]) == {"sft": "Cancelled"}
    assert mlflow() == {"pipeline": "KILLED", "sft": "KILLED"}
    experiments = workspace.path / ".lw" / "experiments"
    wait_for(lambda: not list(experiments.iterdir()), "the copy of the checkout is removed")
    assert state() == before
