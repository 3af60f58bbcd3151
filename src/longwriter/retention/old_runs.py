"""Finds earlier runs in MLflow: runs of flows, runs that can be removed, and runs that the registry needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from longwriter.tracking import connection, provenance
from longwriter.tracking import runs as tracking
from longwriter.tracking.runs import Run

_PAGE = 1000


def _search(filter_text: str) -> Iterator[Run]:
    mlflow_client, experiment = connection.client()
    token: str | None = None
    while True:
        page = mlflow_client.search_runs([experiment], filter_text, max_results=_PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def of_flows(number: int) -> list[Run]:
    """Return the newest pipeline runs; the run of a stage is a child of one."""
    mlflow_client, experiment = connection.client()
    order = ["attributes.start_time DESC"]
    return list(
        mlflow_client.search_runs(
            [experiment], "tags.`lw.kind` = 'pipeline'", order_by=order, max_results=number
        )
    )


def executed(before_ms: int) -> list[Run]:
    """Return the runs of stages that wrote data and ended before a time, in milliseconds since 1970."""
    return list(_search(f"tags.`lw.status` = 'executed' AND attributes.end_time < {before_ms}"))


def delete_unchanged(before_ms: int) -> list[str]:
    """Delete the runs of stages that were left unchanged before a time; return the ids of deleted runs.

    A pipeline run is deleted when no run of a stage below it is left. The run of an unchanged stage names the run
    that wrote its data; that run stays.
    """
    mlflow_client, _ = connection.client()
    unchanged = list(
        _search(
            f"tags.`lw.status` = 'unchanged' AND attributes.status = 'FINISHED' AND attributes.end_time < {before_ms}"
        )
    )
    ids = [run.info.run_id for run in unchanged]
    for run_id in ids:
        mlflow_client.delete_run(run_id)
    for parent in sorted({run.data.tags.get("mlflow.parentRunId", "") for run in unchanged} - {""}):
        if next(_search(f"tags.`mlflow.parentRunId` = '{parent}'"), None) is None:
            mlflow_client.delete_run(parent)
            ids.append(parent)
    return ids


def of_registry() -> set[str]:
    """Return the runs that trained, registered or used the weights of each version in the registry."""
    mlflow_client, _ = connection.client()
    versions = list(mlflow_client.search_model_versions(""))
    digests = {version.tags["dvc.md5"] for version in versions if "dvc.md5" in version.tags}
    users = {run.info.run_id for md5 in digests for run in _with_data(md5)}
    return users | {str(version.run_id) for version in versions if version.run_id}


def _with_data(digest: str) -> Iterator[Run]:
    """Yield the runs that read or wrote a data set."""
    return _search(f"dataset.digest = '{digest}' AND tags.`lw.status` = 'executed'")


def writers_of_inputs(run_id: str) -> set[str]:
    """Return the runs that wrote what a run read."""
    inputs = tracking.datasets(tracking.run(run_id), "input")
    return {
        run.info.run_id
        for path, digest in inputs.items()
        if path.startswith("data/")
        for run in tracking.runs_with_output(provenance.stage_of(path), digest)
    }


def prompts(before_ms: int, needed: Collection[str]) -> list[tuple[str, str]]:
    """Return (name, version) of each prompt template that is older than a time, in milliseconds since 1970.

    A version that a later run needs again is registered again.

    Args:
        before_ms: The time.
        needed: Digests of templates that stay.
    """
    mlflow_client, _ = connection.client()
    return [
        (prompt.name, str(version.version))
        for prompt in mlflow_client.search_prompts(max_results=_PAGE)
        for version in mlflow_client.search_prompt_versions(prompt.name, max_results=_PAGE)
        if version.tags.get("dvc.md5", "") not in {"", *needed} and version.creation_timestamp < before_ms
    ]


def delete_prompts(versions: Iterable[tuple[str, str]]) -> None:
    """Delete versions of prompt templates."""
    mlflow_client, _ = connection.client()
    for name, version in versions:
        mlflow_client.delete_prompt_version(name, version)


def digests(run_ids: Iterable[str]) -> set[str]:
    """Return DVC's digests of all that runs read and wrote."""
    runs = [tracking.run(run_id) for run_id in run_ids]
    return {
        digest
        for run in runs
        for context in ("input", "output")
        for digest in tracking.datasets(run, context).values()
    }
