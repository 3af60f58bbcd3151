"""The check that a subcommand runs in a checkout of the project."""

from __future__ import annotations

from pathlib import Path

from longwriter.params import yaml_file

PARAMS = Path("params.yaml")


def require() -> None:
    """Raise BadParams outside a checkout, before a subcommand reads or creates anything.

    Raises:
        BadParams: the working directory has no params.yaml, or it is not a file.
    """
    if not PARAMS.is_file():
        yaml_file.read(PARAMS)
