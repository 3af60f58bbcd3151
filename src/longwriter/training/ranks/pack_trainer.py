"""TRL's SFT trainer for packs with exact loss weights."""

from __future__ import annotations

from typing import Any

import torch
from trl import SFTTrainer

from longwriter.training.ranks import losses
from longwriter.training.ranks.choices import Choice
from longwriter.training.ranks.sequence_parallel import Group
from longwriter.training.ranks.watch import Watch


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """SFT on packs, with one of the weightings of training/ranks/losses.py."""

    loss_is_scaled_for_ga = True
    weighting: losses.Loss
    watch: Watch
    choices: dict[str, Choice]
    group: Group
    """The ranks that share a pack with this one."""
    capacity: int
    """Tokens of the longest pack, padded for its group."""
    test_targets_a_pack: float
    """Average number of target tokens in a test pack; dividing by it turns TRL's mean over packs into a mean
    over tokens."""

    def _get_dataloader(self, *args: Any, **options: Any) -> Any:
        return self.group.deal(super()._get_dataloader(*args, **options))

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Return the denominator of this optimizer step, over all its packs on all ranks."""
        own = sum(losses.denominator(self.weighting, *_shifted(batch)) for batch in batch_samples)
        total: torch.Tensor = self.accelerator.gather(torch.tensor([own], device=device)).sum()
        return total // self.group.size

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return the part of the step's loss that this rank's slice of a pack has.

        It is multiplied by the number of ranks, because DeepSpeed averages over them.
        """
        labels, seq_idx = _shifted(inputs)
        lengths = inputs["cu_seq_lens_q"].diff().tolist()
        if model.training and self.group.place == 0:
            self.watch.add_sequences(lengths, self.capacity)
        own = {name: self.group.part(inputs[name]) for name in ("input_ids", "position_ids", "seq_idx")}
        own |= {"labels": None, "shift_labels": self.group.part(labels[None])}
        output = model(**inputs | own, sequence_lengths=lengths, use_cache=False, fused_lm_head=True)
        nll = -output.log_probs[0]  # 0 for tokens that are not targets
        if not model.training:
            value: torch.Tensor = nll.sum() * self.group.size / self.test_targets_a_pack
            return value
        weights = self.group.part(losses.token_weights(self.weighting, labels, seq_idx))
        value = (weights * nll).sum() / num_items_in_batch.clamp(min=1) * self.accelerator.num_processes
        return value


def _shifted(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels and sequence numbers of a pack, aligned with the model's predictions.

    The first token of a sequence is no target, so the last prediction gets a label to ignore.
    """
    return batch["labels"][0].roll(-1), batch["seq_idx"][0].roll(-1)
