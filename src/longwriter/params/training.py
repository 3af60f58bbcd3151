"""Sections of the training stages: packs, SFT, samples, preference pairs, DPO, and the ranks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.common import Count, NotNegative, Number, Positive, Section, Share
from longwriter.params.models import Sampling

Beta = Annotated[Number, Field(ge=0, lt=1)]

PairRule = Literal[
    "enough_pairs", "both_sides_have_pairs", "sides_apart", "unique_ids", "roles_in_turn", "chosen_differs",
    "chosen_is_ahead", "no_refusal", "no_reasoning_text", "no_control_tokens", "no_meta_talk", "no_loop",
    "traceable", "lengths_alike",
]  # fmt: skip


class PackParams(Section):
    """From chat rows to packs of token ids."""

    max_length: Annotated[int, Field(ge=8)]
    """Tokens of one pack (32,768 in the paper); a longer row is rejected, never cut."""


class TrainingParams(Section):
    """How SFT and DPO run on ranks (training processes); decides speed and memory, not the data."""

    ranks: Annotated[int, Field(ge=1)] | Literal["auto"]
    """Number of ranks; `auto` = one for each GPU, or 2 on a CPU. With a hostfile, its slots count instead."""
    hostfile: str | None
    """DeepSpeed hostfile of nodes that share this folder; null = this machine only."""
    deepspeed: str
    """File of the DeepSpeed configuration (ZeRO stage, offload); infra/deepspeed/ has several."""
    precision: Literal["bf16", "fp32"]
    """Number type of the forward and backward pass; master weights and optimizer states are always fp32."""
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    """With each of them, the rows of a pack do not attend to each other; `sdpa` and `flash_attention_2` (GPU
    only) need no mask for it."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, about a third more time."""
    save_steps: Count
    """Optimizer steps between two checkpoints."""
    keep_checkpoints: Count
    """Number of checkpoints that are kept during training."""


class OptimizerParams(Section):
    """AdamW with warm-up and cosine decay, as in the paper."""

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
    """Weight of a target token, see training/ranks/losses.py; exact over ranks and gradient accumulation."""
    batch_packs: Count
    """Packs of one optimizer step on all ranks together; a multiple of the number of ranks."""
    optimizer: OptimizerParams


class SampleParams(Section):
    """Several answers of the SFT model to each instruction, for preference pairs."""

    limit: Count
    """Largest number of instructions, taken from the training split in the order of their hashes."""
    samples: Annotated[int, Field(ge=2)]
    """Answers to each instruction (4 in the paper)."""
    max_tokens_per_word: Positive
    """Longest answer in tokens, as a multiple of the required words."""
    min_kept_share: Share
    """Smallest share of the chosen instructions that must be answered; with less, the stage stops with exit
    code 3."""
    sampling: Sampling
    """`max_tokens` limits every answer."""


class PreferencesParams(Section):
    """From samples to pairs: the best sample is chosen, a random other one rejected."""

    quality_weight: Share
    """Weight of the quality S_q in the score of a sample, the rest is S_l; 0 = no judge is used (0.5 in the
    paper)."""
    min_gap: NotNegative
    """Smallest difference of the scores of chosen and rejected, in points."""
    test_share: Share
    """Share of the instructions held out for testing, by hash."""
    min_pairs: Count
    """Gate: smallest number of pairs."""
    max_words_ratio: Positive
    """Gate: largest ratio of the mean words of chosen and rejected, in either direction."""
    warn: list[PairRule]
    """Gate: expectations that only warn; every other one stops the pipeline."""
    seed: int


class DpoParams(Section):
    """Direct preference optimisation with a next-token term on chosen."""

    beta: Positive
    sft_weight: NotNegative
    """Weight of the next-token loss on chosen."""
    batch_pairs: Count
    """Pairs of one optimizer step on all ranks together; a multiple of the number of ranks."""
    max_length: Annotated[int, Field(ge=8)]
    """Longest prompt and answer together, in tokens; a longer pair is rejected."""
    optimizer: OptimizerParams
