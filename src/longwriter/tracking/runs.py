"""MLflow: one run a stage execution under one pipeline run, with DVC's digests as data sets.

Only this file and models.py import mlflow. Without MLFLOW_TRACKING_URI everything lies in
`.lw/mlflow.db` and `.lw/mlartifacts`. A run names the process that owns it, so that a janitor can
close the runs of dead ones.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

for _name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")

import mlflow  # noqa: E402 (the switches above must be set first)
from mlflow.entities import Run as Run  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from longwriter.errors import without_password  # noqa: E402
from longwriter.io import process  # noqa: E402
from longwriter.io.files import LOCAL  # noqa: E402

EXPERIMENT = "longwriter"
AWAY = (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError)  # a server or database out of reach
PARENT_ENV = "LW_PIPELINE_RUN"
_BATCH = 1000  # metrics of one request, MLflow's limit


class StageRun(NamedTuple):
    """The execution of one stage in this process.

    `run_id`: its MLflow run. `fingerprint`: hash of all that decides the stage's output.
    """

    run_id: str
    fingerprint: str


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, else the checkout's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(LOCAL / 'mlflow.db').resolve()}"


def client() -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id; the database is made once, under a lock."""
    return _client(tracking_uri())


@functools.cache
def _client(uri: str) -> tuple[MlflowClient, str]:
    LOCAL.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(uri)
    mlflow_client = MlflowClient(uri)
    with FileLock(LOCAL / "mlflow.lock"):
        found = mlflow_client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            local = uri.startswith("sqlite:")
            place = (LOCAL / "mlartifacts").resolve().as_uri() if local else None
            return mlflow_client, mlflow_client.create_experiment(EXPERIMENT, artifact_location=place)
        return mlflow_client, found.experiment_id


def run_url(run_id: str) -> str:
    """Return the run's page in the MLflow UI (LW_MLFLOW_UI, else infra/ui.sh's address)."""
    uri, experiment_id = tracking_uri(), client()[1]
    ui = os.environ.get("LW_MLFLOW_UI") or (uri if uri.startswith("http") else "http://127.0.0.1:5000")
    return f"{without_password(ui).rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def close_dead_runs() -> list[str]:
    """End as KILLED every RUNNING run whose process is gone; return their ids."""
    mlflow_client, experiment = client()
    running = mlflow_client.search_runs([experiment], "attributes.status = 'RUNNING'", max_results=1000)
    dead = [run.info.run_id for run in running if process.is_dead(run.data.tags)]
    for run_id in dead:
        mlflow_client.set_tag(run_id, "lw.ended_by", "janitor: its process is gone")
        mlflow_client.set_terminated(run_id, "KILLED")
    return dead


def start_run(name: str, tags: dict[str, str], parent: str | None = None) -> str:
    """Start a run owned by this process; return its id."""
    mlflow_client, experiment = client()
    tags = {**tags, **process.identity()}
    if parent:
        tags["mlflow.parentRunId"] = parent
    return str(mlflow_client.create_run(experiment, run_name=name, tags=tags).info.run_id)


def end_run(run_id: str, status: str) -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    client()[0].set_terminated(run_id, status)


def pipeline_run(group: str, tags: dict[str, str]) -> str:
    """Return the pipeline run that stages of the same `dvc repro` share.

    Under a flow its id comes by LW_PIPELINE_RUN. Else the first stage makes it and it is ended at
    once: nobody stays behind to end it.
    """
    if given := os.environ.get(PARENT_ENV):
        return given
    mlflow_client, experiment = client()
    with FileLock(LOCAL / "mlflow.lock"):
        found = mlflow_client.search_runs([experiment], f"tags.`lw.group` = '{group}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        run_id = start_run("dvc repro", {**tags, "lw.kind": "pipeline", "lw.group": group})
        mlflow_client.set_terminated(run_id, "FINISHED")
        return run_id


def log_params(run_id: str, params: dict[str, Any]) -> None:
    """Log a stage's parameters under their dotted names; values are cut at MLflow's limit."""
    mlflow_client, _ = client()

    def flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from flat(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, str(value)[:6000]

    entities = [mlflow.entities.Param(key, value) for key, value in flat("", params)]
    mlflow_client.log_batch(run_id, params=entities)


def log_metrics(run_id: str, metrics: dict[str, float], about: dict[str, str] | None = None) -> None:
    """Log numbers of one moment; `about` names the model and data set they are of (`models.subject`)."""
    now = int(time.time() * 1000)
    entities = [
        mlflow.entities.Metric(key, float(value), now, 0, **(about or {})) for key, value in metrics.items()
    ]
    client()[0].log_batch(run_id, metrics=entities)


def log_curve(run_id: str, points: Iterable[tuple[int, dict[str, float]]]) -> None:
    """Log numbers of many steps: (step, {metric: value})."""
    now = int(time.time() * 1000)
    entities = [
        mlflow.entities.Metric(key, float(value), now, step)
        for step, metrics in points
        for key, value in metrics.items()
    ]
    for start in range(0, len(entities), _BATCH):
        client()[0].log_batch(run_id, metrics=entities[start : start + _BATCH])


def log_datasets(run_id: str, digests: dict[str, str], context: str) -> None:
    """Name files and folders as data sets of a run; code among them is left to the git commit.

    Args:
        run_id: The run.
        digests: {path in the checkout: DVC's digest}.
        context: `input` or `output`.
    """
    tag = mlflow.entities.InputTag("mlflow.data.context", context)
    inputs = [
        mlflow.entities.DatasetInput(
            mlflow.entities.Dataset(
                name=path, digest=digest, source_type="dvc", source=json.dumps({"path": path, "md5": digest})
            ),
            tags=[tag],
        )
        for path, digest in digests.items()
        if not path.endswith(".py")
    ]
    if inputs:
        client()[0].log_inputs(run_id, inputs)


def log_artifact(run_id: str, path: Path, folder: str | None = None) -> None:
    """Keep a file or a folder with a run."""
    mlflow_client, _ = client()
    if path.is_dir():
        mlflow_client.log_artifacts(run_id, str(path), folder)
    else:
        mlflow_client.log_artifact(run_id, str(path), folder)


def set_tags(run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    entities = [mlflow.entities.RunTag(key, value) for key, value in tags.items()]
    client()[0].log_batch(run_id, tags=entities)


def log_reused(
    stage: str, lineage: dict[str, Any], how: str, parent: str | None, tags: dict[str, str]
) -> str:
    """Show a stage that DVC skipped or restored as a light run that points to the producing one.

    Args:
        stage: Name of the stage.
        lineage: Content of data/lineage/<stage>.json.
        how: `unchanged` or `restored`.
        parent: The pipeline run.
        tags: Further tags.

    Returns:
        The id of the light run; no metric is copied into it.
    """
    producer = lineage["run_id"]
    note = f"{how}: output of [run {producer}]({run_url(producer)}) is used again"
    run_id = start_run(
        f"{stage} (reused)",
        {
            **tags,
            "lw.stage": stage,
            "lw.status": how,
            "lw.producer_run_id": producer,
            "lw.fingerprint": lineage["fingerprint"],
            "mlflow.note.content": note,
        },
        parent,
    )
    for context in ("input", "output"):
        log_datasets(run_id, lineage[f"{context}s"], context)
    end_run(run_id, "FINISHED")
    return run_id


def runs_with_output(stage: str, digest: str) -> list[Run]:
    """Return the runs that executed `stage` and wrote a data set of that digest, newest first."""
    mlflow_client, experiment = client()
    found = mlflow_client.search_runs(
        [experiment],
        f"dataset.digest = '{digest}' AND tags.`lw.stage` = '{stage}' AND tags.`lw.status` = 'executed'",
        order_by=["attributes.start_time DESC"],
    )
    return list(found)


def run(run_id: str) -> Run:
    """Return the run with this id."""
    return client()[0].get_run(run_id)


def latest_run(stage: str) -> Run | None:
    """Return the newest finished run of a stage, executed or reused."""
    mlflow_client, experiment = client()
    found = mlflow_client.search_runs(
        [experiment],
        f"tags.`lw.stage` = '{stage}' AND attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0] if found else None


def datasets(run: Run, context: str) -> dict[str, str]:
    """Return {path: DVC digest} of a run's data sets with that context."""
    return {
        item.dataset.name: item.dataset.digest
        for item in run.inputs.dataset_inputs
        if any(tag.key == "mlflow.data.context" and tag.value == context for tag in item.tags)
    }
