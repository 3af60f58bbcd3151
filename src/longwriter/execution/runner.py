"""The part that all stage processes share: lock, MLflow run, lineage, exit code.

`main(name, work)` is the last line of each module in `stages/`. `work` receives the parameters, an empty
folder and the MLflow run of the stage; it fills the folder and returns a Summary. The folder becomes
`data/<name>/`, and `data/lineage/<name>.json` names the run that produced it. An item of a matrix stage is
`NAME@ITEM` in DVC; its output is in `data/<name>/<item>/`, its lineage in `data/lineage/<name>@<item>.json`.
If dvc.yaml declares `data/<name>/headline.json`, this file gets the numbers that `dvc metrics show` prints.
If dvc.yaml declares `data/<name>/summary.json`, as for stages that call LLMs, this file gets the calls, tokens,
cost and seconds of this execution.
A stage that fails publishes nothing. A stage that keeps no row, or fewer than its `min_kept_share`, also fails;
its rejected rows, and those of a stage that its gate stops, are then in `.lw/stopped/<name>/`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import orjson
import psutil

from longwriter import params as parameters
from longwriter.errors import GateStopped, LongWriterError, Unavailable, UserError, without_password
from longwriter.execution import tables, tracing
from longwriter.execution.summary import Summary as Summary
from longwriter.io import access, disk, files, process, startup
from longwriter.text import inert
from longwriter.traces import traces
from longwriter.tracking import connection, git, notes, openlineage, versioning
from longwriter.tracking import logged_models as models
from longwriter.tracking import runs as tracking
from longwriter.tracking.provenance import LINEAGE
from longwriter.tracking.runs import StageRun as StageRun

log = logging.getLogger("longwriter")

_SUMMARY = "summary.json"
_HEADLINE = "headline.json"


Work = Callable[[parameters.Params, Path, StageRun], Summary]


class _Inert(logging.Formatter):
    """Writes control characters as visible text, because messages quote prompts, answers and servers."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with its control characters as text."""
        return inert.terminal(super().format(record))


def main(stage: str, work: Work, item: str | None = None) -> NoReturn:
    """Execute a stage, or one item of a matrix stage, and exit with its code (see errors.py)."""
    startup.end()
    name = f"{stage}@{item}" if item else stage
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Inert("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("httpx", "httpx2", "alembic", "mlflow", "great_expectations", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it also raises what it logs
    process.exit_on_sigterm()
    process.die_with_starter()
    try:
        with access.kept_private(files.LOCAL), process.only_one(name, files.LOCAL / "locks"):
            _execute(name, work)
    except LongWriterError as error:
        log.error("%s: %s: %s", name, type(error).__name__, error)
        sys.exit(error.exit_code)
    except Exception as error:
        if (trouble := disk.trouble(error)) is None:
            raise
        log.error("%s: %s; LLM answers and checkpoints that are stored will be used again", name, trouble)
        sys.exit(2)
    sys.exit(0)


def _execute(name: str, work: Work) -> None:
    """Do the stage's work inside an MLflow run that gets the status of the work."""
    params = parameters.load()
    stage = versioning.stage_files(name)
    inputs = versioning.input_digests(stage.deps)
    tags = {
        **git.state_tags(),
        **{tag: os.environ[env] for tag, env in _STARTER_TAGS.items() if env in os.environ},
        "lw.invocation_id": os.environ.get("LW_INVOCATION_ID") or uuid.uuid4().hex,
        "lw.fingerprint": versioning.fingerprint(stage, inputs),
    }
    with _needs_mlflow(_NOT_STARTED):
        tracking.close_dead_runs()
        parent = tracking.pipeline_run(_group(), tags)
        run_id = tracking.start_run(name, {**tags, "lw.stage": name, "lw.status": "executed"}, parent)
    log.info("%s: %s", name, tracking.run_url(run_id))
    started_s = time.time()
    lineage = openlineage.Stage(name, run_id, parent, inputs)
    with _closing(run_id), openlineage.events(lineage) as lineage_outputs:
        with _needs_mlflow(_NOT_STARTED):
            tracking.log_params(run_id, stage.params)
            tracking.log_datasets(run_id, inputs, "input")
            models.log_read(run_id, inputs)
            tracking.log_prompts(run_id, notes.prompts_of(inputs))
            note = notes.of_run(name, stage.description, run_id, inputs, tags)
            tracking.set_tags(run_id, {**notes.kind_tags(name), "mlflow.note.content": note})
        run = StageRun(run_id, tags["lw.fingerprint"])
        summary = _publish(name, lambda folder: work(params, folder, run), stage.outs)
        outputs = versioning.digests(out for out in stage.outs if LINEAGE not in Path(out).parents)
        with _needs_mlflow(_NOT_LOGGED):
            tracking.log_datasets(run_id, outputs, "output")
            note = notes.of_run(name, stage.description, run_id, inputs, tags, outputs)
            tracking.set_tags(run_id, {"mlflow.note.content": note})
            step = int(summary.numbers.get("steps", 0))
            models.log_written(run_id, name, outputs, step)
            numbers = {**summary.metrics(), **summary.execution}
            subject = models.subject(name, inputs)
            tracking.log_metrics(run_id, numbers, subject, step)
            writer = traces.Writer(models.answering_run(name, inputs) or run_id, subject.get("model_id"))
            tracing.record(name, params, run_id, started_s, writer)
            table = tables.rows(name, run_id)
            tracking.log_table(run_id, table, "rows.json")
            tracking.log_text(run_id, tables.page(table), "rows.md")
            for path in summary.artifacts:
                tracking.log_artifact(run_id, path)
            _write_lineage(name, run_id, parent, tags, inputs, outputs)
        lineage_outputs.update(outputs)
    log.info(summary.line(name))


_NOT_STARTED = "nothing was done"
_NOT_LOGGED = (
    "the work is done, but its MLflow run is not complete, so the stage fails and DVC keeps no output of it: "
    "the next try repeats the work from stored answers and checkpoints"
)


@contextmanager
def _needs_mlflow(state: str) -> Iterator[None]:
    """End the stage as Unavailable when the block cannot reach MLflow, as UserError when a person must act (a login, the schema).

    Args:
        state: What is done, and what the next try starts from; the end of the error message.
    """
    try:
        yield
    except connection.UNREACHABLE as error:
        if disk.trouble(error):
            raise
        if refused := connection.refusal(error, has_worked=state == _NOT_LOGGED):
            raise UserError(f"{refused}: {state}") from error
        reason = str(error).partition("\n")[0]
        message = f"cannot reach MLflow at {connection.tracking_uri()} ({reason}): {state}"
        raise Unavailable(without_password(message)) from error


@contextmanager
def _closing(run_id: str) -> Iterator[None]:
    """End the MLflow run with the status of the block; an error of the block is raised even if MLflow cannot be reached."""
    try:
        yield
        with _needs_mlflow(_NOT_LOGGED):
            tracking.end_run(run_id, "FINISHED")
    except BaseException as error:
        is_killed = isinstance(error, SystemExit)
        try:
            for path in getattr(error, "artifacts", ()):
                tracking.log_artifact(run_id, path)
            if not is_killed:
                tracking.set_tags(run_id, {"lw.error": f"{type(error).__name__}: {error}"[:5000]})
            tracking.end_run(run_id, "KILLED" if is_killed else "FAILED")
        except connection.UNREACHABLE as unreachable:
            url, reason = without_password(connection.tracking_uri()), without_password(str(unreachable))
            log.warning("cannot reach MLflow at %s to end this run (%s); the next stage ends it", url, reason)
        raise


def _publish(name: str, work: Callable[[Path], Summary], outs: list[str]) -> Summary:
    """Run `work` on an empty folder; if the work succeeds, it becomes data/<name> (data/<stage>/<item>)."""
    target = files.DATA / name.replace("@", "/")
    started = time.monotonic()
    with files.published(target) as folder:
        try:
            summary = work(folder)
        except GateStopped as error:
            raise _with_rejected(name, error, folder) from None
        rejected = sum(summary.rejected.values())
        if summary.rows_in != summary.rows_kept + rejected:
            raise LongWriterError(
                f"{name} lost rows: {summary.rows_in} in, {summary.rows_kept} kept, {rejected} rejected"
            )
        _check_kept(name, summary, folder)
        summary.seconds = time.monotonic() - started
        files.write_json(folder / "metrics.json", summary.metrics())
        if str(target / _HEADLINE) in outs:
            files.write_json(folder / _HEADLINE, summary.headline())
        if str(target / _SUMMARY) in outs:
            files.write_json(folder / _SUMMARY, summary.content())
            summary.artifacts.append(target / _SUMMARY)
    return summary


def _check_kept(name: str, summary: Summary, folder: Path) -> None:
    """Check that a stage keeps enough rows.

    Raises:
        GateStopped: it keeps none, or too few; its rejected rows are copied out of `folder`.
    """
    shortage = summary.shortage(name.partition("@")[0])
    if shortage is None:
        return
    rejected = _copied(name, folder)
    if rejected:
        shortage += f". All rejected rows, with their reasons: {rejected}"
    advice = "remove the cause of the rejections and run again; stored answers are not requested again"
    raise GateStopped(f"{shortage}: {advice}", artifacts=(rejected,) if rejected else ())


def _with_rejected(name: str, error: GateStopped, folder: Path) -> GateStopped:
    """Return the error of a gate, with the rows that the stage rejected before it, because the gate may miss them."""
    rejected = _copied(name, folder)
    if rejected is None or not rejected.stat().st_size:
        return error
    with rejected.open("rb") as rows:
        reasons = Counter(orjson.loads(row)["reason"] for row in rows)
    counts = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common())
    message = f"{error}. Rejected before the gate: {counts} (all: {rejected})"
    return GateStopped(message, artifacts=(*error.artifacts, rejected))


def _copied(name: str, folder: Path) -> Path | None:
    """Copy the rejected rows of a stage that fails out of its folder; return the copy, or None if there are none."""
    rejected = folder / "rejected.jsonl"
    if not rejected.is_file():
        return None
    stopped = files.LOCAL / "stopped" / name / rejected.name
    stopped.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(rejected, stopped))


_STARTER_TAGS = {
    "prefect.flow_run_id": "LW_PREFECT_FLOW_RUN_ID",
    "prefect.task_run_id": "LW_PREFECT_TASK_RUN_ID",
    "dvc.experiment": "DVC_EXP_NAME",
}
"""{tag of the MLflow run: variable in the environment of the stage}."""


def _group() -> str:
    """Return an id that the stages of one `dvc repro` share, made from the dvc process above them."""
    for parent in psutil.Process().parents():
        if "dvc" in (Path(word).name for word in parent.cmdline()[:3]):
            return f"{process.boot_id()}-{parent.pid}-{process.start_of(parent)}"
    return f"alone-{uuid.uuid4().hex}"


def _write_lineage(
    name: str,
    run_id: str,
    parent: str,
    tags: dict[str, str],
    inputs: dict[str, str],
    outputs: dict[str, str],
) -> None:
    """Write data/lineage/<name>.json, which names the run that produced data/<name>."""
    LINEAGE.mkdir(parents=True, exist_ok=True)
    part = files.LOCAL / "tmp" / f"lineage-{name}.json"
    lineage = {
        "stage": name,
        "run_id": run_id,
        "pipeline_run_id": parent,
        "invocation_id": tags["lw.invocation_id"],
        "fingerprint": tags["lw.fingerprint"],
        "git_commit": tags["git.commit"],
        "inputs": inputs,
        "outputs": outputs,
    }
    files.write_json(part, lineage)
    tracking.log_artifact(run_id, part)
    part.replace(LINEAGE / f"{name}.json")
