"""The callback of a training: curve, speed, complete checkpoints, the best step, and when to stop."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from transformers import TrainerCallback

from longwriter.launch import checkpoints
from longwriter.training.ranks.utilisation import Work, flops

_GIGA = 10**9


class Watch(TrainerCallback):  # type: ignore[misc]
    """Writes the curve, marks complete checkpoints, and stops a training early.

    It stops when it is asked to, when the held-out loss no longer falls, or when the loss is not finite.
    """

    def __init__(
        self, folder: Path, keep: int, *, keep_best: bool = False, patience: int | None = None
    ) -> None:
        """Write to `folder`, from rank 0.

        Args:
            folder: Folder of checkpoints and curve.
            keep: Number of checkpoints that are kept.
            keep_best: Save the step with the lowest held-out loss too, and keep it.
            patience: Measurements without a lower held-out loss before the training stops; None = it never does.
        """
        self._folder, self._keep = folder, keep
        self._keeps_best, self._patience = keep_best, patience
        self._has_signal = self._is_over = False
        self._tokens = self._room = self._flops = 0
        self._speed: dict[str, float] = {}
        self._work: Work | None = None
        self._peak = 0.0
        self.is_stopped = False
        """Whether the training was asked to stop before its end, and has saved its last step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Be ready to stop: from now on SIGTERM, or the file STOP, saves a checkpoint at the end of a step."""
        self._stage = _grandparent()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        if state.is_world_process_zero:
            (self._folder / checkpoints.RUNNING).touch()

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        """Stop after this step; at once if the stage was killed, because its successor may write here soon."""
        if _grandparent() == self._stage:
            self._has_signal = True
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def measure_utilisation(self, work: Work, peak: float) -> None:
        """Report the MFU of each step too; `peak`: operations per second of the GPU of one rank."""
        self._work, self._peak = work, peak

    def add_sequences(self, lengths: Sequence[int], room: int) -> None:
        """Count the tokens of a micro-step, by sequence.

        `room`: the tokens of the longest pack, or of the longest pair allowed.
        """
        self._tokens, self._room = self._tokens + sum(lengths), self._room + room
        self._flops += flops(self._work, lengths) if self._work else 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock of a step."""
        self._tokens = self._room = self._flops = 0
        self._started_s = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save and stop if any rank was asked to; all ranks decide the same, at the same step."""
        should_stop = self._has_signal or (self._folder / checkpoints.STOP).is_file()
        counts = [int(should_stop), self._tokens, self._room, self._flops // _GIGA]
        sums = torch.tensor(counts, dtype=torch.int64, device=args.device)
        dist.all_reduce(sums)
        seconds = time.monotonic() - self._started_s
        peak = torch.tensor([_peak_gib(args.device)], device=args.device)
        dist.all_reduce(peak, dist.ReduceOp.MAX)
        votes, tokens, room, gigaflops = sums.tolist()
        self._speed = {
            "step_s": round(seconds, 4),
            "tokens_per_s": round(tokens / seconds, 1),
            "fill": round(tokens / max(1, room), 4),
            "peak_gib": round(peak.item(), 3),
        }
        if self._work:
            self._speed["mfu"] = round(gigaflops * _GIGA / (seconds * dist.get_world_size() * self._peak), 4)
        if votes and state.global_step < state.max_steps:
            self.is_stopped = control.should_save = control.should_training_stop = True
        if state.global_step >= state.max_steps and args.eval_strategy == "steps":
            # The last step is measured, even if its number is not a multiple of eval_steps.
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save the step if its held-out loss is the lowest, and stop if the loss has not fallen for too long."""
        if self._is_over:
            return
        losses = _held_out_losses(state)
        best = best_step(state)
        if self._keeps_best and best == state.global_step:
            control.should_save = True
        since_best = sum(step > best for step in losses)
        if self._patience is not None and since_best >= self._patience:
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """From now on SIGTERM ends the process at once: the rest is short, or the next run repeats it."""
        self._is_over = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if state.is_world_process_zero:
            (self._folder / checkpoints.RUNNING).unlink(missing_ok=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Append a step, or its held-out loss, to the curve."""
        if self._is_over or not {"loss", "eval_loss"} & set(logs):
            return
        if "loss" in logs and not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} at step {state.global_step}: lower optimizer.learning_rate, "
                "or set training.precision to fp32"
            )
        if state.is_world_process_zero:
            with (self._folder / checkpoints.CURVE).open("a", encoding="utf-8") as curve:
                point = _point(logs, state.global_step, state.max_steps)
                curve.write(json.dumps(point | (self._speed if "loss" in logs else {})) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint as complete once every rank has written its part; then remove older ones."""
        dist.barrier()
        if not state.is_world_process_zero:
            return
        checkpoints.mark_complete(self._folder / f"checkpoint-{state.global_step}")
        best = best_step(state) if self._keeps_best else None
        for step in checkpoints.finished(self._folder)[: -self._keep]:
            if step == best:
                continue
            old = self._folder / f"checkpoint-{step}"
            # The marker goes first, so that a partly removed checkpoint never counts as complete.
            (old / checkpoints.COMPLETE).unlink()
            shutil.rmtree(old)


def _held_out_losses(state: Any) -> dict[int, float]:
    """Return the held-out loss by step; one that is not finite counts as the worst."""
    rows = [row for row in state.log_history if "eval_loss" in row]
    losses = {int(row["step"]): float(row["eval_loss"]) for row in rows}
    return {step: loss if math.isfinite(loss) else math.inf for step, loss in losses.items()}


def best_step(state: Any) -> int:
    """Return the first step with the lowest held-out loss; 0 if none was measured."""
    losses = _held_out_losses(state)
    return min(losses, key=lambda step: (losses[step], step), default=0)


def _peak_gib(device: torch.device) -> float:
    """Return the largest memory of this rank so far: of its GPU, or of its process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _grandparent() -> int | None:
    """Return the process that started the launcher of this rank: the stage, unless that has ended."""
    try:
        return int(psutil.Process(os.getppid()).ppid())
    except psutil.NoSuchProcess:
        return None


def _point(logs: dict[str, float], step: int, max_steps: int) -> dict[str, float]:
    """Return the numbers of a step under the names that the curve uses."""
    names = {
        "loss": "loss",
        "eval_loss": "test_loss",
        "grad_norm": "grad_norm",
        "learning_rate": "learning_rate",
        "epoch": "epoch",
        "rewards/accuracies": "reward_accuracy",
        "rewards/margins": "reward_margin",
        "eval_rewards/accuracies": "test_reward_accuracy",
        "eval_rewards/margins": "test_reward_margin",
    }
    values = {new: round(float(logs[old]), 8) for old, new in names.items() if old in logs}
    return {"step": step, "max_steps": max_steps, **values}
