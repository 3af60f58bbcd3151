"""Sets who may read files: only their user may read `.lw`, everybody may read published data.

`.lw` holds prompts, answers, logs and databases of one user. Other users, other trainers and DVC read
`data/`, but some libraries write files that only one user may read (safetensors: 0600).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def keep_private(folder: Path) -> None:
    """Create `folder` if it is missing, and let only its user use it and its content: 0700, files 0600.

    Files of other users and hard links (of the DVC cache) stay as they are.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, mode in _own_paths(folder):
        if mode & 0o077:
            _set_mode(path, mode & 0o700)


@contextlib.contextmanager
def kept_private(folder: Path) -> Iterator[None]:
    """Make `folder` private before a block that writes into it, and again after the block."""
    keep_private(folder)
    try:
        yield
    finally:
        keep_private(folder)


def publish(folder: Path) -> None:
    """Let everybody read a folder and its content: folders 0755, files 0644."""
    for path, mode in _own_paths(folder):
        public_mode = 0o755 if path.is_dir() else 0o644
        if mode != public_mode:
            _set_mode(path, public_mode)


def _own_paths(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield folders and files of this user with their modes, from the top; links are left out."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            try:
                status = path.lstat()
            except FileNotFoundError:  # another process has just removed it
                continue
            is_link = stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1)
            if status.st_uid == os.getuid() and not is_link:
                yield path, stat.S_IMODE(status.st_mode)


def _set_mode(path: Path, mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process has just removed it
        path.chmod(mode)
