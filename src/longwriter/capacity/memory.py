"""Memory of a training by part, on each rank, and its files on disk.

Pure. All figures are in bytes. DeepSpeed keeps 18 bytes for each trained weight in bf16: the weight (2), its
gradient in fp32 (4), and for AdamW an fp32 copy of the weight and two averages (12). The ZeRO stage decides which
of these the ranks share. Activations are counted as transformers keeps them for the backward pass of a Llama-like
layer. The head is TRL's fused one, which makes logits by tiles, or a dense one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from longwriter.capacity.shape import Shape

GIB = 2**30
_TILE_TOKENS, _TILE_WORDS = 4096, 32768  # tiles of TRL's fused head
_TILE_COPIES = 7  # tensors in fp32 of a tile where no Triton is, on a CPU
_NF4_BYTES = 4.127 / 8  # a weight in 4 bits, and its scales in 8 bits (arXiv:2305.14314)
_DENSE_BYTES = 12  # of a logit: it, its softmax and its gradient; 11.4 were measured on a CPU
MAX_DENSE_BYTES = 2 << 30
"""Largest logits of a dense head on a CPU; the same number as in training/ranks/loss_head.py."""
_CUDA_BYTES, _SLACK = 2 * GIB, 0.05  # context, NCCL and libraries; what the allocator cannot use
_PINNED = 1.6  # on the host: PyTorch pins memory in powers of two; 36.6 GiB were measured where 20.7 are held
_PROCESS_BYTES = int(0.51 * GIB)  # a rank on a CPU with a model of 100,000 weights
_KEPT = 0.2  # of the other memory, on a CPU: it was freed, but glibc keeps it (launch/environment.py)


class Layout(NamedTuple):
    """A DeepSpeed configuration: what the ranks share, and what is in the memory of the host."""

    stage: int
    host_optimizer: bool
    host_weights: bool
    bucket: int
    """Gradients that are reduced at once."""
    live: int
    """Weights that ZeRO-3 may gather at once."""


def layout(config: Mapping[str, Any]) -> Layout:
    """Return the layout in a DeepSpeed configuration; DeepSpeed's defaults stand for what it leaves out."""
    zero = config.get("zero_optimization") or {}

    def is_on_host(key: str) -> bool:
        return bool((zero.get(key) or {}).get("device", "none") != "none")

    return Layout(
        stage=int(zero.get("stage", 0)),
        host_optimizer=is_on_host("offload_optimizer"),
        host_weights=is_on_host("offload_param"),
        bucket=int(zero.get("reduce_bucket_size", 5e8)),
        live=int(zero.get("stage3_max_live_parameters", 1e9)),
    )


class Training(NamedTuple):
    """What decides the memory of a rank."""

    device: Literal["cuda", "cpu"]
    ranks: int
    layout: Layout
    value_bytes: int
    """Bytes of a weight or an activation: 2 in bf16, 4 in fp32."""
    has_checkpointing: bool
    head: Literal["fused", "dense"]
    tokens: int
    """Tokens of the longest pack, or of both answers of the longest pair."""
    adapter: int | None = None
    """Weights of LoRA; None = all weights are trained."""
    is_quantised: bool = False
    """Whether the weights that are not trained have 4 bits."""
    keeps_attention: bool = False
    """Whether checkpointing keeps the output of attention."""
    has_offload: bool = False
    """Whether the inputs of the layers, which checkpointing keeps, are in the memory of the host."""
    sequence_ranks: int = 1
    """Ranks that share each pack."""

    @property
    def own_tokens(self) -> int:
        """Tokens of the longest pack that one rank has."""
        return -(-self.tokens // self.sequence_ranks)


class Part(NamedTuple):
    """Memory of one rank for one thing."""

    name: str
    device: int
    """Bytes on the GPU; if ranks run on a CPU, bytes in the memory of the process."""
    host: int = 0
    """Bytes in the memory of the machine, if ranks run on GPUs."""


def parts(shape: Shape, training: Training) -> list[Part]:
    """Return the memory of a rank by part."""
    zero, size = training.layout, training.value_bytes
    ranks = training.ranks
    trained = shape.parameters if training.adapter is None else training.adapter
    parameters = shape.parameters + (training.adapter or 0)
    frozen = shape.parameters * (_NF4_BYTES if training.is_quantised else size)
    weights = int(frozen + size * (training.adapter or 0)) // (ranks if zero.stage >= 3 else 1)
    gradients = 4 * trained // (ranks if zero.stage >= 2 else 1)
    states = 12 * trained // (ranks if zero.stage >= 1 else 1)
    bucket = min(zero.bucket, trained) * (size + 4)
    rows = [
        _on("weights", weights, zero.host_weights),
        _on("gradients (fp32)", gradients, zero.host_optimizer),
        _on("optimizer (AdamW, fp32)", states, zero.host_optimizer),
        Part("buckets of gradients", bucket),
    ]
    if zero.stage >= 3:
        rows.append(Part("gathered layers", size * min(zero.live, parameters)))
    rows += [_activations(shape, training), Part("loss head", head(shape, training))]
    used = sum(row.device for row in rows)
    if training.device == "cpu":
        return [
            *rows,
            Part("freed, but kept by glibc", int(_KEPT * used)),
            Part("Python and libraries", _PROCESS_BYTES),
        ]
    return [*rows, Part("CUDA, NCCL, allocator", _CUDA_BYTES + int(_SLACK * used))]


def _on(name: str, size: int, is_on_host: bool) -> Part:
    return Part(name, 0, int(_PINNED * size)) if is_on_host else Part(name, size)


def layer_activations(shape: Shape, value_bytes: int) -> int:
    """Return what one layer keeps of one token for the backward pass.

    These are two norms (each with its input in fp32, the normalised input and the output), queries, keys, values,
    the output of attention of each sequence and of the pack, and four tensors of the feed-forward layer.
    """
    norm = 8 * shape.hidden if value_bytes == 2 else 12 * shape.hidden
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    return 2 * norm + value_bytes * (3 * queries + 2 * keys + 4 * shape.feed_forward)


def activations(shape: Shape, training: Training) -> int:
    """Return the activations of a rank; with checkpointing, one value for each layer and all values of one layer.

    If the output of attention is kept too, its heads and an fp32 sum for each head are kept for each layer.
    """
    full = layer_activations(shape, training.value_bytes)
    if not training.has_checkpointing:
        return training.own_tokens * shape.layers * full
    layer_bytes = shape.hidden * training.value_bytes
    if training.keeps_attention:
        layer_bytes += shape.heads * (shape.head_size * training.value_bytes + 4)
    return training.own_tokens * (shape.layers * layer_bytes + full)


def _activations(shape: Shape, training: Training) -> Part:
    """Return the activations on the GPU, and the inputs of the layers on the host, if they are there."""
    size = activations(shape, training)
    if not training.has_offload or training.device == "cpu":
        return Part("activations", size)
    inputs = training.own_tokens * shape.layers * shape.hidden * training.value_bytes
    return Part("activations", size - inputs, int(_PINNED * inputs))


def default_head(shape: Shape, training: Training) -> Literal["fused", "dense"]:
    """Return the loss head that `training.loss_head: auto` takes."""
    is_small = 4 * training.own_tokens * shape.vocabulary <= MAX_DENSE_BYTES
    return "dense" if training.device == "cpu" and is_small else "fused"


def head(shape: Shape, training: Training) -> int:
    """Return what the head needs to compute the loss and its gradients."""
    tokens, words, size = training.own_tokens, shape.vocabulary, training.value_bytes
    gathered = size * words * shape.hidden if training.layout.stage >= 3 else 0
    if training.head == "dense":
        return gathered + _DENSE_BYTES * tokens * words
    tile = min(tokens, _TILE_TOKENS) * min(words, _TILE_WORDS)
    copies = 4 * _TILE_COPIES if training.device == "cpu" else 0
    gradient = 0 if training.adapter is not None else 4 * words * shape.hidden
    return gathered + gradient + 4 * tokens * shape.hidden + tile * (size + copies)


def checkpoint(shape: Shape, training: Training) -> int:
    """Return the bytes of one checkpoint on disk, of all ranks: 16 (ZeRO-3: 14) for each trained weight in bf16."""
    trained = shape.parameters if training.adapter is None else training.adapter
    copies = 1 if training.layout.stage >= 3 else 2
    return trained * (12 + copies * training.value_bytes)


def checkpoints(shape: Shape, training: Training, kept: int) -> int:
    """Return the most bytes that a training's checkpoints take: those that are kept, and one being written."""
    return (kept + 1) * checkpoint(shape, training)


def disk(
    shape: Shape, trainings: Mapping[str, Training], kept: Mapping[str, int], has_base: bool
) -> list[Part]:
    """Return the most bytes that all stages leave on the disk, with the copies in DVC's cache.

    Args:
        shape: The model.
        trainings: SFT and DPO; their tokens do not matter.
        kept: Checkpoints that each of them keeps; one more is there while it is written.
        has_base: Whether the base model is there already.
    """
    model = 2 * shape.parameters
    sft, dpo = (checkpoint(shape, trainings[name]) for name in ("sft", "dpo"))
    base = [] if has_base else [Part("base model (download, data, DVC cache)", 3 * model)]
    return [
        *base,
        Part("models of SFT and DPO (data, DVC cache)", 4 * model),
        Part("checkpoints of SFT", kept["sft"] * sft),
        Part("checkpoints of DPO, with one that is being written", max(sft, (kept["dpo"] + 1) * dpo)),
    ]
