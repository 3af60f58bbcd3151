"""Sections of the training stages: packs, SFT, samples, preference pairs, DPO, and the ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.models import JudgingParams, LLMParams, Sampling
from longwriter.settings import named_files
from longwriter.settings.numbers import (
    AdamBeta,
    Batch,
    Checkpoints,
    DpoBeta,
    Epochs,
    Evaluations,
    GradNorm,
    InnerShare,
    LearningRate,
    LoraAlpha,
    LoraRank,
    LossWeight,
    OptimizerSteps,
    PartShare,
    Points,
    Ranks,
    Ratio,
    Rows,
    RowTokens,
    Samples,
    Seconds,
    Seed,
    Share,
    TokensPerWord,
    WeightDecay,
)
from longwriter.settings.section import Conflict, Section
from longwriter.settings.texts import DISTINCT, FilePath, Folder, JsonFile, Line

PairRule = Literal[
    "enough_pairs", "both_sides_have_pairs", "sides_apart", "unique_ids", "roles_in_turn", "chosen_differs",
    "chosen_is_ahead", "no_refusal", "no_reasoning_text", "no_control_tokens", "no_meta_talk",
    "no_other_language", "no_loop", "traceable", "lengths_alike",
]  # fmt: skip


class PackParams(Section):
    """From chat rows to packs of token ids."""

    max_length: RowTokens
    """Tokens of one pack (32,768 in the paper); a longer row is rejected, never cut."""


class TrainingParams(Section):
    """How SFT and DPO run on ranks (training processes); decides speed and memory, not the data."""

    ranks: Ranks | Literal["auto"]
    """Number of ranks; `auto` = one for each GPU, or 2 on a CPU. With a hostfile, its slots count instead."""
    device: Literal["auto", "cuda", "cpu"]
    """What the ranks run on; `auto` = the GPUs of this machine, or of the nodes in the hostfile, else the CPU."""
    hostfile: Annotated[FilePath, named_files.HOSTFILE] | None
    """DeepSpeed hostfile of nodes that have this folder at the same path; null = this machine only."""
    remote_shell: Literal["ssh", "srun", "kubectl"]
    """Command that reaches the nodes of the hostfile: ssh without a password, srun inside a SLURM job, or `kubectl
    exec`, where the hosts are pods."""
    timeout_s: Seconds
    """Seconds that a rank waits for the others before it fails; the slowest wait is for rank 0 to save a model."""
    deepspeed: Annotated[JsonFile, named_files.JSON_OBJECT]
    """File of the DeepSpeed configuration (ZeRO stage, offload); infra/deepspeed/ has several."""
    precision: Literal["bf16", "fp32"]
    """Number type of the forward and backward pass; master weights and optimizer states are always fp32."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"]
    """Implementation of attention. With each of them, the rows of a pack, and the two answers of a preference pair, do
    not attend to each other; only `eager` needs a mask for that. `auto` = PyTorch's varlen kernel on a GPU where it
    agrees with `sdpa`, else `sdpa`; the log says which, and why. `flash_attention_2` needs a GPU and the package
    flash-attn."""
    loss_head: Literal["auto", "dense", "fused"]
    """How the log-probabilities of the targets are computed: from all logits at once, or tile by tile. `auto` = dense
    on a CPU while its logits take at most 2 GiB, else fused; the results are the same."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, about a third more time."""
    selective_checkpointing: bool = False
    """Gradient checkpointing also keeps the output of attention: long packs take less time, and each layer keeps about
    twice as much memory. Not allowed with ZeRO 3."""
    activation_offload: bool = False
    """Keep the inputs of the layers, which gradient checkpointing stores, in the memory of the host instead of the
    GPU's; each step takes longer. It needs a GPU."""
    sequence_ranks: Ranks = 1
    """Number of ranks that share one pack of SFT (Ulysses, arXiv:2309.14509), for packs that are too long for one GPU:
    each rank holds the activations of a part of its tokens. It divides the number of ranks and the model's heads. DPO
    does not use it: there each rank has pairs of its own."""
    save_steps: OptimizerSteps
    """Optimizer steps between two checkpoints."""
    keep_checkpoints: Checkpoints
    """Number of checkpoints that are kept during training."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the settings that need gradient checkpointing, which is off, or another attention."""
        if self.sequence_ranks > 1 and self.attention not in ("auto", "sdpa"):
            yield Conflict(("sequence_ranks",), f"1 while training.attention is {self.attention}")
        for key in ("selective_checkpointing", "activation_offload"):
            if getattr(self, key) and not self.gradient_checkpointing:
                yield Conflict((key,), "false while training.gradient_checkpointing is false")


class OptimizerParams(Section):
    """AdamW with warm-up and cosine decay, as in the paper."""

    epochs: Epochs
    """Passes over the rows; a fraction is allowed."""
    learning_rate: LearningRate
    """Largest learning rate, reached after the warm-up."""
    warmup_share: Share
    """Share of all steps over which the learning rate rises."""
    weight_decay: WeightDecay
    """Share by which a step at learning rate 1 makes each weight smaller."""
    betas: Annotated[list[AdamBeta], Field(min_length=2, max_length=2)]
    """Shares of two old averages (gradient, squared gradient) that AdamW keeps at each step."""
    max_grad_norm: GradNorm
    """Largest norm of the gradient; a larger gradient is scaled down to it."""
    seed: Seed
    """Seed of the training."""


class LoraParams(Section):
    """Training of a low-rank adapter instead of all weights (LoRA, arXiv:2106.09685), by PEFT.

    It needs a learning rate about ten times that of full training: 1e-4 instead of 1e-5 for a model of 9B.
    The adapter is added to the model's weights when the model is published, and is published beside them.
    """

    rank: LoraRank
    """Rank of the two matrices that a layer gets; 16 to 64 are usual."""
    alpha: LoraAlpha
    """Strength of the adapter. It is multiplied by alpha / sqrt(rank), or, if not `rank_stabilised`, by
    alpha / rank."""
    dropout: PartShare
    """Share of an adapter's inputs that are left out at random in each training step."""
    rank_stabilised: bool
    """Scale by the square root of the rank (arXiv:2312.03732), so that a higher rank does not learn more slowly."""
    targets: Literal["all-linear"] | Annotated[list[Line], Field(min_length=1), DISTINCT]
    """Layers that get an adapter: every linear layer but the output layer, or layers by name, such as [q_proj,
    v_proj]."""
    full_layers: Annotated[list[Line], DISTINCT]
    """Names of layers whose own weights are trained, such as [embed_tokens, lm_head]; they get no adapter."""
    quantised: bool
    """QLoRA (arXiv:2305.14314): the frozen weights are held in 4 bits during training. It needs an NVIDIA GPU and
    the package bitsandbytes. The published model has all bits: the adapter is added to the original weights."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield layers that would be trained twice."""
        overlap = set(self.full_layers) & set(self.targets)
        if not isinstance(self.targets, str) and overlap:
            yield Conflict(
                ("full_layers",), f"layers that are not in targets: {', '.join(sorted(overlap))} are"
            )


class SftParams(Section):
    """Supervised fine-tuning on packs."""

    loss: Literal["token_mean", "sequence_mean", "released"]
    """Weight of a target token, see training/ranks/losses.py; exact over ranks and gradient accumulation."""
    batch_packs: Batch
    """Packs of one optimizer step on all ranks together; a multiple of the number of ranks, or of groups of
    `training.sequence_ranks`."""
    eval_steps: OptimizerSteps | None
    """Optimizer steps between two measurements of the held-out loss; null = only once, after the last step."""
    publish: Literal["last", "best"]
    """Which weights become the model: those after the last step, or those with the lowest held-out loss."""
    patience: Evaluations | None
    """Training stops after this many measurements in a row without a lower held-out loss; null = never."""
    lora: LoraParams | None = None
    """Adapter (LoRA) to train; null = all weights are trained."""
    optimizer: OptimizerParams
    """Settings of AdamW."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the settings that need measurements of the held-out loss, although `eval_steps` is null."""
        if self.eval_steps is None and self.publish == "best":
            yield Conflict(("publish",), "last while sft.eval_steps is null")
        if self.eval_steps is None and self.patience is not None:
            yield Conflict(("patience",), "null while sft.eval_steps is null")


class SampleParams(Section):
    """Several answers of the SFT model to each instruction, for preference pairs."""

    limit: Rows
    """Largest number of instructions, taken from the training split in the order of their hashes."""
    samples: Samples
    """Answers to each instruction (4 in the paper)."""
    steps: Literal["own", "written"] | None = None
    """Beside whole answers, the model also writes `samples` continuations of one text for each instruction
    (LongDPO, arXiv:2502.02095). They start at the paragraph in which its answers become weak: they repeat
    themselves, become too long, or end too early. Two continuations become a pair with the same beginning, and DPO
    trains on the continuations only. `own`: the text is the model's own answer with the worst length; `written`:
    the text of the training row; null = whole answers only.
    """
    max_tokens_per_word: TokensPerWord
    """Longest answer in tokens, as a multiple of the required words."""
    min_kept_share: Share
    """Smallest share of the selected instructions that must be answered; with less, the stage stops with exit
    code 3."""
    sampling: Sampling
    """`max_tokens` limits every answer."""


class QualityJudgeParams(JudgingParams):
    """The judge of the samples; the judge of the benchmark is in `score`."""

    llm: LLMParams | None
    """Model that judges, with the fields of `llm`; null = no judge."""

    def panel(self) -> list[LLMParams]:
        """Return the judge, or nothing."""
        return [] if self.llm is None else [self.llm]


class PreferencesParams(Section):
    """From samples to pairs: the best sample is chosen, a random other one rejected."""

    quality_weight: Share
    """Weight of the quality score S_q in the score of a sample; S_l has the rest of the weight. 0 = no judge is
    used (0.5 in the paper)."""
    judge: QualityJudgeParams
    """The judge that gives the samples their quality score, if `quality_weight` is above 0."""
    min_gap: Points
    """Smallest difference between the scores of chosen and rejected, in points from 0 to 100."""
    max_pair_ratio: Ratio | None
    """Largest ratio of the words of chosen and rejected in one pair, in either direction, so that DPO does not learn
    length alone; null = any."""
    general_source: Folder
    """Folder of JSON Lines files with pairs of other projects (`prompt`, `chosen`, `rejected`); its README or
    LICENSE states the licence."""
    general_share: PartShare
    """Largest share of these pairs among the training pairs; the held-out pairs have none."""
    test_share: InnerShare
    """Share of the instructions held out for testing, by hash."""
    min_pairs: Rows
    """Gate: smallest number of pairs."""
    max_words_ratio: Ratio
    """Gate: largest ratio of the mean words of chosen and rejected, in either direction."""
    warn: Annotated[list[PairRule], DISTINCT]
    """Gate: expectations that only warn; every other one stops the pipeline."""
    seed: Seed
    """Seed of the choice of the rejected sample."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a weight of quality without a judge, and a judge without a weight."""
        if self.quality_weight and self.judge.llm is None:
            yield Conflict(("quality_weight",), "0 while preferences.judge.llm is null; name a judge there")
        if not self.quality_weight and self.judge.llm is not None:
            yield Conflict(
                ("judge", "llm"),
                "null while preferences.quality_weight is 0, because nothing asks this judge",
            )


class DpoParams(Section):
    """Direct preference optimisation with a next-token loss on the chosen answers."""

    loss: Literal["sigmoid", "sigmoid_norm"]
    """Loss on the log-probabilities of whole answers, or on their mean over the tokens of an answer
    (arXiv:2411.15124: `dpo_norm`), which does not grow with the length of the answers. `sigmoid_norm` needs a beta
    and a learning rate of its own: Tulu 3 has 5 and 5e-7 for 8B, 5 and 2e-7 for 70B."""
    beta: DpoBeta
    """Weight of the distance to the SFT model; smaller values let DPO move further away from it. Published
    values are 0.01 to 0.5 for `sigmoid` and 5 for `sigmoid_norm`."""
    sft_weight: LossWeight
    """Weight of the next-token loss on the chosen answers."""
    batch_pairs: Batch
    """Pairs of one optimizer step on all ranks together; a multiple of the number of ranks."""
    max_length: RowTokens
    """Largest number of tokens of a prompt and one answer together; a longer pair is rejected."""
    eval_steps: OptimizerSteps | None = None
    """Optimizer steps between two measurements of loss, accuracy and margin of the held-out pairs; null = only
    accuracy and margin, once, after the last step."""
    lora: LoraParams | None = None
    """Adapter (LoRA) of the SFT model to train; null = all weights are trained."""
    optimizer: OptimizerParams
    """Settings of AdamW."""
