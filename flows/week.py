"""The weekly digest: what the runs of this checkout's deployments did in seven days, what they cost, the scores now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from prefect import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)

from flows import ends, headlines
from longwriter.retention import old_runs
from longwriter.tracking import git

_DAYS = 7
_REASON_CHARS = 300  # of a run's reason
_QUIET = ("NoNews", "Completed")  # runs that are only counted
_FLOWS = 400  # newest pipeline runs in MLflow that are looked through


class Night(NamedTuple):
    """A run: when it was due, its flow and name, its state, and why it ended so."""

    due: datetime
    name: str
    state: str
    reason: str


def text(
    nights: Sequence[Night],
    dollars: float,
    today: Mapping[str, float],
    before: Mapping[str, float],
    day: datetime,
) -> tuple[str, str]:
    """Return the title and the body of a digest.

    Args:
        nights: The runs of the week, in order.
        dollars: What they paid for LLM calls.
        today: Headline numbers now.
        before: Those of a week ago; empty if no nightly branch is as old.
        day: The last day of the week.
    """
    counts = Counter(night.state for night in nights)
    states = ", ".join(f"{number} {state}" for state, number in counts.most_common()) or "no run"
    lines = [
        f"{night.due:%Y-%m-%d %H:%M} {night.name}: {night.state}: {night.reason[:_REASON_CHARS] or 'no reason is known'}"
        for night in nights
        if night.state not in _QUIET
    ]
    lines.append(f"LLM calls: ${dollars:,.2f}")
    lines += [
        f"{name}: {value:g}" + (f" (a week ago {before[name]:g})" if name in before else "")
        for name, value in today.items()
    ]
    return f"longwriter, week to {day:%Y-%m-%d}: {states}", "\n".join(lines)


def digest(own_id: str | None = None) -> tuple[str, str]:
    """Return the title and the body of this week's digest.

    Args:
        own_id: Id of the run that calls this.
    """
    day = datetime.now(UTC)
    begin = day - timedelta(days=_DAYS)
    due = FlowRunFilterExpectedStartTime.model_validate({"after_": begin, "before_": day})
    with get_client(sync_client=True) as client:
        ours = [deployment.id for deployment in ends.own_deployments(client)]
        flows = {flow.id: flow.name for flow in client.read_flows()}
        runs = (
            client.read_flow_runs(
                flow_run_filter=FlowRunFilter(expected_start_time=due),
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=ours)),
            )
            if ours
            else []
        )
    runs = sorted(
        (run for run in runs if str(run.id) != own_id), key=lambda run: run.expected_start_time or day
    )
    nights = [
        Night(
            run.expected_start_time or day,
            f"{flows.get(run.flow_id, 'flow')} {run.name}",
            run.state_name or "unknown",
            " ".join((run.state.message or "").split()) if run.state else "",
        )
        for run in runs
    ]
    ids = {str(run.id) for run in runs}
    dollars = sum(
        run.data.metrics.get("cost_usd", 0.0)
        for run in old_runs.of_flows(_FLOWS)
        if run.data.tags.get("prefect.flow_run_id") in ids
    )
    left_out: list[str] = []
    today, before = headlines.now(left_out.append), _numbers_at(begin, left_out.append)
    title, body = text(nights, dollars, today, before, day)
    return title, "\n".join([body, *left_out])


def _numbers_at(time: datetime, warn: Callable[[str], None]) -> dict[str, float]:
    """Return the headline numbers of the newest nightly branch that is older than a time; `warn`: see `headlines.now`."""
    rows = git.lines(
        "for-each-ref",
        "--sort=-committerdate",
        "--format=%(committerdate:unix) %(refname)",
        "refs/heads/nightly",
    )
    for row in rows:
        seconds, _, ref = row.partition(" ")
        if int(seconds) <= time.timestamp():
            return headlines.of(ref, warn)
    return {}
