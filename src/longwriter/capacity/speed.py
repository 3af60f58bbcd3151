"""Expected speed of a training on GPUs, from the peak of the GPU and an assumed share of it.

Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from longwriter.capacity.memory import GIB, Training
from longwriter.capacity.shape import Shape
from longwriter.training.ranks.utilisation import PEAKS, gpu_of

UTILISATION = 0.4
"""Assumed share of the peak, recomputed activations included; one H200 reached 0.41 (infra/bench/README.md)."""
_LIKELY = {24: "RTX 4090", 40: "A100", 48: "L40S", 80: "H100", 141: "H200", 180: "B200"}


class Peak(NamedTuple):
    """A GPU of the table."""

    name: str
    flops: float
    is_assumed: bool
    """Whether the caller gave no name, so that the memory alone selected the GPU."""


def peak(name: str | None, memory: int | None) -> Peak | None:
    """Return the GPU of this name or, without a name, of this memory; None = not in the table."""
    if name is not None:
        key = gpu_of(name)
        return Peak(key, PEAKS[key], False) if key else None
    likely = _LIKELY.get(round((memory or 0) / GIB))
    return Peak(likely, PEAKS[likely], True) if likely else None


def flops_a_token(shape: Shape, training: Training) -> float:
    """Return the floating-point operations of a training step for each token.

    Each weight takes two operations in the forward pass, two for the gradient of its input, and two for its own
    gradient (none with LoRA). Causal attention over a pack of one sequence is added. With checkpointing the forward
    pass runs twice, except for attention whose output is kept.
    """
    used = shape.parameters - shape.lookup
    queries = shape.layers * shape.heads * shape.head_size
    forward = 2 * used + 2 * queries * training.tokens
    attention_back = 4 * queries * training.tokens
    back = (4 if training.adapter is None else 2) * used + attention_back
    again = forward if training.has_checkpointing else 0
    if training.has_checkpointing and training.keeps_attention:
        again -= 2 * queries * training.tokens
    return float(forward + back + again)


def tokens_per_s(shape: Shape, training: Training, gpu: Peak) -> float:
    """Return the expected tokens per second of all ranks."""
    return training.ranks * UTILISATION * gpu.flops / flops_a_token(shape, training)
