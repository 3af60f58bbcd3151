"""A command named ssh that runs here what ssh would run on a host."""

from __future__ import annotations

import os
from pathlib import Path

_SCRIPT = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec sh -c "$*"
"""


def put_ssh_into(folder: Path) -> str:
    """Write the command into a folder; return a PATH that begins with the folder."""
    folder.mkdir()
    command = folder / "ssh"
    command.write_text(_SCRIPT, encoding="utf-8")
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
