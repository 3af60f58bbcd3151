"""What one can say to the flow: stages, items, matrix stages and groups."""

from __future__ import annotations

import pytest

from flows import pipeline
from longwriter.errors import UserError

ALL = [
    "base_model", "instructions", "plan", "write", "dataset", "validate", "pack", "sft", "sample", "preferences",
    "dpo", "generate@base_model-small", "generate@sft-small", "generate@dpo-small", "score@base_model-small",
    "score@sft-small", "score@dpo-small", "report@small", "register",
]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "stages"),
    [
        ([], ALL),
        (["data", "training", "benchmark"], ALL),
        (["data"], ALL[:6]),
        (["training"], ALL[6:11]),
        (["benchmark"], ALL[11:]),
        (["generate"], ALL[11:14]),
        (["score@sft-small"], ["score@sft-small"]),
        (["register", "sft", "pack", "sft"], ["pack", "sft", "register"]),
    ],
)
def test_names_groups_and_matrix_names_stand_for_stages_in_order(names: list[str], stages: list[str]) -> None:
    assert pipeline.expand(names) == stages


@pytest.mark.parametrize("name", ["generate@sft-huge", "sff", ""])
def test_an_unknown_name_is_told_with_the_names_that_exist(name: str) -> None:
    with pytest.raises(
        UserError, match=f"unknown stage {name}; there are data, training, benchmark, base_mo"
    ):
        pipeline.expand(["data", name])
