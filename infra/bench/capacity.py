"""Measured peak memory of small trainings, beside what `longwriter capacity` computes for them.

Each case trains a random model of its shape for a few steps on CPU ranks, as the stages sft and dpo do, and reads the
peak of the process from its curve. The memory of a rank without a model (imports, gloo) is measured with a model
of 100,000 weights and taken off. tests/unit/capacity/test_memory.py holds the figures that this script printed.

Run: `python infra/bench/capacity.py [CASE …]`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from longwriter import params as parameters
from longwriter.io import packs
from longwriter.launch import launch
from tests import tiny_model

CHECKOUT = Path(__file__).resolve().parents[2]
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True,
}  # fmt: skip
WIDE = {
    "vocab_size": 16384, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
    "num_attention_heads": 8, "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
SMALL = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "nothing": {"shape": SMALL, "ranks": 2, "tokens": 64, "layout": "zero2", "precision": "fp32"},
    "embedded": {"shape": SMOLLM2, "ranks": 2, "tokens": 1024, "layout": "zero2", "precision": "bf16"},
    "zero3": {"shape": WIDE, "ranks": 2, "tokens": 1024, "layout": "zero3", "precision": "fp32"},
    "checkpointing": {
        "shape": WIDE, "ranks": 1, "tokens": 2048, "layout": "zero2", "precision": "bf16", "checkpointing": True,
    },
    "long packs": {"shape": WIDE, "ranks": 2, "tokens": 4096, "layout": "zero2", "precision": "fp32"},
    "shared packs": {
        "shape": WIDE, "ranks": 2, "tokens": 4096, "layout": "zero2", "precision": "fp32", "sequence_ranks": 2,
    },
    "pairs": {"shape": WIDE, "ranks": 1, "tokens": 2048, "layout": "zero2", "precision": "bf16", "kind": "dpo"},
}  # fmt: skip
STEPS = 4


def write_model(folder: Path, shape: dict[str, Any], precision: str) -> None:
    """Write a random Llama of a shape with a tokenizer into a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny_model.write(folder)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    config = LlamaConfig(
        max_position_embeddings=8192, bos_token_id=1, eos_token_id=2, pad_token_id=2, **shape
    )
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)


def pack(tokens: int) -> dict[str, Any]:
    """Return a pack of three rows without prompts."""
    ids = [4 + n % 200 for n in range(tokens)]
    third = tokens // 3
    lengths = [third, third, tokens - 2 * third]
    return {"input_ids": ids, "labels": ids, "seq_lengths": lengths, "sample_ids": list("abc")}


def pair(tokens: int) -> dict[str, list[int]]:
    """Return a pair of two answers that are equally long, after a prompt of four tokens."""
    ids = [4 + n % 200 for n in range(tokens // 2)]
    return {"prompt_ids": ids[:4], "chosen_ids": ids[4:], "rejected_ids": ids[:3:-1]}


def measure(case: dict[str, Any], folder: Path) -> list[float]:
    """Return the peak memory of a rank in GiB, after each step."""
    model = folder / "model"
    write_model(model, case["shape"], case["precision"])
    tokens, ranks = case["tokens"], case["ranks"]
    kind = case.get("kind", "sft")
    for split, number in (("train", STEPS * ranks), ("test", ranks)):
        file = folder / f"{split}.parquet"
        if kind == "sft":
            packs.write(file, [pack(tokens)] * number)
        else:
            packs.write_pairs(file, [pair(tokens)] * number)
    params = parameters.load()
    training = params.training.model_copy(
        update={
            "precision": case["precision"], "gradient_checkpointing": case.get("checkpointing", False),
            "save_steps": STEPS, "sequence_ranks": case.get("sequence_ranks", 1),
        }
    )  # fmt: skip
    once = {"optimizer": params.sft.optimizer.model_copy(update={"epochs": 1.0})}
    if kind == "sft":
        section = params.sft.model_copy(update={"batch_packs": ranks, "eval_steps": STEPS // 2, **once})
    else:
        section = params.dpo.model_copy(update={"batch_pairs": ranks, "max_length": tokens // 2, **once})
    job = launch.Job(
        kind=kind, model=str(model), train=str(folder / "train.parquet"), test=str(folder / "test.parquet"),
        out=str(folder / "out"), checkpoints=str(folder / "state"), device="cpu", ranks=ranks,
        layout=launch.layout_of(f"infra/deepspeed/{case['layout']}.json"), training=training, **{kind: section},
    )  # fmt: skip
    (folder / "out").mkdir()
    file = folder / "job.json"
    file.write_text(job.model_dump_json(), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'src'}{os.pathsep}{CHECKOUT}"}
    subprocess.run([sys.executable, "-m", "tests.train_job", str(file)], cwd=folder, env=env, check=True)
    lines = (folder / "state" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    return [point["peak_gib"] for point in map(json.loads, lines) if "peak_gib" in point]


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{name}: {measure(CASES[name], Path(folder))}\n")
            sys.stdout.flush()
