"""How much a target token counts: three weightings, exact over ranks and gradient accumulation.

The loss of one optimizer step is sum(weight * nll) / denominator, where the denominator is summed
over every pack of the step, whichever rank holds it. With N_i target tokens in sequence i:

    token_mean     weight 1              denominator: target tokens   (the paper's choice)
    sequence_mean  weight 1 / N_i        denominator: sequences       (LongAlign)
    released       weight n_p / 30 / N_p denominator: packs           (LongWriter's released code)

`sequence_mean` starves the tokens of long outputs; `released` weighs a pack by its n_p sequences
over its N_p target tokens: 3 long outputs in a pack weigh 0.1, 60 short chats 2.0.
Source: LongWriter (arXiv:2408.07055), section 4, and its released code.
"""

from __future__ import annotations

from typing import Literal

import torch

from longwriter.training.tokens.packing import IGNORE_INDEX

Loss = Literal["token_mean", "sequence_mean", "released"]
_RELEASED_SEQUENCES = 30  # a constant of LongWriter's released code


def _target_counts(targets: torch.Tensor, seq_idx: torch.Tensor) -> torch.Tensor:
    """Return the number of target tokens of each sequence of a pack, shape (sequences,)."""
    return torch.bincount(seq_idx[targets].long(), minlength=int(seq_idx.max()) + 1)


def token_weights(loss: Loss, labels: torch.Tensor, seq_idx: torch.Tensor) -> torch.Tensor:
    """Return the weight of each label of one pack, before the division by `denominator`.

    Args:
        loss: Name of the weighting.
        labels: Shifted labels, shape (tokens,); -100 is no target.
        seq_idx: Number of the sequence of each label in the pack, shape (tokens,).

    Returns:
        float32 of shape (tokens,); 0 where there is no target.
    """
    targets = labels != IGNORE_INDEX
    weights = targets.float()
    counts = _target_counts(targets, seq_idx)
    if loss == "sequence_mean":
        weights = weights / counts.clamp(min=1)[seq_idx.long()]
    elif loss == "released":
        weights = weights * (int((counts > 0).sum()) / _RELEASED_SEQUENCES / max(1, int(counts.sum())))
    return weights


def denominator(loss: Loss, labels: torch.Tensor, seq_idx: torch.Tensor) -> int:
    """Return what one pack adds to the denominator of its step; a pack without targets adds 0.

    Args:
        loss: Name of the weighting.
        labels: Shifted labels, shape (tokens,).
        seq_idx: Number of the sequence of each label, shape (tokens,).
    """
    counts = _target_counts(labels != IGNORE_INDEX, seq_idx)
    if loss == "token_mean":
        return int(counts.sum())
    return int((counts > 0).sum()) if loss == "sequence_mean" else int(counts.sum() > 0)
