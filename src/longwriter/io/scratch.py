"""Folders in the system's folder for temporary files, which are removed even if their process is killed.

The path of a socket may have about 100 characters, so sockets cannot lie in `.lw` of a checkout with a long path.
A folder is locked as long as its process lives: the kernel ends the lock. So the next process that makes such a
folder finds those of killed processes, and removes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _prefix() -> str:
    return f"longwriter-{os.geteuid()}-"  # each user has folders of their own


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder that only this user may enter (0700); it is removed after the block.

    Folders of this user whose process has ended are removed first.
    """
    _remove_dead()
    path, lock = _locked()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked() -> tuple[Path, int]:
    """Make a folder, and return it with the file descriptor that keeps its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_prefix()))
        with suppress(FileNotFoundError):  # another process found it before it was locked
            lock = _open(path)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_dead() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        try:
            lock = _open(path)
        except OSError:  # a link, a file, of another user, or just removed
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # its process lives
            pass
        finally:
            os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
