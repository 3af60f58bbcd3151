"""The pipeline on PostgreSQL, S3, MLflow with logins, and Prefect: the real servers of infra/services."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from mlflow.tracking import MlflowClient

from infra.services.state import State
from tests import workspace as workspaces
from tests.chat_server.server import ChatServer
from tests.small import STAGES
from tests.workspace import ROOT, Workspace

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first test waits for the whole flow


def services(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "infra.services", *words, "--folder", str(folder)],
        cwd=ROOT, env=workspaces.environment(ROOT), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def exports(folder: Path) -> dict[str, str]:
    lines = services(folder, "env").splitlines()
    return dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Services that run; not in pytest's folder, which PostgreSQL's own user cannot enter."""
    path = Path(tempfile.mkdtemp(prefix="longwriter-services-"))
    try:
        services(path, "start", "--first-port", "0")
        yield path
    finally:
        services(path, "stop")
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def env(folder: Path) -> dict[str, str]:
    return exports(folder)


@pytest.fixture(scope="module")
def night(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, chat_server: ChatServer, env: dict[str, str]
) -> Workspace:
    """A checkout in which the flow ran once on the services, and pushed its data to S3."""
    params = {"base_model.source": f"path:{tiny_model}", "llm.base_url": chat_server.url}
    checkout = workspaces.make(tmp_path_factory.mktemp("night") / "checkout", params)
    checkout.env.update(env)
    checkout.dvc("remote", "add", "--local", "--default", "services", "s3://longwriter-data/dvc")
    checkout.run(sys.executable, "-m", "flows", limit_s=1800)
    checkout.dvc("push")
    return checkout


@pytest.fixture
def client(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(env["MLFLOW_TRACKING_URI"])


def bucket(env: dict[str, str], name: str) -> list[str]:
    s3 = boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL"], region_name="us-east-1",
                      aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                      aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"], config=Config(proxies={}))  # fmt: skip
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_each_stage_is_a_finished_run_whose_artifacts_are_in_s3(
    night: Workspace, client: MlflowClient, tmp_path: Path
) -> None:
    experiment = client.get_experiment_by_name("longwriter")
    assert experiment.artifact_location.startswith("mlflow-artifacts:/")
    runs = client.search_runs([experiment.experiment_id], "tags.`lw.status` = 'executed'", max_results=1000)
    assert sorted(run.data.tags["lw.stage"] for run in runs) == sorted(STAGES)
    assert {run.info.status for run in runs} == {"FINISHED"}
    report = next(run for run in runs if run.data.tags["lw.stage"] == "write")
    copy = Path(client.download_artifacts(report.info.run_id, "rows.json", str(tmp_path)))
    assert copy.stat().st_size > 100
    assert not (night.path / ".lw/mlflow.db").exists()
    assert not (night.path / ".lw/mlartifacts").exists()


def test_the_registry_names_the_model_and_dvc_finds_its_weights_in_s3(
    night: Workspace, client: MlflowClient, env: dict[str, str]
) -> None:
    version = client.get_model_version_by_alias("longwriter", "candidate")
    assert version.status == "READY"
    assert version.tags
    md5 = next(out["md5"] for out in night.lock()["validate"]["outs"] if out["path"].endswith("verdict.json"))
    assert any(key.endswith(f"{md5[:2]}/{md5[2:]}") for key in bucket(env, "longwriter-data"))


def test_prefect_has_the_flow_run(night: Workspace) -> None:
    runs = night.run("prefect", "flow-run", "ls", "--flow-name", "longwriter", COLUMNS="200").stdout
    assert "COMPLETED" in runs.upper()


def test_a_wrong_password_is_one_line_and_exit_code_2(night: Workspace) -> None:
    stage = night.stage("benchmarks", code=2, MLFLOW_TRACKING_PASSWORD="wrong").stderr
    assert "refuses this login (401): correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in stage
    assert "Traceback" not in stage
    flow = night.run(
        sys.executable, "-m", "flows", "benchmarks", code=2, PREFECT_API_AUTH_STRING="pipeline:wrong"
    )
    assert "refuses this login (401): correct PREFECT_API_AUTH_STRING" in flow.stderr
    assert "Traceback" not in flow.stderr
    doctor = night.run("longwriter", "doctor", code=2, MLFLOW_TRACKING_PASSWORD="wrong").stdout
    assert "refuses this login (401)" in doctor


def test_the_pipeline_cannot_touch_the_bucket_of_mlflow(night: Workspace, env: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket(env, "longwriter-mlflow")


def test_a_role_of_postgresql_reaches_only_its_own_databases_and_only_with_its_password(folder: Path) -> None:
    import psycopg2

    state = State(folder)
    own = {"host": "127.0.0.1", "port": state.ports["postgres"], "user": "prefect"}
    password = state.secrets["postgres_prefect"]
    psycopg2.connect(**own, password=password, dbname="prefect").close()
    for dbname in ("mlflow", "mlflow_auth"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(**own, password=password, dbname=dbname)
    for wrong in ("", "wrong"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(**own, password=wrong, dbname="prefect")


def test_every_file_of_the_services_is_private(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.stat().st_mode & 0o077} == set()


def test_no_password_is_in_a_command_line_and_every_server_listens_on_loopback(folder: Path) -> None:
    import psutil

    text = (folder / "secrets.json").read_text()
    secrets = [word for word in text.replace('"', " ").replace(",", " ").split() if len(word) >= 20]
    lines = " ".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    assert [secret for secret in secrets if secret in lines] == []
    assert str(folder) in lines
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL ends processes of closed connections
                for row in process.net_connections(kind="inet"):
                    assert row.status != "LISTEN" or row.laddr.ip == "127.0.0.1", (process.info, row)
    rows = [row for row in psutil.net_connections("inet") if row.status == "LISTEN"]
    for name in ("postgres", "s3", "mlflow", "prefect"):
        assert {row.laddr.ip for row in rows if row.laddr.port == State(folder).ports[name]} == {"127.0.0.1"}


def clone(night: Workspace, path: Path, env: dict[str, str]) -> Workspace:
    """A clone that has what git keeps of a night: dvc.lock and the headline numbers; its data are in S3."""
    night.git("add", "dvc.lock", "data")
    night.git("commit", "--quiet", "--message=Run the pipeline")
    night.git("clone", "--quiet", str(night.path), str(path))
    other = Workspace(path)
    other.env.update(env)
    other.dvc("remote", "add", "--local", "--default", "services", "s3://longwriter-data/dvc")
    return other


def test_the_whole_pipeline_runs_in_two_checkouts_at_once_and_one_has_its_data_only_in_s3(
    night: Workspace, client: MlflowClient, env: dict[str, str], tmp_path: Path
) -> None:
    other = clone(night, tmp_path / "other", env)
    assert not (other.path / "data/sft/weights").exists()
    before = bucket(env, "longwriter-data")
    with contextlib.ExitStack() as stack:
        children = []
        for number, checkout in enumerate((night, other)):
            checkout.set_params({"report.seed": 201 + number})
            children.append(stack.enter_context(checkout.start(sys.executable, "-m", "flows", "--share")))
        for child in children:
            out, err = child.communicate(timeout=1800)
            assert child.returncode == 0, out + err
    trainings = [at.json("data/lineage/sft.json")["run_id"] for at in (night, other)]
    assert trainings[0] == trainings[1], "the clone takes the model from S3 instead of training it again"
    assert (other.path / "data/sft/weights/model.safetensors").is_file()
    runs = [client.get_run(at.json("data/lineage/report@tiny.json")["run_id"]) for at in (night, other)]
    assert [run.data.params["report.seed"] for run in runs] == ["201", "202"]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert len({run.info.artifact_uri for run in runs}) == 2
    registrations = [client.get_run(at.json("data/lineage/register.json")["run_id"]) for at in (night, other)]
    assert [run.info.status for run in registrations] == ["FINISHED", "FINISHED"]
    assert len({run.info.run_id for run in registrations}) == 2
    assert set(before) < set(bucket(env, "longwriter-data"))
    deploy = (sys.executable, "-m", "flows.deployments")
    night.run(*deploy, "--flow", "data", "--name", "one")
    refused = other.run(*deploy, "--flow", "data", "--name", "one", code=2).stderr
    assert f"the deployment data/one runs in {socket.gethostname()}:{night.path}" in refused
    other.run(*deploy, "--flow", "data", "--name", "two")
    blocks = other.run(*deploy, "status").stdout.split("\n\n")
    places = {name: block for block in blocks for name in ("data/one", "data/two") if name in block}
    assert str(night.path) in places["data/one"]
    assert str(other.path) in places["data/two"]


def test_a_backup_brings_everything_into_new_services(
    folder: Path, night: Workspace, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Path(tempfile.mkdtemp(prefix="longwriter-restored-"))
    backup = tmp_path / "backup"
    printed = services(folder, "backup", str(backup), str(night.path))
    assert "3 databases" in printed
    try:
        services(new, "restore", str(backup), "--first-port", "0")
        restored = exports(new)
        for name, value in restored.items():
            monkeypatch.setenv(name, value)
        client = MlflowClient(restored["MLFLOW_TRACKING_URI"])
        version = client.get_model_version_by_alias("longwriter", "candidate")
        assert client.get_run(version.run_id).info.status == "FINISHED"
        run = client.search_runs(
            [client.get_run(version.run_id).info.experiment_id],
            "tags.`lw.stage` = 'write' AND tags.`lw.status` = 'executed'",  # the second checkout pulled its texts
        )[0]
        assert (
            Path(client.download_artifacts(run.info.run_id, "rows.json", str(tmp_path))).stat().st_size > 100
        )
        assert bucket(restored, "longwriter-data") == bucket(env, "longwriter-data")
        runs = night.run(
            "prefect", "flow-run", "ls", "--flow-name", "longwriter", COLUMNS="200", **restored
        ).stdout
        assert "COMPLETED" in runs.upper()
    finally:
        services(new, "stop")
        shutil.rmtree(new)
    with tarfile.open(backup / "lw-0-checkout.tar") as tar:
        assert ".lw/replay.sqlite" in tar.getnames()
    changed = backup / "postgres/mlflow.dump"
    changed.write_bytes(changed.read_bytes()[:-1])
    refused = subprocess.run(
        [sys.executable, "-m", "infra.services", "restore", str(backup), "--folder", str(tmp_path / "third")],
        cwd=ROOT, env=workspaces.environment(ROOT), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "mlflow.dump: missing or changed" in refused.stderr
    assert not (tmp_path / "third").exists()


def test_services_that_stop_and_start_again_keep_what_was_stored(
    folder: Path, night: Workspace, client: MlflowClient
) -> None:
    services(folder, "stop")
    assert "is stopped" in services(folder, "status", code=1)
    services(folder, "start")
    services(folder, "status")
    assert client.get_model_version_by_alias("longwriter", "candidate").status == "READY"
    for folder_of_data in (".dvc/cache", "data/validate"):
        shutil.rmtree(night.path / folder_of_data)
    night.dvc("pull", "--force", "validate")
    assert list((night.path / "data/validate").iterdir())
