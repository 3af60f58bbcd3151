"""What `longwriter doctor` says of DVC's remote, MLflow, Prefect and endpoints, from servers that answer."""

import json
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter.doctor import services
from longwriter.errors import UserError
from longwriter.params import LLMParams
from longwriter.tracking import versioning
from tests import buckets


@contextmanager
def server(answers, clock_s=0):
    """Serve {(method, path): (status, JSON)}; its clock is `clock_s` seconds ahead. Yield URL and requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answers.get((self.command, self.path), (404, {"detail": "no such path"}))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def date_time_string(self, timestamp=None):
            return formatdate((timestamp or time.time()) + clock_s, usegmt=True)

        def log_message(self, *_words):
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", requests
        http.shutdown()


def free_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def llm(url, key=""):
    values = {
        "engine": "external",
        "model": "m",
        "base_url": f"{url}/v1",
        "api_key_env": key,
        "extra_body": {},
    }
    numbers = {"context_tokens": 2048, "max_concurrency": 1, "timeout_s": 5, "max_retries": 0}
    limits = dict.fromkeys(["requests_per_minute", "tokens_per_minute", "max_cost_usd"])
    return LLMParams(**values, **numbers, **limits)


@pytest.mark.parametrize(("clock_s", "state"), [(0, "ok"), (-120, "warning"), (3600, "error")])
def test_a_clock_that_differs_from_that_of_an_endpoint_is_named(clock_s, state):
    with server({("GET", "/v1/models"): (200, {"data": []})}, clock_s) as (url, _):
        finding = services.endpoint("llm", llm(url))
    assert (finding.topic, finding.state) == ("llm", state)
    assert ("clock" in finding.text) == (state != "ok")


def test_an_endpoint_without_its_key_is_an_error_and_a_key_is_neither_shown_nor_sent(monkeypatch):
    with server({("GET", "/v1/models"): (401, {"error": "key"})}) as (url, requests):
        missing = services.endpoint("plan.judge.llm", llm(url, "MY_KEY"))
        assert requests == []
        monkeypatch.setenv("MY_KEY", "sk-secret")
        there = services.endpoint("plan.judge.llm", llm(url, "MY_KEY"))
    assert missing.state == "error"
    assert "export MY_KEY=" in missing.cure
    assert there.state == "ok"
    assert "sk-secret" not in repr((there, requests))


def test_an_endpoint_that_does_not_answer_is_an_error():
    finding = services.endpoint("llm", llm(free_url()))
    assert finding.state == "error"
    assert "cannot reach" in finding.text


def test_a_tracking_server_is_asked_for_its_health(monkeypatch):
    with server({("GET", "/health"): (200, {})}) as (url, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert services.mlflow().state == "ok"
    with server({("GET", "/health"): (401, {})}) as (url, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert "answers 401" in services.mlflow().text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", free_url().replace("//", "//user:secret@"))
    finding = services.mlflow()
    assert finding.state == "error"
    assert "secret" not in repr(finding)


LOGIN = ("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=longwriter")


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (200, "ok", "answers"),
        (404, "ok", "answers"),
        (401, "error", "refuses this login (401)"),
        (403, "error", "refuses this login (403)"),
    ],
)
def test_a_tracking_server_that_is_up_may_still_refuse_the_login(monkeypatch, status, state, words):
    with server({("GET", "/health"): (200, {}), LOGIN: (status, {})}) as (url, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden")
        finding = services.mlflow()
    assert finding.state == state
    assert words in finding.text
    assert "hidden" not in repr(finding)


def prefect(monkeypatch, folders, workers, pending=()):
    deployments = [
        {"name": name, "job_variables": {"working_dir": folder, "env": {}}}
        for name, folder in folders.items()
    ]
    answers = {
        ("POST", "/api/deployments/filter"): (200, deployments),
        ("POST", "/api/work_pools/longwriter/workers/filter"): (200, workers),
        ("POST", "/api/flow_runs/filter"): (200, list(pending)),
    }
    with server(answers) as (url, _):
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        return {finding.topic: finding for finding in services.prefect()}


def test_the_owners_of_the_deployments_and_the_workers_are_named(monkeypatch):
    both = {"mine": str(Path.cwd().resolve()), "nightly": "/srv/other"}
    here = prefect(monkeypatch, both, [{"name": "w1", "status": "ONLINE"}])
    assert {topic: finding.state for topic, finding in here.items()} == {
        "Prefect": "ok", "deployment": "ok", "workers": "ok",
    }  # fmt: skip
    text = "of this checkout: nightly/mine; of other checkouts: nightly/nightly in /srv/other"
    assert here["deployment"].text == text
    other = prefect(monkeypatch, {"nightly": "/srv/other"}, [{"name": "w1", "status": "OFFLINE"}])
    assert other["deployment"].state == other["workers"].state == "warning"


def test_a_run_that_has_been_pending_for_long_is_named(monkeypatch):
    rows = [
        {"name": "old", "state": {"timestamp": "2020-01-01T00:00:00Z"}},
        {"name": "odd", "state": None},
    ]
    findings = prefect(monkeypatch, {}, [], rows)
    assert findings["runs"].text.endswith(": old")


def test_a_prefect_server_that_does_not_run_or_has_another_path_is_an_error(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", f"{free_url()}/api")
    assert [finding.state for finding in services.prefect()] == ["error"]
    with server({("POST", "/deployments/filter"): (200, "a page")}) as (url, _):
        monkeypatch.setenv("PREFECT_API_URL", url)
        [finding] = services.prefect()
    assert "/api" in finding.cure
    monkeypatch.delenv("PREFECT_API_URL")
    assert [finding.state for finding in services.prefect()] == ["ok"]


def test_the_default_remote_is_written_to_and_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    assert services.remote().state == "warning"
    with Repo(".") as repo, repo.config.edit() as config:
        config["core"]["remote"] = "store"
        config["remote"]["store"] = {"url": str(tmp_path / "store")}
    assert services.remote().state == "ok"
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    (tmp_path / "blocked").write_text("a file")
    with Repo(".") as repo, repo.config.edit() as config:
        config["remote"]["store"] = {"url": str(tmp_path / "blocked" / "below")}
    assert services.remote().state == "error"


def test_a_checkout_in_which_dvc_cannot_write_is_one_of_the_findings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    shutil.rmtree(".dvc/tmp")
    Path(".dvc/tmp").write_text("a file where the folder should be")
    finding = services.remote()
    assert (finding.state, finding.topic) == ("error", "DVC remote")
    assert f"{tmp_path}/.dvc/tmp" in finding.text
    assert finding.cure
    assert services.bucket() is None


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with buckets.server(tmp_path_factory.mktemp("moto")) as (env, client):
        client.create_bucket(Bucket="data")
        yield env, client


@pytest.fixture
def s3(moto, monkeypatch):
    for name, value in moto[0].items():
        monkeypatch.setenv(name, value)
    return moto


def test_a_remote_on_s3_is_tried_with_the_credentials_of_the_environment(tmp_path, monkeypatch, s3):
    env, client = s3
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    for bucket in ("data", "absent"):
        with Repo(".") as repo, repo.config.edit() as config:
            config["core"]["remote"] = "store"
            config["remote"]["store"] = {
                "url": f"s3://{bucket}/dvc",
                "endpointurl": env["AWS_ENDPOINT_URL"],
            }
        if bucket == "data":
            assert versioning.try_remote() == ("store", "s3://data/dvc")
            assert "Contents" not in client.list_objects_v2(Bucket="data")
        else:
            with pytest.raises(UserError, match=r"store \(s3://absent/dvc\)"):
                versioning.try_remote()


def test_the_bucket_of_the_remote_is_tried_by_a_multipart_upload_that_leaves_nothing(
    tmp_path, monkeypatch, s3
):
    env, client = s3
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    assert services.bucket() is None
    findings = {}
    for bucket, region in (("data", "us-east-1"), ("data", "eu-west-1"), ("absent", "us-east-1")):
        with Repo(".") as repo, repo.config.edit() as config:
            config["core"]["remote"] = "store"
            config["remote"]["store"] = {
                "url": f"s3://{bucket}/dvc",
                "endpointurl": env["AWS_ENDPOINT_URL"],
                "region": region,
            }
        findings[bucket, region] = services.bucket()
    assert "Contents" not in client.list_objects_v2(Bucket="data")
    assert "Uploads" not in client.list_multipart_uploads(Bucket="data")
    assert findings["data", "us-east-1"].state == "ok"
    assert findings["data", "eu-west-1"].cure == "export AWS_DEFAULT_REGION=us-east-1"
    assert findings["absent", "us-east-1"].state == "error"
    assert "s3://absent/dvc" in findings["absent", "us-east-1"].text


def test_a_checkout_without_git_is_one_finding(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    row = services.remote()
    assert (row.state, "is no git repository" in row.text) == ("error", True)
    assert services.bucket() is None
