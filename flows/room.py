"""Whether the disk has room for what a stage will write, by the sizes in dvc.lock; checked before each stage."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from longwriter.errors import UserError

_MARGIN = 200_000_000  # bytes for logs, MLflow and stored answers
_COPIES = 2  # an output is in data/ and in DVC's cache
_WEIGHTS = "data/base_model/weights"
_MODELS = ("sft", "dpo")


def needed_bytes(lock: Mapping[str, Any], stage: str) -> int:
    """Return the bytes that a stage will write: as many as last time; for a first training, the size of its base model.

    Args:
        lock: The stages of dvc.lock.
        stage: Name of the stage.
    """
    last = sum(int(out.get("size", 0)) for out in lock.get(stage, {}).get("outs", ()))
    if not last and stage in _MODELS:
        base = lock.get("base_model", {}).get("outs", ())
        last = sum(int(out.get("size", 0)) for out in base if out["path"] == _WEIGHTS)
    return _COPIES * last


def check(stage: str) -> None:
    """Raise UserError if the disk has no room for what a stage will write."""
    file = Path("dvc.lock")
    lock = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
    size, free = needed_bytes(lock.get("stages", {}), stage) + _MARGIN, shutil.disk_usage(".").free
    if size > free:
        raise UserError(shortage(stage, size, free))


def shortage(stage: str, size: int, free: int) -> str:
    """Return the message of a disk that has too little room."""
    return (
        f"stage {stage} needs about {size / 1e9:,.1f} GB of disk, and {free / 1e9:,.1f} GB are free below {Path.cwd()}: "
        "make room (longwriter clean --yes, dvc gc --workspace) and run again; the stage was not started"
    )
