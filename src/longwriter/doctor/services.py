"""Checks of the services that the pipeline uses: DVC's remote, MLflow, Prefect, endpoints, S3, the clock."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from pydantic import BaseModel

from longwriter.doctor.finding import Finding, State
from longwriter.errors import LongWriterError, without_password
from longwriter.io import disk, s3
from longwriter.params import LLMParams, Params
from longwriter.tracking import connection, versioning

_TIMEOUT_S = 10
_SKEW_S, _MAX_SKEW_S = 60, 600  # S3 refuses requests if the clock is wrong by 15 minutes
_LATE_S = 600  # a run that is pending for longer has probably lost its worker
_PORTS = (("LW_MLFLOW_PORT", 5000), ("LW_PREFECT_PORT", 4200), ("LW_DOCS_PORT", 8800))
_POOL = "longwriter"  # the work pool of flows/deployments.py
_OPENAI = "https://api.openai.com/v1"


class Reply(NamedTuple):
    """The answer of a server: status, JSON (None = something else), and the seconds that its clock is ahead of ours."""

    status: int
    body: Any
    skew_s: float | None


def checks(params: Params | None) -> Iterator[Finding]:
    """Yield the findings about the services; without `params`, endpoints are left out."""
    yield remote()
    if (store := bucket()) is not None:
        yield store
    yield mlflow()
    yield from prefect()
    for key, llm in endpoints(params).items() if params is not None else ():
        yield endpoint(key, llm)
    yield ports()


def ask(method: str, url: str, *, json: Any = None, auth: tuple[str, str] | None = None) -> Reply:
    """Return what a server answers to one request.

    Raises:
        httpx2.HTTPError: it does not answer.
    """
    with httpx2.Client(timeout=_TIMEOUT_S) as client:
        answer = client.request(method, url, json=json, auth=auth)
    skew, date = None, answer.headers.get("date")
    if date is not None:
        try:
            skew = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            skew = None  # no date that can be read
    is_json = "json" in answer.headers.get("content-type", "")
    try:
        body = answer.json() if is_json else None
    except ValueError:
        body = None
    return Reply(answer.status_code, body, skew)


def clock(topic: str, reply: Reply) -> Finding | None:
    """Return a finding if the clock of this machine differs from that of a server; else None."""
    if reply.skew_s is None or abs(reply.skew_s) < _SKEW_S:
        return None
    state: State = "error" if abs(reply.skew_s) >= _MAX_SKEW_S else "warning"
    text = f"the clock of this machine and of its server differ by {abs(reply.skew_s):,.0f} s"
    return Finding(
        topic,
        state,
        text,
        "set the clock (chrony or systemd-timesyncd): S3 refuses requests with a wrong time",
    )


def remote() -> Finding:
    """Write, read and remove a small object in DVC's default remote."""
    try:
        name, url = versioning.try_remote()
    except LongWriterError as error:
        return Finding("DVC remote", "error", str(error), "dvc remote list; infra/README.md, Storage")
    except OSError as error:  # DVC writes to .dvc/tmp before it does anything
        if (trouble := disk.trouble(error)) is None:
            raise
        return Finding("DVC remote", "error", *trouble.split(": ", 1))
    if name is None:
        cure = "dvc remote add -d NAME URL: without one, another machine cannot get the data"
        return Finding("DVC remote", "warning", "there is no default remote", cure)
    return Finding(
        "DVC remote", "ok", f"{name} ({without_password(url)}): an object was written, read and removed"
    )


def bucket() -> Finding | None:
    """Try the S3 bucket of DVC's default remote: multipart upload, checksums, region, clock; None without one."""
    try:
        url, settings = versioning.remote_settings()
    except (LongWriterError, OSError):  # `remote` has said it
        return None
    if not url.startswith("s3://"):
        return None
    try:
        trial = s3.preflight(url, settings)
    except LongWriterError as error:
        cure = "check AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's name and the clock"
        return Finding("S3", "error", without_password(str(error)), cure)
    if skewed := clock("S3", Reply(200, None, trial.skew_s)):
        return skewed
    if trial.region and trial.expected_region and trial.region != trial.expected_region:
        text = f"{url} is in the region {trial.region}, and the settings say {trial.expected_region}"
        return Finding("S3", "warning", text, f"export AWS_DEFAULT_REGION={trial.region}")
    return Finding("S3", "ok", f"{url}: credentials, multipart upload, checksums, region and clock are right")


def mlflow() -> Finding:
    """Check that the tracking server answers and accepts the login; a database in `.lw` is checked with `.lw`."""
    uri = connection.tracking_uri()
    if not uri.startswith(("http://", "https://")):
        return Finding("MLflow", "ok", f"runs go to {without_password(uri)}")
    url = without_password(uri).rstrip("/")
    try:
        reply = ask("GET", f"{uri.rstrip('/')}/health")
        name, password = (os.environ.get(f"MLFLOW_TRACKING_{word}", "") for word in ("USERNAME", "PASSWORD"))
        query = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={connection.EXPERIMENT}"
        login = ask("GET", f"{uri.rstrip('/')}{query}", auth=(name, password) if name else None)
    except httpx2.HTTPError as error:
        return Finding(
            "MLflow", "error", f"cannot reach {url} ({error})", "start it, or correct MLFLOW_TRACKING_URI"
        )
    if reply.status != 200:
        return Finding(
            "MLflow",
            "error",
            f"{url}/health answers {reply.status}",
            "correct MLFLOW_TRACKING_URI, or the login",
        )
    if login.status not in (200, 404):  # 404: no run has made the experiment yet
        cure = "correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ask its administrator"
        return Finding("MLflow", "error", f"{url} refuses this login ({login.status})", cure)
    return clock("MLflow", reply) or Finding("MLflow", "ok", f"{url} answers")


def prefect() -> Iterator[Finding]:
    """Ask the Prefect server for the nightly deployment, its workers, and runs that no worker has started."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not url:
        yield Finding("Prefect", "ok", "PREFECT_API_URL is not set: each flow starts a server of its own")
        return
    login = os.environ.get("PREFECT_API_AUTH_STRING", "")
    auth = (login.partition(":")[0], login.partition(":")[2]) if login else None
    safe_url = without_password(url)
    try:
        nightly = {"flows": {"name": {"any_": ["nightly"]}}}
        reply = ask("POST", f"{url}/deployments/filter", json=nightly, auth=auth)
        if reply.status in (401, 403):
            yield Finding(
                "Prefect", "error", f"{safe_url} refuses this login", "correct PREFECT_API_AUTH_STRING"
            )
            return
        if reply.status != 200 or not isinstance(reply.body, list):
            yield Finding(
                "Prefect",
                "error",
                f"{safe_url} answers {reply.status}",
                "PREFECT_API_URL ends in /api: correct it",
            )
            return
        yield clock("Prefect", reply) or Finding("Prefect", "ok", f"{safe_url} answers")
        yield owner(_rows(reply.body))
        workers = ask("POST", f"{url}/work_pools/{_POOL}/workers/filter", json={}, auth=auth)
        pending = {"flow_runs": {"state": {"type": {"any_": ["PENDING"]}}}}
        waiting = ask("POST", f"{url}/flow_runs/filter", json=pending, auth=auth)
    except httpx2.HTTPError as error:
        yield Finding(
            "Prefect",
            "error",
            f"cannot reach {safe_url} ({error})",
            "start the server, or correct PREFECT_API_URL",
        )
        return
    online = [row.get("name") for row in _rows(workers.body) if row.get("status") == "ONLINE"]
    if online:
        yield Finding("workers", "ok", f"online in the pool {_POOL}: {', '.join(map(str, online))}")
    else:
        yield Finding(
            "workers",
            "warning",
            f"no worker of the pool {_POOL} is online",
            f"prefect worker start --pool {_POOL}",
        )
    if stuck := [str(row.get("name")) for row in _rows(waiting.body) if _age_s(row) > _LATE_S]:
        cure = "python -m flows.deployments clear, in the checkout that they run in, ends them"
        yield Finding(
            "runs", "warning", f"pending for more than {_LATE_S // 60} minutes: {', '.join(stuck)}", cure
        )


def _rows(body: Any) -> Sequence[Mapping[str, Any]]:
    return [row for row in body if isinstance(row, dict)] if isinstance(body, list) else []


def _age_s(row: Mapping[str, Any]) -> float:
    """Return the seconds since a run changed its state; 0 if the server does not say when."""
    since = (row.get("state") or {}).get("timestamp")
    if not isinstance(since, str):
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()


def owner(deployments: Sequence[Mapping[str, Any]]) -> Finding:
    """Say which nightly deployments run in this checkout, and where the others run."""
    here: list[str] = []
    elsewhere: list[str] = []
    for deployment in deployments:
        variables = deployment.get("job_variables") or {}
        folder = str(variables.get("working_dir") or deployment.get("path") or "unknown")
        host = str((variables.get("env") or {}).get("LW_DEPLOYED_ON") or "")
        name = f"nightly/{deployment.get('name')}"
        is_here = folder == str(Path.cwd().resolve()) and host in ("", socket.gethostname())
        (here if is_here else elsewhere).append(
            name if is_here else f"{name} in {host and f'{host}:'}{folder}"
        )
    text = f"of this checkout: {', '.join(here) or 'none'}"
    if elsewhere:
        text += f"; of other checkouts: {', '.join(elsewhere)}"
    cure = "" if here else "python -m flows.deployments schedules the nightly flow"
    return Finding("deployment", "ok" if here else "warning", text, cure)


def endpoints(params: Params) -> dict[str, LLMParams]:
    """Return {key in params.yaml: endpoint} of the external endpoints."""
    return {key: llm for key, llm in _models(params, "") if llm.engine == "external"}


def _models(value: Any, key: str) -> Iterator[tuple[str, LLMParams]]:
    if isinstance(value, LLMParams):
        yield key, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _models(getattr(value, name), ".".join(filter(None, (key, field.alias or name))))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _models(item, f"{key}[{number}]")


def endpoint(key: str, llm: LLMParams) -> Finding:
    """Check that an endpoint answers and that its key is in the environment; the key is neither shown nor sent."""
    url = without_password(llm.base_url or _OPENAI).rstrip("/")
    if llm.api_key_env and not os.environ.get(llm.api_key_env, "").strip():
        cure = f"export {llm.api_key_env}=... (named by {key}.api_key_env; '' = the endpoint takes no key)"
        return Finding(key, "error", f"no API key for {url}", cure)
    try:
        reply = ask("GET", f"{url}/models")
    except httpx2.HTTPError as error:
        return Finding(
            key, "error", f"cannot reach {url} ({error})", f"correct {key}.base_url, or start the server"
        )
    credentials = f"{llm.api_key_env} is set" if llm.api_key_env else "takes no key"
    text = f"{url} answers ({reply.status}); {credentials}"
    return clock(key, reply) or Finding(key, "ok", text)


def ports() -> Finding:
    """Say which ports of infra/ui.sh are in use."""
    busy = []
    for variable, default in _PORTS:
        text = os.environ.get(variable, str(default))
        with socket.socket() as probe:
            probe.settimeout(1)
            if text.isdigit() and int(text) < 65536 and probe.connect_ex(("127.0.0.1", int(text))) == 0:
                busy.append(f"{text} ({variable})")
    if not busy:
        return Finding("ports", "ok", "the ports of infra/ui.sh are free")
    return Finding(
        "ports",
        "ok",
        f"a server listens on {', '.join(busy)}",
        "if it is not infra/ui.sh, set the variable to a free port",
    )
