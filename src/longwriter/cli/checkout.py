"""The check that a subcommand runs in a checkout of the project."""

from __future__ import annotations

from pathlib import Path

from longwriter.errors import BadParams

PARAMS = Path("params.yaml")


def require() -> None:
    """Raise BadParams outside a checkout, before a subcommand reads or creates anything.

    Raises:
        BadParams: the working directory has no params.yaml.
    """
    if not PARAMS.is_file():
        raise BadParams(f"{PARAMS} is missing: run from the top of the checkout")
