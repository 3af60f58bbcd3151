"""OpenLineage events of a stage, as an option: START, then COMPLETE, FAIL or ABORT, with DVC's digest of each data set.

Without OPENLINEAGE_URL nothing is imported or sent. The client reads its address, key and namespace from the
environment (OPENLINEAGE_URL, OPENLINEAGE_API_KEY, OPENLINEAGE_NAMESPACE). The run is MLflow's run, whose id is a
UUID. An event that cannot be sent is a line in the log, because a catalogue of lineage never fails a stage.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from longwriter.errors import UserError, without_password

if TYPE_CHECKING:
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

log = logging.getLogger(__name__)

_URL = "OPENLINEAGE_URL"
_PIPELINE = "pipeline"
_PRODUCER = "urn:longwriter"  # OpenLineage wants a URI
_LONGEST = 2000  # characters of an error


class Stage(NamedTuple):
    """A stage in MLflow: its name, its run, the run of its pipeline, and the digests of what it reads."""

    name: str
    run_id: str
    parent: str
    inputs: Mapping[str, str]


@contextmanager
def events(stage: Stage) -> Iterator[dict[str, str]]:
    """Send START, and how the block ended.

    Yields:
        {path: digest} of what the stage wrote; the block fills it.

    Raises:
        UserError: OPENLINEAGE_URL is set, and the client is not installed.
    """
    outputs: dict[str, str] = {}
    if not os.environ.get(_URL):
        yield outputs
        return
    _send("START", stage, outputs)
    try:
        yield outputs
    except BaseException as error:
        _send("ABORT" if isinstance(error, SystemExit) else "FAIL", stage, {}, error)
        raise
    _send("COMPLETE", stage, outputs)


def _send(state: str, stage: Stage, outputs: Mapping[str, str], error: BaseException | None = None) -> None:
    try:
        from openlineage.client import OpenLineageClient, event_v2
        from openlineage.client.facet_v2 import error_message_run, parent_run
    except ImportError:
        raise UserError(
            f"{_URL} is set, and openlineage-python is not installed: pip install -e '.[openlineage]'"
        ) from None
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "longwriter"
    facets: dict[str, RunFacet] = {
        "parent": parent_run.ParentRunFacet(
            parent_run.Run(_uuid(stage.parent)), parent_run.Job(namespace, _PIPELINE)
        )
    }
    if error is not None:
        text = without_password(f"{type(error).__name__}: {error}")[:_LONGEST]
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(text, "PYTHON")
    event = event_v2.RunEvent(
        eventType=event_v2.RunState[state],
        eventTime=datetime.now(UTC).isoformat(),
        run=event_v2.Run(_uuid(stage.run_id), facets),
        job=event_v2.Job(namespace, stage.name),
        producer=_PRODUCER,
        inputs=[
            event_v2.InputDataset(namespace, path, facets=_version(digest))
            for path, digest in sorted(stage.inputs.items())
        ],
        outputs=[
            event_v2.OutputDataset(namespace, path, facets=_version(digest))
            for path, digest in sorted(outputs.items())
        ],
    )
    try:
        OpenLineageClient().emit(event)
    except Exception as problem:  # each transport has its own errors
        reason = without_password(str(problem).partition("\n")[0])
        log.warning(
            "the OpenLineage event %s was not sent to %s (%s)",
            state,
            without_password(os.environ[_URL]),
            reason,
        )


def _version(digest: str) -> dict[str, DatasetFacet]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(digest)}


def _uuid(run_id: str) -> str:
    return str(uuid.UUID(run_id))
