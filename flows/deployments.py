"""The schedule: work pools, and a deployment for each flow that people start from the Prefect UI.

Run, with PREFECT_API_URL set to a server:
  python -m flows.deployments [--flow nightly] [--name NAME] [--cron "0 2 * * *"] [--timezone Europe/Berlin]
                              [--pool longwriter] [--tag TAG] [--share] [--push] [--replace]
  python -m flows.deployments status
  python -m flows.deployments clear      # ends the runs of this checkout whose worker or process is gone
  python -m flows.deployments remove [--flow nightly] [--name NAME]
  prefect worker start --pool longwriter --limit 1

A worker runs the deployment `FLOW/NAME` in the checkout that the deployment names; the nightly flow also pushes and
commits there. So a deployment of another checkout is replaced only with `--replace`. Several checkouts share a server
if each takes a name of its own. Before its first stage a flow checks that it runs where it was deployed from.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Cron, Schedule
from pydantic import ValidationError

from flows import server
from longwriter.errors import LongWriterError, UserError, without_password
from longwriter.tracking import git

POOL = "longwriter"
FLOWS = {
    "nightly": "nightly",
    "longwriter": "pipeline",
    "data": "data",
    "training": "training",
    "benchmark": "benchmark",
    "weekly": "weekly",
}
"""{flow that can be deployed: its function in flows/pipeline.py}."""
_CRONS = {"nightly": "0 2 * * *", "weekly": "0 8 * * 1"}
"""{flow: its schedule if none is named}; the other flows then have none."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_HOST = "LW_DEPLOYED_ON"  # variable in the deployment's environment: host name of the checkout's machine
_FOLDER, _REMOTE, _BRANCH = "LW_DEPLOYED_FOLDER", "LW_DEPLOYED_REMOTE", "LW_DEPLOYED_BRANCH"
"""Variables in the deployment's environment: its folder, and the git remote and branch at the time of the deployment."""
_POOL_TYPE = "process"


class Checkout(NamedTuple):
    """A checkout of the project: a folder on a machine; `host` is empty if the deployment does not name it."""

    host: str
    folder: str

    def __str__(self) -> str:
        """Return `HOST:FOLDER`, or only the folder."""
        return f"{self.host}:{self.folder}" if self.host else self.folder

    def is_same(self, other: Checkout) -> bool:
        """Tell whether both are the same folder; machines are compared only if both are known."""
        is_same_host = self.host == other.host or not (self.host and other.host)
        return self.folder == other.folder and is_same_host

    def is_gone(self) -> bool:
        """Tell whether it was a folder of this machine that is no longer there."""
        return self.host == socket.gethostname() and not Path(self.folder).exists()


def this_checkout() -> Checkout:
    """Return the checkout of the working directory."""
    return Checkout(socket.gethostname(), str(Path.cwd().resolve()))


def checkout_of(deployment: DeploymentResponse) -> Checkout:
    """Return the checkout in which a worker runs a deployment."""
    variables = deployment.job_variables or {}
    environment = variables.get("env") or {}
    return Checkout(environment.get(_HOST, ""), variables.get("working_dir") or deployment.path or "unknown")


class Place(NamedTuple):
    """Where and when a deployment runs; `cron` is None for a flow that only people start."""

    pool: str = POOL
    cron: str | None = None
    timezone: str = "UTC"
    tags: tuple[str, ...] = ()


def full_name(flow: str, name: str) -> str:
    """Return the name of a deployment as Prefect shows it.

    Raises:
        UserError: the name has other characters.
    """
    return f"{flow}/{_checked('--name', name)}"


def _checked(option: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UserError(f"{option} {name[:60]!r}: small letters, digits and . _ - are allowed, at most 63")
    return name


def find(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    """Return the deployment `FLOW/NAME` of the server, or None."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound as error:
        answer = getattr(error.http_exc, "response", None)
        if "detail" not in getattr(answer, "text", ""):  # this is not Prefect
            raise error.http_exc from None
        return None


def check_is_ours(name: str, deployment: DeploymentResponse | None, what_to_do: str) -> None:
    """Raise UserError if a deployment runs in another checkout.

    Args:
        name: Its name, as Prefect shows it.
        deployment: The deployment of the server; None = there is none.
        what_to_do: The end of the message.
    """
    here = this_checkout()
    if deployment is not None and not here.is_same(its_checkout := checkout_of(deployment)):
        raise UserError(
            f"the deployment {name} runs in {its_checkout}, this checkout is {here}: {what_to_do}"
        )


def source() -> dict[str, str]:
    """Return the git remote and the branch of the working directory, as variables of a deployment.

    A password in the address is left out. Without a remote, or if no branch is checked out, the value is empty.
    """
    url = git.run("remote", "get-url", "origin") if git.succeeds("remote", "get-url", "origin") else ""
    branch = git.run("branch", "--show-current") if git.succeeds("rev-parse", "--git-dir") else ""
    return {_REMOTE: without_password(url), _BRANCH: branch}


def check_place(env: Mapping[str, str]) -> None:
    """Raise an error if a deployed flow does not run where it was deployed from.

    It would push and commit in the wrong place. A flow that no deployment started is not checked.

    Args:
        env: The environment of the flow.

    Raises:
        UserError: the machine, the folder, the git remote or the branch is another one.
    """
    if not env.get(_FOLDER):
        return
    host, folder = this_checkout()
    now = {_HOST: host, _FOLDER: folder, **source()}
    differences = [
        f"{label} is {now[key] or 'none'}, not {env[key] or 'none'}"
        for key, label in (
            (_HOST, "machine"),
            (_FOLDER, "folder"),
            (_REMOTE, "git remote"),
            (_BRANCH, "branch"),
        )
        if key in env and env[key] != now[key]
    ]
    if differences:
        raise UserError(
            f"this is not the place that the flow was deployed from: its {'; its '.join(differences)}; nothing was run. "
            "Run it there, or deploy again: python -m flows.deployments"
        )


def deploy(
    flow: str, name: str, place: Place, *, parameters: Collection[str] = (), replace: bool = False
) -> str:
    """Create or update the deployment `FLOW/NAME`; return its id.

    Only one run of it is active at a time. A nightly run that is due while another one is active is cancelled,
    because the active one brings every stage up to date anyway; runs of other flows wait.

    Args:
        flow: A flow of `FLOWS`.
        name: Its name, one for each checkout that uses the server.
        place: Where and when it runs.
        parameters: Parameters of the flow that are true in its runs, such as `share`.
        replace: Also replace a deployment of another checkout.

    Raises:
        UserError: the deployment is another checkout's, the work pool is not for processes, the flow has no such
            parameter, or a name or the schedule is not valid.
    """
    schedule = _schedule(place)
    for option, text in (("--pool", place.pool), *(("--tag", tag) for tag in place.tags)):
        _checked(option, text)
    deployment_name = full_name(flow, name)
    with get_client(sync_client=True) as client:
        if not replace:
            check_is_ours(
                deployment_name,
                find(client, deployment_name),
                "give yours another --name, deploy it there, or take it over with --replace",
            )
        _make_pool(client, place.pool)
    host, folder = this_checkout()
    loaded = Flow.from_source(source=folder, entrypoint=f"flows/pipeline.py:{FLOWS[flow]}")
    if not isinstance(loaded, Flow):  # inside an event loop it is a coroutine
        raise TypeError("deploy() must be called outside an event loop")
    if unknown := sorted(set(parameters) - set(loaded.parameters.properties)):
        raise UserError(f"--{unknown[0]}: the flow {flow} has no such parameter; leave it out")
    strategy = ConcurrencyLimitStrategy.CANCEL_NEW if flow == "nightly" else ConcurrencyLimitStrategy.ENQUEUE
    return str(
        loaded.deploy(
            name=name,
            work_pool_name=place.pool,
            schedule=schedule,
            tags=list(place.tags),
            parameters=dict.fromkeys(parameters, True),
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
            job_variables={
                "working_dir": folder,
                "env": {
                    "PYTHONPATH": f"{folder}{os.pathsep}{folder}/src",
                    _HOST: host,
                    _FOLDER: folder,
                    **source(),
                },
            },
            build=False,
            push=False,
            print_next_steps=False,
            ignore_warnings=True,  # of Prefect, which would rather `serve` the flow
        )
    )


def _schedule(place: Place) -> Schedule | None:
    """Return the schedule of a deployment; None if only people start it.

    Raises:
        UserError: it is not valid.
    """
    if place.cron is None:
        return None
    try:
        CronSchedule(cron=place.cron, timezone=place.timezone)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(f"--cron {place.cron!r} --timezone {place.timezone!r}: {reason}") from None
    return Cron(place.cron, timezone=place.timezone)


def _make_pool(client: SyncPrefectClient, pool: str) -> None:
    """Create a work pool if it is missing.

    Raises:
        UserError: there is one of another type, whose workers do not run processes in a checkout.
    """
    try:
        pool_type = client.read_work_pool(pool).type
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=pool, type=_POOL_TYPE))
        return
    if pool_type != _POOL_TYPE:
        raise UserError(
            f"the work pool {pool} is of type {pool_type}, {_POOL_TYPE} is needed: remove it "
            f"(prefect work-pool delete {pool}), name another --pool, or use another Prefect server"
        )


def status() -> str:
    """Return what the server knows of the deployments of our flows, as lines of text."""
    with get_client(sync_client=True) as client:
        texts = [
            _lines(client, flow, deployment)
            for flow in FLOWS
            for deployment in client.read_deployments(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow]))
            )
        ]
    return "\n\n".join(texts) or f"there is no deployment of the flows {', '.join(FLOWS)}"


def _lines(client: SyncPrefectClient, flow: str, deployment: DeploymentResponse) -> str:
    """Return what the server knows of one deployment."""
    pool = deployment.work_pool_name or POOL
    workers = client.read_workers_for_work_pool(pool)
    its_checkout = checkout_of(deployment)
    owner = "this checkout" if this_checkout().is_same(its_checkout) else "another checkout"
    if its_checkout.is_gone():
        owner = (
            f"this folder is gone: python -m flows.deployments remove --flow {flow} --name {deployment.name}"
        )
    schedules = [
        f"{getattr(item.schedule, 'cron', item.schedule)} {getattr(item.schedule, 'timezone', '')}"
        f"{'' if item.active else ' (paused)'}"
        for item in deployment.schedules
    ]
    online = [worker.name for worker in workers if worker.status == "ONLINE"]
    return "\n".join(
        [
            f"deployment {flow}/{deployment.name} {deployment.id}{' (paused)' if deployment.paused else ''}",
            f"runs in     {its_checkout} ({owner})",
            f"schedule    {', '.join(schedules) or 'none'}",
            f"workers     {', '.join(online) or f'none: prefect worker start --pool {pool}'}",
        ]
    )


def remove(name: str) -> str:
    """Remove a deployment and its scheduled runs; return a sentence. A run that is active goes on.

    Raises:
        UserError: the deployment is that of another checkout, whose folder is still there.
    """
    with get_client(sync_client=True) as client:
        deployment = find(client, name)
        if deployment is None:
            return f"there is no deployment {name}"
        if not checkout_of(deployment).is_gone():
            check_is_ours(name, deployment, "remove it there, or take it over with --replace first")
        client.delete_deployment(deployment.id)
    return f"removed deployment {name} {deployment.id}"


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows.deployments", description=__doc__.splitlines()[0] if __doc__ else None
    )
    add, crons = parser.add_argument, ", ".join(f"{cron} for {flow}" for flow, cron in _CRONS.items())
    add("action", nargs="?", choices=["deploy", "status", "clear", "remove"], default="deploy")
    add("--flow", choices=list(FLOWS), default="nightly", help="which flow (default: %(default)s)")
    add("--name", help="name of this checkout's deployment on the server (default: that of the flow)")
    add("--cron", help=f"when it runs (default: {crons}; other flows: only people start it)")
    add("--timezone", default="UTC", help="such as Europe/Berlin (default: %(default)s)")
    add("--pool", default=POOL, help="work pool whose workers run it, such as gpu (default: %(default)s)")
    add("--tag", action="append", default=[], help="tag of the deployment and its runs; may be repeated")
    add("--share", action="store_true", help="exchange results with other machines through the DVC remote")
    add("--push", action="store_true", help="push each nightly branch to the git remote origin")
    add("--replace", action="store_true", help="replace a deployment of another checkout")
    options = parser.parse_args(words)
    options.name = options.flow if options.name is None else options.name
    if options.cron is None:
        options.cron = _CRONS.get(options.flow)
    return options


def main(words: list[str] | None = None) -> int:
    """Deploy, show or remove; return the exit code (see longwriter/errors.py).

    Args:
        words: The command line; None = that of this process.
    """
    options = _options(words)
    from flows import ends  # it imports this file

    url = os.environ.get("PREFECT_API_URL")
    try:
        if not url:
            raise UserError(
                "PREFECT_API_URL is not set: start a server (bash infra/ui.sh) and export its address, .../api"
            )
        try:
            if options.action == "deploy":
                place = Place(options.pool, options.cron, options.timezone, tuple(options.tag))
                parameters = [name for name in ("share", "push") if getattr(options, name)]
                deployed = deploy(
                    options.flow, options.name, place, parameters=parameters, replace=options.replace
                )
                when = f"{options.cron} {options.timezone}" if options.cron else "no schedule"
                text = f"deployment {full_name(options.flow, options.name)} {deployed}: {when}"
            elif options.action == "clear":
                text = "\n".join(ends.end_lost()) or "no run of this checkout has lost its worker or process"
            elif options.action == "remove":
                text = remove(full_name(options.flow, options.name))
            else:
                text = status()
        except Exception as error:
            if (trouble := server.trouble(error)) is None:
                raise
            raise trouble from None
    except LongWriterError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
