"""Training for real on the tiny model: exact losses over ranks and accumulation, and every way to die."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from longwriter.errors import TrainingFailed, Unavailable
from longwriter.io import packs
from longwriter.launch import checkpoints, launch
from longwriter.launch.launch import Job
from longwriter.tokens.packing import IGNORE_INDEX
from tests import disks, forking
from tests.jobs import (
    OPTIMIZER,
    ROOT,
    TRAINING,
    dpo_job,
    job,
    job_file,
    jobs,
    layout_without_compiler,
    load_model,
    nll,
    pack,
    pair_reference,
    reference,
    sequences_of,
    tensors,
    tied,
    train_in_turn,
    with_lora,
)

SPEED = {"step_s", "tokens_per_s", "fill", "peak_gib"}  # differ from run to run


def without_speed(points: list[dict[str, float]]) -> list[dict[str, float]]:
    assert all(point.keys() >= SPEED for point in points)
    return [{name: value for name, value in point.items() if name not in SPEED} for point in points]


def run(one: Job) -> list[dict[str, float]]:
    return without_speed(launch.run(one, lambda _: None, lambda _: None))


def curve(one: Job) -> list[dict[str, float]]:
    return without_speed(checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE))


def held_out(one: Job) -> dict[str, float]:
    return json.loads((Path(one.checkpoints) / "held_out.json").read_text())


EXACT = [
    (1, 1, "token_mean"),
    (1, 4, "token_mean"),
    (2, 1, "token_mean"),
    (2, 4, "token_mean"),
    (2, 4, "sequence_mean"),
    (2, 4, "released"),
]


def rows_of(ranks: int, accumulation: int) -> list[dict]:
    return [pack(key, 1 + key % 5) for key in range(ranks * accumulation)]


LORA_ROWS = [pack(key, 3) for key in range(4)]


SELECTIVE = TRAINING.model_copy(update={"gradient_checkpointing": True, "selective_checkpointing": True})


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Job]:
    """Jobs that ran to their end undisturbed, by name; all of them started at once, as imports take longest."""
    base = tmp_path_factory.mktemp("trained")
    whole = tied(tiny_model, base / "tied")
    zero_3 = {"layout": launch.layout_of(str(ROOT / "infra/deepspeed/zero3.json"))}
    made: dict[Any, Job] = {
        **{kind: jobs(kind, base / kind, tiny_model) for kind in ("sft", "dpo")},
        "held out": job(base / "held_out", whole, [pack(1, 2), pack(2, 2)], 2),
        "zero 3": job(base / "zero_3", whole, [pack(key, 3) for key in range(4)], 2).model_copy(
            update=zero_3
        ),
    }
    early = {"eval_steps": 1, "publish": "best", "patience": 2, "batch_packs": 2}
    hot = OPTIMIZER.model_copy(update={"epochs": 30, "learning_rate": 0.03})
    made["best"] = job(base / "best", tiny_model, [pack(1, 2), pack(2, 2)], 2, optimizer=hot, **early)
    made["no test rows"] = job(base / "no_test", tiny_model, [pack(1, 2), pack(2, 2)], 2, **early)
    packs.write(Path(made["no test rows"].test), [])
    one_step = dpo_job(base / "norm", tiny_model)
    norm = one_step.dpo.model_copy(
        update={"loss": "sigmoid_norm", "beta": 5.0, "batch_pairs": 40, "eval_steps": 1}
    )
    made["norm"] = one_step.model_copy(update={"dpo": norm, "training": SELECTIVE})
    made["norm, zero 3"] = dpo_job(base / "norm_zero_3", tiny_model).model_copy(
        update={"dpo": norm, **zero_3}
    )
    made["zero 3, offloaded"] = job(
        base / "offloaded", whole, [pack(key, 3) for key in range(4)], 2
    ).model_copy(update={"layout": layout_without_compiler("zero3_offload")})
    in_bf16 = TRAINING.model_copy(update={"precision": "bf16"})
    strong = one_step.dpo.model_copy(update={"beta": 5.0, "batch_pairs": 40})
    made["bf16 pairs"] = dpo_job(base / "bf16_pairs", tiny_model).model_copy(
        update={"dpo": strong, "training": in_bf16}
    )
    for ranks, accumulation, loss in EXACT:
        rows, folder = rows_of(ranks, accumulation), base / f"{ranks}-{accumulation}-{loss}"
        made[ranks, accumulation, loss] = job(folder, tiny_model, rows, ranks, loss=loss)
    twice = OPTIMIZER.model_copy(update={"epochs": 2})
    for name, layout in (("lora", "zero2"), ("lora, stopped at each step", "zero3")):
        sft = job(base / name, tiny_model, LORA_ROWS, 2, optimizer=twice)
        made[name] = with_lora(sft, layout, dropout=0.1, full_layers=["lm_head"])
    dpo = dpo_job(base / "lora_dpo", tiny_model)
    once = dpo.model_copy(update={"dpo": dpo.dpo.model_copy(update={"batch_pairs": 40, "eval_steps": 1})})
    made["lora dpo"] = with_lora(once)
    files = [job_file(one) for one in made.values()]
    stopped = made["lora, stopped at each step"].checkpoints
    (Path(stopped) / checkpoints.STOP).touch()
    files.append(f"{stopped}/job.json")
    train_in_turn(files, base)
    return made


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}")


@pytest.mark.parametrize("attention", ["sdpa", "eager", "sdpa by sequence"])
def test_packed_and_separate_logits_and_losses_agree(tiny_model: Path, attention: str) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling  # takes seconds

    from longwriter.training.ranks.attention import SDPA_BY_SEQUENCE

    name = SDPA_BY_SEQUENCE if attention == "sdpa by sequence" else attention
    model = load_model(tiny_model, attn_implementation=name)
    row = pack(1, 4)
    batch = DataCollatorForLanguageModeling(pad_token_id=2, padding_free=True)([row])
    with torch.no_grad():
        packed = model(
            batch["input_ids"],
            position_ids=batch["position_ids"],
            attention_mask=None,
            sequence_lengths=batch["cu_seq_lens_q"].diff().tolist(),
            use_cache=False,
        ).logits[0]
        model.set_attn_implementation("eager")
        apart = torch.cat([model(ids[None], use_cache=False).logits[0] for ids, _ in sequences_of(row)])
        assert (packed - apart).abs().max() < 1e-5
        losses = torch.nn.functional.cross_entropy(
            packed[:-1], batch["labels"][0, 1:], ignore_index=IGNORE_INDEX, reduction="none"
        )
        alone = torch.cat([nll(model, ids, labels) for ids, labels in sequences_of(row)])
        assert (losses[batch["labels"][0, 1:] != IGNORE_INDEX] - alone).abs().max() < 1e-5


@pytest.mark.parametrize(("ranks", "accumulation", "loss"), EXACT)
def test_loss_and_gradient_are_exact_over_ranks_and_accumulation(
    trained: dict[Any, Job], tiny_model: Path, ranks: int, accumulation: int, loss: str
) -> None:
    [point] = curve(trained[ranks, accumulation, loss])
    value, norm = reference(tiny_model, rows_of(ranks, accumulation), loss)
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("name", ["zero 3", "zero 3, offloaded"])
def test_zero_3_trains_as_zero_2_does_and_publishes_whole_weights(trained: dict[Any, Job], name: str) -> None:
    one = trained[name]
    [point] = curve(one)
    assert one.layout["zero_optimization"]["stage"] == 3
    value, norm = reference(Path(one.model), [pack(key, 3) for key in range(4)], "token_mean")
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)
    trained = load_model(one.out)
    before = load_model(one.model)
    moved = [(a - b).abs().max() for a, b in zip(trained.parameters(), before.parameters(), strict=True)]
    assert 0 < max(moved) < 2e-3  # AdamW's first step: at most the learning rate, and the decay
    published = {path.name for path in Path(one.out).iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= published
    assert not [name for name in published if name.endswith((".bin", ".pt", ".pth"))]
    assert tensors(one.out) == tensors(one.model)


@pytest.mark.parametrize("name", ["norm", "norm, zero 3"])
def test_loss_and_gradient_of_uneven_pairs_are_those_of_each_answer_alone(
    trained: dict[Any, Job], name: str
) -> None:
    one = trained[name]
    pairs = packs.read(Path(one.train), list(packs.PAIR_COLUMNS))
    sides = [[len(pair[side]) for pair in pairs] for side in ("prompt_ids", "chosen_ids", "rejected_ids")]
    assert all(max(lengths) > 2 * min(lengths) for lengths in sides)
    [point] = curve(one)
    value, norm = pair_reference(Path(one.model), pairs, one.dpo)
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)
    [speed] = checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE)
    tokens = sum(map(sum, zip(*sides, sides[0], strict=True)))
    assert speed["fill"] == pytest.approx(tokens / (40 * 2 * one.dpo.max_length), abs=1e-4)


def test_zero_3_trains_on_pairs_as_zero_2_does(trained: dict[Any, Job]) -> None:
    two, three = trained["norm"], trained["norm, zero 3"]
    assert [one.layout["zero_optimization"]["stage"] for one in (two, three)] == [2, 3]
    assert curve(three) == [pytest.approx(point, rel=1e-5, abs=1e-6) for point in curve(two)]
    assert held_out(three) == pytest.approx(held_out(two), rel=1e-4)


def ranks_below(pid: int) -> list[psutil.Process]:
    """Return the rank processes below a process: those that forked off their launcher."""
    module = "longwriter.training.cpu_ranks"
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [p for p in below if module in p.cmdline() and module in p.parent().cmdline()]
    except psutil.NoSuchProcess:
        return []


def disturb(one: Job, file: Path, step: int, how: str) -> int:
    """Start the job, do `how` once the curve has reached `step`; return the exit code; nobody is left."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    stage = subprocess.Popen([sys.executable, "-m", "tests.train_job", str(file)], env=environment)
    try:
        end = time.monotonic() + 900
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
        code = stage.wait(120)
        _, alive = psutil.wait_procs(everyone, timeout=120)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        return code
    finally:
        stage.kill()
        stage.wait()


WAYS = {"kill a rank": Unavailable.exit_code, "terminate": 143, "kill": -signal.SIGKILL}


@pytest.mark.parametrize(("kind", "ways"), [("sft", list(WAYS)), ("dpo", ["kill"])])
def test_a_training_that_dies_ends_on_the_undisturbed_curve(
    tmp_path: Path,
    trained: dict[Any, Job],
    tiny_model: Path,
    kind: str,
    ways: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calm = trained[kind]
    undisturbed = curve(calm)
    assert [point["step"] for point in undisturbed] == list(range(1, 21))
    one = jobs(kind, tmp_path / "disturbed", tiny_model)
    file = tmp_path / "job.json"
    file.write_text(one.model_dump_json(), encoding="utf-8")
    for times, how in enumerate(ways, 1):
        assert disturb(one, file, 5 * times + 1, how) == WAYS[how]
        steps = checkpoints.finished(Path(one.checkpoints))
        assert steps, "nothing to go on from"
        if how == "terminate":
            assert steps[-1] == curve(one)[-1]["step"], "SIGTERM lost a step"
    monkeypatch.setattr(sys, "executable", forking.python_of_ranks(tmp_path))
    resumed = run(one)
    assert [point["step"] for point in resumed] == list(range(1, 21))
    for before, after in zip(undisturbed, resumed, strict=True):
        assert after == pytest.approx(before, rel=1e-5, abs=1e-7), before["step"]
    assert held_out(calm) == pytest.approx(held_out(one), rel=1e-4, abs=1e-6)
    if kind == "dpo":
        assert held_out(calm)["test_pairs"] == 5
        assert undisturbed[-1]["reward_accuracy"] in (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("free_kb", "model", "code", "message"),
    [
        (300, "tiny", 2, "disk full ("),  # the weights do not fit, and safetensors says why
        (
            2_000,
            "tiny",
            2,
            "disk full (",
        ),  # PyTorch, which gives no errno, fails in the middle of a checkpoint
        (800, "missing", 1, "ModelUnusable: "),
    ],
)
def test_a_nearly_full_disk_is_blamed_only_for_a_write_that_failed(
    tmp_path: Path, tiny_model: Path, free_kb: int, model: str, code: int, message: str
) -> None:
    disk = tmp_path / "disk"
    with disks.disk(disk, "size=20m"):
        one = jobs("sft", tmp_path / "job", tiny_model)
        update = {"checkpoints": str(disk / "state"), "out": str(disk / "out")}
        update |= {} if model == "tiny" else {"model": str(tmp_path / model)}
        file = tmp_path / "job.json"
        file.write_text(one.model_copy(update=update).model_dump_json(), encoding="utf-8")
        (disk / ".lw/logs").mkdir(parents=True)
        (disk / "fill").write_bytes(bytes(shutil.disk_usage(disk).free - free_kb * 1024))
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            [forking.python_of_ranks(tmp_path), "-m", "tests.train_job", str(file)], cwd=disk, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert message in done.stderr.splitlines()[-1]


def test_the_held_out_loss_is_the_mean_over_all_target_tokens(trained: dict[Any, Job]) -> None:
    one = trained["held out"]
    assert tensors(one.out) == tensors(one.model)
    found = held_out(one)["test_loss"]
    trained = load_model(one.out)
    with torch.no_grad():
        rows = packs.read(Path(one.test), ["input_ids", "labels", "seq_lengths"])
        each = [nll(trained, ids, labels) for row in rows for ids, labels in sequences_of(row)]
    assert found == pytest.approx(float(torch.cat(each).mean()), rel=1e-5)


def test_training_stops_when_the_held_out_loss_rises_and_publishes_the_best_step(
    trained: dict[Any, Job],
) -> None:
    one = trained["best"]
    losses = {int(point["step"]): point["test_loss"] for point in curve(one)}
    best = min(losses, key=lambda step: losses[step])
    assert sorted(losses) == list(range(1, best + 3))
    assert best + 2 < 30
    assert held_out(one)["published_step"] == best
    assert held_out(one)["test_loss"] == pytest.approx(losses[best], rel=1e-5)
    model = load_model(one.out)
    with torch.no_grad():
        rows = packs.read(Path(one.test), ["input_ids", "labels", "seq_lengths"])
        each = [nll(model, ids, labels) for row in rows for ids, labels in sequences_of(row)]
    assert losses[best] == pytest.approx(float(torch.cat(each).mean()), rel=1e-4)


def test_in_bf16_a_model_has_no_margin_over_itself(trained: dict[Any, Job]) -> None:
    [point] = checkpoints.read_curve(Path(trained["bf16 pairs"].checkpoints) / "curve.jsonl")
    assert point["reward_margin"] == pytest.approx(0, abs=1e-3)  # before its first update it is its reference


@pytest.mark.parametrize(("name", "beta", "gain"), [("norm", 5.0, torch.mean), ("lora dpo", 0.1, torch.sum)])
def test_a_reward_is_the_gain_of_an_answer_or_of_its_mean_token(
    trained: dict[Any, Job], name: str, beta: float, gain: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    one = trained[name]
    [point] = curve(one)
    assert point["loss"] > math.log(2)  # of equal models; the rest is the next-token term
    after, before = load_model(one.out), load_model(one.model)
    margins, losses = [], []
    for pair in packs.read(Path(one.test), list(packs.PAIR_COLUMNS)):
        gains = []
        for side in ("chosen_ids", "rejected_ids"):
            ids = torch.tensor([*pair["prompt_ids"], *pair[side]])
            labels = torch.tensor([IGNORE_INDEX] * len(pair["prompt_ids"]) + pair[side])
            with torch.no_grad():
                gains.append(float(gain(nll(before, ids, labels) - nll(after, ids, labels))))
            if side == "chosen_ids":
                with torch.no_grad():
                    next_token = one.dpo.sft_weight * float(nll(after, ids, labels).mean())
        margins.append(beta * (gains[0] - gains[1]))
        losses.append(math.log1p(math.exp(-margins[-1])) + next_token)
    assert held_out(one)["test_reward_margin"] == pytest.approx(sum(margins) / 5, rel=1e-3, abs=1e-5)
    assert held_out(one)["test_reward_accuracy"] == sum(margin > 0 for margin in margins) / 5
    assert point["test_loss"] == pytest.approx(sum(losses) / 5, rel=1e-4)
    measured_in_training = {name: value for name, value in point.items() if name.startswith("test_reward")}
    assert measured_in_training == pytest.approx(
        {name: held_out(one)[name] for name in ("test_reward_accuracy", "test_reward_margin")}, abs=1e-6
    )


def test_lora_begins_at_the_loss_of_the_whole_model(trained: dict[Any, Job], tiny_model: Path) -> None:
    value, _ = reference(tiny_model, LORA_ROWS, "token_mean")
    points = curve(trained["lora"])
    assert points[0]["loss"] == pytest.approx(value, rel=1e-5)
    assert points[-1]["loss"] < value


def test_lora_publishes_the_base_model_with_the_adapter_added(
    trained: dict[Any, Job], tiny_model: Path
) -> None:
    from peft import PeftModel  # takes seconds

    one = trained["lora"]
    adapter = Path(one.out) / "adapter"
    ids = torch.arange(3, 203)[None]
    with torch.no_grad():
        merged = load_model(one.out)(ids).logits
        base = load_model(tiny_model)(ids).logits
        both = PeftModel.from_pretrained(load_model(tiny_model), adapter)(ids).logits
    assert (merged - both).abs().max() < 1e-5
    assert (merged - base).abs().max() > 1e-2
    assert tensors(one.out) == tensors(one.model)
    assert {path.name for path in adapter.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    config = (adapter / "adapter_config.json").read_text(encoding="utf-8")
    assert json.loads(config)["base_model_name_or_path"] == "dvc:0f.dir"
    assert str(tiny_model) not in config


def test_a_lora_training_by_zero_3_that_is_stopped_at_each_step_has_the_curve_of_zero_2(
    trained: dict[Any, Job],
) -> None:
    calm, stopped = trained["lora"], trained["lora, stopped at each step"]
    assert [point["step"] for point in curve(stopped)] == [1, 2]
    for before, after in zip(curve(calm), curve(stopped), strict=True):
        assert after == pytest.approx(before, rel=1e-5, abs=1e-7)
    assert held_out(stopped) == pytest.approx(held_out(calm), rel=1e-5)


def test_without_held_out_rows_the_last_step_is_published(trained: dict[Any, Job]) -> None:
    one = trained["no test rows"]
    assert held_out(one) == {}
    assert [point.get("test_loss") for point in curve(one)] == [None]
    assert (Path(one.out) / "model.safetensors").is_file()


def test_a_loss_that_is_no_number_stops_the_training_and_says_what_to_do(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", forking.python_of_ranks(tmp_path))
    model = load_model(tiny_model)
    model.lm_head.weight.data[5] = float("nan")
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    model.save_pretrained(broken)
    with pytest.raises(TrainingFailed, match=r"loss is nan at step 1.*learning_rate"):
        run(job(tmp_path / "job", broken, [pack(1, 2), pack(2, 2)], 2))
