"""The schedule: a work pool on this machine, and the nightly deployment.

Run, with PREFECT_API_URL set to a server:
  python -m flows.deployments [--name NAME] [--cron "0 2 * * *"] [--timezone Europe/Berlin] [--replace]
  python -m flows.deployments status
  python -m flows.deployments remove [--name NAME]
  prefect worker start --pool longwriter

A worker runs the deployment `nightly/NAME`, pushes and commits in the checkout that the deployment names, so a
deployment of another checkout is replaced only with `--replace`. Several checkouts share a server if each takes
a name of its own. Before its first stage the flow checks that it runs where it was deployed from.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Cron
from pydantic import ValidationError

from longwriter.errors import LongWriterError, Unavailable, UserError, without_password
from longwriter.tracking import git

POOL = "longwriter"
FLOW = "nightly"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_HOST = "LW_DEPLOYED_ON"  # variable in the deployment's environment: host name of the checkout's machine
_FOLDER, _REMOTE, _BRANCH = "LW_DEPLOYED_FOLDER", "LW_DEPLOYED_REMOTE", "LW_DEPLOYED_BRANCH"
"""Variables in the deployment's environment: its folder, and the git remote and branch of that time."""
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


def this_checkout() -> Checkout:
    """Return the checkout of the working directory."""
    return Checkout(socket.gethostname(), str(Path.cwd().resolve()))


def checkout_of(deployment: DeploymentResponse) -> Checkout:
    """Return the checkout in which a worker runs a deployment."""
    variables = deployment.job_variables or {}
    environment = variables.get("env") or {}
    return Checkout(environment.get(_HOST, ""), variables.get("working_dir") or deployment.path or "unknown")


def full_name(name: str) -> str:
    """Return the name of a deployment as Prefect shows it.

    Raises:
        UserError: the name has other characters.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"--name {name[:60]!r}: small letters, digits and . _ - are allowed, at most 63")
    return f"{FLOW}/{name}"


def find(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    """Return the deployment `nightly/NAME` of the server, or None."""
    try:
        return client.read_deployment_by_name(full_name(name))
    except ObjectNotFound:
        return None


def check_is_ours(deployment: DeploymentResponse | None, what_to_do: str) -> None:
    """Raise UserError if a deployment runs in another checkout.

    Args:
        deployment: The deployment of the server; None = there is none.
        what_to_do: The end of the message.
    """
    here = this_checkout()
    if deployment is not None and not here.is_same(there := checkout_of(deployment)):
        name = full_name(deployment.name)
        raise UserError(f"the deployment {name} runs in {there}, this checkout is {here}: {what_to_do}")


def source() -> dict[str, str]:
    """Return the git remote and the branch of the working directory, as variables of a deployment.

    A password in the address is left out. Without a remote, or away from a branch, the value is empty.
    """
    url = git.run("remote", "get-url", "origin") if git.succeeds("remote", "get-url", "origin") else ""
    branch = git.run("branch", "--show-current") if git.succeeds("rev-parse", "--git-dir") else ""
    return {_REMOTE: without_password(url), _BRANCH: branch}


def check_place(env: Mapping[str, str]) -> None:
    """Raise an error if a deployed flow runs elsewhere than where it was deployed from.

    It would push and commit there. A flow that no deployment started is not checked.

    Args:
        env: The environment of the flow.

    Raises:
        UserError: the machine, the folder, the git remote or the branch is another one.
    """
    if not env.get(_FOLDER):
        return
    host, folder = this_checkout()
    now = {_HOST: host, _FOLDER: folder, **source()}
    other = [
        f"{what} is {now[key] or 'none'}, not {env[key] or 'none'}"
        for key, what in (
            (_HOST, "machine"),
            (_FOLDER, "folder"),
            (_REMOTE, "git remote"),
            (_BRANCH, "branch"),
        )
        if key in env and env[key] != now[key]
    ]
    if other:
        raise UserError(
            f"this is not the place that the flow was deployed from: its {'; its '.join(other)}; nothing was run. "
            "Go back to it, or deploy again: python -m flows.deployments"
        )


def deploy(name: str, cron: str, timezone: str, *, replace: bool = False) -> str:
    """Create or update the deployment `nightly/NAME`; return its id.

    Only one run at a time: if a run is due while another one is active, it is cancelled, because the
    active one brings every stage up to date anyway.

    Args:
        name: Its name, one for each checkout that uses the server.
        cron: When it runs, such as `0 2 * * *`.
        timezone: Such as Europe/Berlin.
        replace: Also replace a deployment of another checkout.

    Raises:
        UserError: the deployment is another checkout's, the work pool is not for processes, or the schedule
            is not valid.
    """
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(f"--cron {cron!r} --timezone {timezone!r}: {reason}") from None
    with get_client(sync_client=True) as client:
        if not replace:
            check_is_ours(
                find(client, name),
                "give yours another --name, deploy it there, or take it over with --replace",
            )
        _make_pool(client)
    host, folder = this_checkout()
    nightly = Flow.from_source(source=folder, entrypoint="flows/pipeline.py:nightly")
    if not isinstance(nightly, Flow):  # inside an event loop it is a coroutine
        raise TypeError("deploy() must be called outside an event loop")
    return str(
        nightly.deploy(
            name=name,
            work_pool_name=POOL,
            schedule=Cron(cron, timezone=timezone),
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
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
        )
    )


def _make_pool(client: SyncPrefectClient) -> None:
    """Create the work pool if it is missing.

    Raises:
        UserError: there is one of another type, whose workers do not run processes in a checkout.
    """
    try:
        pool_type = client.read_work_pool(POOL).type
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=_POOL_TYPE))
        return
    if pool_type != _POOL_TYPE:
        raise UserError(
            f"the work pool {POOL} is of type {pool_type}, {_POOL_TYPE} is needed: remove it "
            f"(prefect work-pool delete {POOL}) or use another Prefect server"
        )


def status() -> str:
    """Return what the server knows of the nightly deployments, as lines of text."""
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])))
        if not deployments:
            return f"there is no deployment of the flow {FLOW}"
        return "\n\n".join(_lines(client, deployment) for deployment in deployments)


def _lines(client: SyncPrefectClient, deployment: DeploymentResponse) -> str:
    """Return what the server knows of one deployment."""
    workers = client.read_workers_for_work_pool(deployment.work_pool_name or POOL)
    there = checkout_of(deployment)
    whose = "this checkout" if this_checkout().is_same(there) else "another checkout"
    schedules = [
        f"{getattr(item.schedule, 'cron', item.schedule)} {getattr(item.schedule, 'timezone', '')}"
        f"{'' if item.active else ' (paused)'}"
        for item in deployment.schedules
    ]
    online = [worker.name for worker in workers if worker.status == "ONLINE"]
    return "\n".join(
        [
            f"deployment {FLOW}/{deployment.name} {deployment.id}{' (paused)' if deployment.paused else ''}",
            f"runs in     {there} ({whose})",
            f"schedule    {', '.join(schedules) or 'none'}",
            f"workers     {', '.join(online) or f'none: prefect worker start --pool {POOL}'}",
        ]
    )


def remove(name: str) -> str:
    """Remove a deployment and its scheduled runs; return a sentence. A run that is active goes on.

    Raises:
        UserError: the deployment is another checkout's.
    """
    with get_client(sync_client=True) as client:
        deployment = find(client, name)
        if deployment is None:
            return f"there is no deployment {full_name(name)}"
        check_is_ours(deployment, "remove it there, or take it over with --replace first")
        client.delete_deployment(deployment.id)
    return f"removed deployment {full_name(name)} {deployment.id}"


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows.deployments", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("action", nargs="?", choices=["deploy", "status", "remove"], default="deploy")
    parser.add_argument(
        "--name",
        default="nightly",
        help="name of this checkout's deployment on the server (default: %(default)s)",
    )
    parser.add_argument("--cron", default="0 2 * * *", help="when it runs (default: %(default)s)")
    parser.add_argument("--timezone", default="UTC", help="such as Europe/Berlin (default: %(default)s)")
    parser.add_argument("--replace", action="store_true", help="replace a deployment of another checkout")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Deploy, show or remove; return the exit code (see longwriter/errors.py).

    Args:
        words: The command line; None = that of this process.
    """
    options = _options(words)
    url = os.environ.get("PREFECT_API_URL")
    try:
        if not url:
            raise UserError(
                "PREFECT_API_URL is not set: start a server (bash infra/ui.sh) and export its address, .../api"
            )
        try:
            if options.action == "deploy":
                deployed = deploy(options.name, options.cron, options.timezone, replace=options.replace)
                text = f"deployment {full_name(options.name)} {deployed}: {options.cron} {options.timezone}"
            else:
                text = status() if options.action == "status" else remove(options.name)
        except httpx.TransportError as error:
            raise Unavailable(f"cannot reach Prefect at {without_password(url)} ({error})") from None
    except LongWriterError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
