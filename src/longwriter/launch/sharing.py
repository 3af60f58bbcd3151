"""Whether rows can share a pack, and ranks the packs or pairs of a step, or the tokens of one pack.

Pure. Each finding is one sentence: what is wrong, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_ATTENTION = {"full_attention", "sliding_attention", "attention"}
"""Kinds of layers, as configs of transformers call them, that see other tokens through attention alone."""
_MIXING = {"bloom", "falcon", "gpt_oss", "mpt"}
"""Models that PyTorch's attention cannot serve, and whose own lets rows see each other (tried with transformers 5.23)."""
_CHUNKED = "chunked_attention"  # of Llama 4: only the model's own attention knows the chunks


def batch_problem(ranks: int, batch: int, key: str, sequence_ranks: int = 1) -> str | None:
    """Return why ranks cannot share the rows of a step evenly; None if they can.

    Args:
        ranks: Ranks on all nodes.
        batch: Packs or pairs of one optimizer step.
        key: Name of the batch size in params.yaml.
        sequence_ranks: Ranks that share one row.
    """
    if ranks % sequence_ranks:
        return (
            f"training.sequence_ranks is {sequence_ranks}, which does not divide {ranks} ranks: set it to 1 or "
            "another divisor of them"
        )
    groups = ranks // sequence_ranks
    if batch % groups:
        who = f"{ranks} ranks" if sequence_ranks == 1 else f"{groups} groups of {sequence_ranks} ranks"
        return f"{key} is {batch}, which {who} cannot share evenly: make it a multiple of {groups}, or set training.ranks"
    return None


def other_layers(config: Any) -> tuple[str, ...]:
    """Return the kinds of a model's layers, by its config, in which tokens see each other without attention."""
    kinds = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None) or []
    return tuple(sorted(set(kinds) - _ATTENTION))


def pack_problem(model_type: str, others: Sequence[str], takes_sdpa: bool, attention: str) -> str | None:
    """Return why rows cannot share a pack, or the two answers of a pair, with this model; None if they can.

    Args:
        model_type: Its architecture, as transformers calls it.
        others: Its `other_layers`.
        takes_sdpa: PyTorch's attention may replace the model's own.
        attention: `training.attention`.
    """
    if kinds := ", ".join(kind for kind in others if kind != _CHUNKED):
        return (
            f"the layers of kind {kinds} of a {model_type} model would let the rows of a pack see each other: choose "
            "another base_model.source"
        )
    if model_type in _MIXING:
        return f"the attention of a {model_type} model would let the rows of a pack see each other: choose another base_model.source"
    if attention in ("auto", "sdpa") and (others or not takes_sdpa):
        return f"training.attention is {attention}, and a {model_type} model has an attention of its own: set it to eager"
    return None


def model_problem(sequence_ranks: int, heads: int, kv_heads: int, others: Iterable[str]) -> str | None:
    """Return why ranks cannot share the tokens of a pack with this model; None if they can.

    Args:
        sequence_ranks: Ranks that share a pack; each computes some heads of attention.
        heads: Heads of queries.
        kv_heads: Heads of keys.
        others: `other_layers` of the model.
    """
    if sequence_ranks == 1:
        return None
    number = f"training.sequence_ranks is {sequence_ranks}"
    if kinds := ", ".join(others):
        return f"{number}, which only attention allows, and the model has layers of the kind {kinds}: set it to 1"
    if heads % sequence_ranks or (kv_heads % sequence_ranks and sequence_ranks % kv_heads):
        return (
            f"{number}, which cannot share {heads} heads and {kv_heads} key heads: set it to 1, or to another divisor "
            "of the heads that divides the key heads or is a multiple of them"
        )
    return None
