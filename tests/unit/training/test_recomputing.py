"""What gradient checkpointing keeps changes neither the loss nor its gradients, only what is computed again."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from longwriter.launch import launch
from tests.jobs import TRAINING, load_model


class Calls(TorchDispatchMode):
    """Counts the forward passes of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        self.attention += "_scaled_dot_product_" in name and "backward" not in name
        return func(*args, **(kwargs or {}))


@functools.cache
def one_step(folder: Path, checkpointing: str) -> tuple[float, torch.Tensor, int]:
    """Return loss, gradients, and how often attention was computed in a forward and backward pass."""
    from longwriter.training.ranks import recomputing

    model = load_model(folder).train()
    if checkpointing != "none":
        params = TRAINING.model_copy(update={"selective_checkpointing": checkpointing == "selective"})
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=recomputing.options(params))
    ids = torch.arange(3, 63)[None]
    with Calls() as calls:
        loss = model(ids, labels=ids, use_cache=False).loss
        loss.backward()
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    return loss.item(), gradients, calls.attention


@pytest.mark.parametrize("checkpointing", ["full", "selective"])
def test_loss_and_gradients_are_those_without_checkpointing(tiny_model: Path, checkpointing: str) -> None:
    loss, gradients, _ = one_step(tiny_model, "none")
    same_loss, same_gradients, _ = one_step(tiny_model, checkpointing)
    assert same_loss == loss
    assert torch.equal(same_gradients, gradients)


def test_only_selective_checkpointing_computes_attention_once(tiny_model: Path) -> None:
    once = one_step(tiny_model, "none")[2]
    assert once > 0
    assert one_step(tiny_model, "full")[2] == 2 * once
    assert one_step(tiny_model, "selective")[2] == once


def test_offload_is_left_to_transformers() -> None:
    from longwriter.training.ranks import recomputing

    offloaded = {"gradient_checkpointing": True, "activation_offload": True}
    assert recomputing.options(TRAINING.model_copy(update=offloaded)) == {"offload": True}
    assert recomputing.options(TRAINING) is None


@pytest.mark.parametrize(
    ("changes", "stage", "device", "advice"),
    [
        ({"selective_checkpointing": True}, 3, "cuda", "set it to false, or training.deepspeed"),
        ({"selective_checkpointing": True}, 3, "cpu", "set it to false, or training.deepspeed"),
        ({"selective_checkpointing": True}, 2, "cuda", None),
        ({}, 3, "cuda", None),
        ({"activation_offload": True}, 2, "cpu", "set it to false"),
        ({"activation_offload": True}, 3, "cuda", None),
    ],
)
def test_what_ranks_cannot_do_is_refused_with_what_to_do(
    changes: dict[str, Any], stage: int, device: Any, advice: str | None
) -> None:
    base = TRAINING.model_copy(update={"gradient_checkpointing": True, **changes})
    reason = launch.recomputing_problem(base, stage, device)
    assert (reason is None) == (advice is None)
    assert reason is None or advice in reason
