"""Every memory layout gives the same training, for SFT and DPO, on two ranks; eight trainings, so not in the plain run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longwriter.launch import checkpoints
from longwriter.launch.launch import Job
from tests.jobs import TRAINING, dpo_job, job, job_file, layout_without_compiler, pack, train_in_turn

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
