"""Removes what is older than the section `retention` allows: in `.lw`, in MLflow, and in DVC's cache.

The nightly flow calls it after its last stage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from longwriter.amounts import amount
from longwriter.calls import replay
from longwriter.io import files
from longwriter.params.retention import RetentionParams
from longwriter.retention import leftovers, old_data, old_runs
from longwriter.traces import traces
from longwriter.tracking import provenance
from longwriter.tracking import runs as tracking

_DAY_MS = 86_400_000
_REMOVED = "lw.traces_removed"  # tag of a run


def apply(policy: RetentionParams) -> Iterator[str]:
    """Remove what is older than the policy keeps; yield one line for each kind of thing that was removed.

    Raises:
        OSError: a file cannot be removed.
        MlflowException: MLflow cannot be reached.
    """
    items = leftovers.expired(
        {
            "checkpoint": policy.checkpoint_days,
            "conversion": policy.conversion_days,
            "log": policy.log_days,
        }
    )
    leftovers.remove(items)
    if items:
        yield f"{sum(item.bytes for item in items) / 1e9:,.2f} GB in {amount(len(items), 'path')} of .lw"
    days = policy.unchanged_run_days
    if days is not None and (runs := old_runs.delete_unchanged(_before(days))):
        yield f"{amount(len(runs), 'MLflow run')} of unchanged stages (mlflow gc removes them for good)"
    days = policy.trace_days
    if days is not None and (number := _delete_traces(_before(days))):
        yield f"{amount(number, 'trace')} in MLflow"
    days = policy.answer_days
    if days is not None and (number := old_answers(timedelta(days=days), only_count=False)[0]):
        yield amount(number, "stored answer")
    days = policy.template_days
    if days is not None and (prompts := old_prompts(timedelta(days=days))):
        old_runs.delete_prompts(prompts)
        yield f"{amount(len(prompts), 'version')} of prompt templates in MLflow"
    nights = policy.data_nights
    if nights is not None and (data := old_data.remove(nights, needed_digests())).bytes:
        yield f"{data.bytes / 1e9:,.2f} GB in {amount(len(data.objects), 'file')} of DVC's cache"


def old_answers(age: timedelta, only_count: bool = True) -> tuple[int, int]:
    """Return (number, bytes) of the stored answers that are older than `age`; remove them unless `only_count`."""
    return replay.prune(files.REPLAY, before=datetime.now(UTC) - age, model=None, only_count=only_count)


def old_prompts(age: timedelta) -> list[tuple[str, str]]:
    """Return (name, version) of each old prompt template that made neither a registered model nor today's data."""
    before_ms = int(time.time() * 1000 - age.total_seconds() * 1000)
    return old_runs.prompts(before_ms, needed_digests()) if old_runs.prompts(before_ms, ()) else []


def needed_digests() -> set[str]:
    """Return DVC's digests of all data from which the registered models and the data of this checkout were made."""
    return old_runs.digests(_needed_runs())


def _before(days: int) -> int:
    """Return the time so many days ago, in milliseconds since 1970."""
    return int(time.time() * 1000) - days * _DAY_MS


def _delete_traces(before_ms: int) -> int:
    """Remove the traces of old runs that made neither a registered model nor today's data; return their number."""
    old_ids = {run.info.run_id for run in old_runs.executed(before_ms) if _REMOVED not in run.data.tags}
    if not old_ids:
        return 0
    needed_runs, number = _needed_runs(), 0
    # A text that was written again has the same trace in an old run and in a needed one.
    needed_traces = {trace_id for run_id in needed_runs for trace_id in traces.ids_of(run_id)}
    for run_id in sorted(old_ids - needed_runs):
        number += traces.delete(run_id, needed_traces)
        tracking.set_tags(run_id, {_REMOVED: "by the section retention"})
    return number


def _needed_runs() -> set[str]:
    """Return the runs that made the registered models and the data of this checkout."""
    todo = {
        provenance.read(path.stem).run_id for path in sorted(provenance.LINEAGE.glob("*.json"))
    } | old_runs.of_registry()
    runs: set[str] = set()
    while todo:
        run_id = todo.pop()
        runs.add(run_id)
        todo |= old_runs.writers_of_inputs(run_id) - runs
    return runs
