"""Every memory layout gives the same training, for SFT and DPO, on two ranks, and a checkpoint moves to other ranks.

That is 17 trainings, so this file is not in the plain run.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longwriter.launch import checkpoints
from longwriter.launch.launch import Job
from tests.jobs import (
    OPTIMIZER,
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


MOVES = [("zero2", 2, "zero2", 1), ("zero2", 1, "zero2_offload", 2), ("zero3", 2, "zero3", 1)]


def one_of(folder: Path, model: Path, layout: str, ranks: int) -> Job:
    """Return a job of six steps."""
    rows = [pack(key, 1 + key % 4) for key in range(6)]
    twice = OPTIMIZER.model_copy(update={"epochs": 2})
    made = job(folder, model, rows, ranks, batch_packs=2, optimizer=twice)
    return made.model_copy(update={"layout": layout_without_compiler(layout)})


@pytest.fixture(scope="module")
def moved(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple, tuple[Job, Job]]:
    """For each move a job that ran to its end, and one that was stopped after a step and went on elsewhere."""
    base = tmp_path_factory.mktemp("moves")
    made, files = {}, []
    for number, (before, ranks, after, other_ranks) in enumerate(MOVES):
        calm = one_of(base / f"calm_{number}", tiny_model, before, ranks)
        old = one_of(base / f"old_{number}", tiny_model, before, ranks)
        new = one_of(base / f"new_{number}", tiny_model, after, other_ranks)
        files += [
            job_file(calm),
            job_file(old),
            f"universal:{old.checkpoints}:{new.checkpoints}",
            job_file(new),
        ]
        (Path(old.checkpoints) / checkpoints.STOP).touch()
        made[MOVES[number]] = (calm, new)
    train_in_turn(files, base)
    return made


@pytest.mark.parametrize("move", MOVES, ids=lambda move: "{}-{}-to-{}-{}".format(*move))
def test_a_training_goes_on_with_other_ranks_as_if_nothing_had_changed(
    moved: dict[tuple, tuple[Job, Job]], move: tuple
) -> None:
    calm, new = (checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE) for one in moved[move])
    assert [point["step"] for point in new] == [1, 2, 3, 4, 5, 6]
    for before, after in zip(calm, new, strict=True):
        for number in (*NUMBERS, "learning_rate"):
            assert after[number] == pytest.approx(before[number], rel=2e-6), before["step"]
    held_out = [json.loads((Path(one.checkpoints) / checkpoints.HELD_OUT).read_text()) for one in moved[move]]
    assert held_out[1] == pytest.approx(held_out[0], rel=1e-5)
