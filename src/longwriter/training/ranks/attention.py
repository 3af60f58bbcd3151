"""Attention for packs without a mask of length x length: two ways, the choice between them, and its reason.

In both ways a token of a pack attends only to earlier tokens of its own sequence:

    sdpa_by_sequence  PyTorch's attention over each sequence of a pack separately, on every device. Measured on a
                      CPU with packs of 1,024 tokens that hold three texts each: 11 s a step instead of 13.5.
    varlen            torch.nn.attention.varlen: one flash kernel over all sequences of a pack, in bf16 on a GPU

The two answers of a preference pair are a pack too (pair_trainer.py).

`training.attention: auto` uses varlen only if it agrees with sdpa_by_sequence on this GPU, see `of_packs`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from longwriter.errors import ModelUnusable
from longwriter.training.ranks.choices import Choice

log = logging.getLogger(__name__)

SDPA_BY_SEQUENCE, VARLEN = "sdpa_by_sequence", "varlen"

MAX_ERROR = 1e-2
"""Largest relative difference between varlen and sdpa in bf16, whose numbers have 8 bits (a rounding is 4e-3)."""
_PROBE_LENGTHS = (1, 2, 37, 128, 700, 1180)  # tokens of each sequence of the probe
_PROBE_WINDOW = 64
_OTHER = "set training.attention to eager, or choose another base_model.source"


def of_packs(attention: str, config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> Choice:
    """Return the attention for packs, by transformers' name; every rank must call this, and all get the same answer.

    Args:
        attention: `training.attention`.
        config: The model's configuration.
        dtype: Number type of the forward pass.
        device: What this rank runs on.
    """
    if attention not in ("auto", "sdpa"):
        return Choice(attention, "training.attention")
    if attention == "sdpa":
        return Choice(SDPA_BY_SEQUENCE, "training.attention")
    if refusal := _without_probe(config.get_text_config(), dtype, device):
        return Choice(SDPA_BY_SEQUENCE, refusal)
    error, trouble = probe(config.get_text_config(), dtype, device)
    worst = torch.tensor([torch.inf if error is None else error], device=device)
    if dist.is_initialized():
        dist.all_reduce(worst, dist.ReduceOp.MAX)
    error = worst.item()
    if error <= MAX_ERROR:
        return Choice(VARLEN, f"differs from sdpa by at most {error:.1e} on {_gpu(device)}", error)
    if error < torch.inf:
        return Choice(SDPA_BY_SEQUENCE, f"varlen differs from sdpa by {error:.1e} on {_gpu(device)}", error)
    return Choice(SDPA_BY_SEQUENCE, f"varlen fails: {trouble or 'on another rank'}")


def by_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    scale: float | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """Return the attention output of a pack by torch.nn.attention.varlen; gradients reach query, key and value.

    PyTorch 2.11 does not take grouped heads, 2.12 and later do.

    Args:
        query: Queries, shape (tokens, heads, head size); bf16 or fp16, on a GPU.
        key: Keys, shape (tokens, key heads, head size); the number of heads is a multiple of theirs.
        value: Values, of the same shape as the keys.
        starts: First token of each sequence, and the number of all tokens; int32, shape (sequences + 1,).
        longest: Tokens of the longest sequence.
        scale: Factor of the scores; None = 1 / sqrt(head size).
        window: Tokens that a token attends to, itself included; None = all before it.

    Returns:
        Shape (tokens, heads, head size).
    """
    from torch.nn.attention.varlen import varlen_attn  # PyTorch before 2.10 has none

    options: dict[str, Any] = {"scale": scale, "window_size": (-1 if window is None else window - 1, 0)}
    if (groups := query.shape[1] // key.shape[1]) > 1:
        if "enable_gqa" in inspect.signature(varlen_attn).parameters:
            options["enable_gqa"] = True
        else:
            key, value = (rows.repeat_interleave(groups, dim=1) for rows in (key, value))
    output: torch.Tensor = varlen_attn(query, key, value, starts, starts, longest, longest, **options)
    return output


def by_sequence(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: list[int],
    window: int | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Return the attention output (1, tokens, heads, head size) of a pack by sdpa over each of its sequences.

    Args:
        module: The attention layer; sdpa reads its `num_key_value_groups`.
        query: Queries, shape (1, heads, tokens, head size).
        key: Keys, shape (1, key heads, tokens, head size).
        value: Values, of the same shape as the keys.
        lengths: Tokens of each sequence.
        window: Tokens that a token attends to, itself included; None = all before it.
        **kwargs: Further arguments of transformers' sdpa, such as `scaling`.
    """
    parts = zip(*(torch.split(rows, lengths, dim=2) for rows in (query, key, value)), strict=True)
    outputs = []
    for part in parts:
        mask = _window_mask(part[0], window)
        outputs.append(sdpa_attention_forward(module, *part, mask, is_causal=mask is None, **kwargs)[0])
    return torch.cat(outputs, dim=1)


def _window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return the mask of a sliding window over a sequence; None if the sequence is not longer than the window."""
    tokens = query.shape[2]
    if window is None or tokens <= window:
        return None
    ones = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device)
    return ones.tril().triu(1 - window)


def _without_probe(config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> str:
    """Return why varlen is not even tried; empty if it can be tried."""
    if device.type != "cuda":
        return f"varlen needs a GPU, this is {device.type}"
    if dtype not in (torch.bfloat16, torch.float16):
        return "varlen needs training.precision bf16"
    if getattr(config, "attention_dropout", 0.0):
        return "the model has attention dropout, varlen has none"
    if getattr(config, "attn_logit_softcapping", None):
        return "the model caps attention scores, varlen does not"
    return ""


def probe(config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> tuple[float | None, str]:
    """Return the largest relative difference of varlen from sdpa, or None and what failed.

    The inputs are random, with the model's heads, in sequences of uneven length. The output and the gradients of
    queries, keys and values are compared.
    """
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    window = _PROBE_WINDOW if getattr(config, "sliding_window", None) else None
    generator = torch.Generator(device).manual_seed(0)
    tokens = sum(_PROBE_LENGTHS)
    query, key, value, slope = (
        torch.randn(1, number, tokens, size, dtype=dtype, device=device, generator=generator)
        for number in (heads, key_heads, key_heads, heads)
    )
    module = torch.nn.Module()
    module.num_key_value_groups = heads // key_heads
    starts = torch.tensor([0, *_PROBE_LENGTHS], device=device).cumsum(0).to(torch.int32)
    pack = {"cu_seq_lens_q": starts, "max_length_q": max(_PROBE_LENGTHS), "sliding_window": window}
    results = []
    ways: tuple[Callable[..., Any], ...] = (_attend_by_sequence, _attend_by_varlen)
    try:
        for attend in ways:
            inputs = [rows.detach().requires_grad_() for rows in (query, key, value)]
            output, _ = attend(module, *inputs, None, sequence_lengths=list(_PROBE_LENGTHS), **pack)
            output.backward(slope.transpose(1, 2))
            results.append([output.detach(), *(rows.grad for rows in inputs)])
    except Exception as error:  # a kernel of another PyTorch or GPU may raise anything: sdpa is used then
        log.warning("varlen attention fails on %s", _gpu(device), exc_info=True)
        return None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    differences = [_relative(a, b) for a, b in zip(results[1], results[0], strict=True)]
    return max(differences), ""


def _relative(value: Any, reference: Any) -> float:
    """Return how far a tensor is from a reference, as a share of the latter's norm; infinite if it is no number."""
    share = (value.float() - reference.float()).norm() / reference.float().norm()
    return float(share.nan_to_num(torch.inf))


def _gpu(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device) if device.type == "cuda" else device.type)


def _attend_by_sequence(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    sequence_lengths: list[int] | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend by `by_sequence`, as transformers calls an implementation."""
    if sequence_lengths is None:
        raise ModelUnusable(f"{type(module).__name__} does not say where rows begin: {_OTHER}")
    return by_sequence(module, query, key, value, sequence_lengths, sliding_window, **kwargs), None


def _attend_by_varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend by `by_varlen`, as transformers calls an implementation."""
    if cu_seq_lens_q is None:
        raise ModelUnusable(f"{type(module).__name__} does not say where rows begin: {_OTHER}")
    query, key, value = (rows[0].transpose(0, 1) for rows in (query, key, value))
    output = by_varlen(query, key, value, cu_seq_lens_q, max_length_q, scaling, sliding_window)
    return output[None], None


AttentionInterface.register(SDPA_BY_SEQUENCE, _attend_by_sequence)
AttentionInterface.register(VARLEN, _attend_by_varlen)
for _name in (SDPA_BY_SEQUENCE, VARLEN):
    AttentionMaskInterface.register(_name, lambda *_, **__: None)
