"""MLflow's models: which weights a run read and wrote, what their numbers are, and the registry.

Weights lie in DVC; a logged model points to them by DVC's digest in its tag `dvc.md5`, and every later
stage finds it by that. The second of the two files that import mlflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from filelock import FileLock

from longwriter.io.files import LOCAL
from longwriter.tracking import runs as tracking  # first: it sets MLflow's switches

# isort: split
from mlflow import create_external_model
from mlflow.entities import LoggedModel, LoggedModelInput, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion


def log_checkpoint(
    run_id: str, name: str, step: int, tags: Mapping[str, str], params: Mapping[str, object]
) -> str:
    """Show a checkpoint on the run that wrote it; return the id of its logged model.

    Args:
        run_id: The training run.
        name: `sft` or `sft-step-20`; no slash, colon, dot, percent sign or quote.
        step: Optimizer step.
        tags: What finds it again; a finished model has `dvc.md5`.
        params: What made it.
    """
    return str(_log(run_id, name, step, tags, params).model_id)


def _log(
    run_id: str, name: str, step: int, tags: Mapping[str, str], params: Mapping[str, object]
) -> LoggedModel:
    mlflow_client, experiment = tracking.client()
    model = create_external_model(
        name=name,
        source_run_id=run_id,
        experiment_id=experiment,
        tags=dict(tags),
        params={key: str(value) for key, value in params.items()},
    )
    mlflow_client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    return model


def log_written(run_id: str, stage: str, outputs: Mapping[str, str], step: int) -> None:
    """Log each folder of weights among a stage's outputs as its finished model."""
    for path, digest in outputs.items():
        if PurePosixPath(path).name == "weights":
            tags = {"dvc.md5": digest, "dvc.path": path, "lw.stage": stage}
            log_checkpoint(run_id, stage, step, tags, {})


def log_read(run_id: str, inputs: Mapping[str, str]) -> None:
    """Log each known model among a stage's inputs as one that the run read."""
    found = [of_digest(digest) for path, digest in inputs.items() if PurePosixPath(path).name == "weights"]
    known = [LoggedModelInput(model.model_id) for model in found if model]
    if known:
        tracking.client()[0].log_inputs(run_id, models=known)


def of_digest(digest: str) -> LoggedModel | None:
    """Return the newest finished model with these weights; None where MLflow knows none."""
    mlflow_client, experiment = tracking.client()
    found = mlflow_client.search_logged_models(
        [experiment],
        filter_string=f"tags.`dvc.md5` = '{digest}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": False}],
        max_results=1,
    )
    return found[0] if found else None


def subject(name: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return whose numbers a matrix item's are: `model_id`, and the benchmark by name and digest.

    The item MODEL-BENCHMARK says which; where its own inputs hold no weights (score), those of the
    run that wrote them do (generate).

    Returns:
        Fields for `tracking.log_metrics`; empty for a stage that measures no model, or an unknown one.
    """
    item = name.partition("@")[2]
    model, dash, benchmark = item.partition("-")
    if not dash:
        return {}
    weights, known = f"data/{model}/weights", dict(inputs)
    for path, digest in inputs.items():
        writer = "@".join(PurePosixPath(path).parts[1:-1])
        if weights not in known and writer.endswith(f"@{item}"):
            for run in tracking.runs_with_output(writer, digest)[:1]:
                known.update(tracking.datasets(run, "input"))
    measured = of_digest(known[weights]) if weights in known else None
    data = [digest for path, digest in known.items() if PurePosixPath(path).name == f"{benchmark}.jsonl"]
    if measured is None or not data:
        return {}
    return {"model_id": measured.model_id, "dataset_name": benchmark, "dataset_digest": data[0]}


def register(name: str, alias: str, run_id: str, tags: Mapping[str, str]) -> int:
    """Give `alias` to the version with the weights of tag `dvc.md5`; return its number.

    A version that has them already is used again, with these tags; else one is made of their logged model.

    Args:
        name: Name in the registry.
        alias: What those who use the model ask for.
        run_id: The run that registers; it stands for the training run where MLflow knows none,
            as with weights that were pulled from another machine.
        tags: Of the version; `dvc.md5` among them.
    """
    mlflow_client, digest = tracking.client()[0], tags["dvc.md5"]
    with FileLock(LOCAL / "registry.lock"):
        if not mlflow_client.search_registered_models(f"name = '{name}'"):
            mlflow_client.create_registered_model(name)
        found = mlflow_client.search_model_versions(f"name = '{name}' and tag.`dvc.md5` = '{digest}'")
        version = found[0] if found else _new_version(name, run_id, tags)
        for key, value in tags.items():
            mlflow_client.set_model_version_tag(name, version.version, key, value)
        mlflow_client.set_registered_model_alias(name, alias, version.version)
    return int(version.version)


def _new_version(name: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
    model = of_digest(tags["dvc.md5"]) or _log(run_id, name, 0, tags, {})
    return tracking.client()[0].create_model_version(
        name,
        model.model_uri,
        model.source_run_id,
        tags={**tags, "lw.model_id": model.model_id},
        description=f"Weights of [run {model.source_run_id}]({tracking.run_url(model.source_run_id)})",
    )
