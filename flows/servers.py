"""Which stages of a flow get the model server of the stage before, and the order of the stages that allows it."""

from __future__ import annotations

from collections.abc import Sequence

from longwriter.models import server_keeper

ASKING = {
    "instructions", "plan", "write", "sample", "preferences", "fitness", "generate", "short_prompts", "score", "pairwise",
}  # fmt: skip
"""Stages that may ask a model; before every other one the server ends, so that a training has all of the memory."""
_ANSWERING = {"generate", "short_prompts"}
"""Stages in which the compared models answer; none of them waits for another one."""


def in_order(names: Sequence[str]) -> list[str]:
    """Return the stages of a flow; those in which one model answers follow each other, so it is served once.

    Args:
        names: Stages in dvc.yaml's order, such as generate@sft-small and short_prompts@sft.
    """
    answering = [name for name in names if _family(name) in _ANSWERING]
    models = [_model(name) for name in answering]
    by_model = iter(sorted(answering, key=lambda name: models.index(_model(name))))
    return [next(by_model) if name in answering else name for name in names]


def prepare(name: str) -> None:
    """End the server of the stage before, unless stage `name` may ask a model."""
    if _family(name) not in ASKING:
        server_keeper.end()


def _family(name: str) -> str:
    return name.partition("@")[0]


def _model(name: str) -> str:
    """Return the model of an item, such as sft of generate@sft-small."""
    return name.partition("@")[2].partition("-")[0]
