"""Weights of the target tokens in the loss, in three versions, exact over ranks and gradient accumulation.

Pure. The loss of one optimizer step is sum(weight * nll) / denominator, where the denominator is summed
over every pack of the step, on all ranks. With N_i target tokens in sequence i:

    token_mean     weight 1              denominator: target tokens   (the paper's choice)
    sequence_mean  weight 1 / N_i        denominator: sequences       (LongAlign)
    released       weight n_p / 30 / N_p denominator: packs           (LongWriter's released code)

`sequence_mean` gives the tokens of long outputs little weight. `released` weights a pack by its n_p sequences
over its N_p target tokens: a pack of 3 long outputs has weight 0.1, one of 60 short chats 2.0.
Source: LongWriter (arXiv:2408.07055), section 4, and its released code.
"""

from __future__ import annotations

from typing import Literal

import torch

from longwriter.tokens.packing import IGNORE_INDEX

Loss = Literal["token_mean", "sequence_mean", "released"]
_RELEASED_SEQUENCES = 30  # a constant of LongWriter's released code


def _target_counts(targets: torch.Tensor, seq_idx: torch.Tensor) -> torch.Tensor:
    """Return the number of target tokens of each sequence of a pack, shape (sequences,)."""
    return torch.bincount(seq_idx[targets].long(), minlength=int(seq_idx.max()) + 1)


def token_weights(loss: Loss, labels: torch.Tensor, seq_idx: torch.Tensor) -> torch.Tensor:
    """Return the weight of each label of one pack, before the division by `denominator`.

    Args:
        loss: Name of the weighting.
        labels: Shifted labels, shape (tokens,); -100 marks a token that is not a target.
        seq_idx: Number of the sequence of each label in the pack, shape (tokens,).

    Returns:
        float32 of shape (tokens,); 0 for tokens that are not targets.
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
