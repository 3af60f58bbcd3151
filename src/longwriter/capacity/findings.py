"""What does not fit: the context of a model, the memory of a machine, its disk.

Pure. Each finding is one sentence: what is needed, what there is, what to change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.capacity.memory import GIB, Part, Training, parts
from longwriter.capacity.shape import Shape

VLLM_SHARE = 0.9  # of a GPU's memory, as vLLM takes by default
_VLLM_WORK = int(1.5 * GIB)  # its own buffers


def context(shape: Shape, needs: Mapping[str, int], is_gguf: bool) -> str | None:
    """Return what is wrong if a training needs more positions than the model has; else None.

    Args:
        shape: The model.
        needs: Tokens by the parameter that asks for them.
        is_gguf: Whether the model is a GGUF, whose positions cannot be extended.
    """
    if shape.context is None:
        return None
    beyond = {key: tokens for key, tokens in needs.items() if tokens > shape.context}
    if not beyond:
        return None
    settings = " and ".join(f"{key} is {tokens:,}" for key, tokens in beyond.items())
    factor = math.ceil(max(beyond.values()) / shape.context)
    cure = (
        ""
        if is_gguf
        else f", or set base_model.rope_scaling, such as {{rope_type: yarn, factor: {factor}.0}}"
    )
    return (
        f"the positions of the model reach {shape.context:,} tokens, but {settings}: "
        f"lower {'it' if len(beyond) == 1 else 'them'}, choose a base_model.source with a longer context{cure}"
    )


def overfull(shape: Shape, training: Training, gpu: int | None, host: int | None) -> str | None:
    """Return what is wrong if a rank needs more memory than there is; else None.

    Args:
        shape: The model.
        training: What the ranks do; all of them are on one machine.
        gpu: Memory of a GPU; None = not known, or the ranks run on a CPU.
        host: Memory of the machine; None = not known.
    """
    rows = parts(shape, training)
    device, beside = sum(row.device for row in rows), sum(row.host for row in rows) * training.ranks
    if training.device == "cpu":
        beside += device * training.ranks
    elif gpu is not None and device > gpu:
        return f"a rank needs {device / GIB:.1f} GiB of GPU memory, a GPU has {gpu / GIB:.1f} GiB"
    if host is not None and beside > host:
        return f"training with {amount(training.ranks, 'rank')} needs {beside / GIB:.1f} GiB of memory, the machine has {host / GIB:.1f} GiB"
    return None


def cure(
    shape: Shape,
    training: Training,
    layouts: Mapping[str, Training],
    gpu: int | None,
    host: int | None,
    shares: Iterable[int] = (),
) -> str:
    """Return what to change so that a training fits: the first layout that fits, with or without checkpointing.

    If none does, more ranks may share each pack.

    Args:
        shape: The model.
        training: The training that does not fit.
        layouts: The training with other layouts, by the file of the layout, the fastest first.
        gpu: Memory of a GPU, as for `overfull`.
        host: Memory of the machine.
        shares: Numbers of ranks that could share a pack, the smallest first.
    """
    candidates = (
        (name, other._replace(has_checkpointing=has_checkpointing, sequence_ranks=number))
        for number in (training.sequence_ranks, *shares)
        for name, other in layouts.items()
        for has_checkpointing in (training.has_checkpointing, True)
    )
    for name, candidate in candidates:
        if overfull(shape, candidate, gpu, host) is None:
            changes = [f"training.deepspeed: {name}"] if candidate.layout != training.layout else []
            if candidate.has_checkpointing != training.has_checkpointing:
                changes.append("training.gradient_checkpointing: true")
            if candidate.sequence_ranks != training.sequence_ranks:
                changes.append(f"training.sequence_ranks: {candidate.sequence_ranks}")
            return f"it fits with {' and '.join(changes)}"
    return "no layout of infra/deepspeed fits: take more or larger GPUs, shorter packs, or a smaller model"


def full_disk(rows: Iterable[Part], free: int | None) -> str | None:
    """Return what is wrong if a run writes more than there is room for; else None."""
    size = sum(row.device for row in rows)
    if free is None or size <= free:
        return None
    return (
        f"models and checkpoints need {size / GIB:.1f} GiB of disk, {free / GIB:.1f} GiB are free below this "
        "folder: make room, or put .lw, data and .dvc/cache on another disk"
    )


def cache_bytes(shape: Shape) -> int:
    """Return the bytes that one token takes in vLLM's cache: keys and values of all layers, in bf16."""
    return 4 * shape.layers * shape.kv_heads * shape.head_size


def requests_at_once(
    shape: Shape, gpu: int, context_tokens: int, tensor_parallel: int = 1, share: float = VLLM_SHARE
) -> float:
    """Return how many requests of full length the GPUs of one vLLM server hold; below 1, it does not start."""
    room = tensor_parallel * (share * gpu - _VLLM_WORK) - 2 * shape.parameters
    return max(0.0, room / (cache_bytes(shape) * context_tokens))


def tensor_parallel(
    shape: Shape, gpus: int, gpu: int, context_tokens: int, share: float = VLLM_SHARE
) -> int | None:
    """Return the smallest number of GPUs that divides the heads and holds one full request; None = too few GPUs."""
    for number in _powers_of_two(gpus):
        if shape.heads % number == 0 and requests_at_once(shape, gpu, context_tokens, number, share) >= 1:
            return number
    return None


class Server(NamedTuple):
    """How a section of the parameters starts vLLM: its key, and the values that decide the memory."""

    key: str
    context_tokens: int
    tensor_parallel: int = 1
    data_parallel: int = 1
    memory_share: float = VLLM_SHARE


def unserved(shape: Shape | None, gpus: int, gpu: int, server: Server) -> str | None:
    """Return why vLLM would not start with these settings, and what to change; else None.

    Args:
        shape: The model; None = not known, so only the number of GPUs is checked.
        gpus: Number of GPUs.
        gpu: Memory of one.
        server: The settings.
    """
    key, tokens, shards, copies, share = server
    if shards * copies > gpus:
        return (
            f"{key}.vllm asks for {shards} x {copies} GPUs, and there are {gpus}: lower tensor_parallel or "
            "data_parallel"
        )
    if shape is None:
        return None
    if shape.heads % shards:
        return (
            f"{key}.vllm.tensor_parallel is {shards}, which does not divide the {shape.heads} heads of the model: "
            "set it to a divisor of them"
        )
    if requests_at_once(shape, gpu, tokens, shards, share) >= 1:
        return None
    number = tensor_parallel(shape, gpus, gpu, tokens, share)
    size = f"{gpu / GIB:.1f} GiB"
    holders = f"a GPU of {size} holds" if shards == 1 else f"{shards} GPUs of {size} hold"
    if requests_at_once(shape, gpu, tokens, shards) >= 1:
        cure = f"raise {key}.vllm.memory_share, which is {share:g}"
    elif number is None:
        cure = "take more or larger GPUs"
    else:
        cure = f"set {key}.vllm.tensor_parallel to {number}"
    return (
        f"{key}.context_tokens is {tokens:,}, and {holders} no such request beside the weights: {cure}, or "
        f"lower {key}.context_tokens"
    )


def _powers_of_two(largest: int) -> Sequence[int]:
    return [2**power for power in range(max(1, largest).bit_length())]
