"""The dense and the fused loss head give the same numbers and gradients; auto chooses by device and memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from longwriter.tokens.packing import IGNORE_INDEX
from tests.jobs import load_model

CPU = torch.device("cpu")
FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")


@pytest.fixture(scope="module")
def loss_head():
    from longwriter.training.ranks import loss_head  # imports trl, which takes seconds

    return loss_head


def labels_of(ids: torch.Tensor, prompts: list[int]) -> torch.Tensor:
    labels = ids.clone()
    for row, prompt in zip(labels, prompts, strict=True):
        row[:prompt] = IGNORE_INDEX
    return labels


@pytest.mark.parametrize("prompts", [[12], [0], [40], [5, 30], [40, 7]], ids=str)
def test_both_heads_give_the_same_numbers_and_gradients(
    loss_head, tiny_model: Path, prompts: list[int]
) -> None:
    torch.manual_seed(0)
    ids = torch.randint(3, 250, (len(prompts), 40))
    labels, weights = labels_of(ids, prompts), torch.rand(len(prompts), 39)
    outputs, gradients = [], []
    for name in ("dense", "fused"):
        model = load_model(tiny_model)
        assert loss_head.add(name, model, 80, CPU, FIELDS).name == name
        output = model(ids, labels=labels, fused_lm_head=True, use_cache=False)
        (output.log_probs * weights).sum().backward()
        outputs.append(output)
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    for name in (*FIELDS, "label_mask"):
        dense, fused = (getattr(output, name).float() for output in outputs)
        assert dense.shape == fused.shape == (len(prompts), 39)
        assert (dense - fused).abs().max() < 1e-5, name
    assert (gradients[0] - gradients[1]).norm() <= 1e-6 * gradients[1].norm()
    dense, fused = ((output.log_probs.detach() * weights).sum() for output in outputs)
    assert float(dense) == pytest.approx(float(fused), rel=1e-6, abs=1e-9)


def test_without_labels_the_model_gives_its_logits(loss_head, tiny_model: Path) -> None:
    model = load_model(tiny_model)
    ids = torch.arange(3, 20)[None]
    before = model(ids).logits
    loss_head.add("dense", model, 17, CPU)
    assert torch.equal(model(ids).logits, before)
    assert model(ids, labels=ids).loss.isfinite()


@pytest.mark.parametrize(
    ("device", "tokens", "name"),
    [("cpu", 2048, "dense"), ("cpu", 3_000_000, "fused"), ("cuda", 2048, "fused")],
)
def test_auto_is_dense_on_a_cpu_while_its_logits_are_small(
    loss_head, tiny_model: Path, device: str, tokens: int, name: str
) -> None:
    choice = loss_head.add("auto", load_model(tiny_model), tokens, torch.device(device))
    assert choice.name == name, choice
    assert choice.reason


def test_capacity_expects_the_same_head(loss_head) -> None:
    from longwriter.capacity import memory

    assert memory.MAX_DENSE_BYTES == loss_head.MAX_DENSE_BYTES


@pytest.mark.parametrize("name", ["dense", "fused"])
def test_labels_that_are_already_shifted_give_the_same_numbers(
    loss_head, tiny_model: Path, name: str
) -> None:
    model = load_model(tiny_model)
    loss_head.add(name, model, 40, CPU)
    ids = torch.arange(3, 43)[None]
    labels = labels_of(ids, [12])
    whole = model(ids, labels=labels, fused_lm_head=True, use_cache=False).log_probs
    shifted = model(ids, shift_labels=labels.roll(-1), fused_lm_head=True, use_cache=False).log_probs
    assert torch.allclose(shifted[:, :-1], whole) and shifted[0, -1] == 0
