"""MFU (model FLOPs utilisation): the share of the GPUs' peak that a training's own operations take.

Operations that gradient checkpointing repeats are not counted (PaLM, arXiv:2204.02311, appendix B). The peaks come
from the makers' data sheets: bf16, dense, for matrix products.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

PEAKS = {
    "B200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12,
    "A10": 125e12, "L4": 121e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
"""Operations per second by the name of a GPU."""


class Work(NamedTuple):
    """What decides the operations of a step; weights are those that matrix products use."""

    trained: int
    frozen: int
    width: int
    """Layers times heads times the size of a head."""


def gpu_of(name: str) -> str | None:
    """Return the GPU of `PEAKS` that a name means; None = not in the table."""
    return next((key for key in PEAKS if key.replace(" ", "") in name.replace(" ", "")), None)


def work_of(model: Any) -> Work:
    """Return the work of a model of transformers or PEFT, also where ZeRO 3 has partitioned it."""
    config = model.config.get_text_config()
    if hasattr(model, "get_nb_trainable_parameters"):  # PEFT's, which knows weights of 4 bits
        trained, weights = model.get_nb_trainable_parameters()
    else:
        weights = sum(map(_size, model.parameters()))
        trained = sum(_size(weight) for weight in model.parameters() if weight.requires_grad)
    embedding = model.get_input_embeddings().weight
    lookup = 0 if config.tie_word_embeddings else _size(embedding)
    if embedding.requires_grad:
        trained -= lookup
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_hidden_layers * config.num_attention_heads * head_size
    return Work(trained, weights - lookup - trained, width)


def _size(weight: Any) -> int:
    return int(getattr(weight, "ds_numel", weight.numel()))


def flops(work: Work, lengths: Sequence[int]) -> int:
    """Return the floating-point operations of one pass forward and back over sequences of these lengths.

    For each token, each weight takes two operations in the forward pass, two for the gradient of its input, and two
    for its own gradient if it is trained. Causal attention is added.
    """
    weights = 6 * work.trained + 4 * work.frozen
    return weights * sum(lengths) + 6 * work.width * sum(length**2 for length in lengths)
