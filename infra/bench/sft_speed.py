"""Tokens per second and peak memory of SFT: this project with one and two ranks, TRL's packing, a padded Trainer.

All train the same random model (SmolLM2's shape, 135M weights) on the same rows, with DeepSpeed's ZeRO 2: forward and
backward pass in bf16, master weights and AdamW in fp32. Rows have LongWriter-like lengths, and the first third of each
is its prompt. TRL packs to the same length (`bfd`); the padded Trainer takes four rows at once. An optimizer step has
about the same number of tokens everywhere. The first step is left out. A token counts if it is no padding.

Run: `python -m infra.bench.sft_speed` at the root of the repository, alone on the machine: about 15 minutes on two
cores. `--tiny` takes a model of 200,000 weights and shows with a CPU minute that the script works. A JSON line a
variant, as it comes, and the ratios at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from infra.bench.capacity import CHECKOUT, SMALL, SMOLLM2, write_model
from longwriter.io import packs
from longwriter.launch import environment, launch
from longwriter.tokens.packing import IGNORE_INDEX, best_fit_decreasing
from longwriter.web import net
from tests.jobs import OPTIMIZER, TRAINING

LAYOUT = launch.layout_of(str(CHECKOUT / "infra/deepspeed/zero2.json"))
PROJECT = {"project, 1 rank": 1, "project, 2 ranks": 2}
OTHERS = ("TRL, packing", "Trainer, padded")
PADDED_ROWS = 4


class Size(NamedTuple):
    """Model and data of a comparison."""

    shape: dict[str, Any]
    tokens: int
    pack: int
    median: int
    """Median tokens of a row."""


FULL, TINY = Size(SMOLLM2, 24_000, 2048, 500), Size(SMALL, 4_000, 256, 60)


def rows_of(size: Size) -> list[list[int]]:
    """Return rows of token ids with log-normal lengths, of about `size.tokens` together."""
    draw, rows = random.Random(0), []
    while sum(map(len, rows)) < size.tokens:
        length = min(size.pack, max(12, int(draw.lognormvariate(0, 0.8) * size.median)))
        rows.append([4 + draw.randrange(200) for _ in range(length)])
    return rows


def labels_of(row: list[int]) -> list[int]:
    """Return the labels of a row: its first third is the prompt."""
    return [IGNORE_INDEX] * (len(row) // 3) + row[len(row) // 3 :]


def project(ranks: int, size: Size, folder: Path) -> list[dict[str, float]]:
    """Train as the stage sft does; return tokens, seconds and GiB of all ranks of each step."""
    rows = rows_of(size)
    made = [
        {
            "input_ids": [token for row in pack for token in rows[row]],
            "labels": [label for row in pack for label in labels_of(rows[row])],
            "seq_lengths": [len(rows[row]) for row in pack],
            "sample_ids": [str(row) for row in pack],
        }
        for pack in best_fit_decreasing([len(row) for row in rows], size.pack)
    ]
    for split, part in (("train", made), ("test", made[:2])):
        packs.write(folder / f"{split}.parquet", part)
    (folder / "out").mkdir()
    job = launch.Job(
        kind="sft", model=str(folder / "model"), train=str(folder / "train.parquet"),
        test=str(folder / "test.parquet"), out=str(folder / "out"), checkpoints=str(folder / "state"), device="cpu",
        ranks=ranks, layout=LAYOUT, training=TRAINING.model_copy(update={"precision": "bf16"}),
        sft={
            "loss": "token_mean", "batch_packs": 2, "eval_steps": None, "publish": "last", "patience": None,
            "optimizer": OPTIMIZER.model_dump(),
        },
    )  # fmt: skip
    (folder / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
    _run(["-m", "tests.train_job", str(folder / "job.json")], folder, dict(os.environ))
    lines = (folder / "state" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    points = [point for point in map(json.loads, lines) if "step_s" in point]
    return [
        {"tokens": point["tokens_per_s"] * point["step_s"], "s": point["step_s"], "gib": ranks * point["peak_gib"]}
        for point in points
    ]  # fmt: skip


def other(name: str, size: Size, folder: Path) -> list[dict[str, float]]:
    """Train with another trainer in a process of its own; return the same as `project`."""
    env = environment.of_ranks(os.environ, "cpu", 1)
    env |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    env["MASTER_PORT"] = str(net.free_port())
    tiny = ["--tiny"] if size is TINY else []
    _run(["-m", "infra.bench.sft_speed", *tiny, "--train", name, str(folder)], folder, env)
    result: list[dict[str, float]] = json.loads((folder / "steps.json").read_text(encoding="utf-8"))
    return result


def _run(words: list[str], folder: Path, env: dict[str, str]) -> None:
    env["PYTHONPATH"] = f"{CHECKOUT / 'src'}{os.pathsep}{CHECKOUT}"
    with (folder / "log.txt").open("wb") as log:
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=env, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise SystemExit((folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-3000:])


def train(name: str, size: Size, folder: Path) -> None:
    """Train with TRL's packing or with a padded Trainer, in this process; write the steps to steps.json."""
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )
    from trl import SFTConfig, SFTTrainer

    from longwriter.training.ranks import rank

    rank.connect("cpu", 600)
    rows = rows_of(size)
    coder = AutoTokenizer.from_pretrained(folder / "model")
    common: dict[str, Any] = {
        "output_dir": str(folder / "state"), "num_train_epochs": 1, "bf16": True, "use_cpu": True,
        "deepspeed": LAYOUT, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "gradient_checkpointing": False, "learning_rate": 1e-3,
    }  # fmt: skip
    if name == OTHERS[0]:
        masks = [[int(label != IGNORE_INDEX) for label in labels_of(row)] for row in rows]
        trainer: Any = _timed(SFTTrainer)(
            model=str(folder / "model"),
            args=SFTConfig(
                **common, packing=True, max_length=size.pack, completion_only_loss=True,
                per_device_train_batch_size=1, gradient_accumulation_steps=2, model_init_kwargs={"dtype": "bfloat16"},
            ),
            train_dataset=Dataset.from_dict({"input_ids": rows, "completion_mask": masks}),
            processing_class=coder,
        )  # fmt: skip
    else:
        mean = sum(map(len, rows)) / len(rows)
        batches = max(1, round(2 * size.pack / (PADDED_ROWS * mean)))
        columns = {"input_ids": rows, "labels": list(map(labels_of, rows))}
        trainer = _timed(Trainer)(
            model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype="bfloat16"),
            args=TrainingArguments(
                **common, per_device_train_batch_size=PADDED_ROWS, gradient_accumulation_steps=batches
            ),
            train_dataset=Dataset.from_dict(columns),
            data_collator=DataCollatorForSeq2Seq(coder, padding=True),
        )
    trainer.train()
    (folder / "steps.json").write_text(json.dumps(trainer.steps()), encoding="utf-8")


def _timed(trainer: type[Any]) -> type[Any]:
    """Return a trainer that notes the tokens and the end of each micro-step."""

    class Timed(trainer):  # type: ignore[misc]
        def train(self, *args: Any, **options: Any) -> Any:
            self._ends, self._tokens, self._room = [], [], []
            return super().train(*args, **options)

        def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
            self._ends = self._ends or [time.monotonic()]
            mask = inputs.get("attention_mask")
            room = inputs["input_ids"].numel()
            self._tokens.append(room if mask is None else int(mask.sum()))
            self._room.append(room)
            loss = super().training_step(model, inputs, *args, **options)
            self._ends.append(time.monotonic())
            return loss

        def steps(self) -> list[dict[str, float]]:
            """Return tokens, room, seconds and GiB of each optimizer step, its update included."""
            micro, gib = (
                self.args.gradient_accumulation_steps,
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            )
            return [
                {
                    "tokens": sum(self._tokens[start : start + micro]),
                    "room": sum(self._room[start : start + micro]),
                    "s": self._ends[min(start + micro, len(self._tokens))] - self._ends[start],
                    "gib": gib / 2**20,
                }
                for start in range(0, len(self._tokens), micro)
            ]

    return Timed


def summary(name: str, steps: list[dict[str, float]]) -> dict[str, Any]:
    """Return the figures of a variant; the first step is left out."""
    later = steps[1:]
    tokens = sum(step["tokens"] for step in later)
    room = sum(step.get("room", step["tokens"]) for step in later)
    return {
        "variant": name,
        "tokens_per_s": round(tokens / sum(step["s"] for step in later), 1),
        "peak_gib": round(max(step["gib"] for step in steps), 2),
        "padding": round(1 - tokens / room, 3),
        "steps": len(steps),
    }


def main() -> None:
    """Compare, or train one of the others in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--train", nargs=2, metavar=("VARIANT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = TINY if options.tiny else FULL
    if options.train:
        train(options.train[0], size, Path(options.train[1]))
        return
    rates = {}
    for name in (*PROJECT, *OTHERS):
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)
            write_model(folder / "model", size.shape, "bf16")
            is_ours = name in PROJECT
            steps = project(PROJECT[name], size, folder) if is_ours else other(name, size, folder)
            row = summary(name, steps)
            rates[name] = row["tokens_per_s"]
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    ratios = {
        f"{ours} / {others}": round(rates[ours] / rates[others], 2) for ours in PROJECT for others in OTHERS
    }
    sys.stdout.write(json.dumps({"ratios": ratios}) + "\n")


if __name__ == "__main__":
    main()
