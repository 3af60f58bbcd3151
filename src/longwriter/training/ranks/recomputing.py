"""Which activations are kept for the backward pass, which are computed again, and where the kept ones are.

With gradient checkpointing a layer keeps only its input. Selective checkpointing also keeps the output of attention,
whose time grows with the square of the length. With offload the inputs of the layers wait in the memory of the host. Loss and gradients are the same in each case. Neither was tried on a GPU.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from longwriter.params.training import TrainingParams

_KERNELS = ("aten._scaled_dot_product_", "torch_attn._varlen_attn", "flash_attn")
"""What the names of the kernels of attention contain: PyTorch's sdpa, its varlen, and the package flash-attn."""


def options(params: TrainingParams) -> dict[str, Any] | None:
    """Return `gradient_checkpointing_kwargs` of a trainer; None = its defaults."""
    settings: dict[str, Any] = {}
    if params.activation_offload:
        settings["offload"] = True
    if params.selective_checkpointing:
        context = partial(create_selective_checkpoint_contexts, _policy)
        settings |= {"use_reentrant": False, "context_fn": context}
    return settings or None


def _policy(_context: Any, operation: Any, *_: Any, **__: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if _is_attention(operation) else CheckpointPolicy.PREFER_RECOMPUTE


@cache
def _is_attention(operation: Any) -> bool:
    return any(name in str(operation) for name in _KERNELS)
