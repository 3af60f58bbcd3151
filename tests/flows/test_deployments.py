"""The nightly deployment of two checkouts on one real Prefect server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from longwriter.errors import StageBusy, UserError
from longwriter.tracking import git
from longwriter.web import net
from tests.flows.conftest import running
from tests.workspace import ROOT, wait_for


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Site:
    """A checkout with only the flows in it."""

    def __init__(self, folder: Path, url: str) -> None:
        shutil.copytree(ROOT / "flows", folder / "flows")
        self.folder, self.url = folder, url

    @contextlib.contextmanager
    def here(self, url: str) -> Iterator[None]:
        """Run the block in the checkout, with a Prefect server."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        os.environ["PREFECT_API_URL"] = url
        with contextlib.chdir(self.folder), temporary_settings({PREFECT_API_URL: url or None}):
            yield
        del os.environ["PREFECT_API_URL"]

    def run(self, *words: str, url: str | None = None) -> Done:
        """Run the command in this process: to import Prefect anew each time would take seconds."""
        from flows import deployments

        out, err = io.StringIO(), io.StringIO()
        with (
            self.here(self.url if url is None else url),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = deployments.main(list(words))
        return Done(code, out.getvalue(), err.getvalue())


class AskAgain(httpx2.HTTPTransport):
    """Asks again while Prefect answers 503 because its database is busy, as Prefect's own client does."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(40):
            response = super().handle_request(request)
            if response.status_code != 503:
                break
            response.close()
            time.sleep(0.5)
        return response


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, prefect_tables: Path) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("web")
    (folder / ".lw" / "prefect").mkdir(parents=True)
    shutil.copy2(prefect_tables, folder / ".lw" / "prefect")
    with running(folder, ["prefect"]) as servers:
        url = f"http://127.0.0.1:{servers.ports['prefect']}/api"
        yield httpx2.Client(base_url=url, transport=AskAgain(), timeout=30)


def _deployment(api: httpx2.Client) -> dict[str, Any]:
    return api.get("/deployments/name/nightly/nightly").json()


def test_a_deployment_of_another_checkout_is_replaced_and_removed_only_on_purpose(
    api: httpx2.Client, tmp_path: Path
) -> None:
    url = str(api.base_url).rstrip("/")
    mine, other = Site(tmp_path / "mine", url), Site(tmp_path / "other", url)
    assert mine.run("status").stdout == (
        "there is no deployment of the flows nightly, longwriter, data, training, benchmark, weekly\n"
    )

    done = mine.run("--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
    assert re.search(
        r"^deployment nightly/nightly [0-9a-f-]{36}: 0 3 \* \* \* Europe/Berlin$", done.stdout, re.MULTILINE
    ), done.stderr[-2000:]
    first = _deployment(api)
    assert first["job_variables"]["working_dir"] == str(mine.folder)

    for words in ([], ["deploy"], ["remove"]):
        refused = other.run(*words)
        assert refused.code == 2
        assert f":{mine.folder}, this checkout is" in refused.stderr
        assert "--replace" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert _deployment(api)["updated"] == first["updated"]

    status = other.run("status").stdout
    assert f":{mine.folder} (another checkout)\n" in status
    assert "0 3 * * * Europe/Berlin\n" in status
    assert "none: prefect worker start --pool longwriter" in status

    assert mine.run("--cron", "0 4 * * *").code == 0  # its own one is updated as before
    assert _deployment(api)["id"] == first["id"]
    assert "0 4 * * * UTC\n" in mine.run("status").stdout

    assert other.run("--name", "other").code == 0  # a name of its own needs no --replace
    both = mine.run("status").stdout
    assert "deployment nightly/nightly " in both
    assert "deployment nightly/other " in both
    assert other.run("remove", "--name", "other").code == 0

    assert other.run("--replace").code == 0
    assert _deployment(api)["job_variables"]["working_dir"] == str(other.folder)
    assert "(another checkout)" in mine.run("status").stdout
    assert mine.run("remove").code == 2

    shutil.rmtree(other.folder)  # nobody can remove the deployment there any more
    assert (
        f":{other.folder} (this folder is gone: python -m flows.deployments remove --flow nightly --name nightly)\n"
        in mine.run("status").stdout
    )
    other = mine
    assert other.run("remove").stdout == f"removed deployment nightly/nightly {first['id']}\n"
    assert _deployment(api).get("id") is None
    assert other.run("remove").stdout == "there is no deployment nightly/nightly\n"


def test_people_start_other_flows_on_machines_of_a_pool_with_other_parameters(
    api: httpx2.Client, tmp_path: Path
) -> None:
    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    done = site.run("--flow", "training", "--pool", "gpu", "--tag", "a100", "--share")
    assert done.stdout.endswith(": no schedule\n"), done.stderr[-2000:]
    training = api.get("/deployments/name/training/training").json()
    assert (training["work_pool_name"], training["tags"]) == ("gpu", ["a100"])
    assert training["parameters"] == {"share": True}
    form = training["parameter_openapi_schema"]["properties"]
    assert list(form) == ["overrides", "dry_run", "share"]
    assert training["schedules"] == []
    assert "none: prefect worker start --pool gpu" in site.run("status").stdout
    assert "--tag 'A 1'" in site.run("--flow", "data", "--tag", "A 1").stderr
    refused = site.run("--flow", "data", "--push")
    assert (refused.code, refused.stderr) == (
        2,
        "--push: the flow data has no such parameter; leave it out\n",
    )
    assert site.run("remove", "--flow", "training").stdout.startswith("removed deployment training/training ")


def test_a_crashed_run_is_repeated_once_ten_minutes_later(api: httpx2.Client, tmp_path: Path) -> None:
    from prefect.client.schemas.objects import Flow, FlowRun
    from prefect.states import Cancelled, Crashed, Failed

    from flows import ends, repro

    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    assert site.run("--name", "crash").code == 0
    deployment = api.get("/deployments/name/nightly/crash").json()["id"]

    def runs() -> list[dict[str, Any]]:
        body = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"tags": {"all_": ["again"]}}}
        return api.post("/flow_runs/filter", json=body).json()

    def new_run() -> FlowRun:
        row = api.post(f"/deployments/{deployment}/create_flow_run", json={"tags": ["mine"]}).json()
        return FlowRun.model_validate(row)

    def failed(code: int) -> Any:
        error = repro.DvcFailed(["repro", "plan"], repro.CommandResult(1, code, ["ERROR: it failed"]))
        return Failed(data=error)

    flow, first = Flow(name="nightly"), new_run()
    with site.here(site.url):
        for state in (failed(2), failed(3), Cancelled()):
            ends.start_again(flow, first, state)
        assert runs() == []
        for _ in range(2):  # a hook that is called twice starts one run
            ends.start_again(flow, first, Crashed(message="killed"))
        [repeated] = runs()
        assert repeated["name"] == f"{first.name}-again"
        assert sorted(repeated["tags"]) == ["again", "mine"]
        assert repeated["parameters"] == first.parameters
        due = datetime.fromisoformat(repeated["expected_start_time"]) - datetime.now(UTC)
        assert timedelta(minutes=5) < due <= timedelta(minutes=10)
        ends.start_again(flow, FlowRun.model_validate(repeated), Crashed(message="killed again"))
        assert len(runs()) == 1
        ends.start_again(flow, new_run(), failed(75))
        ends.start_again(flow, new_run(), Failed(data=StageBusy("a person's dvc command works here")))
        assert len(runs()) == 3
        ends.start_again(flow, FlowRun(flow_id=first.flow_id, name="by hand"), Crashed())
        assert len(runs()) == 3
    site.run("remove", "--name", "crash")


def test_a_run_whose_worker_or_process_is_gone_is_ended_with_a_reason(
    api: httpx2.Client, tmp_path: Path
) -> None:
    from flows import ends

    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    other = Site(tmp_path / "other", site.url)
    assert site.run("--flow", "data", "--name", "lost").code == 0
    deployment = api.get("/deployments/name/data/lost").json()["id"]
    here = socket.gethostname()

    def new_run(kind: str, pid: str | None = None) -> str:
        created = api.post(f"/deployments/{deployment}/create_flow_run", json={})
        assert created.status_code == 201, created.text
        run = created.json()
        for state in dict.fromkeys(("PENDING", kind)):
            body = {"state": {"type": state}, "force": True}
            assert api.post(f"/flow_runs/{run['id']}/set_state", json=body).status_code in (200, 201)
        if pid is not None:
            assert api.patch(f"/flow_runs/{run['id']}", json={"infrastructure_pid": pid}).status_code == 204
        return str(run["id"])

    def states(ids: Iterable[str]) -> list[tuple[str, str | None]]:
        rows = [api.get(f"/flow_runs/{run_id}").json() for run_id in ids]
        return [(row["state_type"], row["state"]["message"]) for row in rows]

    gone = subprocess.Popen(["true"])
    gone.wait()
    reason = f"its process {gone.pid} on {here} is gone"
    lost = [new_run("RUNNING", f"{here}:{gone.pid}"), new_run("CANCELLING", f"{here}:{gone.pid}")]
    pending = new_run("PENDING")
    alive = [
        new_run("RUNNING", f"elsewhere:{gone.pid}"),
        new_run("RUNNING", f"{here}:{os.getppid()}"),
        new_run("RUNNING"),
    ]
    assert other.run("clear").stdout == "no run of this checkout has lost its worker or process\n"
    with site.here(site.url):
        ends.end_lost(own_id=lost[0])
        assert states(lost) == [("RUNNING", None), ("CANCELLED", reason)]
    assert f"is Crashed: {reason}" in site.run("clear").stdout
    with site.here(site.url):
        assert states(lost) == [("CRASHED", reason), ("CANCELLED", reason)]
        assert states([pending]) == [("PENDING", None)]
    with site.here(site.url):
        ends.end_lost(pending_s=0)
    assert states([pending]) == [("CRASHED", "no worker began it in 0 minutes")]
    assert states(alive) == [("RUNNING", None)] * 3
    site.run("remove", "--flow", "data", "--name", "lost")


def test_the_stages_of_a_run_that_was_killed_are_ended_too(api: httpx2.Client, tmp_path: Path) -> None:
    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    assert site.run("--flow", "data", "--name", "killed").code == 0
    deployment = api.get("/deployments/name/data/killed").json()["id"]

    def new_run(kind: str, message: str | None, pid: str, stages: dict[str, str]) -> list[str]:
        """Make a run in a state, and its stages in theirs; return the ids of the stages."""
        run = api.post(f"/deployments/{deployment}/create_flow_run", json={}).json()["id"]
        for state in ({"type": "PENDING"}, {"type": kind, "message": message}):
            api.post(f"/flow_runs/{run}/set_state", json={"state": state, "force": True}).raise_for_status()
        api.patch(f"/flow_runs/{run}", json={"infrastructure_pid": pid}).raise_for_status()
        bodies = [
            {
                "flow_run_id": run,
                "task_key": "stage",
                "dynamic_key": name,
                "name": name,
                "state": {"type": state},
            }
            for name, state in stages.items()
        ]
        return [api.post("/task_runs/", json=body).raise_for_status().json()["id"] for body in bodies]

    def states(ids: Iterable[str]) -> list[tuple[str, str | None]]:
        rows = [api.get(f"/task_runs/{run_id}").json() for run_id in ids]
        return [(row["state_type"], row["state"]["message"]) for row in rows]

    gone = subprocess.Popen(["true"])
    gone.wait()
    here = socket.gethostname()
    stages = {"plan": "COMPLETED", "sft": "RUNNING", "dpo": "SCHEDULED"}
    found = new_run("RUNNING", None, f"{here}:{gone.pid}", stages)
    by_worker = new_run("CRASHED", "exit code -9", f"{here}:{gone.pid}", stages)
    cancelled = new_run("CANCELLED", "by a person", f"{here}:{gone.pid}", stages)
    alive = new_run("RUNNING", None, f"{here}:{os.getppid()}", stages)
    printed = site.run("clear").stdout
    reason = f"its process {gone.pid} on {here} is gone"
    assert states(found) == [("COMPLETED", None), ("CRASHED", reason), ("CRASHED", reason)]
    assert states(by_worker) == [("COMPLETED", None), *[("CRASHED", "exit code -9")] * 2]
    assert states(cancelled) == [("COMPLETED", None), *[("CANCELLED", "by a person")] * 2]
    assert states(alive) == [("COMPLETED", None), ("RUNNING", None), ("SCHEDULED", None)]
    assert printed.count("stage sft of ") == printed.count("stage dpo of ") == 3
    assert site.run("clear").stdout == "no run of this checkout has lost its worker or process\n"
    site.run("remove", "--flow", "data", "--name", "killed")


BY_HAND = """
import signal
from prefect import flow, task
from prefect.runtime import flow_run
from flows import ends

@task
def sft():
    print(flow_run.id, flush=True)
    signal.pause()

@flow
def training():
    ends.sign(str(flow_run.id))
    sft()

training()
"""


def test_a_killed_run_that_no_worker_started_is_ended_on_its_machine(
    api: httpx2.Client, tmp_path: Path
) -> None:
    from flows import ends

    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    env = {**os.environ, "PREFECT_API_URL": site.url, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with contextlib.ExitStack() as stack:
        words = [sys.executable, "-c", BY_HAND]
        children = [
            stack.enter_context(subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        stack.callback(lambda: [child.kill() for child in children])
        runs = [str(child.stdout and child.stdout.readline()).strip() for child in children]

        def states(run: str) -> list[str]:
            """Return the states of a run and of its stages."""
            tasks = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}}).json()
            return [api.get(f"/flow_runs/{run}").json()["state_type"], *(row["state_type"] for row in tasks)]

        for run in runs:
            wait_for(lambda run=run: states(run) == ["RUNNING"] * 2, "the server knows the stage")
        for child in (children[0], children[2]):
            child.kill()
            child.wait()
        labels = {"lw.host": "elsewhere", "lw.pid": "9" * 5000}
        api.patch(f"/flow_runs/{runs[2]}/labels", json=labels).raise_for_status()
        with site.here(site.url):
            sentences = ends.end_lost()
            assert ends.end_lost() == []
        reason = f"its process {children[0].pid} on {socket.gethostname()} is gone"
        assert [sentence.partition(" is ")[2] for sentence in sentences] == [
            f"Crashed: {reason}",
            f"Crashed, as its run: {reason}",
        ]
        assert [states(run) for run in runs] == [["CRASHED"] * 2, ["RUNNING"] * 2, ["RUNNING"] * 2]


@contextlib.contextmanager
def _web_page(status: int, content: str) -> Iterator[str]:
    """Yield the address of a server that gives every request the same answer."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Same) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_the_digest_of_the_week_has_the_runs_of_this_checkout_only(
    api: httpx2.Client, tmp_path: Path
) -> None:
    from flows import week

    url = str(api.base_url).rstrip("/")
    mine, other = Site(tmp_path / "mine", url), Site(tmp_path / "other", url)
    done = mine.run("--flow", "weekly", "--name", "mine")
    assert done.stdout.endswith(": 0 8 * * 1 UTC\n"), done.stderr[-2000:]
    runs = {}
    for site, name, state in ((mine, "a", "FAILED"), (mine, "b", "COMPLETED"), (other, "c", "FAILED")):
        assert site.run("--name", name, "--cron", "0 2 29 2 *").code == 0
        deployment = api.get(f"/deployments/name/nightly/{name}").json()["id"]
        runs[name] = api.post(f"/deployments/{deployment}/create_flow_run", json={"name": name}).json()["id"]
        body = {"state": {"type": state, "message": f"why {name}"}, "force": True}
        assert api.post(f"/flow_runs/{runs[name]}/set_state", json=body).status_code == 201
    with mine.here(url):
        git.run("init", "-q")
        title, body = week.digest()
        assert title.endswith(": 1 Failed, 1 Completed")
        assert body.splitlines()[0].endswith(" nightly a: Failed: why a")
        broken = Path("data/score/sft-a/headline.json")
        broken.parent.mkdir(parents=True)
        broken.write_text("[]")
        assert week.digest()[1].splitlines()[-1].startswith(f"{broken} is left out: ")
        assert week.digest(runs["a"])[0].endswith(": 1 Completed")
    for words in (("weekly", "mine"), ("nightly", "a"), ("nightly", "b")):
        assert mine.run("remove", "--flow", words[0], "--name", words[1]).code == 0
    assert other.run("remove", "--name", "c").code == 0


def test_a_low_number_and_a_broken_file_are_in_the_log_and_an_artifact_of_the_run(
    api: httpx2.Client, tmp_path: Path
) -> None:
    from prefect import flow
    from prefect.runtime import flow_run

    from flows import lockfile, pipeline

    @flow
    def night() -> tuple[str, list[str]]:
        return str(flow_run.id), pipeline._below_band()

    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    with site.here(site.url):
        git.run("init", "-q", "-b", "main")
        Path("dvc.lock").touch()
        git.run("add", "dvc.lock")
        git.run("-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qm", "x")
        good, broken = (Path(f"data/score/{item}/headline.json") for item in ("sft-a", "dpo-<a>"))
        for file in (good, broken):
            file.parent.mkdir(parents=True)
        for day in range(1, 6):
            good.write_text(json.dumps({"S_l": 60 + day % 2}))
            lockfile.commit(f"nightly/2026-01-0{day}", "night")
        good.write_text('{"S_l": 50}')
        broken.write_text("[]")
        run_id, low = night()
    assert [sentence.partition(",")[0] for sentence in low] == ["sft-a S_l is 50"]
    body = {"logs": {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": 30}}}
    logs = wait_for(lambda: api.post("/logs/filter", json=body).json(), "the log arrives")
    assert logs[0]["message"] == low[0]
    assert logs[1]["message"].startswith(f"{broken} is left out: ")
    found = api.post("/artifacts/filter", json={"flow_runs": {"id": {"any_": [run_id]}}}).json()
    assert [(item["key"], len(item["data"].splitlines())) for item in found] == [("headlines", 2)]
    assert f"`{broken} is left out: " in found[0]["data"]  # a code span: nothing in a name is HTML


def test_what_cannot_be_deployed_is_refused_in_one_line(api: httpx2.Client, tmp_path: Path) -> None:
    site = Site(tmp_path / "site", str(api.base_url).rstrip("/"))
    nowhere = f"http://u:pw@127.0.0.1:{net.free_port()}/api"
    for words, url, code, message in (
        (["--cron", "whenever"], None, 2, "--cron 'whenever'"),
        (["--timezone", "Mars/Olympus"], None, 2, "Mars/Olympus"),
        (["--name", "my night/x"], None, 2, "--name 'my night/x'"),
        (["status"], "", 2, "PREFECT_API_URL is not set"),
        (["status"], nowhere, 75, "cannot reach Prefect at http://127.0.0.1"),
    ):
        done = site.run(*words, url=url)
        assert (done.code, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert message in done.stderr
    for status, content, code, message in (
        (404, "", 2, "is no API of Prefect: correct PREFECT_API_URL, which ends in /api"),
        (200, "<html>", 2, "is no API of Prefect"),
        (401, "", 2, "refuses this login (401)"),
        (500, "", 75, "answers 500"),
    ):
        with _web_page(status, content) as url:
            for action in ("status", "remove", "clear", "deploy"):
                done = site.run(action, url=url)
                assert (done.code, len(done.stderr.splitlines())) == (code, 1), done.stderr
                assert message in done.stderr
    api.delete("/work_pools/longwriter")
    assert api.post("/work_pools/", json={"name": "longwriter", "type": "docker"}).status_code == 201
    done = site.run()
    assert (done.code, len(done.stderr.splitlines())) == (2, 1)
    assert "is of type docker, process is needed" in done.stderr
    api.delete("/work_pools/longwriter")


def test_a_flow_that_runs_elsewhere_than_where_it_was_deployed_from_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import deployments

    monkeypatch.chdir(tmp_path)
    git.run("init", "-q", "-b", "main")
    git.run("remote", "add", "origin", "https://me:secret@example.org/writer.git")
    host, folder = deployments.this_checkout()
    deployed = {"LW_DEPLOYED_ON": host, "LW_DEPLOYED_FOLDER": folder, **deployments.source()}
    assert "secret" not in repr(deployed)
    deployments.check_place(deployed)
    deployments.check_place({})  # started by hand
    for key, value, text in (
        ("LW_DEPLOYED_ON", "other-host", f"its machine is {host}, not other-host"),
        ("LW_DEPLOYED_FOLDER", "/srv/other", f"its folder is {folder}, not /srv/other"),
        ("LW_DEPLOYED_REMOTE", "", "its git remote is https://example.org/writer.git, not none"),
        ("LW_DEPLOYED_BRANCH", "next", "its branch is main, not next"),
    ):
        with pytest.raises(UserError, match=re.escape(text)):
            deployments.check_place(deployed | {key: value})
