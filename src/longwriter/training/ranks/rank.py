"""One rank of training: TRL's trainers on DeepSpeed, with exact loss weights and exact held-out numbers.

Run: launch.py starts `python -m longwriter.training.ranks.rank JOB.json` under torchrun or deepspeed.
Forward and backward pass run in bf16 (`training.precision`); DeepSpeed keeps master weights and Adam
states in fp32 and sums gradients in fp32. A rank processes one pack (or pair) per micro-step, or its
part of a pack that several ranks share.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from longwriter.io import startup
from longwriter.io.process import die_with_parent

if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)  # before the imports below, which take seconds
    startup.begin_rank()

import deepspeed
import torch
import torch.distributed as dist
from datasets import Dataset, concatenate_datasets, load_dataset
from torch.utils.data import DataLoader
from transformers import AutoConfig, TrainerCallback, set_seed
from transformers.integrations.deepspeed import deepspeed_load_checkpoint
from trl import DPOConfig, SFTConfig

from longwriter.io.files import CHAT_CHANGES
from longwriter.io.packs import PAIR_COLUMNS, count
from longwriter.launch import checkpoints, launch
from longwriter.launch.launch import Job
from longwriter.params.training import DpoParams, OptimizerParams
from longwriter.tokens import tokenizer
from longwriter.tokens.packing import IGNORE_INDEX
from longwriter.training.ranks import (
    adapters,
    attention,
    choices,
    isolation,
    loss_head,
    recomputing,
    sequence_parallel,
    utilisation,
)
from longwriter.training.ranks.choices import Choice
from longwriter.training.ranks.pack_trainer import PackTrainer
from longwriter.training.ranks.pair_trainer import PairTrainer, without_padding
from longwriter.training.ranks.sequence_parallel import Group
from longwriter.training.ranks.watch import Watch, best_step

_PACK_COLUMNS = ["input_ids", "labels", "seq_lengths"]


def _arguments(job: Job, optimizer: OptimizerParams, batch: int) -> dict[str, Any]:
    """Return the settings that both trainers share; the ranks share a batch evenly."""
    return {
        "output_dir": job.checkpoints,
        "per_device_train_batch_size": 1,
        "per_device_eval_batch_size": 1,
        "gradient_accumulation_steps": batch // dist.get_world_size(),
        "num_train_epochs": optimizer.epochs,
        "learning_rate": optimizer.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": optimizer.warmup_share,  # below 1: a share
        "weight_decay": optimizer.weight_decay,
        "adam_beta1": optimizer.betas[0],
        "adam_beta2": optimizer.betas[1],
        "max_grad_norm": optimizer.max_grad_norm,
        "seed": optimizer.seed,
        "data_seed": optimizer.seed,
        "bf16": job.training.precision == "bf16",
        "use_cpu": job.device == "cpu",
        "ddp_timeout": int(job.training.timeout_s),
        "deepspeed": job.layout,
        "gradient_checkpointing": job.training.gradient_checkpointing,
        "gradient_checkpointing_kwargs": recomputing.options(job.training),
        "save_strategy": "steps",
        "save_steps": job.training.save_steps,
        "save_total_limit": None,  # Watch removes old ones, after the new one is marked as complete
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "prediction_loss_only": True,
        "report_to": "none",
        "disable_tqdm": True,
        "model_init_kwargs": {
            "dtype": "bfloat16" if job.training.precision == "bf16" else "float32",
        },
    }


def _choose_attention(job: Job, config: Any, group: Group) -> Choice:
    """Set the attention of a trainer's configuration."""
    model, setting = AutoConfig.from_pretrained(job.model), job.training.attention
    dtype = torch.bfloat16 if job.training.precision == "bf16" else torch.float32
    choice = group.attend(attention.of_packs(setting, model, dtype, config.device), model)
    config.model_init_kwargs["attn_implementation"] = choice.name
    return choice


def _rows(path: str, cache: Path, columns: Sequence[str]) -> Dataset:
    """Return packs or pairs, memory-mapped from a Parquet file; the cache folder is outside the DVC output."""
    if not count(Path(path)):  # datasets refuses a file without rows
        return Dataset.from_dict({name: [] for name in columns})
    rows = load_dataset("parquet", data_files=path, split="train", cache_dir=str(cache))
    return rows.select_columns(list(columns))


def _with_padding(packs: Dataset, multiple: int, token: int) -> Dataset:
    """Return the packs and as many empty ones that all ranks get the same number; no real pack is repeated."""
    count = -len(packs) % multiple
    empty = {"input_ids": [token] * 2, "labels": [IGNORE_INDEX] * 2, "seq_lengths": [2]}
    extra = Dataset.from_list([empty] * count, features=packs.features) if count else None
    return concatenate_datasets([packs, extra]) if extra else packs


def _count_targets(packs: Dataset) -> int:
    return sum(label != IGNORE_INDEX for row in packs for label in row["labels"][1:])


def sft_trainer(job: Job, cache: Path, watch: Watch) -> PackTrainer:
    """Return the trainer of an SFT job."""
    assert job.sft is not None
    coder = tokenizer.load(Path(job.model))
    group = sequence_parallel.group(job.training.sequence_ranks)
    train, test = (_rows(path, cache, _PACK_COLUMNS) for path in (job.train, job.test))
    packs_at_once = dist.get_world_size() // group.size
    evaluates = bool(len(test)) and job.sft.eval_steps is not None
    config = SFTConfig(
        **_arguments(job, job.sft.optimizer, job.sft.batch_packs * group.size),
        eval_strategy="steps" if evaluates else "no",
        eval_steps=job.sft.eval_steps,
        packing=False,
        padding_free=True,
        pad_to_multiple_of=group.size,  # each token that is added is a sequence without a target
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    choice = _choose_attention(job, config, group)
    trainer = PackTrainer(
        model=job.model,
        args=config,
        train_dataset=_with_padding(train, job.sft.batch_packs, coder.eos_token_id),
        eval_dataset=_with_padding(test, packs_at_once, coder.eos_token_id) if len(test) else None,
        processing_class=coder,
        callbacks=[watch, *([isolation.Isolation()] if group.size == 1 else [])],
        **adapters.options(job),
    )
    trainer.weighting, trainer.watch, trainer.group = job.sft.loss, watch, group
    trainer.capacity = -(-max(map(sum, train["seq_lengths"])) // group.size) * group.size
    tokens = trainer.capacity // group.size
    trainer.choices = {
        "attention": choice,
        "loss_head": loss_head.add(job.training.loss_head, trainer.model, tokens, config.device),
    }
    if len(test):
        trainer.test_targets_a_pack = _count_targets(test) / len(trainer.eval_dataset)
    return trainer


def dpo_trainer(job: Job, cache: Path, watch: Watch) -> PairTrainer:
    """Return the trainer of a DPO job; computes the reference's log-probabilities once, up front."""
    assert job.dpo is not None
    train, test = (_rows(path, cache, PAIR_COLUMNS) for path in (job.train, job.test))
    terms = {job.dpo.loss: 1.0, "sft": job.dpo.sft_weight}
    evaluates = bool(len(test)) and job.dpo.eval_steps is not None
    config = DPOConfig(
        **_arguments(job, job.dpo.optimizer, job.dpo.batch_pairs),
        eval_strategy="steps" if evaluates else "no",
        eval_steps=job.dpo.eval_steps,
        beta=job.dpo.beta,
        loss_type=[name for name, weight in terms.items() if weight],
        loss_weights=[weight for weight in terms.values() if weight],
        precompute_ref_log_probs=True,
        max_length=None,  # the stage rejected longer pairs, so none is cut
    )
    choice = _choose_attention(job, config, Group())
    trainer = PairTrainer(
        model=job.model,
        args=config,
        train_dataset=train,
        eval_dataset=test,
        processing_class=tokenizer.load(Path(job.model)),
        callbacks=[watch, isolation.Isolation()],
        watch=watch,
        head_setting=job.training.loss_head,
        longest=job.dpo.max_length,
        **adapters.options(job),
    )
    trainer.choices["attention"] = choice
    trainer.measure_pairs = partial(_measure_pairs, trainer, job.dpo)
    return trainer


def held_out(trainer: Any, job: Job) -> dict[str, float]:
    """Return the numbers of the trained model on the held-out rows; empty without such rows."""
    if trainer.eval_dataset is None:
        return {}
    if job.dpo is None:
        return {"test_loss": round(float(trainer.evaluate()["eval_loss"]), 8)}
    _, accuracy, margin = _measure_pairs(trainer, job.dpo)
    return {
        "test_pairs": len(trainer.eval_dataset),
        "test_reward_accuracy": round(accuracy, 8),  # as the curve rounds it
        "test_reward_margin": round(margin, 8),
    }


def _measure_pairs(trainer: Any, dpo: DpoParams) -> tuple[float, float, float]:
    """Return loss, accuracy and margin of the held-out pairs.

    TRL would count some pairs twice if their number is not a multiple of the ranks, and sum a margin over the tokens
    also with `sigmoid_norm`.
    """
    trainer.model_wrapped.eval()
    loader = DataLoader(trainer.eval_dataset, batch_size=1, collate_fn=trainer.data_collator)
    rows: list[list[float]] = []
    for batch in trainer.accelerator.prepare(loader):
        chosen, rejected = _log_probs(trainer, batch)
        margin = _gain(chosen - batch["ref_chosen_logps"], batch, dpo.loss, 0)
        margin -= _gain(rejected - batch["ref_rejected_logps"], batch, dpo.loss, 1)
        next_token = -chosen / _target_count(batch, 0)
        loss = dpo.sft_weight * next_token - torch.nn.functional.logsigmoid(dpo.beta * margin)
        numbers = torch.stack([loss, dpo.beta * margin], dim=1)
        rows += trainer.accelerator.gather_for_metrics(numbers).float().tolist()  # without repeated pairs
    losses, margins = zip(*rows, strict=True)
    count = len(rows)
    return sum(losses) / count, sum(margin > 0 for margin in margins) / count, sum(margins) / count


def _log_probs(trainer: Any, batch: dict[str, Any]) -> list[torch.Tensor]:
    """Return the log-probabilities of the chosen and the rejected answers of some pairs under the trained model.

    TRL's own method would turn a LoRA adapter off.
    """
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORE_INDEX)
    with torch.no_grad(), trainer.accelerator.autocast():
        output = without_padding(
            trainer.model_wrapped, **inputs, labels=labels, use_cache=False, fused_lm_head=True
        )
    chosen, rejected = output.log_probs.sum(dim=1).chunk(2)
    return [chosen, rejected]


def _gain(log_ratio: torch.Tensor, batch: dict[str, Any], loss: str, side: int) -> torch.Tensor:
    """Return what an answer (side 0: chosen, 1: rejected) has gained over the reference, as the loss counts it."""
    if loss == "sigmoid":
        return log_ratio
    return log_ratio / _target_count(batch, side)


def _target_count(batch: dict[str, Any], side: int) -> torch.Tensor:
    return batch["completion_mask"].chunk(2)[side].sum(dim=1)  # tokens of the chosen or the rejected answers


def _resume(folder: Path) -> str | None:
    """Return the last complete checkpoint, or None."""
    steps = checkpoints.finished(folder)
    return str(folder / f"checkpoint-{steps[-1]}") if steps else None


def _publish(trainer: Any, job: Job) -> None:
    """Write the model as safetensors with tokenizer and generation config; no pickled file is written."""
    out = Path(job.out)
    if job.lora is not None:
        merged = adapters.publish(trainer, job)
        if merged is not None:
            merged.save_pretrained(out)
    else:
        _save_whole(trainer, out)
    if dist.get_rank() == 0:
        for name in ("generation_config.json", CHAT_CHANGES):
            if (Path(job.model) / name).is_file():
                shutil.copyfile(Path(job.model) / name, out / name)
        trainer.processing_class.save_pretrained(out)
    dist.barrier()


def _save_whole(trainer: Any, out: Path) -> None:
    """Write weights and config of a model that is trained whole."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # complete on rank 0, also under ZeRO-3
    if dist.get_rank() == 0:
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        if model.config.tie_word_embeddings:  # DeepSpeed's state has tied weights twice
            state = {name: rows for name, rows in state.items() if name not in model.all_tied_weights_keys}
        model.save_pretrained(out, state_dict=state)


class _AfterConversion(TrainerCallback):  # type: ignore[misc]
    """Mends what DeepSpeed's ZeRO 3 (0.19) gets wrong when it reads a converted checkpoint.

    DeepSpeed gives all groups of weights the weight decay of the first group. It also gives all of them one tensor
    for Adam's step, and each group then raises this step.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Give the two groups that transformers makes their own decay, and each its own step."""
        optimizer = objects["optimizer"]
        for group, decay in zip(optimizer.param_groups, (args.weight_decay, 0.0), strict=True):
            group["weight_decay"] = decay
        for values in optimizer.state.values():
            if torch.is_tensor(values.get("step")):
                values["step"] = values["step"].clone()


def train(job: Job) -> None:
    """Train, from the last complete checkpoint if there is one; write model, curve and held-out numbers."""
    if dist.get_world_size() != job.ranks:
        raise RuntimeError(
            f"{dist.get_world_size()} ranks were started, the job needs {job.ranks}: see training.ranks"
        )
    folder = Path(job.checkpoints)
    set_seed(job.sft.optimizer.seed if job.sft else job.dpo.optimizer.seed if job.dpo else 0)
    checkpoint = _resume(folder)
    if is_converted := checkpoint is not None and (Path(checkpoint) / checkpoints.UNIVERSAL).is_file():
        job.layout["checkpoint"] = {"load_universal": True}
    cache = folder / "datasets"
    publishes_best = job.sft is not None and job.sft.publish == "best"
    patience = job.sft.patience if job.sft else None
    watch = Watch(folder, job.training.keep_checkpoints, keep_best=publishes_best, patience=patience)
    trainer = (sft_trainer if job.kind == "sft" else dpo_trainer)(job, cache, watch)
    if job.device == "cuda" and (gpu := utilisation.gpu_of(torch.cuda.get_device_name())):
        watch.measure_utilisation(utilisation.work_of(trainer.model), utilisation.PEAKS[gpu])
    if is_converted:
        trainer.add_callback(_AfterConversion())
    if dist.get_rank() == 0:
        choices.write(folder, trainer.choices)
    trainer.train(resume_from_checkpoint=checkpoint)
    if watch.is_stopped:
        return
    numbers = {}
    if publishes_best and (best := best_step(trainer.state)):
        numbers["published_step"] = float(best)
        if best != trainer.state.global_step:
            step = str(folder / f"checkpoint-{best}")
            deepspeed_load_checkpoint(trainer.model_wrapped, step, load_module_strict=job.lora is None)
    numbers |= held_out(trainer, job)
    _publish(trainer, job)
    if dist.get_rank() == 0:
        (folder / checkpoints.HELD_OUT).write_text(json.dumps(numbers), encoding="utf-8")


def connect(device: str, timeout_s: float) -> None:
    """Connect the ranks, and turn off what would cost minutes.

    DeepSpeed would compile a shared-memory all-reduce that gloo does not use. cuDNN's attention would make a plan
    for each new length of a sequence: 5.6 s for a step of 32,768 tokens instead of 1.0 s, see infra/bench/README.md.
    """
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.backends.cuda.enable_cudnn_sdp(False)
    timeout = timedelta(seconds=timeout_s)
    # DeepSpeed's own groups have PyTorch's time-out, 10 minutes with NCCL, whatever that of the first group is.
    dist.distributed_c10d.default_pg_timeout = dist.distributed_c10d.default_pg_nccl_timeout = timeout
    deepspeed.init_distributed(dist_backend="gloo" if device == "cpu" else "nccl", timeout=timeout)


def _main(file: str) -> None:
    startup.end()
    job = Job.model_validate_json(Path(file).read_text(encoding="utf-8"))
    try:
        connect(job.device, job.training.timeout_s)
        train(job)
    except Exception as error:
        # If another rank was killed, this one loses its connection, but it is not the cause.
        if not isinstance(error, dist.DistError) and "gloo/transport" not in str(error):
            _report(Path(job.checkpoints), error)
        raise
    dist.destroy_process_group()


def _report(folder: Path, error: Exception) -> None:
    """Write the error into the room that is reserved for it, unless another rank has written its own."""
    text = f"rank {os.environ.get('RANK', '?')}: {type(error).__name__}: {error}{_advice(error)}"
    failed = folder / launch.FAILED
    with suppress(FileNotFoundError):
        (folder / launch.ROOM_FOR_FAILED).rename(failed)
        with failed.open("r+b") as out:
            out.write(text.encode()[: launch.FAILED_BYTES])
            out.truncate()


def _advice(error: Exception) -> str:
    """Return what to change in params.yaml after this error; empty for most errors."""
    if not isinstance(error, torch.OutOfMemoryError):
        return ""
    return (
        ". Use infra/deepspeed/zero3_offload.json, training.gradient_checkpointing, training.activation_offload, "
        "training.sequence_ranks (for SFT on several GPUs), or a smaller pack.max_length"
    )


if __name__ == "__main__":
    _main(sys.argv[-1])
