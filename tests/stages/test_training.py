"""Training for real on the tiny model: exact losses over ranks and accumulation, and every way to die."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from longwriter.core.packing import IGNORE_INDEX
from longwriter.edges import checkpoints, launch, packs
from longwriter.edges.launch import Job
from longwriter.errors import TrainingFailed, Unavailable
from longwriter.params import DpoParams, SftParams, TrainingParams
from longwriter.params.training import OptimizerParams

ROOT = Path(__file__).parents[2]
OPTIMIZER = OptimizerParams(
    epochs=1, learning_rate=1e-3, warmup_share=0.0, weight_decay=0.1, betas=[0.9, 0.95],
    max_grad_norm=1000.0, seed=0,
)  # fmt: skip
TRAINING = TrainingParams(
    ranks="auto", hostfile=None, deepspeed="infra/deepspeed/zero2.json", precision="fp32", attention="sdpa",
    gradient_checkpointing=False, save_steps=1000, keep_checkpoints=1,
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


def nll(model, ids, labels) -> torch.Tensor:
    """Return the negative log-likelihoods of one sequence's targets, seen alone."""
    logits = model(ids[None], use_cache=False).logits[0, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits, labels[1:], ignore_index=IGNORE_INDEX, reduction="none"
    )
    return losses[labels[1:] != IGNORE_INDEX]


def reference(model_folder: Path, rows: list[dict], loss: str) -> tuple[float, float]:
    """Return loss and gradient norm by their definition, sequence by sequence, in one process."""
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
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


def job(folder: Path, model: Path, rows: list[dict], ranks: int, **sft) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    packs.write(folder / "train.parquet", rows)
    packs.write(folder / "test.parquet", [pack(99, 2), pack(98, 4), pack(97, 1)])
    settings = {"loss": "token_mean", "batch_packs": len(rows), "optimizer": OPTIMIZER, **sft}
    return Job(
        kind="sft", model=str(model), train=str(folder / "train.parquet"), test=str(folder / "test.parquet"),
        out=str(folder / "out"), checkpoints=str(folder / "state"), device="cpu", ranks=ranks,
        layout=launch.layout_of(str(ROOT / "infra/deepspeed/zero2.json")), training=TRAINING,
        sft=SftParams(**settings),
    )  # fmt: skip


def run(one: Job) -> list[dict[str, float]]:
    return launch.run(one, lambda _: None, lambda _: None)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_and_separate_logits_and_losses_agree(tiny_model: Path, attention: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        tiny_model, dtype=torch.float32, attn_implementation=attention
    )
    row = pack(1, 4)
    batch = DataCollatorForLanguageModeling(pad_token_id=2, padding_free=True)([row])
    with torch.no_grad():
        packed = model(
            batch["input_ids"], position_ids=batch["position_ids"], attention_mask=None, use_cache=False
        ).logits[0]
        apart = torch.cat([model(ids[None], use_cache=False).logits[0] for ids, _ in sequences_of(row)])
        assert (packed - apart).abs().max() < 1e-5
        losses = torch.nn.functional.cross_entropy(
            packed[:-1], batch["labels"][0, 1:], ignore_index=IGNORE_INDEX, reduction="none"
        )
        alone = torch.cat([nll(model, ids, labels) for ids, labels in sequences_of(row)])
        assert (losses[batch["labels"][0, 1:] != IGNORE_INDEX] - alone).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("ranks", "accumulation", "loss"),
    [
        (1, 1, "token_mean"),
        (1, 4, "token_mean"),
        (2, 1, "token_mean"),
        (2, 4, "token_mean"),
        (2, 4, "sequence_mean"),
        (2, 4, "released"),
    ],
)
def test_loss_and_gradient_are_exact_over_ranks_and_accumulation(
    tmp_path: Path, tiny_model: Path, ranks: int, accumulation: int, loss: str
) -> None:
    rows = [pack(key, 1 + key % 5) for key in range(ranks * accumulation)]
    [point] = run(job(tmp_path / "job", tiny_model, rows, ranks, loss=loss))
    value, norm = reference(tiny_model, rows, loss)
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)


def tied(tiny_model: Path, folder: Path) -> Path:
    """Return a copy of the model whose head is its embedding, as in SmolLM2."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    copy = shutil.copytree(tiny_model, folder)
    model.save_pretrained(copy)
    assert "lm_head.weight" not in tensors(copy)
    return copy


def test_zero_3_trains_as_zero_2_does_and_publishes_whole_weights(tmp_path: Path, tiny_model: Path) -> None:
    tiny_model = tied(tiny_model, tmp_path / "tied")
    rows = [pack(key, 3) for key in range(4)]
    layout = launch.layout_of(str(ROOT / "infra/deepspeed/zero3.json"))
    one = job(tmp_path / "job", tiny_model, rows, 2).model_copy(update={"layout": layout})
    [point] = run(one)
    value, norm = reference(tiny_model, rows, "token_mean")
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)
    trained = AutoModelForCausalLM.from_pretrained(one.out, dtype=torch.float32)
    before = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    moved = [(a - b).abs().max() for a, b in zip(trained.parameters(), before.parameters(), strict=True)]
    assert 0 < max(moved) < 2e-3  # AdamW's first step: at most the learning rate, and the decay
    published = {path.name for path in Path(one.out).iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= published
    assert not [name for name in published if name.endswith((".bin", ".pt", ".pth"))]
    assert tensors(one.out) == tensors(tiny_model)


def tensors(folder: str | Path) -> set[str]:
    with safe_open(Path(folder) / "model.safetensors", "pt") as file:
        return set(file.keys())


def dpo_job(folder: Path, model: Path) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    for split, number in (("train", 40), ("test", 5)):
        lines = []
        for key in range(number):
            turn = {"role": "user", "content": f"Say {key} in {split}."}
            good, bad = (f"{key} is the number {'a b c ' * (key % 4)}", "z" * (5 + key % 7))
            sides = {"chosen": good, "rejected": bad}
            row = {name: [{"role": "assistant", "content": text}] for name, text in sides.items()}
            lines.append(json.dumps({"prompt": [turn], **row}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    base = job(folder / "base", model, [pack(0, 1)], 2)
    settings = DpoParams(beta=0.1, sft_weight=0.2, batch_pairs=2, max_length=512, optimizer=OPTIMIZER)
    return base.model_copy(
        update={
            "kind": "dpo", "sft": None, "dpo": settings, "train": str(folder / "train.jsonl"),
            "test": str(folder / "test.jsonl"), "out": str(folder / "out"), "checkpoints": str(folder / "state"),
        }
    )  # fmt: skip


def jobs(kind: str, folder: Path, model: Path) -> Job:
    """Return a job of 20 steps that saves after every fifth."""
    saving = TRAINING.model_copy(update={"save_steps": 5})
    if kind == "dpo":
        return dpo_job(folder, model).model_copy(update={"training": saving})
    rows = [pack(key, 1 + key % 4) for key in range(40)]
    return job(folder, model, rows, 2, batch_packs=2).model_copy(update={"training": saving})


def ranks_below(pid: int) -> list[psutil.Process]:
    """Return the rank processes below a process, those of torchrun's own first child left out."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [
            p
            for p in below
            if "longwriter.edges.training" in p.cmdline() and "torch.distributed.run" not in p.cmdline()
        ]
    except psutil.NoSuchProcess:
        return []


def disturb(one: Job, file: Path, step: int, how: str) -> int:
    """Start the job, do `how` once the curve has reached `step`; return the exit code; nobody is left."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    stage = subprocess.Popen([sys.executable, "-m", "tests.train_job", str(file)], env=environment)
    try:
        end = time.monotonic() + 240
        while (
            not (points := checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE))
            or points[-1]["step"] < step
        ):
            assert stage.poll() is None, "it ended before it could be disturbed"
            assert time.monotonic() < end
            time.sleep(0.02)
        everyone = [psutil.Process(stage.pid), *psutil.Process(stage.pid).children(recursive=True)]
        if how == "kill a rank":
            ranks_below(stage.pid)[-1].kill()
        else:
            stage.send_signal(signal.SIGTERM if how == "terminate" else signal.SIGKILL)
        code = stage.wait(30)
        _, alive = psutil.wait_procs(everyone, timeout=15)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        return code
    finally:
        stage.kill()
        stage.wait()


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_training_that_dies_in_three_ways_ends_on_the_undisturbed_curve(
    tmp_path: Path, tiny_model: Path, kind: str
) -> None:
    calm = jobs(kind, tmp_path / "calm", tiny_model)
    undisturbed = run(calm)
    assert [point["step"] for point in undisturbed] == list(range(1, 21))
    one = jobs(kind, tmp_path / "disturbed", tiny_model)
    file = tmp_path / "job.json"
    file.write_text(one.model_dump_json(), encoding="utf-8")
    assert disturb(one, file, 6, "kill a rank") == Unavailable.exit_code
    assert checkpoints.finished(Path(one.checkpoints)) == [5]
    assert disturb(one, file, 11, "terminate") == 143
    assert disturb(one, file, 16, "kill") == -signal.SIGKILL
    resumed = run(one)
    assert [point["step"] for point in resumed] == list(range(1, 21))
    for before, after in zip(undisturbed, resumed, strict=True):
        assert after == pytest.approx(before, rel=1e-5, abs=1e-7), before["step"]
    held_out = [json.loads((Path(j.checkpoints) / "held_out.json").read_text()) for j in (calm, one)]
    assert held_out[0] == pytest.approx(held_out[1], rel=1e-4, abs=1e-6)
    if kind == "dpo":
        assert held_out[0]["test_pairs"] == 5
        assert undisturbed[-1]["reward_accuracy"] in (0.0, 0.5, 1.0)


def test_the_held_out_loss_is_the_mean_over_all_target_tokens(tmp_path: Path, tiny_model: Path) -> None:
    tiny_model = tied(tiny_model, tmp_path / "tied")
    one = job(tmp_path / "job", tiny_model, [pack(1, 2), pack(2, 2)], 2)
    run(one)
    assert tensors(one.out) == tensors(tiny_model)
    found = json.loads((Path(one.checkpoints) / "held_out.json").read_text())["test_loss"]
    trained = AutoModelForCausalLM.from_pretrained(one.out, dtype=torch.float32)
    with torch.no_grad():
        rows = packs.read(Path(one.test), ["input_ids", "labels", "seq_lengths"])
        each = [nll(trained, ids, labels) for row in rows for ids, labels in sequences_of(row)]
    assert found == pytest.approx(float(torch.cat(each).mean()), rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_training_and_says_what_to_do(
    tmp_path: Path, tiny_model: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model.lm_head.weight.data[5] = float("nan")
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    model.save_pretrained(broken)
    with pytest.raises(TrainingFailed, match=r"loss is nan at step 1.*learning_rate"):
        run(job(tmp_path / "job", broken, [pack(1, 2), pack(2, 2)], 2))
