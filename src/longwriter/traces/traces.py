"""Writes traces of texts to MLflow, in batches and within a time budget; a second write adds no second trace.

Only this file and connection.py, runs.py and logged_models.py of tracking/ import mlflow.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from longwriter.hashing import content_hash
from longwriter.text import inert
from longwriter.traces import spans
from longwriter.traces.spans import TextTrace
from longwriter.tracking import connection  # first: it sets variables that mlflow reads

# isort: split
from mlflow.entities import AssessmentSource, Feedback, Span, TraceInfo, TraceState
from mlflow.entities.trace_location import TraceLocation
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient

log = logging.getLogger(__name__)

_BATCH = 50  # traces in one request; MLflow links at most 100 to a run at once
_PAGE = 500  # traces in one answer; MLflow's largest
_PREVIEW_CHARS = 1000  # MLflow's limit


class Writer(NamedTuple):
    """Who wrote the texts: `run_id`, and the logged model that answered, if there is one."""

    run_id: str
    model_id: str | None = None


class WriteResult(NamedTuple):
    """How many traces were written, how many were left out because the time budget had ended, and the seconds."""

    traces: int
    left_out: int
    seconds: float


def write(
    run_id: str,
    traces: Iterable[TextTrace],
    *,
    started_s: float,
    max_seconds: float,
    writer: Writer,
) -> WriteResult:
    """Write traces, and link them to a run.

    Args:
        run_id: The run.
        traces: The traces; they are taken one batch at a time.
        started_s: When the work on them started, in seconds since 1970.
        max_seconds: Time budget; the batch in which it ends is the last one.
        writer: Who wrote the texts.
    """
    begin = time.monotonic()
    number = left_out = 0
    remaining = iter(traces)
    while batch := list(islice(remaining, _BATCH)):
        if time.monotonic() - begin > max_seconds:
            left_out += len(batch)
            continue
        _write_batch(batch, run_id, round(started_s * 1000), writer)
        number += len(batch)
    return WriteResult(number, left_out, time.monotonic() - begin)


def _write_batch(batch: list[TextTrace], run_id: str, started_ms: int, writer: Writer) -> None:
    mlflow_client, experiment = connection.client()
    client = TracingClient(connection.tracking_uri())
    dicts = [item for trace in batch for item in spans.span_dicts(trace, started_ms * 1_000_000)]
    try:
        client.log_spans(experiment, [Span.from_dict(item) for item in dicts])
    except NotImplementedError as error:  # MLflow raises it if the server does not say its version within 3 s
        raise ConnectionError(str(error)) from None
    for trace in batch:
        client.start_trace(_info(trace, experiment, started_ms, writer))
    mlflow_client.link_traces_to_run([trace.trace_id for trace in batch], run_id)


def _info(trace: TextTrace, experiment: str, started_ms: int, writer: Writer) -> TraceInfo:
    root = trace.root
    metadata = {"mlflow.sourceRun": writer.run_id}
    if writer.model_id is not None:
        metadata["mlflow.modelId"] = writer.model_id
    for key, name in (
        ("mlflow.chat.tokenUsage", "mlflow.trace.tokenUsage"),
        ("mlflow.llm.cost", "mlflow.trace.cost"),
    ):
        if sums := spans.total(root, key):
            metadata[name] = json.dumps(sums)
    return TraceInfo(
        trace_id=trace.trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=started_ms,
        state=TraceState.ERROR if root.error else TraceState.OK,
        request_preview=_preview(root.inputs),
        response_preview=_preview(root.error if root.outputs is None else root.outputs),
        client_request_id=trace.tags["lw.row_id"],
        execution_duration=round(root.duration() * 1000),
        trace_metadata=metadata,
        tags={
            "mlflow.traceName": root.name,
            **{key: inert.terminal(value) for key, value in trace.tags.items()},
        },
        assessments=[_feedback(trace.trace_id, opinion) for opinion in trace.opinions],
    )


def _preview(text: str | None) -> str:
    return inert.terminal(text or "")[:_PREVIEW_CHARS]


def _feedback(trace_id: str, opinion: spans.Opinion) -> Feedback:
    is_code = opinion.judge is None
    feedback = Feedback(
        name=opinion.name,
        value=opinion.value,
        source=AssessmentSource("CODE" if is_code else "LLM_JUDGE", opinion.judge or "longwriter"),
        rationale=inert.terminal(opinion.rationale) or None,
        trace_id=trace_id,
    )
    feedback.assessment_id = f"a-{content_hash([trace_id, opinion.name])[:32]}"
    return feedback


def ids_of(run_id: str) -> set[str]:
    """Return the ids of the traces that are linked to a run; empty if MLflow does not know the run."""
    mlflow_client, experiment = connection.client()
    ids: set[str] = set()
    token: str | None = None
    while True:
        try:
            page = mlflow_client.search_traces(
                locations=[experiment],
                run_id=run_id,
                max_results=_PAGE,
                page_token=token,
                include_spans=False,
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return set()
        ids |= {trace.info.trace_id for trace in page}
        if not (token := page.token):
            return ids


def delete(run_id: str, needed: Collection[str]) -> int:
    """Delete the traces that are linked to a run, except `needed`; return their number."""
    mlflow_client, experiment = connection.client()
    ids = sorted(ids_of(run_id).difference(needed))
    for start in range(0, len(ids), _BATCH):
        mlflow_client.delete_traces(experiment, trace_ids=ids[start : start + _BATCH])
    return len(ids)


def url(trace_id: str) -> str:
    """Return the URL of a trace's page in the MLflow UI, see `runs.run_url`."""
    return f"{connection.experiment_url()}/traces?selectedEvaluationId={trace_id}"
