"""What training writes while it runs: checkpoints, and the curve with one line a step.

A checkpoint is complete once it holds the marker file, which rank 0 writes after every rank has written
its part. The marker lists the files with their sizes and checksums. Before a run resumes, checkpoints of a
killed run without the marker are removed, and a checkpoint whose files have changed is set aside.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

CURVE, COMPLETE, HELD_OUT = "curve.jsonl", "complete", "held_out.json"
CHOICES = "choices.json"
"""File with what the ranks chose for their device, such as the attention; each choice has its name and its reason.
"""
UNIVERSAL = "latest_universal"
"""File of DeepSpeed in a checkpoint that was converted for other ranks; it names the folder with the state."""
STOP = "stop"
"""File that asks the ranks to save a checkpoint and to leave."""
RUNNING = "running"
"""File that exists while the ranks make steps; only then they can be asked to stop."""
_NAME = re.compile(r"checkpoint-([0-9]{1,18})")
_SET_ASIDE = "damaged-"
_CHUNK_BYTES = 1 << 20
_BAD_ZIP = (  # what zipfile raises on damaged files; RuntimeError: a bit says that the file is encrypted
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, LookupError,
)  # fmt: skip
_SHOWN = 200  # characters of a name in a message
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)  # what damaged JSON leads to


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read_lines(path: Path) -> list[dict[str, float]]:
    """Return the lines of a curve; one that is still being written is not returned yet.

    A step has a line, and one more if the held-out loss was measured after it.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def read_curve(path: Path) -> list[dict[str, float]]:
    """Return the points of a curve, one a step; see `read_lines`."""
    points: dict[float, dict[str, float]] = {}
    for line in read_lines(path):
        points[line["step"]] = points.get(line["step"], {}) | line
    return list(points.values())


def finished(folder: Path) -> list[int]:
    """Return the steps of the complete checkpoints, in order."""
    names = [marker.parent.name for marker in folder.glob(f"checkpoint-*/{COMPLETE}") if marker.is_file()]
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def mark_complete(checkpoint: Path) -> None:
    """Write the marker of a checkpoint, once all its files are written.

    PyTorch's own files hold checksums already, so only the other files are read again.
    """
    parts = {
        str(file.relative_to(checkpoint)): [
            file.stat().st_size,
            None if zipfile.is_zipfile(file) else _crc(file),
        ]
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file()
    }
    part = checkpoint / f"{COMPLETE}.part"
    part.write_text(json.dumps(parts, indent=1), encoding="utf-8")
    part.replace(checkpoint / COMPLETE)


def damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a complete checkpoint, or None; reads all its files.

    An empty marker, as earlier versions wrote it, lists nothing: only PyTorch's own checksums are checked.
    """
    try:
        parts = json.loads((checkpoint / COMPLETE).read_bytes() or b"{}")
        files = {str(name): (int(size), crc) for name, (size, crc) in parts.items()}
    except (*_UNREADABLE, AttributeError):
        return f"{COMPLETE} is not readable"
    for name, (size, crc) in files.items():
        file = checkpoint / name
        if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises where a name is too long
            return f"{name[:_SHOWN]} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
        if crc is not None and _crc(file) != crc:
            return f"{name} has another checksum"
    for file in sorted(checkpoint.rglob("*.pt*")):
        if not file.is_file():  # whoever opens a pipe waits without end
            return f"{file.relative_to(checkpoint)} is not a file"
        if bad := _bad_record(file):
            return f"{file.relative_to(checkpoint)}: {bad}"
    return None


def _crc(file: Path) -> int:
    crc = 0
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc


def _bad_record(file: Path) -> str | None:
    """Return what is wrong with a file of torch.save, or None."""
    try:
        with zipfile.ZipFile(file) as records:
            name = records.testzip()
    except _BAD_ZIP as error:
        return f"{type(error).__name__}: {error}"
    return f"{name} has another checksum" if name else None


def go_back_to_last(folder: Path) -> None:
    """Go back to the last complete and undamaged checkpoint; the next run resumes there.

    Removes what a killed run wrote after it. A damaged checkpoint keeps its files under another name, and a
    log line says so.
    """
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.is_symlink() or not checkpoint.is_dir():
            _set_aside(checkpoint, "is not a folder")
        elif not (checkpoint / COMPLETE).is_file():
            shutil.rmtree(checkpoint)
    for name in (CURVE, f"{CURVE}.part"):
        if (folder / name).is_dir():
            _set_aside(folder / name, "is a folder")
    last = 0
    for step in reversed(finished(folder)):
        checkpoint = folder / f"checkpoint-{step}"
        if (reason := damage(checkpoint)) is None:
            last = step
            break
        _set_aside(checkpoint, f"is damaged ({reason})")
    points = [point for point in _readable_points(folder / CURVE) if point["step"] <= last]
    part = folder / f"{CURVE}.part"
    part.write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
    part.replace(folder / CURVE)


def _set_aside(path: Path, reason: str) -> None:
    """Rename a file or folder that cannot be used, in place of an earlier one with that name; log the reason."""
    aside = path.with_name(f"{_SET_ASIDE}{path.name}")
    if aside.is_symlink() or not aside.is_dir():
        aside.unlink(missing_ok=True)
    else:
        shutil.rmtree(aside)
    path.replace(aside)
    log.warning("%s %s: set aside as %s", path, reason, aside.name)


def _readable_points(curve: Path) -> list[dict[str, Any]]:
    """Return the points of a curve's readable lines; a log line counts the others."""
    lines = curve.read_bytes().splitlines(keepends=True) if curve.is_file() else []
    points, bad = [], 0
    for line in lines:
        try:
            point = json.loads(line)
            points.append({**point, "step": int(point["step"])})
        except (*_UNREADABLE, KeyError):
            bad += line.endswith(b"\n")  # the last line of a killed run may be half written
    if bad:
        log.warning("%s has %d damaged lines: their points are left out", curve, bad)
    return points
