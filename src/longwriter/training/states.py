"""Keeps, takes over or removes the states of trainings when one begins; an unfinished one is never lost.

A state is a folder of checkpoints. Ranks read only checkpoints of the same number of ranks and the same layout. If the
same training was begun with another number or layout, its last checkpoint is converted (`universal.py`), or the stage ends and says
what to do.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from longwriter.errors import UserError
from longwriter.io import files, process
from longwriter.launch import checkpoints, environment, launch
from longwriter.launch.launch import Job

log = logging.getLogger(__name__)

_MOVED = "moved"
"""File in a state whose last checkpoint was converted for other ranks; its content is the new folder."""


def prepare(job: Job, fingerprint: str) -> None:
    """Remove the states of finished trainings, log the unfinished ones, and take over the state of this training.

    Args:
        job: The training that begins.
        fingerprint: Hash of all that decides its result.

    Raises:
        UserError: the same training has begun with other ranks or another layout, and cannot be converted.
    """
    own = Path(job.checkpoints)
    for other in sorted(own.parent.glob(f"{job.kind}-*")):
        if other == own:
            continue
        steps = checkpoints.finished(other)
        if not steps or (other / checkpoints.HELD_OUT).is_file() or _is_replaced(other, own):
            shutil.rmtree(other)
            if steps:
                log.info("%s: removed the checkpoints of an earlier, finished training: %s", job.kind, other)
            continue
        before = _job(other)
        if before is None or other != launch.checkpoint_folder(
            job.kind, fingerprint, before.ranks, before.layout
        ):
            log.warning(
                "%s: %s holds step %d of an unfinished training with other data or parameters (%.1f GB): kept; "
                "rm -r %s removes it", job.kind, other, steps[-1], checkpoints.size(other) / 1e9, other,
            )  # fmt: skip
        elif steps[-1] > max(checkpoints.finished(own), default=0):
            _take_over(job, before)


def _is_replaced(other: Path, own: Path) -> bool:
    """Tell whether a state was converted for this training, which has saved a step of its own since."""
    moved = other / _MOVED
    if not moved.is_file() or moved.read_text(encoding="utf-8", errors="replace") != str(own):
        return False
    steps = checkpoints.finished(own)
    return bool(steps) and not (own / f"checkpoint-{steps[-1]}" / checkpoints.UNIVERSAL).is_file()


def _job(state: Path) -> Job | None:
    """Return the job of a training; None if it is missing, or was written by another version."""
    try:
        return Job.model_validate_json((state / launch.JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _take_over(job: Job, before: Job) -> None:
    """Convert the last checkpoint of the same training with other ranks or another layout.

    Raises:
        UserError: it cannot be converted; nothing was changed.
    """
    old, new = Path(before.checkpoints), Path(job.checkpoints)
    log_file = files.LOCAL / "logs" / f"{job.kind}-universal.log"
    reason = _obstacle(job, before)
    if reason is None:
        checkpoints.go_back_to_last(old)
        if not checkpoints.finished(old):
            return
        log.info("%s: converting the checkpoint in %s for %d ranks", job.kind, old, job.ranks)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        python = [sys.executable, "-m"]
        command = [
            *python,
            "longwriter.io.process",
            *python,
            "longwriter.training.universal",
            str(old),
            str(new),
        ]
        with log_file.open("wb") as output:
            done = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                env=environment.of_ranks(os.environ, "cpu", 1),
            )  # fmt: skip
        if done.returncode == 0:
            (old / _MOVED).write_text(str(new), encoding="utf-8")
            (new / _MOVED).unlink(missing_ok=True)
            return
        reason = f"it could not be converted ({log_file}: {process.last_lines(log_file)})"
    raise UserError(
        f"{old} holds step {checkpoints.finished(old)[-1]} of this training, made by {before.ranks} ranks with the "
        f"layout {before.training.deepspeed}; {reason}: set training.ranks and training.deepspeed to these to go "
        f"on, or remove the folder to begin again (rm -r {old})"
    )


def _obstacle(job: Job, before: Job) -> str | None:
    """Return why a checkpoint cannot be converted, or None."""
    stages = [item.layout.get("zero_optimization", {}).get("stage") for item in (before, job)]
    if stages[0] != stages[1]:
        return f"ZeRO {stages[1]} cannot read a checkpoint of ZeRO {stages[0]}"
    if job.lora is not None:
        return "a LoRA training needs the same ranks and layout"
    if job.sft is not None and job.sft.publish == "best":
        return "sft.publish best needs the same ranks and layout, because the best step may be an older one"
    return None
