"""Training jobs for the tiny model, of random ids, and what their loss and gradient are by definition."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import torch
from safetensors import safe_open

from longwriter.io import packs
from longwriter.launch import launch
from longwriter.launch.launch import Job
from longwriter.params import DpoParams, SftParams, TrainingParams
from longwriter.params.training import LoraParams, OptimizerParams
from longwriter.records import Message
from longwriter.tokens import tokenizer
from longwriter.tokens.packing import IGNORE_INDEX
from tests import forking

ROOT = Path(__file__).parents[1]
OPTIMIZER = OptimizerParams(
    epochs=1, learning_rate=1e-3, warmup_share=0.0, weight_decay=0.1, betas=[0.9, 0.95],
    max_grad_norm=1000.0, seed=0,
)  # fmt: skip
TRAINING = TrainingParams(
    ranks="auto", device="auto", hostfile=None, remote_shell="ssh", timeout_s=600,
    deepspeed="infra/deepspeed/zero2.json", precision="fp32", attention="sdpa", loss_head="auto", gradient_checkpointing=False,
    save_steps=1000, keep_checkpoints=1,
)  # fmt: skip


def pack(key: int, sequences: int) -> dict:
    """Return a pack of token ids; the first third of each sequence is its prompt."""
    generator = torch.Generator().manual_seed(key)
    lengths = torch.randint(6, 30, (sequences,), generator=generator).tolist()
    ids = [torch.randint(3, 250, (length,), generator=generator).tolist() for length in lengths]
    labels = [[IGNORE_INDEX] * (len(row) // 3) + row[len(row) // 3 :] for row in ids]
    return {
        "input_ids": list(itertools.chain(*ids)),
        "labels": list(itertools.chain(*labels)),
        "seq_lengths": lengths,
        "sample_ids": [f"{key}-{i}" for i in range(sequences)],
    }


def sequences_of(row: dict) -> list[tuple[torch.Tensor, torch.Tensor]]:
    ids, labels = torch.tensor(row["input_ids"]), torch.tensor(row["labels"])
    return list(zip(ids.split(row["seq_lengths"]), labels.split(row["seq_lengths"]), strict=True))


def load_model(folder: str | Path, **options):
    """Return the model in `folder`, in float32."""
    from transformers import AutoModelForCausalLM  # takes seconds, and each pytest process imports this file

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)


def nll(model, ids, labels) -> torch.Tensor:
    """Return the negative log-likelihoods of one sequence's targets, seen alone."""
    logits = model(ids[None], use_cache=False).logits[0, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits, labels[1:], ignore_index=IGNORE_INDEX, reduction="none"
    )
    return losses[labels[1:] != IGNORE_INDEX]


def reference(model_folder: Path, rows: list[dict], loss: str) -> tuple[float, float]:
    """Return loss and gradient norm by their definition, sequence by sequence, in one process."""
    model = load_model(model_folder)
    each = [[nll(model, ids, labels) for ids, labels in sequences_of(row)] for row in rows]
    if loss == "token_mean":
        value = torch.cat([x for row in each for x in row]).mean()
    elif loss == "sequence_mean":
        value = torch.stack([x.mean() for row in each for x in row]).mean()
    else:
        value = torch.stack([len(row) / 30 * torch.cat(row).mean() for row in each]).mean()
    value.backward()
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in model.parameters()]))
    return float(value.detach()), float(norm)


def pair_reference(model_folder: Path, pairs: list[dict], dpo: DpoParams) -> tuple[float, float]:
    """Return loss and gradient norm of the first step by their definition, each answer alone, in one process."""
    model = load_model(model_folder)
    values = []
    for pair in pairs:
        gains, losses = [], []
        for side in ("chosen_ids", "rejected_ids"):
            ids = torch.tensor([*pair["prompt_ids"], *pair[side]])
            labels = torch.tensor([IGNORE_INDEX] * len(pair["prompt_ids"]) + pair[side])
            losses.append(nll(model, ids, labels))
            gain = losses[-1].detach() - losses[-1]  # before its first update the model is its own reference
            gains.append(gain.mean() if dpo.loss == "sigmoid_norm" else gain.sum())
        preference = -torch.nn.functional.logsigmoid(dpo.beta * (gains[0] - gains[1]))
        values.append(preference + dpo.sft_weight * losses[0].mean())
    value = torch.stack(values).mean()
    value.backward()
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in model.parameters()]))
    return float(value.detach()), float(norm)


def job(folder: Path, model: Path, rows: list[dict], ranks: int, **sft) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    packs.write(folder / "train.parquet", rows)
    packs.write(folder / "test.parquet", [pack(99, 2), pack(98, 4), pack(97, 1)])
    settings = {
        "loss": "token_mean", "batch_packs": len(rows), "eval_steps": None, "publish": "last", "patience": None,
        "optimizer": OPTIMIZER, **sft,
    }  # fmt: skip
    return Job(
        kind="sft", model=str(model), train=str(folder / "train.parquet"), test=str(folder / "test.parquet"),
        out=str(folder / "out"), checkpoints=str(folder / "state"), device="cpu", ranks=ranks,
        layout=launch.layout_of(str(ROOT / "infra/deepspeed/zero2.json")), training=TRAINING,
        sft=SftParams(**settings),
    )  # fmt: skip


def dpo_job(folder: Path, model: Path) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    coder = tokenizer.Coder(tokenizer.load(model))
    for split, number in (("train", 40), ("test", 5)):
        rows = []
        for key in range(number):
            turn = {"role": "user", "content": f"Say {key} in {split}.{' Go on.' * (key % 3 * 10)}"}
            good, bad = (f"{key} is the number {'a b c ' * (key % 4)}", "z" * (5 + key % 7 * 10))
            chosen, rejected = (
                coder.answer([Message(**turn), Message(role="assistant", content=text)], 512, "", "dpo")
                for text in (good, bad)
            )
            rows.append(
                {
                    "prompt_ids": chosen.prompt_ids,
                    "chosen_ids": chosen.completion_ids,
                    "rejected_ids": rejected.completion_ids,
                }
            )
        packs.write_pairs(folder / f"{split}.parquet", rows)
    base = job(folder / "base", model, [pack(0, 1)], 2)
    settings = DpoParams(
        loss="sigmoid", beta=0.1, sft_weight=0.2, batch_pairs=2, max_length=512, optimizer=OPTIMIZER
    )
    return base.model_copy(
        update={
            "kind": "dpo", "sft": None, "dpo": settings, "train": str(folder / "train.parquet"),
            "test": str(folder / "test.parquet"), "out": str(folder / "out"), "checkpoints": str(folder / "state"),
        }
    )  # fmt: skip


def with_lora(one: Job, layout: str = "zero2", **changes) -> Job:
    """Return the job with a LoRA adapter of rank 4 instead of full training."""
    settings = {
        "rank": 4, "alpha": 8.0, "dropout": 0.0, "rank_stabilised": True, "targets": "all-linear",
        "full_layers": [], "quantised": False, **changes,
    }  # fmt: skip
    section = getattr(one, one.kind).model_copy(update={"lora": LoraParams(**settings)})
    layout_of = launch.layout_of(str(ROOT / f"infra/deepspeed/{layout}.json"))
    return one.model_copy(update={one.kind: section, "layout": layout_of, "base": "dvc:0f.dir"})


def jobs(kind: str, folder: Path, model: Path) -> Job:
    """Return a job of 20 steps that saves after every fifth."""
    saving = TRAINING.model_copy(update={"save_steps": 5})
    if kind == "dpo":
        return dpo_job(folder, model).model_copy(update={"training": saving})
    rows = [pack(key, 1 + key % 4) for key in range(40)]
    return job(folder, model, rows, 2, batch_packs=2).model_copy(update={"training": saving})


def layout_without_compiler(name: str) -> dict:
    """Return a layout of infra/deepspeed; PyTorch's AdamW stands in for DeepSpeed's, which has to be compiled."""
    layout = launch.layout_of(str(ROOT / f"infra/deepspeed/{name}.json"))
    layout.pop("optimizer", None)
    return {**layout, "zero_force_ds_cpu_optimizer": False}


def job_file(one: Job) -> str:
    """Write a job into its checkpoint folder; return the file."""
    Path(one.checkpoints).mkdir()
    file = Path(one.checkpoints) / launch.JOB
    file.write_text(one.model_dump_json(), encoding="utf-8")
    return str(file)


def train_in_turn(files: list[str], folder: Path) -> None:
    """Run jobs one after the other, in ranks that fork off one process; see train_jobs.py."""
    environment = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"TORCHDYNAMO_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    output = folder / "train_jobs.out", folder / "train_jobs.err"
    code = forking.run("tests.train_jobs", files, folder, {**os.environ, **environment}, output, 1200)
    assert code == 0, output[1].read_text()[-5000:]


def tied(tiny_model: Path, folder: Path) -> Path:
    """Return a copy of the model whose head is its embedding, as in SmolLM2."""
    model = load_model(tiny_model)
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    copy = shutil.copytree(tiny_model, folder)
    model.save_pretrained(copy)
    assert "lm_head.weight" not in tensors(copy)
    return copy


def tensors(folder: str | Path) -> set[str]:
    with safe_open(Path(folder) / "model.safetensors", "pt") as file:
        return set(file.keys())
