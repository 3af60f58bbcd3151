"""Logged models and the registry of MLflow: which weights a run wrote or read, and their metrics.

The weights themselves are in DVC. A logged model has DVC's digest of its weights in the tag `dvc.md5`; later
stages find it by this digest. Only this file, runs.py and traces/traces.py import mlflow.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

from longwriter.errors import Unavailable, UserError
from longwriter.io.files import LOCAL
from longwriter.io.process import file_lock
from longwriter.text import inert
from longwriter.tracking import connection, provenance  # first: connection sets variables that mlflow reads
from longwriter.tracking import runs as tracking

# isort: split
from mlflow import create_external_model
from mlflow.entities import LoggedModel, LoggedModelInput, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

_TAG_CHARS = 5000  # MLflow refuses longer tags of a version
_DESCRIPTION_CHARS = 5000  # the column of MLflow's database; PostgreSQL refuses more
_MOVES, _REASON_CHARS = 9, 200  # of the champion's alias, at most, in the history of a version
_CUT = "\n\n*Cut here: MLflow keeps 5,000 characters. The report of the run has the rest.*\n"
_SETTLE_S = 0.5  # a process of another machine that looked before our move has moved the alias too by then
_HISTORY = "lw.champion_history"  # tag of a version: when it became champion, and when it was no longer; newest first
Version = ModelVersion  # for those who may not import mlflow
_DIGEST = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


def log_checkpoint(run_id: str, name: str, step: int, tags: Mapping[str, str]) -> LoggedModel:
    """Log a checkpoint as a model of the run that wrote it.

    Args:
        run_id: The training run.
        name: Such as `sft` or `sft-step-20`; no slash, colon, dot, percent sign or quote.
        step: Optimizer step.
        tags: Tags to find it by; a finished model has `dvc.md5`.
    """
    mlflow_client, experiment = connection.client()
    model = create_external_model(name=name, source_run_id=run_id, experiment_id=experiment, tags=dict(tags))
    mlflow_client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    return model


def log_written(run_id: str, stage: str, outputs: Mapping[str, str], step: int) -> None:
    """Log each folder of weights among a stage's outputs as its finished model."""
    for path, digest in outputs.items():
        if PurePosixPath(path).name == "weights":
            tags = {"dvc.md5": digest, "dvc.path": path, "lw.stage": stage}
            log_checkpoint(run_id, stage, step, tags)


def log_read(run_id: str, inputs: Mapping[str, str]) -> None:
    """Log which models the run read: those whose weights are inputs of the stage and known to MLflow."""
    digests = [digest for path, digest in inputs.items() if PurePosixPath(path).name == "weights"]
    models = [model for model in map(of_digest, digests) if model]
    if models:
        model_inputs = [LoggedModelInput(model.model_id) for model in models]
        connection.client()[0].log_inputs(run_id, models=model_inputs)


def of_digest(digest: str) -> LoggedModel | None:
    """Return the newest finished model with these weights; None if MLflow knows none."""
    mlflow_client, experiment = connection.client()
    models = mlflow_client.search_logged_models(
        [experiment],
        filter_string=f"tags.`dvc.md5` = '{digest}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": False}],
        max_results=1,
    )
    return models[0] if models else None


def subject(name: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return the logged model and the benchmark that the metrics of a stage belong to.

    The stages generate and score measure a model; their matrix items are named MODEL-BENCHMARK. The weights
    are no input of score, so they are taken from the inputs of the run that wrote the answers.

    Args:
        name: Name of the stage, such as `score@sft-small`.
        inputs: {path: digest} of its inputs.

    Returns:
        Fields for `tracking.log_metrics`; empty if the stage measures no model, or MLflow does not know it.
    """
    item = name.partition("@")[2]
    model, hyphen, benchmark = item.partition("-")
    if not hyphen:
        return {}
    weights = f"data/{model}/weights"
    digests = dict(inputs)
    if weights not in digests and (run_id := answering_run(name, inputs)):
        digests.update(tracking.datasets(tracking.run(run_id), "input"))
    logged = of_digest(digests[weights]) if weights in digests else None
    benchmarks = [md5 for path, md5 in digests.items() if PurePosixPath(path).name == f"{benchmark}.jsonl"]
    if logged is None or not benchmarks:
        return {}
    return {"model_id": logged.model_id, "dataset_name": benchmark, "dataset_digest": benchmarks[0]}


def answering_run(name: str, inputs: Mapping[str, str]) -> str | None:
    """Return the run that wrote the answers which an item of the stage score reads; None for other stages.

    Args:
        name: Name of the stage, such as `score@sft-small`.
        inputs: {path: digest} of its inputs.
    """
    item = name.partition("@")[2]
    for path, digest in inputs.items():
        writer = provenance.stage_of(path)
        if item and writer.endswith(f"@{item}") and writer != name:
            for run in tracking.runs_with_output(writer, digest)[:1]:
                return str(run.info.run_id)
    return None


def register(name: str, run_id: str, tags: Mapping[str, str], description: str = "") -> int:
    """Register the weights with the digest in the tag `dvc.md5`; no alias moves.

    If there is such a version, it gets these tags; else a version is created from the logged model. The lock orders
    the checkouts that share `.lw`; for others see `_new_version`.

    Args:
        name: Name in the registry.
        run_id: The run that registers; it counts as the training run if MLflow knows none, for example if
            the weights were pulled from another machine.
        tags: Tags of the version; `dvc.md5` must be among them.
        description: Description of the version, as Markdown; empty = the version keeps its description.

    Returns:
        The number of the version.
    """
    mlflow_client = connection.client()[0]
    digest = tags["dvc.md5"]
    tags = {key: _tag(value) for key, value in tags.items()}
    with file_lock(LOCAL / "registry.lock"):
        if not mlflow_client.search_registered_models(f"name = '{name}'"):
            _create(name)
        version = _first_with(name, digest) or _new_version(name, run_id, tags)
        for key, value in tags.items():
            mlflow_client.set_model_version_tag(name, version.version, key, value)
        if description:
            _describe(name, version, version.tags.get(_HISTORY, ""), description)
    return int(version.version)


def _create(name: str) -> None:
    """Create a registered model without versions.

    Raises:
        UserError: a prompt of this MLflow has the name.
    """
    try:
        connection.client()[0].create_registered_model(name)
    except MlflowException as error:
        is_prompt = "taken by a prompt" in str(error)  # MLflow's words
        if error.error_code == "RESOURCE_ALREADY_EXISTS" and not is_prompt:
            return  # another checkout created it at the same moment
        if not is_prompt:
            raise
        raise UserError(
            f"MLflow has a prompt with the name {name}, so no model can have it: set register.name to another name"
        ) from None


def _describe(name: str, version: ModelVersion, history: str, description: str) -> None:
    """Set the description of a version: first when it was champion, then the rest."""
    text = f"{history}\n\n{description}" if history else description
    connection.client()[0].update_model_version(name, version.version, _shortened(text))


def _tag(value: str) -> str:
    """Return a value as a tag of a version: without control characters, and no longer than MLflow takes."""
    return inert.terminal(value)[:_TAG_CHARS]


def _shortened(description: str) -> str:
    """Return a description that fits MLflow's database; if lines at its end are cut off, a sentence says so."""
    if len(description) <= _DESCRIPTION_CHARS:
        return description
    return description[: _DESCRIPTION_CHARS - len(_CUT)].rpartition("\n")[0] + _CUT


def aliases(name: str) -> dict[str, str]:
    """Return {alias: DVC digest of the weights} of a registered model; empty if there is no such model.

    Versions that other programs registered without such a digest are left out.
    """
    mlflow_client = connection.client()[0]
    models = mlflow_client.search_registered_models(f"name = '{name}'")
    versions = {
        alias: mlflow_client.get_model_version(name, version)
        for model in models
        for alias, version in sorted(model.aliases.items())
    }
    return {alias: item.tags["dvc.md5"] for alias, item in versions.items() if _has_digest(item)}


def versions(name: str) -> dict[str, str]:
    """Return {number: DVC digest of the weights} of the versions of a registered model; see `aliases`."""
    registered = connection.client()[0].search_model_versions(f"name = '{name}'")
    return {str(item.version): item.tags["dvc.md5"] for item in registered if _has_digest(item)}


def _has_digest(version: ModelVersion) -> bool:
    return _DIGEST.fullmatch(version.tags.get("dvc.md5", "")) is not None


def version_of(name: str, alias: str) -> ModelVersion | None:
    """Return the version that an alias points to; None if the alias or the model does not exist."""
    mlflow_client = connection.client()[0]
    models = mlflow_client.search_registered_models(f"name = '{name}'")
    number = models[0].aliases.get(alias) if models else None
    return mlflow_client.get_model_version(name, str(number)) if number else None


def card_of(name: str, version: str) -> str:
    """Return what the registry knows about a version, as Markdown: origin, decisions, and numbers with intervals.

    Args:
        name: Name in the registry.
        version: Alias or number.

    Raises:
        UserError: there is no such version.
    """
    by_alias = version_of(name, version)
    if by_alias is None:
        _require(name, int(version))
    item = by_alias or connection.client()[0].get_model_version(name, version)
    facts = {
        "weights, DVC": "dvc.md5",
        "training rows, DVC": "dvc.data_md5",
        "git commit of the training": "git.commit",
        "MLflow run of the training": "lw.run_id",
    }
    rows = [f"| {what} | {inert.markdown(item.tags.get(tag, 'unknown'))} |" for what, tag in facts.items()]
    table = "\n".join(["| | |", "|---|---|", *rows])
    parts = [f"## In the registry: {name}, version {item.version}", table, item.description or ""]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def give_alias(name: str, alias: str, version: int) -> None:
    """Let an alias point to a version.

    Raises:
        UserError: there is no such version.
    """
    _require(name, version)
    with file_lock(LOCAL / "registry.lock"):
        _set_alias(name, alias, version)


def _set_alias(name: str, alias: str, version: int) -> None:
    connection.client()[0].set_registered_model_alias(name, alias, str(version))


def crown(
    name: str,
    alias: str,
    former_alias: str,
    version: int,
    by: str,
    reason: str,
    *,
    instead_of: int | None = None,
) -> int | None:
    """Make a version the champion, and give the former champion an alias of its own; both versions say so.

    The lock orders the processes of this machine. MLflow has no lock for processes of several machines, so the alias
    is read just before it moves, and again half a second later. If another process overwrites the move, this
    process gets an error. It gets none if the other process waits for more than half a second between its last look
    and its move.

    Args:
        name: Name in the registry.
        alias: Alias of the champion.
        former_alias: Alias of the former champion.
        version: The new champion.
        by: Who decides, such as `a person`; a tag of the version.
        reason: Why; a tag of the version.
        instead_of: Number of the champion with which the decision compared the version; 0 = there was none, None =
            any.

    Returns:
        The number of the former champion; None if there was none. If the version is the champion already, nothing changes.

    Raises:
        UserError: there is no such version.
        Unavailable: another process moved the champion meanwhile.
    """
    with file_lock(
        LOCAL / "registry.lock"
    ):  # one lock for both aliases, so that no other process moves one of them meanwhile
        before = version_of(name, alias)
        number = int(before.version) if before else 0
        if number == version:
            return version
        _require(name, version)
        _require_still(name, alias, number if instead_of is None else instead_of, version)
        if before is not None:
            _move(name, former_alias, number)
        _require_still(name, alias, number, version)
        _move(name, alias, version)
        time.sleep(_SETTLE_S)
        _require_still(name, alias, version, version)
        for key, value in (("lw.champion_by", by), ("lw.champion_reason", reason)):
            connection.client()[0].set_model_version_tag(name, str(version), key, _tag(value))
        why = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, by {by}: {inert.markdown(_cut(reason))}"
        after = f" after version {before.version}" if before else ""
        _note(name, str(version), f"**{alias}{after}**, {why}")
        if before:
            _note(name, before.version, f"**no longer {alias}**, version {version} is it: {why}")
    return int(before.version) if before else None


def _require_still(name: str, alias: str, expected: int, version: int) -> None:
    """Raise Unavailable unless an alias points to this version; 0 = to none."""
    item = version_of(name, alias)
    number = int(item.version) if item else 0
    if number != expected:
        raise Unavailable(
            f"{alias} of {name} was moved by somebody else at the same time: it was "
            f"{f'version {expected}' if expected else 'no version'}, and is now "
            f"{f'version {number}' if number else 'no version'}. Look at that version in MLflow, and if version "
            f"{version} shall be {alias} all the same, do this again"
        )


def _move(name: str, alias: str, version: int) -> None:
    """Let an alias point to a version.

    Raises:
        Unavailable: two processes set the alias for the first time at once: MLflow's database takes one of them.
    """
    try:
        _set_alias(name, alias, version)
    except MlflowException as error:
        item = version_of(name, alias)
        if item is None or int(item.version) == version:
            raise
        raise Unavailable(
            f"{alias} of {name} could not be set to version {version}: somebody else set it to version "
            f"{item.version} at the same time. Look at that version in MLflow, and do this again"
        ) from error


def _cut(reason: str) -> str:
    return reason if len(reason) <= _REASON_CHARS else f"{reason[:_REASON_CHARS]} …"


def _note(name: str, version: str, line: str) -> None:
    """Put a line at the top of a version's history, which is also at the top of its description."""
    item = connection.client()[0].get_model_version(name, version)  # with the newest tags
    old = item.tags.get(_HISTORY, "")
    rest = (item.description or "").removeprefix(old).lstrip("\n")
    history = _tag("\n".join([f"- {line}", *old.splitlines()][:_MOVES]))
    connection.client()[0].set_model_version_tag(name, version, _HISTORY, history)
    _describe(name, item, history, rest)


def _require(name: str, version: int) -> None:
    """Raise UserError unless the model has this version."""
    numbers = sorted(
        int(row.version) for row in connection.client()[0].search_model_versions(f"name = '{name}'")
    )
    if version not in numbers:
        raise UserError(
            f"{name} has no version {version}: it has {', '.join(map(str, numbers)) or 'none'}; "
            "`dvc repro register` makes one"
        )


def _first_with(name: str, digest: str) -> ModelVersion | None:
    """Return the version with these weights; the oldest one if there are several."""
    query = f"name = '{name}' and tag.`dvc.md5` = '{digest}'"
    versions = connection.client()[0].search_model_versions(query)
    return min(versions, key=lambda version: int(version.version), default=None)


def _new_version(name: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
    """Create a version and return it, or the one that another checkout created at the same moment.

    MLflow numbers the versions in the order in which they are stored, and stores a version with its tags. A process
    looks for the oldest version after it has created its own. So all processes see the same oldest version, and
    each removes its own version if that is a newer one.
    """
    model = of_digest(tags["dvc.md5"]) or log_checkpoint(run_id, name, 0, tags)
    created = connection.client()[0].create_model_version(
        name,
        model.model_uri,
        model.source_run_id,
        tags={**tags, "lw.model_id": model.model_id},
        model_id=model.model_id,  # a server refuses a source of models:/ without it
        description=f"Weights of [run {model.source_run_id}]({tracking.run_url(model.source_run_id)})",
    )
    first = _first_with(name, tags["dvc.md5"])
    if first is None or int(first.version) == int(created.version):
        return created
    connection.client()[0].delete_model_version(name, created.version)
    return first
