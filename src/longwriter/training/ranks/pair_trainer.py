"""TRL's DPO trainer for pairs of token ids, without padding.

TRL (1.16) pads the shorter answer of a pair to the longer one, and computes the padding. Here the model gets both
answers, each with its prompt, as one pack, and TRL's loss gets their numbers back in the padded shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from trl import DPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from longwriter.tokens.packing import IGNORE_INDEX
from longwriter.training.ranks import loss_head
from longwriter.training.ranks.choices import Choice
from longwriter.training.ranks.watch import Watch

_REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
_EVALUATION = ("eval_loss", "eval_rewards/accuracies", "eval_rewards/margins")
_OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")  # what TRL's loss reads


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """DPO on the token ids that the stage dpo made; if it got texts, TRL would apply the chat template again."""

    watch: Watch
    choices: dict[str, Choice]
    control: Any  # of transformers' trainer
    measure_pairs: Callable[[], tuple[float, float, float]]
    """Returns loss, accuracy and margin of the held-out pairs."""

    def __init__(self, *, watch: Watch, head_setting: str, longest: int, **options: Any) -> None:
        """Make the trainer, and compute the reference's log-probabilities.

        Args:
            watch: Receives the tokens of each micro-step.
            head_setting: `training.loss_head`.
            longest: Most tokens of an answer with its prompt.
            **options: Arguments of DPOTrainer.
        """
        self.watch, self.choices = watch, {}
        self._head_setting, self._room = head_setting, 2 * longest  # the chosen and the rejected answer
        super().__init__(**options)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *rest: Any) -> Any:
        """Give the model its loss head first, because the reference is computed with it."""
        if not self.choices:
            head = loss_head.add(self._head_setting, self.model, self._room, self.args.device, _OUTPUTS)
            self.choices["loss_head"] = head
        return super()._precompute_ref_logps(dataset, *rest)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """Compute the reference's log-probabilities without padding."""
        return super().compute_ref_log_probs(partial(without_padding, model), inputs)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """Compute the loss without padding."""
        return super().compute_loss(partial(without_padding, model), inputs, *rest, **options)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Keep the reference's log-probabilities in fp32; transformers casts them to bf16 under DeepSpeed.

        In bf16 a sum of 8,000 nats is off by up to 16, which is more than the whole margin of a pair.
        """
        exact = {name: inputs[name].to(self.args.device) for name in _REFERENCE if name in inputs}
        return {**super()._prepare_inputs(inputs), **exact}

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """Count the tokens of a micro-step, and train on it."""
        self.watch.add_sequences(inputs["attention_mask"].sum(dim=1).tolist(), self._room)
        return super().training_step(model, inputs, *rest, **options)

    def evaluate(self, *_: Any, **_options: Any) -> dict[str, float]:
        """Measure the held-out pairs while training, as after it."""
        numbers = dict(zip(_EVALUATION, self.measure_pairs(), strict=True))
        self.log(dict(numbers))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, numbers)
        return numbers


def without_padding(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor, **options: Any
) -> FusedCausalLMOutput:
    """Call a model with a loss head on one pack made of padded rows; return its numbers in the padded shape.

    Args:
        model: The model, called as TRL's data collator for packs would have it.
        input_ids: Token ids, shape (rows, longest row).
        attention_mask: 1 for a token, 0 for padding, same shape.
        labels: Labels, same shape.
        **options: Further arguments of the model.

    Returns:
        The fields that TRL's loss reads, of shape (rows, longest row - 1); 0 where a token is no target.
    """
    is_token = attention_mask.bool()
    positions = attention_mask.cumsum(dim=1) - 1
    labels = labels.masked_fill(
        positions == 0, IGNORE_INDEX
    )  # else a row would predict the first token of the next
    lengths = attention_mask.sum(dim=1)
    starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
    each = lengths.tolist()
    output = model(
        input_ids=input_ids[is_token][None],
        position_ids=positions[is_token][None],
        labels=labels[is_token][None],
        seq_idx=is_token.nonzero()[None, :, 0].int(),
        sequence_lengths=each,
        cu_seq_lens_q=starts,
        cu_seq_lens_k=starts,
        max_length_q=max(each),
        max_length_k=max(each),
        **options,
    )

    def padded(values: torch.Tensor) -> torch.Tensor:
        first = torch.zeros_like(values[:, :1])  # no field has a number for the first token of a row
        rows = torch.zeros(is_token.shape, dtype=values.dtype, device=values.device)
        return rows.masked_scatter(is_token, torch.cat([first, values], dim=1))[:, 1:]

    fields = {name: padded(getattr(output, name)) for name in _OUTPUTS}
    return FusedCausalLMOutput(**fields, aux_loss=output.aux_loss)
