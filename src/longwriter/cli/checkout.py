"""Checks that several subcommands share: this is a checkout, stages ran in it, none runs now, an age is written as `90d`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from longwriter.errors import StageBusy, UserError
from longwriter.io import files
from longwriter.settings import yaml_file

PARAMS = Path("params.yaml")


def require() -> None:
    """Raise BadParams outside a checkout, before a subcommand reads or creates anything.

    Raises:
        BadParams: the working directory has no params.yaml, or it is not a file.
    """
    if not PARAMS.is_file():
        yaml_file.read(PARAMS)


def require_runs() -> None:
    """Raise UserError if no stage ran here yet, before a subcommand asks MLflow, which would create its database.

    Raises:
        UserError: MLFLOW_TRACKING_URI names no server, and this checkout has no database.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (files.LOCAL / "mlflow.db").exists():
        raise UserError(
            "MLflow has no run of this checkout: run the pipeline first (bash infra/demo.sh), or set "
            "MLFLOW_TRACKING_URI to the server that has its runs"
        )


def age(text: str) -> timedelta:
    """Return an age such as `90d`.

    Raises:
        UserError: the text has another form.
    """
    match = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if match is None:
        raise UserError(f"--older-than {text}: write a number and h, d or w, such as 12h, 90d or 4w")
    unit = {"h": "hours", "d": "days", "w": "weeks"}[match[2]]
    return timedelta(**{unit: int(match[1])})


@contextmanager
def no_stage_running() -> Iterator[None]:
    """Hold the lock of every stage of this checkout while the block runs.

    Raises:
        UserError: a stage is running.
    """
    from longwriter.io import process

    folder = files.LOCAL / "locks"
    with ExitStack() as locks:
        for owner in sorted(folder.glob("*.pid")):
            try:
                locks.enter_context(process.only_one(owner.stem, folder, wait_s=0))
            except StageBusy as busy:
                raise UserError(f"nothing was removed: {busy}") from None
        yield
