"""Stops PostgreSQL, S3, MLflow or Prefect in mid-stage and in mid-push, and shows how the flow ends and goes on.

A flow runs the stage `write` on the services of `infra/services`, against the scripted chat server of the tests,
and pushes its data to S3. One server is stopped when the first paragraphs are written (`write`), or while a large
file is on its way to S3 (`push`), and started again later. Then the same command runs once more.

Four more moments lie in the push of a stage to MLflow, for PostgreSQL and for MLflow itself: of its `metrics`, of
its `tables`, of its `traces` (stage `write`), and of the model's registration (`registration`, stage `register`).
There `dvc repro` runs the stage, and a relay in front of MLflow stops the server when the request comes.

For each drill:

    first      exit code and reason of the flow during which the server was away, and its minutes
    second     exit code of the same command afterwards
    repeated   requests sent again although their answer had come: nothing should be paid twice
    MLflow     states of the runs of both flows and of their stages; RUNNING would be a run that nobody ends
    Prefect    states of both flows
    left       processes of the checkout that are alive, and files that DVC or S3 lack

Run, while the services run: `python -m infra.bench.fault_services --folder FOLDER`; exit code 1 if a second flow
fails, a request is repeated, an MLflow run is RUNNING, or something is left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from mlflow.tracking import MlflowClient
from tabulate import tabulate

from infra.bench.relay import Relay
from infra.services import s3, servers
from infra.services.state import State
from tests import tiny_model
from tests import workspace as workspaces
from tests.chat_server.server import ChatServer, chat_server
from tests.workspace import Workspace, wait_for

MOMENTS = {
    "metrics": ("write", rb'"metrics": ?\[\{', 1),
    "tables": ("write", rb"PUT \S*/rows\.json ", 1),
    "traces": ("write", rb"POST \S*/mlflow/traces ", 3),
    "registration": ("register", rb"POST \S*/model-versions/set-tag ", 3),
}
"""{moment in the push to MLflow: stage, pattern of a request, which of these requests is the moment}."""
_STALE = {"write": {"write.sampling.seed": 4321}, "register": {"register.margins.short_prompts": 0.31}}
"""{stage: parameters with which it is stale}."""
DRILLS = (
    *((name, "write") for name in servers.NAMES),
    ("s3", "push"),
    ("prefect", "push"),
    *((name, moment) for moment in MOMENTS for name in ("postgres", "mlflow")),
)
HEAD = ("stopped", "in", "first", "second", "repeated", "MLflow", "Prefect", "left")
_FLOW = (sys.executable, "-m", "flows", "--share")
_BEFORE = ("base_model", "benchmarks", "instructions", "plan")
_LARGE = "large.bin"
_LIMIT_S = 1800.0


class Bench(NamedTuple):
    """What all drills share."""

    services: State
    checkout: Workspace
    server: ChatServer
    seconds: float
    megabytes: int


def drill(bench: Bench, name: str, moment: str, path: Path) -> tuple[list[str], bool]:
    """Return a row of the table, and whether everything is as it should be."""
    checkout = bench.checkout.copy(path)
    checkout.env.update(bench.checkout.env)
    if moment == "push":
        (path / _LARGE).write_bytes(os.urandom(bench.megabytes * 2**20))
        checkout.dvc("add", _LARGE)
    before, started_ms = len(bench.server.requests()), int(time.time() * 1000)
    begin = time.monotonic()
    with checkout.start(*_FLOW, "write") as child:
        wait_for(_moment(bench, moment, before, child), f"{name} can be stopped in {moment}", _LIMIT_S)
        servers.stop(bench.services, [name])
        time.sleep(bench.seconds)
        servers.start(bench.services, [name])
        out, err = child.communicate(timeout=_LIMIT_S)
    minutes = (time.monotonic() - begin) / 60
    again = checkout.run(*_FLOW, "write", code=None, limit_s=_LIMIT_S)
    hashes = Counter(row["hash"] for row in bench.server.requests()[before:])
    repeated = sum(hashes.values()) - len(hashes)
    runs, left = _mlflow(started_ms), _left(checkout)
    reason = (err.strip() or out.strip()).splitlines()[-1][:200] if child.returncode else "done"
    row = [name, moment, f"{child.returncode}: {reason} ({minutes:.1f} min)", str(again.returncode)]
    is_right = again.returncode == 0 and not repeated and "RUNNING" not in runs and not left
    if again.returncode:
        sys.stderr.write(again.stderr[-3000:])
    row += [f"{repeated} of {sum(hashes.values())}", _counts(runs), _counts(_prefect(started_ms))]
    return [*row, "; ".join(left) or "nothing"], is_right


def push_drill(bench: Bench, name: str, moment: str, path: Path) -> tuple[list[str], bool]:
    """Return a row of a drill in a push to MLflow, as `drill` does."""
    stage, pattern, number = MOMENTS[moment]
    checkout = bench.checkout.copy(path)
    checkout.env.update(bench.checkout.env)
    checkout.set_params(_STALE[stage])
    before, started_ms = len(bench.server.requests()), int(time.time() * 1000)
    relay = Relay(
        bench.services.ports["mlflow"], pattern, number, lambda: servers.stop(bench.services, [name])
    )
    command = ("dvc", "repro", "--single-item", stage)
    begin = time.monotonic()
    with relay.url() as url, checkout.start(*command, MLFLOW_TRACKING_URI=url) as child:
        reader = threading.Thread(target=lambda: output.extend(child.communicate(timeout=_LIMIT_S)))
        output: list[str] = []
        reader.start()
        wait_for(lambda: relay.has_begun.is_set() or not reader.is_alive(), f"{moment} begins", _LIMIT_S)
        if not relay.has_begun.is_set():
            raise SystemExit(f"the stage ended before the drill began:\n{output}")
        time.sleep(bench.seconds)
        servers.start(bench.services, [name])
        reader.join()
    minutes = (time.monotonic() - begin) / 60
    again = checkout.run(*command, code=None, limit_s=_LIMIT_S)
    hashes = Counter(row["hash"] for row in bench.server.requests()[before:])
    repeated = sum(hashes.values()) - len(hashes)
    runs = _mlflow(started_ms)
    left = [" ".join(process.cmdline())[:100] for process in checkout.processes()]
    if "up to date" not in (status := checkout.dvc("status", stage, code=None).stdout):
        left.append(status[:200])
    lines = [line for line in output[1].splitlines() if line.startswith(f"{stage}: ")]
    end = "0" if not child.returncode else f"{child.returncode}: {lines[-1][:400]}"
    row = [name, moment, f"{end} ({minutes:.1f} min)", str(again.returncode)]
    is_right = again.returncode == 0 and not repeated and "RUNNING" not in runs and not left
    is_right &= "Traceback" not in output[1]
    if not is_right:
        sys.stderr.write(output[1][-4000:] + again.stderr[-3000:])
    row += [f"{repeated} of {sum(hashes.values())}", _counts(runs), "-", "; ".join(left) or "nothing"]
    return row, is_right


def _moment(bench: Bench, moment: str, before: int, child: subprocess.Popen[str]) -> Callable[[], bool]:
    """Return the condition at which the server is stopped: three paragraphs are written, or S3 has parts of a file."""
    client = s3.client(bench.services, "pipeline")
    uploads = _uploads(client)  # an upload that was cut off stays, until somebody aborts it

    def is_now() -> bool:
        if child.poll() is not None:
            raise SystemExit(f"the flow ended before the drill began:\n{child.communicate()[1][-3000:]}")
        if moment == "write":
            return len(bench.server.requests()) > before + 3
        return bool(_uploads(client) - uploads)

    return is_now


def _uploads(client: Any) -> set[str]:
    answer = client.list_multipart_uploads(Bucket=s3.BUCKETS["pipeline"])
    return {upload["UploadId"] for upload in answer.get("Uploads", [])}


def _mlflow(since_ms: int) -> Counter[str]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("longwriter")
    runs = client.search_runs([experiment.experiment_id], f"attributes.start_time > {since_ms}")
    return Counter(run.info.status for run in runs)


def _prefect(since_ms: int) -> Counter[str]:
    user, _, password = os.environ["PREFECT_API_AUTH_STRING"].partition(":")
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since_ms / 1000))
    answer = httpx2.post(
        f"{os.environ['PREFECT_API_URL']}/flow_runs/filter", auth=(user, password), timeout=60, trust_env=False,
        json={"flow_runs": {"start_time": {"after_": since}}},
    )  # fmt: skip
    return Counter(run["state_name"] for run in answer.raise_for_status().json())


def _counts(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _left(checkout: Workspace) -> list[str]:
    """Return what a drill left: processes, and what dvc.lock names but checkout or S3 lack."""
    left = [" ".join(process.cmdline())[:100] for process in checkout.processes()]
    for words in (("status", "write"), ("status", "--cloud", "write")):
        answer = checkout.dvc(*words, code=None)
        text = answer.stdout.strip()
        if answer.returncode or ("up to date" not in text and "in sync" not in text):
            left.append(f"dvc {' '.join(words)}: {(text or answer.stderr)[:200]}")
    return left


def main() -> int:
    """Run the drills; print the table."""
    parser = argparse.ArgumentParser(description="Stops servers in mid-stage and in mid-push.")
    parser.add_argument("--folder", type=Path, required=True, help="state of the services, which run")
    parser.add_argument("--seconds", type=float, default=120, help="time for which a server is stopped")
    parser.add_argument("--megabytes", type=int, default=512, help="size of the file of a push")
    drills = [f"{name}/{moment}" for name, moment in DRILLS]
    parser.add_argument("--drills", nargs="*", choices=drills, default=drills)
    options = parser.parse_args()
    services, rows, is_right = State(options.folder), [], True
    env = servers.client_env(services)
    os.environ.update(env)
    with (
        tempfile.TemporaryDirectory() as base,
        chat_server(Path(base) / "requests", "--latency", "2") as server,
    ):
        tiny_model.write(Path(base) / "tiny")
        params = {"base_model.source": f"path:{Path(base) / 'tiny'}", "llm.base_url": server.url}
        first = workspaces.make(Path(base) / "first", params)
        first.env.update(env)
        first.dvc("remote", "add", "--local", "--default", "services", f"s3://{s3.BUCKETS['pipeline']}/dvc")
        needs_all = any(words.endswith("/registration") for words in options.drills)
        first.dvc("repro", *(() if needs_all else _BEFORE), limit_s=2 * _LIMIT_S)
        bench = Bench(services, first, server, options.seconds, options.megabytes)
        for words in options.drills:
            name, _, moment = words.partition("/")
            make_row = push_drill if moment in MOMENTS else drill
            row, is_drill_right = make_row(bench, name, moment, Path(base) / f"{name}-{moment}")
            rows.append(row)
            is_right &= is_drill_right
            sys.stderr.write(f"{'right' if is_drill_right else 'WRONG'}: {row}\n")
    sys.stdout.write(tabulate(rows, HEAD, tablefmt="github") + "\n")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
