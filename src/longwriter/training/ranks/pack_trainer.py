"""TRL's SFT trainer for packs with exact loss weights."""

from __future__ import annotations

from typing import Any

import torch
from trl import SFTTrainer

from longwriter.training.ranks import losses
from longwriter.training.ranks.choices import Choice
from longwriter.training.ranks.watch import Watch


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """SFT on packs, with one of the weightings of training/ranks/losses.py."""

    loss_is_scaled_for_ga = True
    weighting: losses.Loss
    watch: Watch
    choices: dict[str, Choice]
    capacity: int
    """Tokens of the longest pack."""
    test_targets_a_pack: float
    """Average number of target tokens in a test pack; dividing by it turns TRL's mean over packs into a mean
    over tokens."""

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Return the denominator of this optimizer step, over all its packs on all ranks."""
        own = sum(losses.denominator(self.weighting, *_shifted(batch)) for batch in batch_samples)
        total: torch.Tensor = self.accelerator.gather(torch.tensor([own], device=device)).sum()
        return total

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return this pack's part of the step's loss, times the number of ranks, because DeepSpeed averages over them."""
        labels, seq_idx = _shifted(inputs)
        if model.training:
            self.watch.add_tokens(labels.numel() + 1, self.capacity)
        lengths = inputs["cu_seq_lens_q"].diff().tolist()
        output = model(**inputs, sequence_lengths=lengths, use_cache=False, fused_lm_head=True)
        nll = -output.log_probs[0]  # 0 for tokens that are not targets
        if not model.training:
            value: torch.Tensor = nll.sum() / self.test_targets_a_pack
            return value
        weights = losses.token_weights(self.weighting, labels, seq_idx)
        value = (weights * nll).sum() / num_items_in_batch.clamp(min=1) * self.accelerator.num_processes
        return value


def _shifted(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels and sequence numbers of a pack, aligned with the model's predictions."""
    return batch["labels"][0, 1:], batch["seq_idx"][0, 1:]
