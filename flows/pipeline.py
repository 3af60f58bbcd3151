"""The flows: which stages they run, and what is retried. Stages run only as `dvc repro`.

Run: `python -m flows [NAME …]` (or `python -m flows.pipeline`), where a name is a stage (`sft`), a matrix stage
with all its items (`generate`), one item (`generate@sft-small`), or a group (`data`, `training`, `benchmark`).
Without a name, everything runs. flows/deployments.py schedules the nightly flow.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":  # before Prefect is imported: its server starts first, see flows/__main__.py
    os.execv(sys.executable, [sys.executable, "-m", "flows", *sys.argv[1:]])

os.environ.setdefault("PREFECT_HOME", str(Path(".lw/prefect").resolve()))
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment, flow_run, task_run
from prefect.states import Cancelled, Completed

from flows import (
    deployments,
    ends,
    experiment,
    forecast,
    headlines,
    history,
    lockfile,
    news,
    preflight,
    remaining,
    repro,
    room,
    servers,
    tables,
    week,
)
from longwriter import params as parameters
from longwriter.errors import LongWriterError, UserError, without_password
from longwriter.models import server_keeper
from longwriter.retention import policy as retention
from longwriter.text import inert
from longwriter.tracking import connection, git, notes, versioning
from longwriter.tracking import runs as tracking


class _WithoutTraceback(logging.Filter):
    """Leaves out the traceback of an expected failure: its sentence says what is wrong and what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], (repro.DvcFailed, LongWriterError)):
            record.exc_info = None
        return True


logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it logs each table that it creates
_NEWS: dict[str, Any] = {
    "on_failure": [news.send_end],
    "on_crashed": [news.send_end],
    "on_cancellation": [news.send_end],
}
_BAND_NIGHTS = 60  # nightly branches that are looked through for ten that scored a model anew
for _logger in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_logger).addFilter(_WithoutTraceback())


def expand(names: Sequence[str]) -> list[str]:
    """Return the stages that the names mean, in dvc.yaml's order.

    Groups and the items of a matrix come from dvc.yaml: a new stage belongs to the group that its
    `meta.group` names, and a new benchmark in params.yaml is run too.

    Args:
        names: Stages, matrix stages, items or groups; none = every stage.

    Raises:
        UserError: a name is none of these, or dvc.yaml cannot be read.
    """
    groups = versioning.stage_groups()
    selected = set() if names else set(groups)
    for name in names:
        matches = {stage for stage in groups if name in (stage, stage.partition("@")[0], groups[stage])}
        if not matches:
            stages = groups if "@" in name else (stage.partition("@")[0] for stage in groups)
            allowed = list(dict.fromkeys([*filter(None, groups.values()), *stages]))
            similar = get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {similar[0]}?)" if similar else ""
            raise UserError(f"unknown stage {name}{hint}; there are {', '.join(allowed)}")
        selected |= matches
    return [stage for stage in groups if stage in selected]


def _can_help(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Tell whether another try of a failed stage can help: only if something could not be reached."""
    return ends.can_pass(state.result(raise_on_failure=False))


@task(retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=_can_help, cache_policy=NO_CACHE)
def stage(name: str, parent: str, is_fresh: bool, share: bool = False) -> State[Any]:
    """Bring one DVC stage up to date; the state's name says whether it ran, or was cancelled.

    Args:
        name: The stage, or an item of a matrix stage.
        parent: MLflow run of the pipeline.
        is_fresh: Whether DVC reported it as up to date and no other stage has run since.
        share: Take the result from the DVC remote if dvc.lock names it and this machine lacks it.
    """
    try:
        return _stage(name, parent, is_fresh, share)
    except TerminationSignal:
        if ends.is_cancelled(str(flow_run.id)):
            return Cancelled(message=f"{name}: cancelled")
        raise


def _stage(name: str, parent: str, is_fresh: bool, share: bool) -> State[Any]:
    """Do what `stage` says."""
    log, started = get_run_logger(), time.monotonic()
    ids = {"prefect.flow_run_id": str(flow_run.id), "prefect.task_run_id": str(task_run.id)}
    env = {
        tracking.PARENT_ENV: parent,
        "LW_INVOCATION_ID": uuid.uuid4().hex,
        "LW_PREFECT_FLOW_RUN_ID": ids["prefect.flow_run_id"],
        "LW_PREFECT_TASK_RUN_ID": ids["prefect.task_run_id"],
    }
    how = "unchanged"
    if not is_fresh:
        room.check(name)
        servers.prepare(name)
        words = ["repro", *(["--pull"] if share else []), "--single-item", name]
        how = repro.outcome(repro.run(words, log, f"{name}.log", env))
    lineage = json.loads(Path(f"data/lineage/{name}.json").read_text(encoding="utf-8"))
    run_id = lineage["run_id"]
    if how == "executed":
        tracking.log_artifact(run_id, repro.LOGS / f"{name}.log")
    else:
        tags = {**git.state_tags(), **ids}
        note = notes.of_reused(name, how, run_id, tags)
        run_id = tracking.log_reused(name, lineage, how, parent, tags, note)
    url = tracking.run_url(run_id)
    rows = _row_counts(name)
    create_link_artifact(
        link=url,
        key=_key(f"{name}-mlflow-run"),
        link_text=f"{name}: {how}",
        description=f"MLflow run of {name} ({how}): inputs, outputs and numbers, with links to the runs before it. {_counts(rows)}",
    )
    if how != "unchanged" and name.startswith("report@"):
        create_markdown_artifact(tables.report(name).read_text(encoding="utf-8"), key=_key(name))
    seconds = round(time.monotonic() - started, 1)
    result = {"stage": name, "how": how, "seconds": seconds, "run": url, **rows}
    if how == "executed":
        result |= history.usage(name)
    return Completed(name=how.capitalize(), message=f"{name}: {how}", data=result)


def _push() -> None:
    """Put new data into the DVC remote; if that cannot be reached, try again after 10 and 60 seconds.

    Another try sends only what is missing there. This is not a task of Prefect: a flow that is cancelled
    meanwhile must itself end as `Cancelled`.
    """
    for delay_s in (10, 60, None):
        try:
            repro.run(["push"], get_run_logger(), "push.log")
        except repro.DvcFailed as error:
            if delay_s is None or not error.can_pass:
                raise
            get_run_logger().warning("%s: the next try is in %d s", error, delay_s)
            time.sleep(delay_s)
        else:
            return


def _row_counts(name: str) -> dict[str, int]:
    """Return how many rows a stage read, kept and rejected."""
    numbers = json.loads(Path(f"data/{name.replace('@', '/')}/metrics.json").read_text(encoding="utf-8"))
    rows_in, kept = int(numbers["rows_in"]), int(numbers["rows_kept"])
    return {"rows_in": rows_in, "kept": kept, "rejected": rows_in - kept}


def _counts(rows: dict[str, int]) -> str:
    return f"{rows['rows_in']:,} rows in, {rows['kept']:,} kept, {rows['rejected']:,} rejected"


def _key(name: str) -> str:
    """Return a name as Prefect takes it for an artifact."""
    return re.sub("[^a-z0-9]+", "-", name)


@server_keeper.keep()
def _stages(
    names: Sequence[str], kind: str, overrides: Sequence[str] = (), share: bool = False
) -> list[dict[str, Any]]:
    """Run stages in order under one MLflow pipeline run; return one row a stage."""
    names = servers.in_order(names)
    ends.sign(str(flow_run.id))
    for sentence in ends.end_lost(str(flow_run.id)):
        get_run_logger().warning("%s", sentence)
    for run_id in tracking.close_dead_runs():
        get_run_logger().warning("closed MLflow run %s: its process is gone", run_id)
    tags = {**git.state_tags(), "lw.kind": "pipeline", "prefect.flow_run_id": str(flow_run.id)}
    if name := os.environ.get(experiment.NAME_ENV):
        tags["dvc.experiment"] = name
    parent = tracking.start_run(f"{kind} {flow_run.name}", tags)
    if overrides:
        tracking.log_params(parent, dict(override.split("=", 1) for override in overrides))
    rows: list[dict[str, Any]] = []
    status = "FAILED"
    try:
        stale = versioning.stale_stages()
        earlier, spent = remaining.read(), dict[str, float]()
        params = parameters.load()
        preflight.check_inputs(stale & set(names), params)
        if not share:  # else they come from the remote
            preflight.check_earlier_stages(stale, names)
        checks = preflight.stages_with_check(names, stale, params.base_model.source)
        for position, name in enumerate(names):
            if name in checks and preflight.check(get_run_logger()):
                checks = []
            seconds = remaining.seconds_left(names, position, spent, earlier)
            get_run_logger().info("%s", remaining.sentence(names, position, seconds))
            is_fresh = name not in stale and all(row["how"] == "unchanged" for row in rows)
            state = stage.with_options(name=name, task_run_name=name)(name, parent, is_fresh, share)
            if state.is_cancelled():
                ends.cancel()
            rows.append(state.result())
            if rows[-1]["how"] == "executed":
                spent[name] = rows[-1]["seconds"]
                remaining.keep(spent)
        status = "FINISHED"
    finally:
        if status != "FINISHED" and not isinstance(sys.exc_info()[1], Exception):
            status = "KILLED"  # by Ctrl-C, SIGTERM, or Prefect's cancel
        try:
            for path in (Path("dvc.lock"), Path("params.yaml")):
                if path.exists():
                    tracking.log_artifact(parent, path)
            tracking.log_metrics(parent, history.metrics(rows))
            tracking.set_tags(
                parent, {"mlflow.note.content": notes.of_flow(kind, tags, tables.overview(rows))}
            )
            tracking.end_run(parent, status)
            create_markdown_artifact(history.latest(), key="history", description="The last flows")
        except connection.UNREACHABLE as error:
            url, reason = without_password(connection.tracking_uri()), without_password(str(error))
            get_run_logger().warning(
                "cannot reach MLflow at %s (%s): the next run of a flow closes run %s", url, reason, parent
            )
        create_markdown_artifact(
            tables.overview(rows),
            key="time-budget",
            description="What each stage did: seconds, rows, and its MLflow run",
        )
    if deployment.id and any(row["stage"] == "register" and row["how"] == "executed" for row in rows):
        news.send_promotion(f"{kind} {flow_run.name}", repro.LOGS / "register.log")
    return rows


def _run(
    names: Sequence[str], kind: str, overrides: Sequence[str] | None, dry_run: bool, share: bool
) -> State[Any]:
    """Run stages or groups as the parameters of a flow say.

    Args:
        names: As `expand` takes them.
        kind: Name of the flow.
        overrides: Other parameters, such as `sft.optimizer.epochs=1`; the result is a DVC experiment, and
            `register`, which moves aliases, runs only if it is named.
        dry_run: Only say what would run.
        share: Take what dvc.lock names and this machine lacks from the DVC remote, and put new results there.
    """
    deployments.check_place(os.environ)
    with experiment.checkout(overrides or [], f"{flow_run.name}-{str(flow_run.id)[:6]}") as trial:
        stages = [name for name in expand(names) if not trial or name != "register" or name in names]
        if dry_run:
            sentence, table = forecast.make(stages)
            get_run_logger().info("%s\n%s", sentence, table)
            create_markdown_artifact(f"{sentence}\n\n{table}", key="dry-run", description="What would run")
            return Completed(name="DryRun", message=sentence, data=[])
        rows = _stages(stages, kind, overrides or [], share)
        message = f"ran or restored {', '.join(row['stage'] for row in rows if row['how'] != 'unchanged') or 'nothing'}"
        if share:
            _push()
            message += "; pushed"
        if trial:
            experiment.keep(trial)
            message += f"; to take it over: dvc exp apply {trial.name}"
    return Completed(message=message, data=rows)


@flow(name="longwriter", **_NEWS)
def pipeline(
    stages: list[str] | None = None,
    overrides: list[str] | None = None,
    dry_run: bool = False,
    share: bool = False,
) -> State[Any]:
    """Bring stages or groups up to date, one after the other; all stages if none is named."""
    return _run(stages or [], "pipeline", overrides, dry_run, share)


@flow(name="data", **_NEWS)
def data(overrides: list[str] | None = None, dry_run: bool = False, share: bool = False) -> State[Any]:
    """Bring the data set up to date: base_model to the gate."""
    return _run(["data"], "data", overrides, dry_run, share)


@flow(name="training", **_NEWS)
def training(overrides: list[str] | None = None, dry_run: bool = False, share: bool = False) -> State[Any]:
    """Bring the models up to date: packs, SFT, samples, preference pairs, DPO."""
    return _run(["training"], "training", overrides, dry_run, share)


@flow(name="benchmark", **_NEWS)
def benchmark(overrides: list[str] | None = None, dry_run: bool = False, share: bool = False) -> State[Any]:
    """Bring the comparison up to date: answers, scores, reports, and the registry."""
    return _run(["benchmark"], "benchmark", overrides, dry_run, share)


@flow(
    name="nightly",
    on_failure=[news.send_end, ends.start_again],
    on_crashed=[news.send_end, ends.start_again],
    on_cancellation=[news.send_end],
)
def nightly(lock: Literal["branch", "log"] = "branch", share: bool = False, push: bool = False) -> State[Any]:
    """Update the sources, run stale stages, push data, keep dvc.lock; `NoNews` if nothing was stale.

    Args:
        lock: Where dvc.lock is kept: on a branch of its own, or with the run.
        share: Take what dvc.lock names and this machine lacks from the DVC remote, and put new results there.
        push: Push the branch to the git remote `origin`.
    """
    log = get_run_logger()
    deployments.check_place(os.environ)
    for source in lockfile.imported_sources():
        repro.run(["update", source], log, "update.log")
    rows = _stages(expand([]), "nightly", share=share)
    _clean()
    changed = [row["stage"] for row in rows if row["how"] != "unchanged"]
    if any(name.startswith("score@") for name in changed):
        news.send_low(f"nightly {flow_run.name}", flow_run.id, _below_band())
    is_left = lock == "branch" and not lockfile.is_kept()  # by a failed push, or a `dvc repro`
    if changed or is_left or lock == "log":
        _push()
    if not changed and not is_left:
        if push:
            lockfile.push(log)
        return Completed(name="NoNews", message="no news: every stage was up to date")
    if lock == "branch":
        branch = f"nightly/{datetime.now(UTC):%Y-%m-%d}"
        commit = lockfile.commit(
            branch, f"Nightly run {flow_run.name}: {', '.join(changed) or 'earlier work'}"
        )
        lock_note = (
            f"dvc.lock is commit {commit[:10]} on branch {branch}"
            if commit
            else "dvc.lock was committed before"
        )
    else:
        lock_text = Path("dvc.lock").read_text(encoding="utf-8")
        create_markdown_artifact(inert.code_block(lock_text, "yaml"), key="dvc-lock")
        lock_note = "dvc.lock is logged with the run"
    if push:
        lockfile.push(log)
    ran = f"ran or restored {', '.join(changed)}" if changed else "every stage was up to date"
    return Completed(message=f"{ran}; pushed; {lock_note}")


@flow(name="weekly", **_NEWS)
def weekly() -> State[Any]:
    """Send people a digest of the last seven days: how runs ended, what they cost, the scores."""
    deployments.check_place(os.environ)
    title, body = week.digest(str(flow_run.id))
    get_run_logger().info("%s\n%s", title, body)
    create_markdown_artifact(f"{inert.markdown(title)}\n\n{inert.code_block(body)}", key="week")
    return Completed(message=f"{title}; {news.send(title, body)} addresses of {news.URLS} took it")


def _below_band() -> list[str]:
    """Return a sentence for each headline number below its band; the run's log and an artifact show them too.

    Both also name the broken files, whose numbers are left out.
    """
    left_out: list[str] = []
    earlier = [headlines.of(ref, left_out.append) for ref in lockfile.nights(_BAND_NIGHTS)]
    low = headlines.below_band(headlines.now(left_out.append), earlier)
    for sentence in [*low, *left_out]:
        get_run_logger().warning("%s", sentence)
    if low or left_out:
        page = "\n".join(f"- {inert.markdown(sentence)}" for sentence in [*low, *left_out])
        create_markdown_artifact(page, key="headlines", description="Headline numbers below their band")
    return low


def _clean() -> None:
    """Remove what is older than the section `retention` keeps; a failure is only a warning, as the stages are done."""
    log = get_run_logger()
    try:
        for sentence in retention.apply(parameters.load().retention):
            log.info("removed by the section retention: %s", sentence)
    except connection.UNREACHABLE as error:
        log.warning("the section retention was not fully applied: %s", without_password(str(error)))
