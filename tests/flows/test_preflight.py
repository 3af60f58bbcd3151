"""What a flow asks before it pays for anything."""

from __future__ import annotations

import pytest

from flows import preflight
from longwriter.capacity import table

NAMES = ["base_model", "instructions", "plan", "pack", "sft", "sample"]


@pytest.mark.parametrize(
    ("names", "stale", "source", "stages"),
    [
        (NAMES, {"plan"}, "hub:a/b", ["base_model", "instructions"]),
        (NAMES, set(NAMES), "hub:a/b", ["base_model", "instructions"]),
        (NAMES, set(NAMES), "path:folder", ["instructions"]),  # known when base_model has copied it
        (NAMES, set(NAMES), "pypi:a==1/b.gguf", ["instructions"]),
        (NAMES[1:], {"pack"}, "path:folder", ["instructions"]),
        (NAMES[:4], set(NAMES), "hub:a/b", []),  # no training
        (NAMES, {"sample"}, "hub:a/b", []),  # the training is done
        (NAMES, set(), "hub:a/b", []),
    ],
)
def test_the_check_runs_before_a_flow_that_will_train(names, stale, source, stages) -> None:
    assert preflight.stages_with_check(names, stale, source) == stages


def test_a_training_that_fits_takes_one_line_of_the_log() -> None:
    gib = 1024**3
    memory = {"sft": {"weights": {"device": 3 * gib}, "buckets": {"device": gib, "host": 9 * gib}}}
    report = {"model": {"model_type": "llama"}, "memory": memory, "advice": ["more disk"], "errors": []}
    assert table.summary(report) == "everything that is known fits; sft 4.0 GiB a rank; more disk"
    assert table.summary({**report, "model": None, "advice": []}) == (
        "no trouble found; the model is not known yet"
    )
