"""Says in one line that a disk is full or write-protected, or that it cannot hold a path."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
from pathlib import Path

from longwriter.io.files import LOCAL

_NO_SPACE = "No space left"
_SHOWN = 80  # characters of a path that no disk can hold
_SHORT = re.compile(r"(?<!\d)\d+ requested and \d+ written")  # of numpy, which keeps no errno
_TORCH_WRITER = "inline_container.cc"  # PyTorch's errors when it writes a file, which also keep none


def trouble_of_log(text: str) -> str | None:
    """Return a message for the user if the log or the error of another process says that a write failed for lack of room.

    PyTorch says only that a write failed. In that case the disk must also be full now.
    """
    is_by_torch = _TORCH_WRITER in text and _free_mb() < 1
    return _full() if _NO_SPACE in text or _SHORT.search(text) or is_by_torch else None


def trouble(error: BaseException | None) -> str | None:
    """Return a message for the user if the disk or an impossible path caused an exception, else None.

    Databases raise their own errors on top of that cause, so this function also reads the causes of the error.
    """
    while error is not None:
        code, text = getattr(error, "errno", None), str(error)
        is_by_database = "disk is full" in text or (
            "disk I/O error" in text and _free_mb() < 1
        )  # SQLite says either
        is_by_numpy = isinstance(error, OSError) and _SHORT.fullmatch(text)
        if code in (errno.ENOSPC, errno.EDQUOT) or is_by_database or is_by_numpy or _NO_SPACE in text:
            return _full()
        is_database = "readonly database" in text and not os.access(LOCAL, os.W_OK)
        if code in (errno.EROFS, errno.EACCES, errno.EPERM) or is_database:
            path = getattr(error, "filename", None) or LOCAL.resolve()
            reason = getattr(error, "strerror", None) or "the database is read-only"
            owner = "" if code == errno.EROFS else _other_owner(path)
            return (
                f"no access to {path} ({reason}): {owner}give this user the right to read and write it and run "
                "again"
            )
        if code in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST) and (path := getattr(error, "filename", None)):
            return f"{path} is a file where a folder is needed, or the reverse: remove it and run again"
        if code in (errno.ENAMETOOLONG, errno.ELOOP) and (path := getattr(error, "filename", None)):
            return (
                f"{str(path)[:_SHOWN]}: no such file ({getattr(error, 'strerror', None)}): name another path"
            )
        error = error.__cause__ or error.__context__
    return None


def _other_owner(path: str | Path) -> str:
    """Return a clause that names the owner of a path, or of the folder that would hold it; empty if it is this user."""
    place = Path(os.fsdecode(path)).absolute()
    while not os.path.lexists(place):  # also false where this user may not look
        place = place.parent
    owner = place.lstat().st_uid
    if owner == os.geteuid():
        return ""
    name, own_name = _user(owner), _user(os.geteuid())
    return f"{place} belongs to {name}, and this is {own_name}: run this as {name}, or "


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _full() -> str:
    return f"disk full ({_free_mb():.1f} MB free below {LOCAL.resolve()}): make room and run again"


def _free_mb() -> float:
    return shutil.disk_usage(LOCAL if LOCAL.exists() else ".").free / 1e6
