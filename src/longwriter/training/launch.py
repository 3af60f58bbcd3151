"""Ranks of a training: started together, watched, and gone together with their stage.

On one machine torchrun starts them, over a DeepSpeed hostfile the deepspeed launcher does. Ranks know
neither MLflow nor DVC: rank 0 appends each step to `curve.jsonl`, and this process passes new lines
and finished checkpoints on while it waits, so that training continues when MLflow cannot be reached.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil
from tqdm import tqdm

from longwriter.errors import TrainingFailed, Unavailable, UserError
from longwriter.hashing import short_id
from longwriter.io import files, process
from longwriter.params import DpoParams, SftParams, TrainingParams
from longwriter.params.common import Section
from longwriter.training import checkpoints, environment

log = logging.getLogger(__name__)

_POLL_S = 0.5
_GRACE_S = 15.0  # torchrun ends its ranks within this, or they are killed
# What torchrun and DeepSpeed's launcher say of a rank that was killed; the latter leaves with 256 - signal.
_BY_SIGNAL = re.compile(r"Signal \d+ \(SIG\w+\)|exits with return code = -\d+")
FAILED = "failed.txt"


class Job(Section):
    """What a rank needs to know, in the JSON file that its command line names; paths are relative to the checkout."""

    kind: Literal["sft", "dpo"]
    model: str
    """Folder of the model that is trained."""
    train: str
    test: str
    """Parquet packs for SFT, JSON Lines of prompt, chosen, rejected for DPO."""
    out: str
    """Folder that the finished model goes to."""
    checkpoints: str
    """Folder of checkpoints and curve; kept when a run is killed, found again by its name."""
    device: Literal["cuda", "cpu"]
    ranks: int
    """Ranks of all nodes together."""
    layout: dict[str, Any]
    """DeepSpeed's configuration; "auto" is filled in from the rest."""
    training: TrainingParams
    sft: SftParams | None = None
    dpo: DpoParams | None = None


def layout_of(path: str) -> dict[str, Any]:
    """Return a DeepSpeed memory layout.

    Raises:
        UserError: no such file; names those that ship.
    """
    if not Path(path).is_file():
        there = ", ".join(str(file) for file in sorted(Path("infra/deepspeed").glob("*.json")))
        raise UserError(f"training.deepspeed: {path} is missing; there are {there}")
    return dict(files.read_json(Path(path)))


def device_and_ranks(params: TrainingParams, batch: int, key: str) -> tuple[Literal["cuda", "cpu"], int]:
    """Return what the ranks run on, and how many there are on all nodes.

    Raises:
        UserError: a batch cannot be split evenly over them, there are more ranks than GPUs, or the
            package of the attention is missing.
    """
    import torch

    _check_attention(params.attention)
    gpus = torch.cuda.device_count()
    ranks = params.ranks if params.ranks != "auto" else (gpus or 2)
    if params.hostfile is not None:
        ranks = _slots(Path(params.hostfile))
    elif gpus and ranks > gpus:
        raise UserError(f"training.ranks is {ranks}, this machine has {gpus} GPUs: lower it, or set auto")
    if batch % ranks:
        raise UserError(
            f"{key} is {batch}, which {ranks} ranks cannot share evenly: make it a multiple of {ranks}, "
            "or set training.ranks"
        )
    return ("cuda" if gpus else "cpu"), ranks


def _check_attention(attention: str) -> None:
    """Raise UserError where `flash_attention_2` has no package: every rank would fail, and fetches nothing."""
    if attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise UserError(
            "training.attention flash_attention_2 needs the package flash_attn, which is not installed: "
            "pip install flash-attn on the machine of the GPUs, or set training.attention: sdpa"
        )


def _slots(hostfile: Path) -> int:
    """Return the ranks of a DeepSpeed hostfile: the sum of its `HOST slots=N`.

    Raises:
        UserError: no such file, or a line of another form.
    """
    if not hostfile.is_file():
        raise UserError(f"training.hostfile: {hostfile} is missing; one line a node: HOST slots=GPUS")
    lines = [line.strip() for line in hostfile.read_text(encoding="utf-8").splitlines()]
    hosts = [line for line in lines if line and not line.startswith("#")]
    slots = [re.fullmatch(r"\S+\s+slots=([1-9]\d*)", line) for line in hosts]
    if not slots or not all(slots):
        raise UserError(
            f"training.hostfile: {hostfile} needs lines of the form HOST slots=GPUS, nothing else"
        )
    return sum(int(match[1]) for match in slots if match)


def checkpoint_folder(stage: str, fingerprint: str, ranks: int, layout: dict[str, Any]) -> Path:
    """Return where a training that is decided by `fingerprint` keeps its state under this layout.

    Other ranks or another layout cannot read its checkpoints, so they have a folder of their own.
    """
    name = short_id([fingerprint, ranks, layout])
    return files.LOCAL / "checkpoints" / f"{stage}-{name}"


def run(
    job: Job,
    on_points: Callable[[list[dict[str, float]]], None],
    on_checkpoint: Callable[[int], None],
) -> list[dict[str, float]]:
    """Train to the end; return the curve, one point a step.

    Args:
        job: The work.
        on_points: Gets new points of the curve, once each, in order.
        on_checkpoint: Gets the step of each finished checkpoint.

    Raises:
        TrainingFailed: a rank raised.
        Unavailable: a rank was killed; trying again goes on from the last checkpoint.
    """
    folder = Path(job.checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    failed, curve = folder / FAILED, folder / checkpoints.CURVE
    failed.unlink(missing_ok=True)
    checkpoints.go_back_to_last(folder)
    (folder / "job.json").write_text(job.model_dump_json(indent=2), encoding="utf-8")
    log_file = files.LOCAL / "logs" / f"{job.kind}-ranks.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as output:
        ranks = subprocess.Popen(
            _command(job, folder / "job.json"), stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=environment.of_ranks(os.environ, job.device, job.ranks),
        )  # fmt: skip
        try:
            _follow(ranks, job, curve, on_points, on_checkpoint)
        finally:
            _end(ranks)
    if ranks.returncode:
        if failed.is_file():
            raise TrainingFailed(f"{failed.read_text(encoding='utf-8')}; all of it in {log_file}")
        tail = process.last_lines(log_file)
        if not _was_killed(ranks.returncode, log_file.read_text(errors="replace")):
            raise TrainingFailed(f"{job.kind} ended with exit code {ranks.returncode}; {log_file}: {tail}")
        raise Unavailable(
            f"a rank of {job.kind} was killed (exit {ranks.returncode}): run again, "
            f"it goes on from the last checkpoint in {folder}; {log_file}: {tail}"
        )
    return checkpoints.read_curve(curve)


def _was_killed(code: int, log: str) -> bool:
    """Tell whether a signal ended the launcher, or a rank by what its launcher said."""
    return code < 0 or _BY_SIGNAL.search(log) is not None


def _command(job: Job, file: Path) -> list[str]:
    python, module = sys.executable, "longwriter.training.ranks.rank"
    dying = [python, "-m", "longwriter.io.process"]
    if job.training.hostfile is not None:
        start = ["deepspeed.launcher.runner", "--hostfile", job.training.hostfile, "--module", module]
        return [*dying, python, "-m", *start, str(file)]
    start = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(job.ranks), "-m", module]
    return [*dying, python, "-m", *start, str(file)]


def _follow(
    ranks: subprocess.Popen[bytes],
    job: Job,
    curve: Path,
    on_points: Callable[[list[dict[str, float]]], None],
    on_checkpoint: Callable[[int], None],
) -> None:
    """Pass on what rank 0 writes until the ranks have ended."""
    tty = sys.stderr.isatty()
    told, saved = 0, set[int]()
    with tqdm(desc=job.kind, unit="step", mininterval=0.5 if tty else 10, dynamic_ncols=tty) as bar:
        while True:
            ended = ranks.poll() is not None
            new = [point for point in checkpoints.read_curve(curve) if point["step"] > told]
            if new:
                on_points(new)
                told = int(new[-1]["step"])
                bar.total = int(new[-1]["max_steps"])
                bar.set_postfix_str(f"loss {new[-1]['loss']:.3f}", refresh=False)
                bar.update(told - bar.n)
            for step in sorted(set(checkpoints.finished(curve.parent)) - saved):
                saved.add(step)
                on_checkpoint(step)
            if ended:
                return
            time.sleep(_POLL_S)


def _end(ranks: subprocess.Popen[bytes]) -> None:
    """End the launcher and every process below it."""
    if ranks.poll() is not None:
        return
    children = psutil.Process(ranks.pid).children(recursive=True)
    ranks.terminate()
    try:
        ranks.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        ranks.kill()
        ranks.wait()
    for child in children:
        if child.is_running():
            child.kill()
