"""The schedule: a work pool on this machine, and the nightly deployment.

Run, with PREFECT_API_URL set to a server:
  python -m flows.deployments [--cron "0 2 * * *"] [--timezone Europe/Berlin]
  prefect worker start --pool longwriter
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron

POOL = "longwriter"


def deploy(cron: str, timezone: str, pool: str = POOL) -> str:
    """Create or update the deployment `nightly/nightly`; return its id.

    Only one run at a time: if a run is due while another one is active, it is cancelled, because the
    active one brings every stage up to date anyway.
    """
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    here = str(Path.cwd())
    nightly = Flow.from_source(source=here, entrypoint="flows/pipeline.py:nightly")
    if not isinstance(nightly, Flow):  # inside an event loop it is a coroutine
        raise TypeError("deploy() must be called outside an event loop")
    return str(
        nightly.deploy(
            name="nightly",
            work_pool_name=pool,
            schedule=Cron(cron, timezone=timezone),
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
            job_variables={"working_dir": here, "env": {"PYTHONPATH": f"{here}{os.pathsep}{here}/src"}},
            build=False,
            push=False,
            print_next_steps=False,
        )
    )


def main() -> None:
    """Read the command line and deploy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cron", default="0 2 * * *")
    parser.add_argument("--timezone", default="UTC")
    options = parser.parse_args()
    if not os.environ.get("PREFECT_API_URL"):
        sys.exit(
            "PREFECT_API_URL is not set: start a server (bash infra/ui.sh) and export its address, .../api"
        )
    sys.stdout.write(
        f"deployment nightly/nightly {deploy(options.cron, options.timezone)}: "
        f"{options.cron} {options.timezone}\n"
    )


if __name__ == "__main__":
    main()
