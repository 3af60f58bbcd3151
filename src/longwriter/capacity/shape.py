"""The numbers of a model that decide its memory and speed.

Pure.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """A causal language model, without its values."""

    model_type: str
    parameters: int
    """Weights; those that two layers share count once."""
    lookup: int
    """Weights of `parameters` that no matrix product uses: an embedding that is not also the head."""
    linear_ends: int
    """Inputs and outputs of all linear layers but the head: LoRA has `rank` weights for each."""
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    context: int | None
    """Tokens that its positions reach; None = the config does not say."""
    other_layers: tuple[str, ...] = ()
    """Kinds of layers in which tokens also see each other without attention, such as convolutions."""
    takes_sdpa: bool = True
    """PyTorch's attention may replace the model's own."""
