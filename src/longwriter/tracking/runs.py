"""MLflow runs: one for each execution of a stage, under one pipeline run; data sets have DVC's digests.

Only this file, connection.py, logged_models.py and traces/traces.py import mlflow. Tags name the process that owns a
run, so that `close_dead_runs` can end runs whose process is gone.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.errors import BadRecord
from longwriter.io import process, startup
from longwriter.io.files import LOCAL
from longwriter.io.process import file_lock
from longwriter.text import inert
from longwriter.tracking import connection, profiles  # it sets variables that mlflow reads

with startup.without("pandas"):  # as in connection.py
    import mlflow
    from mlflow.entities import Run as Run

log = logging.getLogger(__name__)

PARENT_ENV = "LW_PIPELINE_RUN"
_METRICS_PER_REQUEST = 1000  # MLflow's limit
_VALUE_CHARS = 6000  # of a parameter, MLflow's limit


class StageRun(NamedTuple):
    """The execution of one stage in this process.

    `run_id`: its MLflow run. `fingerprint`: hash of everything that determines the stage's output.
    """

    run_id: str
    fingerprint: str


def run_url(run_id: str) -> str:
    """Return the URL of the run's page in the MLflow UI.

    See `connection.ui_url`.
    """
    return f"{connection.experiment_url()}/runs/{run_id}"


def close_dead_runs() -> list[str]:
    """End every RUNNING run whose process is gone, as KILLED; return the ids of these runs."""
    mlflow_client, experiment = connection.client()
    running = mlflow_client.search_runs([experiment], "attributes.status = 'RUNNING'", max_results=1000)
    dead = [run.info.run_id for run in running if process.is_dead(run.data.tags)]
    for run_id in dead:
        mlflow_client.set_tag(run_id, "lw.ended_by", "janitor: its process is gone")
        mlflow_client.set_terminated(run_id, "KILLED")
    return dead


def start_run(name: str, tags: dict[str, str], parent: str | None = None) -> str:
    """Start a run that this process owns; return its id."""
    mlflow_client, experiment = connection.client()
    tags = {**tags, **process.identity()}
    if parent:
        tags["mlflow.parentRunId"] = parent
    return str(mlflow_client.create_run(experiment, run_name=name, tags=tags).info.run_id)


def end_run(run_id: str, status: str) -> None:
    """End a run as FINISHED, FAILED or KILLED."""
    connection.client()[0].set_terminated(run_id, status)


def pipeline_run(group: str, tags: dict[str, str]) -> str:
    """Return the id of the pipeline run that all stages of one `dvc repro` share.

    A flow passes the id in LW_PIPELINE_RUN. Without a flow the first stage creates the run and ends it at
    once, because no process remains to end it later.

    Args:
        group: Id that is the same for all stages of one `dvc repro`.
        tags: Tags of a new run.
    """
    if run_id := os.environ.get(PARENT_ENV):
        return run_id
    mlflow_client, experiment = connection.client()
    with file_lock(LOCAL / "mlflow.lock"):
        runs = mlflow_client.search_runs([experiment], f"tags.`lw.group` = '{group}'", max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        run_id = start_run("dvc repro", {**tags, "lw.kind": "pipeline", "lw.group": group})
        mlflow_client.set_terminated(run_id, "FINISHED")
        return run_id


def log_params(run_id: str, params: dict[str, Any]) -> None:
    """Log a stage's parameters under their dotted names; keys are masked, long values are cut to MLflow's limit."""
    mlflow_client, _ = connection.client()

    def flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from flat(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, str(inert.masked(value, prefix))[:_VALUE_CHARS]

    entities = [mlflow.entities.Param(key, value) for key, value in flat("", params)]
    mlflow_client.log_batch(run_id, params=entities)


def log_metrics(
    run_id: str, metrics: dict[str, float], subject: dict[str, str] | None = None, step: int = 0
) -> None:
    """Log the numbers of a run.

    Args:
        run_id: The run.
        metrics: The numbers.
        subject: Names their model and data set, see `logged_models.subject`.
        step: The last step of a curve with the same names: MLflow shows the number that was logged last for it.
    """
    now = int(time.time() * 1000)
    entities = [
        mlflow.entities.Metric(key, float(value), now, step, **(subject or {}))
        for key, value in metrics.items()
    ]
    connection.client()[0].log_batch(run_id, metrics=entities)


def log_curve(run_id: str, points: Iterable[tuple[int, dict[str, float]]]) -> None:
    """Log metrics of many steps; a point is (step, {metric: value})."""
    now = int(time.time() * 1000)
    entities = [
        mlflow.entities.Metric(key, float(value), now, step)
        for step, metrics in points
        for key, value in metrics.items()
    ]
    for start in range(0, len(entities), _METRICS_PER_REQUEST):
        connection.client()[0].log_batch(run_id, metrics=entities[start : start + _METRICS_PER_REQUEST])


def is_code(path: str) -> bool:
    """Tell whether a dependency is code: a Python file, or a folder that holds some."""
    return path.endswith(".py") or any(Path(path).glob("*.py"))


def log_datasets(run_id: str, digests: dict[str, str], context: str) -> None:
    """Log files and folders as data sets of a run; Python files are left out, the git commit names them.

    Tables come first: the page of a run shows its first data set, and a click on it lists all.

    Args:
        run_id: The run.
        digests: {path in the checkout: DVC digest}.
        context: `input` or `output`.
    """
    tag = mlflow.entities.InputTag("mlflow.data.context", context)
    paths = sorted((path for path in digests if not is_code(path)), key=_is_no_table)
    inputs = [
        mlflow.entities.DatasetInput(
            mlflow.entities.Dataset(
                path,
                digests[path],
                "dvc",
                json.dumps({"path": path, "md5": digests[path]}),
                *profiles.shape(Path(path)),
            ),
            tags=[tag],
        )
        for path in paths
    ]
    if inputs:
        connection.client()[0].log_inputs(run_id, inputs)


def _is_no_table(path: str) -> bool:
    return not (path.startswith("data/") and path.endswith((".jsonl", ".parquet")))


def log_table(run_id: str, rows: list[dict[str, Any]], file: str) -> None:
    """Log a table that the MLflow UI shows; all rows have the same keys.

    The file and the tag are those of `MlflowClient.log_table`, which imports pandas to write them.
    """
    if rows:
        table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        connection.client()[0].log_text(run_id, json.dumps(table, ensure_ascii=False), file)
        set_tags(run_id, {"mlflow.loggedArtifacts": json.dumps([{"path": file, "type": "table"}])})


def log_text(run_id: str, text: str, file: str) -> None:
    """Log a text as a file that the MLflow UI shows; nothing if it is empty."""
    if text:
        connection.client()[0].log_text(run_id, text, file)


def log_prompts(run_id: str, prompts: dict[str, tuple[str, str]]) -> None:
    """Register prompt templates, each content once, and link their versions to a run.

    Args:
        run_id: The run.
        prompts: {path: (name in the registry, DVC digest)}; the digest is an alias of the version.
    """
    mlflow_client, _ = connection.client()
    with file_lock(LOCAL / "registry.lock"):
        for path, (name, digest) in prompts.items():
            alias = f"md5-{digest}"
            version = mlflow_client.load_prompt(f"prompts:/{name}@{alias}", allow_missing=True)
            if version is None:
                text = Path(path).read_text(encoding="utf-8")
                version = mlflow_client.register_prompt(
                    name, text, tags={"dvc.md5": digest, "dvc.path": path}
                )
                mlflow_client.set_prompt_alias(name, alias, version.version)
            mlflow_client.link_prompt_version_to_run(run_id, version)


def log_artifact(run_id: str, path: Path, folder: str | None = None) -> None:
    """Store a file or a folder as artifact of a run."""
    mlflow_client, _ = connection.client()
    if path.is_dir():
        mlflow_client.log_artifacts(run_id, str(path), folder)
    else:
        mlflow_client.log_artifact(run_id, str(path), folder)


def fetch_artifact(run_id: str, path: str, folder: Path) -> Path | None:
    """Copy a file from a run's artifacts into `folder`; None if the run has no such file.

    Raises:
        BadRecord: there is no such run, or its file cannot be read.
        Unavailable: MLflow's server does not answer.
    """
    mlflow_client, _ = connection.client()
    parent = path.rpartition("/")[0] or None
    try:
        if all(item.path != path for item in mlflow_client.list_artifacts(run_id, parent)):
            return None
        return Path(mlflow_client.download_artifacts(run_id, path, str(folder)))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        if unavailable := connection.no_answer(error):
            raise unavailable from error
        reason = str(error).partition("\n")[0]
        raise BadRecord(f"the artifact {path} of run {run_id} cannot be read ({reason})") from error


def set_tags(run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    entities = [mlflow.entities.RunTag(key, inert.terminal(value)) for key, value in tags.items()]
    connection.client()[0].log_batch(run_id, tags=entities)


def log_reused(
    stage: str, lineage: dict[str, Any], how: str, parent: str | None, tags: dict[str, str], note: str
) -> str:
    """Log a stage that DVC skipped or restored, as a short run that points to the run which wrote its output.

    Args:
        stage: Name of the stage.
        lineage: Content of data/lineage/<stage>.json.
        how: `unchanged` or `restored`.
        parent: Id of the pipeline run.
        tags: More tags.
        note: Its description, see `notes.of_reused`.

    Returns:
        The id of the short run; no metric is copied into it.
    """
    run_id = start_run(
        f"{stage} (reused)",
        {
            **tags,
            "lw.stage": stage,
            "lw.status": how,
            "lw.producer_run_id": lineage["run_id"],
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
    """Return the runs that executed `stage` and wrote a data set with this digest, newest first."""
    mlflow_client, experiment = connection.client()
    runs = mlflow_client.search_runs(
        [experiment],
        f"dataset.digest = '{digest}' AND tags.`lw.stage` = '{stage}' AND tags.`lw.status` = 'executed'",
        order_by=["attributes.start_time DESC"],
    )
    return list(runs)


def run(run_id: str) -> Run:
    """Return the run with this id."""
    return connection.client()[0].get_run(run_id)


def find_run(run_id: str) -> Run | None:
    """Return the run with this id, or None if MLflow has erased it."""
    try:
        return run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def latest_run(stage: str) -> Run | None:
    """Return the newest finished run of a stage, executed or reused."""
    mlflow_client, experiment = connection.client()
    runs = mlflow_client.search_runs(
        [experiment],
        f"tags.`lw.stage` = '{stage}' AND attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return runs[0] if runs else None


def stages(prefix: str) -> set[str]:
    """Return the stages, or items of a matrix stage, that have a finished run and whose name has this prefix."""
    mlflow_client, experiment = connection.client()
    runs = mlflow_client.search_runs(
        [experiment], f"tags.`lw.stage` LIKE '{prefix}%' AND attributes.status = 'FINISHED'"
    )
    return {run.data.tags["lw.stage"] for run in runs}


def datasets(run: Run, context: str) -> dict[str, str]:
    """Return {path: DVC digest} of a run's data sets with that context."""
    return {
        item.dataset.name: item.dataset.digest
        for item in run.inputs.dataset_inputs
        if any(tag.key == "mlflow.data.context" and tag.value == context for tag in item.tags)
    }
