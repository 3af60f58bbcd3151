"""What training writes while it runs: checkpoints, and the curve with one line a step.

A checkpoint is complete once it holds the marker file, which rank 0 writes after every rank has written
its part. Before a run resumes, checkpoints of a killed run without the marker are removed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

CURVE, COMPLETE = "curve.jsonl", "complete"


def read_curve(path: Path) -> list[dict[str, float]]:
    """Return the points of a curve; a line that is still being written is not returned yet."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def finished(folder: Path) -> list[int]:
    """Return the steps of the complete checkpoints, in order."""
    return sorted(int(marker.parent.name.split("-")[1]) for marker in folder.glob(f"checkpoint-*/{COMPLETE}"))


def go_back_to_last(folder: Path) -> None:
    """Remove what a killed run wrote after its last complete checkpoint; the next run resumes there."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).is_file():
            shutil.rmtree(checkpoint)
    last = max(finished(folder), default=0)
    points = [point for point in read_curve(folder / CURVE) if point["step"] <= last]
    part = folder / f"{CURVE}.part"
    part.write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
    part.replace(folder / CURVE)
