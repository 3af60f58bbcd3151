"""Ranks that share each pack train as one rank alone does, for every weighting, layout and loss head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longwriter.launch import checkpoints
from longwriter.launch.launch import Job
from longwriter.tokens.packing import IGNORE_INDEX
from tests.jobs import (
    OPTIMIZER,
    TRAINING,
    job,
    job_file,
    layout_without_compiler,
    load_model,
    pack,
    reference,
    train_in_turn,
    with_lora,
)

CHECKPOINTING = ("gradient_checkpointing",)


class Case(NamedTuple):
    """A training in which ranks share packs."""

    rows: tuple[int, ...]
    """Sequences of each pack of a step."""
    loss: str = "token_mean"
    ranks: int = 2
    sequence_ranks: int = 2
    layout: str = "zero2"
    head: str = "dense"
    checkpointing: tuple[str, ...] = ()
    is_half_empty: bool = False
    """Whether the first pack has no target in the part of its last rank."""


CASES = [
    Case((1,)),  # its only sequence is on both ranks
    Case((4, 1, 3), "sequence_mean", head="fused"),
    Case((2, 5), "released", checkpointing=CHECKPOINTING),
    Case((3, 1), layout="zero3", head="fused", checkpointing=CHECKPOINTING, is_half_empty=True),
    Case((4, 2), checkpointing=(*CHECKPOINTING, "selective_checkpointing"), is_half_empty=True),
    Case((1, 4, 2, 3), "sequence_mean", ranks=4),  # two groups
    Case((3, 1), "released", ranks=4, sequence_ranks=4, layout="zero3"),  # more ranks than key heads
]


def rows_of(case: Case) -> list[dict[str, Any]]:
    rows = [pack(key, sequences) for key, sequences in enumerate(case.rows, 20)]
    if case.is_half_empty:
        labels = rows[0]["labels"]
        half = len(labels) // 2
        rows[0]["labels"] = labels[:half] + [IGNORE_INDEX] * (len(labels) - half)
    return rows


def job_of(case: Case, folder: Path, model: Path, **sft: Any) -> Job:
    update = {"sequence_ranks": case.sequence_ranks, "loss_head": case.head}
    update |= dict.fromkeys(case.checkpointing, True)
    one = job(folder, model, rows_of(case), case.ranks, loss=case.loss, **sft)
    training = TRAINING.model_copy(update=update)
    return one.model_copy(update={"training": training, "layout": layout_without_compiler(case.layout)})


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Job]:
    base = tmp_path_factory.mktemp("sequence_ranks")
    made: dict[Any, Job] = {
        case: job_of(case, base / str(number), tiny_model) for number, case in enumerate(CASES)
    }
    twice = OPTIMIZER.model_copy(update={"epochs": 2})
    steps = {"optimizer": twice, "batch_packs": 2, "eval_steps": 2}
    for sequence_ranks in (1, 2):
        case = Case((3, 1, 2, 4), ranks=sequence_ranks, sequence_ranks=sequence_ranks)
        made["whole", sequence_ranks] = job_of(case, base / f"long_{sequence_ranks}", tiny_model, **steps)
        made["lora", sequence_ranks] = with_lora(
            job_of(case, base / f"lora_{sequence_ranks}", tiny_model, **steps)
        )
    files = [job_file(one) for one in made.values()]
    moved = job_of(Case((3, 1, 2, 4)), base / "moved", tiny_model, **steps)
    shared_file = job_file(moved)
    folder = Path(moved.checkpoints)
    (folder / checkpoints.STOP).touch()
    training = moved.training.model_copy(update={"sequence_ranks": 1})
    apart_file = folder / "apart.json"
    apart_file.write_text(moved.model_copy(update={"training": training}).model_dump_json(), encoding="utf-8")
    train_in_turn([*files, shared_file, str(apart_file), shared_file, str(apart_file)], base)
    made["moved"] = moved
    return made


def curve(one: Job) -> list[dict[str, float]]:
    return checkpoints.read_curve(Path(one.checkpoints) / checkpoints.CURVE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_loss_and_gradient_are_those_of_whole_packs(
    trained: dict[Any, Job], tiny_model: Path, case: Case
) -> None:
    [point] = curve(trained[case])
    value, norm = reference(tiny_model, rows_of(case), case.loss)
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)


def held_out(one: Job) -> dict[str, float]:
    return json.loads((Path(one.checkpoints) / checkpoints.HELD_OUT).read_text())


PAIRS = [
    (("whole", 1), ("whole", 2)),
    (("lora", 1), ("lora", 2)),
    (("whole", 1), "moved"),  # it was stopped after each step, and went on with the other sequence_ranks
]


@pytest.mark.parametrize(("one_rank", "two_ranks"), PAIRS)
def test_two_ranks_that_share_packs_end_where_one_rank_does(
    trained: dict[Any, Job], one_rank: Any, two_ranks: Any
) -> None:
    alone, shared = trained[one_rank], trained[two_ranks]
    points = [curve(one) for one in (alone, shared)]
    assert [point["step"] for point in points[1]] == [1, 2, 3, 4]
    for before, after in zip(*points, strict=True):
        assert before.keys() == after.keys()
        for number in {"loss", "grad_norm", "test_loss", "learning_rate"} & before.keys():
            assert after[number] == pytest.approx(before[number], rel=1e-5), (number, before["step"])
        tokens = [point["tokens_per_s"] * point["step_s"] for point in (before, after)]
        assert tokens[1] == pytest.approx(tokens[0], rel=0.05)  # a pack of odd length gets a token more
    assert held_out(shared) == pytest.approx(held_out(alone), rel=1e-5)
    weights = [load_model(one.out).state_dict() for one in (alone, shared)]
    assert (
        max((weights[0][name] - weights[1][name]).abs().max() for name in weights[0]) < 1e-5
    )  # AdamW moves a weight by up to 1e-3 a step
