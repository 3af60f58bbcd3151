"""Sections of training: packs, SFT, samples, preference pairs, DPO, and how ranks are laid out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.common import Count, NotNegative, Number, Positive, Section, Share
from longwriter.params.models import Sampling

Beta = Annotated[Number, Field(ge=0, lt=1)]

PairRule = Literal[
    "enough_pairs", "both_sides_have_pairs", "sides_apart", "unique_ids", "roles_in_turn", "chosen_differs",
    "chosen_is_ahead", "no_refusal", "no_loop", "traceable", "lengths_alike",
]  # fmt: skip


class PackParams(Section):
    """From chat rows to packs of token ids."""

    max_length: Annotated[int, Field(ge=8)]
    """Tokens of one pack (32,768 in the paper); a longer row is rejected, never cut."""


class TrainingParams(Section):
    """How SFT and DPO are laid out over ranks; decides speed and memory."""

    ranks: Annotated[int, Field(ge=1)] | Literal["auto"]
    """Processes; `auto` = one a GPU, or 2 on a CPU. Not read with a hostfile: there it is the sum of slots."""
    hostfile: str | None
    """DeepSpeed hostfile of several nodes that share this folder; null = this machine."""
    deepspeed: str
    """DeepSpeed memory layout: ZeRO stage and offload; see infra/deepspeed/."""
    precision: Literal["bf16", "fp32"]
    """Type of forward and backward; master weights and optimizer states are fp32 either way."""
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    """Packed rows never see each other in any; `sdpa` and `flash_attention_2` (a GPU) build no mask for that."""
    gradient_checkpointing: bool
    """Recompute activations: less memory, a third more time."""
    save_steps: Count
    """Optimizer steps between two checkpoints."""
    keep_checkpoints: Count
    """Checkpoints that are kept while training."""


class OptimizerParams(Section):
    """AdamW with warm-up and cosine decay, as the paper trains."""

    epochs: Positive
    learning_rate: Positive
    warmup_share: Share
    """Share of all steps over which the learning rate rises."""
    weight_decay: NotNegative
    betas: Annotated[list[Beta], Field(min_length=2, max_length=2)]
    max_grad_norm: Positive
    seed: int


class SftParams(Section):
    """Supervised fine-tuning on packs."""

    loss: Literal["token_mean", "sequence_mean", "released"]
    """Weight of a target token, see core/losses.py; exact over ranks and accumulation."""
    batch_packs: Count
    """Packs of one optimizer step, over all ranks; a multiple of the number of ranks."""
    optimizer: OptimizerParams


class SampleParams(Section):
    """Several answers of the SFT model an instruction, for preference pairs."""

    limit: Count
    """At most so many instructions of the training split, by hash order."""
    samples: Annotated[int, Field(ge=2)]
    """Answers an instruction (4 in the paper)."""
    max_tokens_per_word: Positive
    """Cap of an answer: this times the words asked for."""
    sampling: Sampling
    """`max_tokens` is the hard cap."""


class PreferencesParams(Section):
    """From samples to pairs: the best against a random other one."""

    quality_weight: Share
    """Weight of S_q beside S_l in the score of a sample; 0 asks no judge (0.5 in the paper)."""
    min_gap: NotNegative
    """Points of score that chosen must be ahead of rejected."""
    test_share: Share
    """Share of instructions held out of DPO, by hash."""
    min_pairs: Count
    """Gate: fewest pairs."""
    max_words_ratio: Positive
    """Gate: mean words of chosen over mean words of rejected, at most (and at least its inverse)."""
    warn: list[PairRule]
    """Expectations of the gate that only warn; every other one stops."""
    seed: int


class DpoParams(Section):
    """Direct preference optimisation with a next-token term on chosen."""

    beta: Positive
    sft_weight: NotNegative
    """Weight of the next-token loss on chosen."""
    batch_pairs: Count
    """Pairs of one optimizer step, over all ranks; a multiple of the number of ranks."""
    max_length: Annotated[int, Field(ge=8)]
    """Tokens of prompt and answer together; a longer pair is left out, and counted."""
    optimizer: OptimizerParams
