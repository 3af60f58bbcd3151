"""Every memory layout gives the same training, for SFT and DPO, on two ranks, and a checkpoint moves to other ranks.

That is 27 trainings, so this file is not in the plain run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from longwriter.launch import checkpoints, launch
from longwriter.launch.launch import Job
from longwriter.training import states
from tests.jobs import (
    OPTIMIZER,
    ROOT,
    TRAINING,
    dpo_job,
    job,
    job_file,
    layout_without_compiler,
    pack,
    train_in_turn,
)

pytestmark = pytest.mark.services

LAYOUTS = ("zero2", "zero2_offload", "zero3", "zero3_offload")
NUMBERS = ("loss", "grad_norm")


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Job]:
    """Jobs of two or three steps with gradient checkpointing, by trainer and layout."""
    base = tmp_path_factory.mktemp("layouts")
    made = {}
    for layout in LAYOUTS:
        update = {
            "layout": layout_without_compiler(layout),
            "training": TRAINING.model_copy(update={"gradient_checkpointing": True}),
        }
        rows = [pack(key, 3) for key in range(6)]
        sft = job(base / f"sft_{layout}", tiny_model, rows, 2, batch_packs=2)
        made["sft", layout] = sft.model_copy(update=update)
        dpo = dpo_job(base / f"dpo_{layout}", tiny_model)
        pairs = dpo.dpo.model_copy(update={"batch_pairs": 20})
        made["dpo", layout] = dpo.model_copy(update={**update, "dpo": pairs})
    train_in_turn([job_file(one) for one in made.values()], base)
    return made


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_every_layout_trains_as_zero_2_does(
    trained: dict[tuple[str, str], Job], kind: str, layout: str
) -> None:
    points, held_out = [], []
    for name in ("zero2", layout):
        folder = Path(trained[kind, name].checkpoints)
        curve = checkpoints.read_curve(folder / checkpoints.CURVE)
        points.append([[point[number] for number in NUMBERS] for point in curve])
        held_out.append(json.loads((folder / checkpoints.HELD_OUT).read_text()))
    assert len(points[0]) == {"sft": 3, "dpo": 2}[kind]
    assert points[1] == [pytest.approx(point, rel=1e-5) for point in points[0]]
    assert held_out[1] == pytest.approx(held_out[0], rel=1e-4)


class Move(NamedTuple):
    """A training that is stopped after its first step and goes on with other ranks, or another layout of its stage."""

    before: str
    ranks: int
    after: str
    other_ranks: int
    kind: str = "sft"
    precision: str = "fp32"


MOVES = [
    Move("zero2", 2, "zero2", 1),
    Move("zero2", 1, "zero2_offload", 2),
    Move("zero3", 2, "zero3", 1),
    Move("zero2", 2, "zero2", 1, "dpo"),
    Move("zero2", 2, "zero2", 1, "sft", "bf16"),
]


def one_of(
    folder: Path, model: Path, layout: str, ranks: int, kind: str = "sft", precision: str = "fp32"
) -> Job:
    """Return a job of six steps."""
    if kind == "dpo":
        made = dpo_job(folder, model)
        thrice = OPTIMIZER.model_copy(update={"epochs": 3})
        pairs = made.dpo.model_copy(update={"batch_pairs": 20, "optimizer": thrice})
        made = made.model_copy(update={"dpo": pairs, "ranks": ranks})
    else:
        rows = [pack(key, 1 + key % 4) for key in range(6)]
        twice = OPTIMIZER.model_copy(update={"epochs": 2})
        made = job(folder, model, rows, ranks, batch_packs=2, optimizer=twice)
    training = made.training.model_copy(update={"precision": precision})
    return made.model_copy(update={"layout": layout_without_compiler(layout), "training": training})


@pytest.fixture(scope="module")
def moved(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Move, tuple[Job, Job]]:
    """For each move a job that ran to its end, and one that was stopped after a step and went on elsewhere."""
    base = tmp_path_factory.mktemp("moves")
    made, files = {}, []
    for number, move in enumerate(MOVES):
        same = (move.kind, move.precision)
        calm = one_of(base / f"calm_{number}", tiny_model, move.before, move.ranks, *same)
        old = one_of(base / f"old_{number}", tiny_model, move.before, move.ranks, *same)
        new = one_of(base / f"new_{number}", tiny_model, move.after, move.other_ranks, *same)
        files += [
            job_file(calm),
            job_file(old),
            f"universal:{old.checkpoints}:{new.checkpoints}",
            job_file(new),
        ]
        (Path(old.checkpoints) / checkpoints.STOP).touch()
        made[move] = (calm, new)
    train_in_turn(files, base)
    return made


def check_same(calm: Job, other: Job) -> None:
    """Check that two trainings have the same curve and the same held-out numbers."""
    curves = [checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE) for one in (calm, other)]
    assert [point["step"] for point in curves[1]] == [1, 2, 3, 4, 5, 6]
    for before, after in zip(*curves, strict=True):
        for number in (*NUMBERS, "learning_rate"):
            assert after[number] == pytest.approx(before[number], rel=2e-6), before["step"]
    held_out = [
        json.loads((Path(one.checkpoints) / checkpoints.HELD_OUT).read_text()) for one in (calm, other)
    ]
    assert held_out[1] == pytest.approx(held_out[0], rel=1e-5)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: "-".join(map(str, move)))
def test_a_training_goes_on_with_other_ranks_as_if_nothing_had_changed(
    moved: dict[Move, tuple[Job, Job]], move: Move
) -> None:
    check_same(*moved[move])


def test_a_stage_takes_over_the_state_of_other_ranks_and_removes_it_after_a_step_of_its_own(
    moved: dict[Move, tuple[Job, Job]], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    made = []
    for ranks in (2, 1):
        one = one_of(tmp_path / f"{ranks}", tiny_model, "zero2", ranks)
        state = launch.checkpoint_folder("sft", "fingerprint", ranks, one.layout)
        state.parent.mkdir(parents=True, exist_ok=True)
        made.append(one.model_copy(update={"checkpoints": str(state)}))
    old, new = made
    old_file = job_file(old)
    (Path(old.checkpoints) / checkpoints.STOP).touch()
    train_in_turn([old_file], tmp_path)
    new_file = job_file(new)

    states.prepare(new, "fingerprint")

    assert (Path(new.checkpoints) / "checkpoint-1" / checkpoints.UNIVERSAL).is_file()
    assert checkpoints.finished(Path(new.checkpoints)) == checkpoints.finished(Path(old.checkpoints)) == [1]
    states.prepare(new, "fingerprint")  # converted once; the old state stays until the new one has a step
    assert Path(old.checkpoints).is_dir()
    train_in_turn([new_file], tmp_path)
    check_same(moved[MOVES[0]][0], new)
    states.prepare(new, "fingerprint")
    assert not Path(old.checkpoints).exists()


def test_a_training_goes_on_under_another_path(
    moved: dict[Move, tuple[Job, Job]], tiny_model: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there" / "deeper"
    old = one_of(here, tiny_model, "zero2", 2)
    old_file = job_file(old)
    (Path(old.checkpoints) / checkpoints.STOP).touch()
    train_in_turn([old_file], tmp_path)
    there.parent.mkdir()
    here.rename(there)
    new = Job.model_validate_json(old.model_dump_json().replace(str(here), str(there)))
    checkpoints.go_back_to_last(Path(new.checkpoints))
    (Path(new.checkpoints) / checkpoints.STOP).unlink()
    (Path(new.checkpoints) / launch.JOB).write_text(new.model_dump_json(), encoding="utf-8")
    train_in_turn([str(Path(new.checkpoints) / launch.JOB)], tmp_path)
    check_same(moved[MOVES[0]][0], new)
    assert not here.exists()
