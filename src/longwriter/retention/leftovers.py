"""Finds files and folders of `.lw` that a checkout no longer needs, with their size and kind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from longwriter.io import files
from longwriter.launch import checkpoints

_DAMAGED = "*damaged-*"


Kind = Literal["checkpoint", "conversion", "log"]


class Leftover(NamedTuple):
    """A file or folder that can be removed; `since_s`: when it was written, in seconds since 1970."""

    path: Path
    description: str
    bytes: int
    kind: Kind
    since_s: float


def find(older_than: timedelta) -> list[Leftover]:
    """Return what can be removed, the largest first.

    Checkpoints of a training that is not finished or not published are never among them.

    Args:
        older_than: Smallest age of logs, and of damaged files that were set aside.
    """
    before = time.time() - older_than.total_seconds()
    items = [*_checkpoints(), *_conversions(), *_logs_and_damaged_files(before)]
    return sorted(items, key=lambda item: (-item.bytes, item.path))


def expired(days: Mapping[Kind, int | None]) -> list[Leftover]:
    """Return what can be removed and is older than the limit of its kind, in days; None = no limit."""
    now = time.time()
    limits = {kind: now - 86400 * number for kind, number in days.items() if number is not None}
    return [item for item in find(timedelta(0)) if item.since_s < limits.get(item.kind, -1)]


def _checkpoints() -> Iterator[Leftover]:
    for state in sorted((files.LOCAL / "checkpoints").glob("*-*")):
        kind, held_out = state.name.partition("-")[0], state / checkpoints.HELD_OUT
        published = files.DATA / kind / "metrics.json"
        is_done = held_out.is_file() and published.is_file()
        if is_done and published.stat().st_mtime >= held_out.stat().st_mtime:
            description = f"checkpoints of a finished {kind}; its model is in data/{kind}/weights"
            since_s = held_out.stat().st_mtime
            yield Leftover(state, description, checkpoints.size(state), "checkpoint", since_s)


def _conversions() -> Iterator[Leftover]:
    for folder in sorted((files.LOCAL / "served").glob("*")):
        description = "weights converted to GGUF; the next server makes them again"
        yield Leftover(folder, description, checkpoints.size(folder), "conversion", folder.stat().st_mtime)


def _logs_and_damaged_files(before: float) -> Iterator[Leftover]:
    for log in sorted((files.LOCAL / "logs").glob("*.log")):
        if log.stat().st_mtime < before:
            yield Leftover(log, "log", log.stat().st_size, "log", log.stat().st_mtime)
    places = (files.LOCAL, *(files.LOCAL / "checkpoints").glob("*"))
    for file in sorted(path for place in places for path in place.glob(_DAMAGED)):
        if file.stat().st_mtime < before:
            size = checkpoints.size(file) if file.is_dir() else file.stat().st_size
            yield Leftover(file, "damaged file that was set aside", size, "log", file.stat().st_mtime)


def remove(items: Iterable[Leftover]) -> None:
    """Remove files and folders."""
    for item in items:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
