"""TRL's DPO trainer for pairs of token ids."""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer

from longwriter.training.ranks import loss_head
from longwriter.training.ranks.choices import Choice
from longwriter.training.ranks.watch import Watch

_REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
_OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")  # what TRL's loss reads


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """DPO on the token ids that the stage dpo made; if it got texts, TRL would apply the chat template again."""

    watch: Watch
    choices: dict[str, Choice]

    def __init__(self, *, watch: Watch, head_setting: str, longest: int, **options: Any) -> None:
        """Make the trainer, and compute the reference's log-probabilities.

        Args:
            watch: Receives the tokens of each micro-step.
            head_setting: `training.loss_head`.
            longest: Tokens of the longest answer with its prompt.
            **options: Arguments of DPOTrainer.
        """
        self.watch, self.choices = watch, {}
        self._head_setting, self._longest = head_setting, longest
        super().__init__(**options)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *rest: Any) -> Any:
        """Give the model its loss head first, because the reference is computed with it."""
        if not self.choices:
            tokens = 2 * self._longest  # of the chosen and the rejected answer
            head = loss_head.add(self._head_setting, self.model, tokens, self.args.device, _OUTPUTS)
            self.choices["loss_head"] = head
        return super()._precompute_ref_logps(dataset, *rest)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Keep the reference's log-probabilities in fp32; transformers casts them to bf16 under DeepSpeed.

        In bf16 a sum of 8,000 nats is off by up to 16, which is more than the whole margin of a pair.
        """
        exact = {name: inputs[name].to(self.args.device) for name in _REFERENCE if name in inputs}
        return {**super()._prepare_inputs(inputs), **exact}

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """Count the tokens of a micro-step, and train on it."""
        self.watch.add_tokens(int(inputs["attention_mask"].sum()), inputs["attention_mask"].numel())
        return super().training_step(model, inputs, *rest, **options)
