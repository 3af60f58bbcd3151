"""Sequence parallelism (Ulysses, arXiv:2309.14509): ranks in a row form a group that shares one pack.

Each rank of a group has a slice of the pack's tokens, in all layers and in the loss head. Only attention needs all
tokens. There the ranks exchange tokens for heads, so that each rank computes some heads over the whole pack, with
the same functions as without groups. Then they exchange heads for tokens.

The exchange is DeepSpeed's. accelerate and transformers also have code around this exchange, but it does not keep
our losses: it takes the mean loss over micro-steps, and in an evaluation it gives each rank a whole pack of its
own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from accelerate.data_loader import BatchSamplerShard
from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF
from torch.utils.data import DataLoader
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig

from longwriter.training.ranks.choices import Choice

_NAME = "sequence_parallel"


class Group(NamedTuple):
    """The ranks that share a pack with this one; `Group()` = this rank has each of its packs alone."""

    size: int = 1
    place: int = 0
    """Number of this rank in the group, from 0."""
    process_group: Any = None

    def part(self, rows: torch.Tensor) -> torch.Tensor:
        """Return this rank's slice of the last dimension, whose length is a multiple of the size of the group."""
        return rows.chunk(self.size, dim=-1)[self.place]

    def deal(self, loader: DataLoader[Any]) -> DataLoader[Any]:
        """Let accelerate's loader give all ranks of a group the same packs, and other groups other ones."""
        if self.size > 1:
            sampler = loader.batch_sampler
            assert isinstance(sampler, BatchSamplerShard)
            sampler.num_processes //= self.size
            sampler.process_index //= self.size
        return loader

    def attend(self, attention: Choice, config: PreTrainedConfig) -> Choice:
        """Return an attention over the slices of the group, by transformers' name.

        Args:
            attention: The attention over whole packs that each rank computes for some heads.
            config: The model's configuration.
        """
        if self.size == 1:
            return attention
        text = config.get_text_config()
        heads = text.num_attention_heads
        exchange = UlyssesSPAttentionHF(
            attn=AttentionInterface()[attention.name],
            batch_size=1,
            attn_head_count=heads,
            attn_head_size=getattr(text, "head_dim", None) or text.hidden_size // heads,
            kv_head_count=getattr(text, "num_key_value_heads", None) or heads,
            num_hidden_layers=text.num_hidden_layers,
            process_group=self.process_group,
            seq_length_is_variable=True,
        )
        name = f"{_NAME}_{attention.name}"
        AttentionInterface.register(name, exchange)
        AttentionMaskInterface.register(name, lambda *_, **__: None)
        return Choice(name, f"{attention.reason}; {self.size} ranks share each pack", attention.error)


def group(size: int) -> Group:
    """Return the group of this rank; every rank must call this.

    Args:
        size: `training.sequence_ranks`, a divisor of the number of ranks.
    """
    if size == 1:
        return Group()
    process_group, _ = dist.new_subgroups(size)
    return Group(size, dist.get_rank(process_group), process_group)
