"""Whether the disk has room for what a stage will write; checked before each stage.

The sizes of outputs are those in dvc.lock. A training also writes checkpoints: their size is in the report of
`longwriter capacity`, which the flow has made before (preflight.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flows import preflight
from longwriter.errors import BadRecord, UserError
from longwriter.io import files
from longwriter.launch import checkpoints

_MARGIN = 200_000_000  # bytes for logs, MLflow and stored answers
_COPIES = 2  # an output is in data/ and in DVC's cache
_WEIGHTS = "data/base_model/weights"
_MODELS = ("sft", "dpo")
_CHECKPOINTS = files.LOCAL / "checkpoints"


def needed_bytes(lock: Mapping[str, Any], stage: str) -> int:
    """Return the bytes of the outputs that a stage will write: as many as last time; for a first training, the size of its base model.

    Args:
        lock: The stages of dvc.lock.
        stage: Name of the stage.
    """
    last = sum(int(out.get("size", 0)) for out in lock.get(stage, {}).get("outs", ()))
    if not last and stage in _MODELS:
        base = lock.get("base_model", {}).get("outs", ())
        last = sum(int(out.get("size", 0)) for out in base if out["path"] == _WEIGHTS)
    return _COPIES * last


def checkpoint_bytes(stage: str) -> int:
    """Return the bytes that the checkpoints of a stage will add; 0 if it trains nothing, or the model is not known."""
    if stage not in _MODELS:
        return 0
    try:
        report = files.read_json(preflight.REPORT, dict[str, Any])
        size = int(report["checkpoints"][stage])
    except (BadRecord, KeyError, TypeError, ValueError, OverflowError):
        return 0
    return max(0, size - _reusable_bytes(stage))


def _reusable_bytes(stage: str) -> int:
    """Return the bytes of checkpoints that a training removes when it begins, or goes on from.

    It removes those of finished trainings. The last unfinished one counts as its own; older ones stay as they are.
    """
    folders = sorted(_CHECKPOINTS.glob(f"{stage}-*"), key=lambda folder: folder.stat().st_mtime)
    finished = [folder for folder in folders if (folder / checkpoints.HELD_OUT).is_file()]
    unfinished = [folder for folder in folders if folder not in finished]
    return sum(map(checkpoints.size, [*finished, *unfinished[-1:]]))


def check(stage: str) -> None:
    """Raise UserError if the disk has no room for what a stage will write; `.lw` may be on a disk of its own."""
    file = Path("dvc.lock")
    lock = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
    size, saved = needed_bytes(lock.get("stages", {}), stage) + _MARGIN, checkpoint_bytes(stage)
    is_elsewhere = _CHECKPOINTS.exists() and _CHECKPOINTS.stat().st_dev != Path().stat().st_dev
    needs = [(Path(), size), (_CHECKPOINTS, saved)] if is_elsewhere else [(Path(), size + saved)]
    for folder, need in needs:
        free = shutil.disk_usage(folder).free
        if need > free:
            raise UserError(_shortage(stage, need, saved, free, folder.resolve()))


def _shortage(stage: str, need: int, saved: int, free: int, folder: Path) -> str:
    """Return the message of a disk that has too little room."""
    part = f" (its checkpoints: {saved / 1e9:,.1f} GB)" if saved else ""
    return (
        f"stage {stage} needs about {need / 1e9:,.1f} GB of disk{part}, and {free / 1e9:,.1f} GB are free below {folder}: "
        "make room (longwriter clean --yes, dvc gc --workspace) and run again; the stage was not started"
    )
