"""TRL's SFT trainer on ready packs with exact loss weights, and the callback that writes curve and marks."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback
from trl import SFTTrainer

from longwriter.core import losses
from longwriter.edges import checkpoints


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """SFT on ready packs, with one of the weightings of core/losses.py."""

    loss_is_scaled_for_ga = True
    weighting: losses.Loss
    test_targets_a_pack: float
    """Mean target tokens of a test pack: makes the mean over packs the mean over tokens."""

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Return the denominator of this optimizer step, over all its packs on all ranks."""
        own = sum(losses.denominator(self.weighting, *_shifted(batch)) for batch in batch_samples)
        total: torch.Tensor = self.accelerator.gather(torch.tensor([own], device=device)).sum()
        return total

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return this pack's part of the step's loss, times the ranks: DeepSpeed averages over them."""
        labels, seq_idx = _shifted(inputs)
        nll = -model(**inputs, use_cache=False, fused_lm_head=True).log_probs[0]  # 0 where no target
        if not model.training:
            value: torch.Tensor = nll.sum() / self.test_targets_a_pack
            return value
        weights = losses.token_weights(self.weighting, labels, seq_idx)
        value = (weights * nll).sum() / num_items_in_batch.clamp(min=1) * self.accelerator.num_processes
        return value


def _shifted(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels and sequence numbers of a pack, aligned with the model's predictions."""
    return batch["labels"][0, 1:], batch["seq_idx"][0, 1:]


class Watch(TrainerCallback):  # type: ignore[misc]
    """Writes the curve, marks whole checkpoints, and stops a training whose loss is no number."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Write to `folder`, from rank 0, and keep the last `keep` checkpoints."""
        self._folder, self._keep = folder, keep

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Append a step to the curve."""
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} at step {state.global_step}: lower optimizer.learning_rate, "
                "or set training.precision to fp32"
            )
        if state.is_world_process_zero:
            with (self._folder / checkpoints.CURVE).open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(_point(logs, state.global_step, state.max_steps)) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint as whole once every rank has written its part; then remove older ones."""
        dist.barrier()
        if not state.is_world_process_zero:
            return
        (self._folder / f"checkpoint-{state.global_step}" / checkpoints.COMPLETE).touch()
        for step in checkpoints.finished(self._folder)[: -self._keep]:
            old = self._folder / f"checkpoint-{step}"
            (old / checkpoints.COMPLETE).unlink()  # first: a half removed one is never taken for whole
            shutil.rmtree(old)


def _point(logs: dict[str, float], step: int, max_steps: int) -> dict[str, float]:
    names = {
        "loss": "loss",
        "grad_norm": "grad_norm",
        "learning_rate": "learning_rate",
        "epoch": "epoch",
        "rewards/accuracies": "reward_accuracy",
        "rewards/margins": "reward_margin",
    }
    found = {new: round(float(logs[old]), 8) for old, new in names.items() if old in logs}
    return {"step": step, "max_steps": max_steps, **found}
