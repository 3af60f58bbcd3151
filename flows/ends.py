"""How runs end: a crashed run is started once more, and a run whose process or worker is gone is ended with a reason."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psutil
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Crashed, Scheduled

from flows import deployments, repro
from longwriter.errors import Unavailable
from longwriter.io import process
from longwriter.tracking import connection

log = logging.getLogger(__name__)

AGAIN = "again"  # tag of a run that repeats a crashed one
_AGAIN_S = 600  # a crashed run may hold its slot of the deployment for 300 s
_PENDING_S = 600  # a worker begins a run within seconds
_OPEN = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def can_pass(error: object) -> bool:
    """Tell whether the cause of an error can go away by itself: something is away or busy, or a rank was killed."""
    if isinstance(error, repro.DvcFailed):
        return error.can_pass
    return isinstance(error, (Unavailable, *connection.UNREACHABLE))


def start_again(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """Start a deployed run once more, ten minutes after it crashed or could not reach something.

    Prefect calls this as a hook. A retry of Prefect itself would lose the deployment's slot (PrefectHQ/prefect#22885).
    """
    if flow_run.deployment_id is None or AGAIN in flow_run.tags:
        return
    if not state.is_crashed() and not can_pass(state.result(raise_on_failure=False)):
        return
    with get_client(sync_client=True) as client:
        repeated = client.create_flow_run_from_deployment(
            flow_run.deployment_id,
            parameters=flow_run.parameters,
            name=f"{flow_run.name}-{AGAIN}",
            tags=[*flow_run.tags, AGAIN],
            state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=_AGAIN_S)),
            idempotency_key=f"{AGAIN}-{flow_run.id}",
        )
    log.warning(
        "%s %s is repeated as %s in %d minutes", flow.name, flow_run.name, repeated.name, _AGAIN_S // 60
    )


def is_cancelled(flow_run_id: str) -> bool:
    """Tell whether somebody cancels a run; SIGTERM alone may also come from a worker or a machine that stops."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(flow_run_id)).state
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def cancel() -> None:
    """End this flow as Prefect's cancellation would end it."""
    raise TerminationSignal(signal.SIGTERM)


def sign(flow_run_id: str) -> None:
    """Note in the labels of a run which process executes it: Prefect knows that only for runs of a worker."""
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run_id), dict(process.identity()))


def end_lost(own_id: str | None = None, pending_s: float = _PENDING_S) -> list[str]:
    """End the runs of this checkout's deployments, and this machine's runs without one, that nothing executes.

    A run that is pending for ten minutes has lost its worker. A run whose process is gone stays `Running` or
    `Cancelling` if its worker ended too, or if no worker started it. Its stages stay as they were even if the worker
    ends the run, so they are ended too.

    Args:
        own_id: Id of the run that calls this.
        pending_s: A run that is pending for longer has lost its worker.

    Returns:
        A sentence for each run and each stage that was ended.
    """
    host = socket.gethostname()
    with get_client(sync_client=True) as client:
        ours = [deployment.id for deployment in own_deployments(client)]
        runs = _open_runs(client, ours) if ours else []
        lost = [(run, _why_lost(run, host, pending_s)) for run in runs]
        by_hand = [run for run in _open_runs(client, None) if process.is_dead(_labels(run))]
        lost += [(run, f"its process {run.labels['lw.pid']} on {host} is gone") for run in by_hand]
        sentences = [_end(client, run, why) for run, why in lost if why and str(run.id) != own_id]
        sentences += _end_stages(client, ours) if ours else []
        ids = FlowRunFilterId(any_=[run.id for run in by_hand])
        sentences += _end_stages(client, None, ids) if by_hand else []
    return sentences


def _labels(run: FlowRun) -> dict[str, str]:
    return {key: str(value) for key, value in run.labels.items()}


def _end(client: SyncPrefectClient, run: FlowRun, why: str) -> str:
    """End a run, as cancelled if somebody cancelled it; return a sentence."""
    is_wanted = run.state_type != StateType.CANCELLING
    state: State[Any] = Crashed(message=why) if is_wanted else Cancelled(message=why)
    client.set_flow_run_state(run.id, state, force=True)
    return f"{run.name} is {state.name}: {why}"


def _end_stages(
    client: SyncPrefectClient, ours: Sequence[UUID] | None, runs: FlowRunFilterId | None = None
) -> list[str]:
    """End the open stages of crashed and cancelled runs, as their run ended; return a sentence for each.

    The runs are those of our deployments, or `runs` if `ours` is None.

    A run that completed or failed has reported its stages itself.
    """
    sentences = []
    waiting = StateType.SCHEDULED  # for the next try
    stages = client.read_task_runs(
        task_run_filter=TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[waiting, *_OPEN]))
        ),
        flow_run_filter=FlowRunFilter(state=_state([StateType.CRASHED, StateType.CANCELLED]), id=runs),
        deployment_filter=_of(ours) if ours is not None else None,
    )
    for stage in stages:
        if stage.flow_run_id is None:
            continue
        run = client.read_flow_run(stage.flow_run_id)
        is_cancelled = run.state_type == StateType.CANCELLED
        reason = run.state.message if run.state is not None else None
        state: State[Any] = Cancelled(message=reason) if is_cancelled else Crashed(message=reason)
        client.set_task_run_state(stage.id, state, force=True)
        sentences.append(f"stage {stage.name} of {run.name} is {state.name}, as its run: {reason}")
    return sentences


def own_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return the deployments of this checkout."""
    here = deployments.this_checkout()
    return [
        deployment
        for deployment in client.read_deployments()
        if here.is_same(deployments.checkout_of(deployment))
    ]


def _open_runs(client: SyncPrefectClient, ours: Sequence[UUID] | None) -> list[FlowRun]:
    """Return the open runs of deployments; None: those without a deployment."""
    if ours is not None:
        return client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=_state(_OPEN)), deployment_filter=_of(ours)
        )
    without = FlowRunFilterDeploymentId(is_null_=True)
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=_state(_OPEN), deployment_id=without))


def _state(types: list[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=types))


def _of(deployment_ids: Sequence[UUID]) -> DeploymentFilter:
    return DeploymentFilter(id=DeploymentFilterId(any_=list(deployment_ids)))


def _why_lost(run: FlowRun, host: str, pending_s: float) -> str | None:
    """Return why nothing executes a run; None if something does, or if only another machine can tell."""
    state = run.state
    if state is not None and state.is_pending():
        age_s = (datetime.now(UTC) - state.timestamp).total_seconds()
        return f"no worker began it in {age_s / 60:.0f} minutes" if age_s > pending_s else None
    run_host, _, pid = (run.infrastructure_pid or "").rpartition(":")
    if run_host != host or not pid.isdigit() or int(pid) == os.getpid():
        return None
    return None if _is_alive(int(pid), run.start_time) else f"its process {pid} on {host} is gone"


def _is_alive(pid: int, since: datetime | None) -> bool:
    """Tell whether the process that began a flow at `since` is alive; another process may have got its number later."""
    try:
        process = psutil.Process(pid)
        is_later = since is not None and process.create_time() > since.timestamp() + 60
        return not is_later and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
