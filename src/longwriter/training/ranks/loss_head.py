"""The loss head: log-probabilities of the target tokens, by full logits (dense) or tile by tile (fused, TRL).

Both are called as `model(..., labels=labels, fused_lm_head=True)`, or with `shift_labels` (the next token at each
position), and give the same numbers. The fused head never holds the logits of all tokens, which at 32,768 tokens and
151,552 words are 20 GB in fp32. A CPU has no Triton kernel for it: there the fused head is slower and saves no
memory, see infra/bench/README.md.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

import torch
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from longwriter.tokens.packing import IGNORE_INDEX
from longwriter.training.ranks.choices import Choice

MAX_DENSE_BYTES = 2 << 30
"""Largest fp32 logits of a micro-step for which `auto` takes the dense head on a CPU; it holds about three copies."""


_ENTROPY_TOKENS = 128
"""Tokens whose entropies are computed at once; each logit is held three times more meanwhile."""


def add(
    loss_head: str, model: Any, tokens: int, device: torch.device, outputs: tuple[str, ...] = ("log_probs",)
) -> Choice:
    """Give a model its loss head; return which one, and why.

    Args:
        loss_head: `training.loss_head`.
        model: The model, before DeepSpeed wraps it; of a PEFT model, its base model gets the head.
        tokens: Tokens of the longest micro-step.
        device: What this rank runs on.
        outputs: Fields of TRL's FusedCausalLMOutput that are computed.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    choice = _choose(loss_head, base, tokens, device)
    if choice.name == "dense":
        _add_dense(base, outputs)
    else:
        add_fused_lm_head(base, outputs=outputs)
    return choice


def _choose(loss_head: str, model: PreTrainedModel, tokens: int, device: torch.device) -> Choice:
    """Return the head by `training.loss_head`, and with `auto` by device and memory."""
    if loss_head != "auto":
        return Choice(loss_head, "training.loss_head")
    if device.type != "cpu":
        return Choice("fused", "on a GPU it is fast, and holds no whole logits")
    if "logits_to_keep" not in inspect.signature(type(model).forward).parameters:
        return Choice("fused", f"{type(model).__name__} cannot leave out the logits of prompts")
    size = 4 * tokens * model.config.get_text_config().vocab_size
    if size > MAX_DENSE_BYTES:
        return Choice("fused", f"the logits of {tokens:,} tokens would take {size / 2**30:.1f} GiB")
    return Choice("dense", f"on a CPU it is faster; its logits take {size / 2**30:.2f} GiB")


def _add_dense(model: PreTrainedModel, outputs: tuple[str, ...]) -> None:
    """Let a call with `fused_lm_head=True` use the model's own logits, only at the positions before a target."""
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        self: PreTrainedModel,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        shift_labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        targets = shift_labels if labels is None else labels[:, 1:]
        if not fused_lm_head or targets is None:
            return original(*args, **kwargs, **({} if labels is None else {"labels": labels}))
        columns = (targets != IGNORE_INDEX).any(dim=0).nonzero()[:, 0]
        result = original(*args, logits_to_keep=columns, **(kwargs | {"use_cache": False}))
        return _output(result, targets, columns, outputs)

    model.forward = types.MethodType(forward, model)


def _output(
    result: Any, targets: torch.Tensor, columns: torch.Tensor, outputs: tuple[str, ...]
) -> FusedCausalLMOutput:
    """Return what TRL's fused head returns.

    Args:
        result: Output of the model; its logits have the shape (rows, columns, vocabulary).
        targets: Next tokens; shape (rows, tokens), or (rows, tokens - 1) without those of the last.
        columns: Positions of the logits among the targets.
        outputs: Fields to compute; all are 0 where a token is no target.
    """
    tokens = targets[:, columns]
    mask = tokens != IGNORE_INDEX
    logits = result.logits.float()
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), tokens.flatten(), ignore_index=IGNORE_INDEX, reduction="none"
    ).view_as(tokens)

    def spread(values: torch.Tensor) -> torch.Tensor:
        rows = torch.zeros(targets.shape, dtype=values.dtype, device=values.device)
        return rows.index_copy(1, columns, values.masked_fill(~mask, 0))

    fields = {"log_probs": spread(-nll)}
    with torch.no_grad():
        if "entropy" in outputs:
            fields["entropy"] = spread(
                torch.cat(list(map(_entropy, logits.split(_ENTROPY_TOKENS, dim=1))), dim=1)
            )
        if "mean_logits" in outputs:
            fields["mean_logits"] = spread(logits.mean(-1))
        if "is_top1" in outputs:
            fields["is_top1"] = spread(logits.argmax(-1) == tokens)
    return FusedCausalLMOutput(
        **fields, label_mask=targets != IGNORE_INDEX, aux_loss=getattr(result, "aux_loss", None)
    )


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    shares = logits.log_softmax(-1)
    return -(shares.exp() * shares).sum(-1)
