"""Starts the ranks of a training, reports their progress, and ends them with their stage.

torchrun starts the ranks on the GPUs of one machine, `cpu_ranks.py` on a CPU under Linux, and `nodes.py` on the
machines of a hostfile. Ranks use neither MLflow nor DVC, so training continues when MLflow cannot be reached. Rank
0 appends each step to `curve.jsonl`, and this process reports new lines and complete checkpoints while it waits.
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
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import psutil
from tqdm import tqdm

from longwriter.amounts import amount
from longwriter.errors import TrainingFailed, Unavailable, UserError
from longwriter.hashing import short_id
from longwriter.io import disk, files, process
from longwriter.launch import checkpoints, environment, sharing
from longwriter.params import DpoParams, SftParams, TrainingParams
from longwriter.params.training import LoraParams
from longwriter.settings import named_files
from longwriter.settings.section import Section

log = logging.getLogger(__name__)

_POLL_S = 0.5
_GRACE_S = 15.0  # time for torchrun to end its ranks before they are killed
# How torchrun reports a killed rank. It may report another rank first, which has only lost its connection to the
# killed one.
_BY_SIGNAL = re.compile(r"Signal \d+ \(SIG\w+\)|gloo/transport/.{0,100}Connection (?:reset|closed) by peer")
_SAVE_S = 120.0  # time for the ranks to finish a step and to save it after SIGTERM
FAILED = "failed.txt"
ROOM_FOR_FAILED = "failed.room"
"""File as large as an error message. The first rank that fails renames it and writes its error into it, because the
disk may be full then.
"""
FAILED_BYTES = 4096
JOB = "job.json"
MODULE = "longwriter.training.ranks.rank"
"""What a rank runs."""


class Job(Section):
    """The work of a rank, in a JSON file that its command line names; paths are relative to the checkout."""

    kind: Literal["sft", "dpo"]
    model: str
    """Folder of the model that is trained."""
    train: str
    test: str
    """Parquet files of packs for SFT, of pairs for DPO; see io/packs.py."""
    out: str
    """Folder for the finished model."""
    checkpoints: str
    """Folder of checkpoints and curve; a run that resumes finds it by its name."""
    device: Literal["cuda", "cpu"]
    ranks: int
    """Ranks on all nodes together."""
    layout: dict[str, Any]
    """DeepSpeed's configuration; transformers replaces each "auto" in it."""
    training: TrainingParams
    sft: SftParams | None = None
    dpo: DpoParams | None = None
    base: str = ""
    """Name of the base model in the adapter's config: a digest, which is the same on every machine."""

    @property
    def lora(self) -> LoraParams | None:
        """The job's LoRA; None = all weights are trained."""
        section = self.sft or self.dpo
        return section.lora if section else None


def layout_of(path: str) -> dict[str, Any]:
    """Return a DeepSpeed memory layout.

    Raises:
        UserError: the file is missing; the message lists the files of infra/deepspeed/.
    """
    if not Path(path).is_file():
        shipped = ", ".join(str(file) for file in sorted(Path("infra/deepspeed").glob("*.json")))
        raise UserError(f"training.deepspeed: {path} is missing; there are {shipped}")
    layout = named_files.read_json_object(Path(path).read_text(encoding="utf-8"))
    if layout is None:
        raise UserError(
            f"training.deepspeed: {path} holds something else; allowed: {named_files.JSON_OBJECT.allows}"
        )
    return layout


def device_and_ranks(
    params: TrainingParams, batch: int, key: str, sequence_ranks: int = 1
) -> tuple[Literal["cuda", "cpu"], int]:
    """Return the device of the ranks, and their number on all nodes.

    Args:
        params: The section `training`.
        batch: Packs or pairs of one optimizer step.
        key: Name of the batch size in params.yaml, for the error message.
        sequence_ranks: Ranks that share one of them.

    Raises:
        UserError: the ranks cannot share the batch evenly, there are more ranks than GPUs or no GPU, or the
            package of the attention is missing.
    """
    import torch

    _check_attention(params.attention)
    gpus = torch.cuda.device_count()
    device = device_of(params, gpus)
    ranks = params.ranks if params.ranks != "auto" else gpus if device == "cuda" else 2
    if params.hostfile is not None:
        ranks = sum(slots for _, slots in hosts(Path(params.hostfile)))
    elif device == "cuda" and not gpus:
        raise UserError("training.device is cuda, and this machine has no GPU: set auto or cpu")
    elif device == "cuda" and ranks > gpus:
        raise UserError(
            f"training.ranks is {ranks}, this machine has {amount(gpus, 'GPU')}: lower it, or set auto"
        )
    if problem := sharing.batch_problem(ranks, batch, key, sequence_ranks):
        raise UserError(problem)
    return device, ranks


def device_of(params: TrainingParams, gpus: int) -> Literal["cuda", "cpu"]:
    """Return the device of the ranks; `auto` = GPUs if there is a hostfile or this machine has a GPU.

    Args:
        params: The section `training`.
        gpus: GPUs of this machine, which with a hostfile may be a head node without any.
    """
    if params.device != "auto":
        return params.device
    return "cuda" if gpus or params.hostfile is not None else "cpu"


def quantisation_problem(
    lora: LoraParams | None, key: str, *, has_gpu: bool, has_package: bool | None
) -> str | None:
    """Return why a machine cannot train on weights in 4 bits, and what to do; None if it can or does not have to.

    Args:
        lora: The section `lora`.
        key: The stage it belongs to.
        has_gpu: Whether the machine has an NVIDIA GPU.
        has_package: Whether bitsandbytes is installed there; None = not known.
    """
    if lora is None or not lora.quantised or (has_gpu and has_package is not False):
        return None
    lack = "this machine has no GPU" if not has_gpu else "bitsandbytes is not installed here"
    return (
        f"{key}.lora.quantised is true, which needs an NVIDIA GPU and the package bitsandbytes, and {lack}: "
        "pip install bitsandbytes on the machine of the GPUs, or set it to false"
    )


def check_quantised(lora: LoraParams | None, key: str, device: Literal["cuda", "cpu"]) -> None:
    """Raise UserError if the parameters ask for weights in 4 bits, and this machine cannot train on them."""
    has_package = importlib.util.find_spec("bitsandbytes") is not None
    if reason := quantisation_problem(lora, key, has_gpu=device == "cuda", has_package=has_package):
        raise UserError(reason)


def recomputing_problem(
    training: TrainingParams, zero_stage: int, device: Literal["cuda", "cpu"]
) -> str | None:
    """Return why ranks cannot keep activations as the parameters say, and what to do; None if they can.

    With ZeRO 3 the backward pass gathers weights that the forward pass already had. PyTorch's selective checkpoints
    treat this additional step as an error.
    """
    if training.activation_offload and device == "cpu":
        return (
            "training.activation_offload is true, and on a CPU the activations are in the memory of the host anyway: "
            "set it to false"
        )
    if training.selective_checkpointing and zero_stage >= 3:
        return (
            "training.selective_checkpointing is true, which is not possible with ZeRO 3: set it to false, or "
            "training.deepspeed to infra/deepspeed/zero2.json"
        )
    return None


def check_recomputing(job: Job) -> None:
    """Raise UserError if device or layout do not allow the job's gradient checkpointing."""
    stage = int(job.layout.get("zero_optimization", {}).get("stage", 0))
    if reason := recomputing_problem(job.training, stage, job.device):
        raise UserError(reason)


def _check_attention(attention: str) -> None:
    """Raise UserError if `flash_attention_2` is not installed: every rank would fail later."""
    if attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise UserError(
            "training.attention flash_attention_2 needs the package flash_attn, which is not installed: "
            "pip install flash-attn on the machine of the GPUs, or set training.attention: sdpa"
        )


def hosts(hostfile: Path) -> list[tuple[str, int]]:
    """Return the hosts of a hostfile with the ranks of each: its `HOST slots=N`.

    Raises:
        UserError: the file is missing, or a line has another form.
    """
    if not hostfile.is_file():
        raise UserError(f"training.hostfile: {hostfile} is missing; one line a node: HOST slots=GPUS")
    lines = named_files.hosts(hostfile.read_text(encoding="utf-8"))
    if lines is None:
        raise UserError(
            f"training.hostfile: {hostfile} holds something else; allowed: {named_files.HOSTFILE.allows}"
        )
    return lines


def checkpoint_folder(stage: str, fingerprint: str, ranks: int, layout: dict[str, Any]) -> Path:
    """Return the folder for the checkpoints of a training with this fingerprint, rank count and layout.

    A run with other ranks or another layout cannot read these checkpoints, so it gets another folder.
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
        on_points: Receives new points of the curve, once each, in order.
        on_checkpoint: Receives the step of each complete checkpoint.

    Raises:
        TrainingFailed: a rank raised.
        UserError: the disk is full.
        Unavailable: a rank was killed or stopped; the next try resumes from the last checkpoint.
    """
    folder = Path(job.checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    curve = folder / checkpoints.CURVE
    for name in (FAILED, checkpoints.STOP, checkpoints.RUNNING, checkpoints.HELD_OUT):
        (folder / name).unlink(missing_ok=True)
    checkpoints.go_back_to_last(folder)
    (folder / ROOM_FOR_FAILED).write_bytes(b" " * FAILED_BYTES)
    (folder / JOB).write_text(job.model_dump_json(indent=2), encoding="utf-8")
    log_file = files.LOCAL / "logs" / f"{job.kind}-ranks.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as output:
        ranks = subprocess.Popen(
            _command(job, folder / JOB), stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=environment.of_ranks(os.environ, job.device, _ranks_a_node(job)),
        )  # fmt: skip
        try:
            _follow(ranks, job, curve, on_points, on_checkpoint)
        except BaseException:
            _save_and_leave(ranks, folder)
            raise
        finally:
            _end(ranks)
            (folder / ROOM_FOR_FAILED).unlink(missing_ok=True)
    if ranks.returncode:
        raise _failure(job, ranks.returncode, log_file)
    if not (folder / checkpoints.HELD_OUT).is_file():
        raise Unavailable(
            f"the ranks of {job.kind} were asked to stop, and saved step {checkpoints.finished(folder)[-1]}: "
            "run again, it goes on from there"
        )
    return checkpoints.read_curve(curve)


def _failure(job: Job, code: int, log_file: Path) -> TrainingFailed | Unavailable | UserError:
    """Return the error for ranks that ended with an exit code other than 0."""
    folder, text = Path(job.checkpoints), log_file.read_text(errors="replace")
    failed = folder / FAILED
    message = failed.read_text(encoding="utf-8", errors="replace") if failed.is_file() else ""
    if trouble := disk.trouble_of_log(f"{message}\n{text}"):
        return UserError(f"{trouble}, it goes on from the last checkpoint in {folder}; see {log_file}")
    if message:
        return TrainingFailed(f"{message}; all of it in {log_file}")
    tail = process.last_lines(log_file)
    if not _was_killed(code, text):
        return TrainingFailed(f"{job.kind} ended with exit code {code}; {log_file}: {tail}")
    return Unavailable(
        f"a rank of {job.kind} was killed, or a node was lost (exit {code}): run again, "
        f"it goes on from the last checkpoint in {folder}; {log_file}: {tail}"
    )


def _save_and_leave(ranks: subprocess.Popen[bytes], folder: Path) -> None:
    """Let ranks that make steps save a checkpoint and end; a second SIGTERM, or SIGKILL, ends them at once."""
    if ranks.poll() is not None or not (folder / checkpoints.RUNNING).is_file():
        return
    log.warning("stopping: the ranks save this step first (kill -9 %d stops them at once)", os.getpid())
    (folder / checkpoints.STOP).touch()
    with suppress(subprocess.TimeoutExpired):
        ranks.wait(_SAVE_S)


def _was_killed(code: int, log: str) -> bool:
    """Tell whether a node was lost, or a signal ended the launcher or, by the launcher's log, a rank."""
    return code < 0 or code == Unavailable.exit_code or _BY_SIGNAL.search(log) is not None


def _command(job: Job, file: Path) -> list[str]:
    """Return the launcher's command, which ends with its parent."""
    python = sys.executable
    if job.training.hostfile is not None:
        launcher = ["longwriter.launch.nodes"]
    elif job.device == "cpu" and sys.platform == "linux":
        launcher = ["longwriter.training.cpu_ranks"]
    else:
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(job.ranks), "-m", MODULE]
    return [python, "-m", "longwriter.io.process", python, "-m", *launcher, str(file)]


def _ranks_a_node(job: Job) -> int:
    """Return the largest number of ranks on one node."""
    if job.training.hostfile is None:
        return job.ranks
    return max(slots for _, slots in hosts(Path(job.training.hostfile)))


def _follow(
    ranks: subprocess.Popen[bytes],
    job: Job,
    curve: Path,
    on_points: Callable[[list[dict[str, float]]], None],
    on_checkpoint: Callable[[int], None],
) -> None:
    """Report what rank 0 writes, until the ranks have ended."""
    is_terminal = sys.stderr.isatty()
    interval_s = 0.5 if is_terminal else 10
    reported_lines = 0
    reported_checkpoints: set[int] = set()
    with tqdm(desc=job.kind, unit="step", mininterval=interval_s, dynamic_ncols=is_terminal) as bar:
        while True:
            has_ended = ranks.poll() is not None  # before the files are read, so that nothing is missed
            points = checkpoints.read_lines(curve)[reported_lines:]
            if points:
                on_points(points)
                reported_lines += len(points)
                bar.total = int(points[-1]["max_steps"])
                bar.set_postfix(_bar_numbers(points), refresh=False)
                bar.update(int(points[-1]["step"]) - bar.n)
            for step in sorted(set(checkpoints.finished(curve.parent)) - reported_checkpoints):
                reported_checkpoints.add(step)
                on_checkpoint(step)
            if has_ended:
                return
            time.sleep(_POLL_S)


def _bar_numbers(points: list[dict[str, float]]) -> dict[str, str]:
    """Return what the bar shows of the newest points."""
    last: dict[str, float] = {}
    for point in points:
        last |= point
    names = {"loss": "loss", "test_loss": "held out", "tokens_per_s": "tokens/s"}
    return {name: f"{last[key]:,.3f}" for key, name in names.items() if key in last}


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
