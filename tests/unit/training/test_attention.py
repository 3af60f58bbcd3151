"""Attention of packs: every way gives what a mask would give, and auto says what it uses and why."""

from __future__ import annotations

import pytest
import torch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def attention():
    from longwriter.training.ranks import attention  # imports transformers, which takes seconds

    return attention


@pytest.fixture(scope="module")
def config():
    from transformers import MistralConfig

    return MistralConfig(num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=None)


def test_auto_takes_sdpa_by_sequence_on_a_cpu_and_says_so(attention, config) -> None:
    choice = attention.of_packs("auto", config, torch.bfloat16, CPU)
    assert (choice.name, choice.reason, choice.error) == (
        "sdpa_by_sequence", "varlen needs a GPU, this is cpu", None,
    )  # fmt: skip


def test_a_kernel_that_fails_is_reported_and_does_not_stop_the_training(attention, config) -> None:
    error, trouble = attention.probe(config, torch.bfloat16, CPU)  # varlen has no kernel for a CPU
    assert error is None
    assert "NotImplementedError" in trouble


@pytest.mark.parametrize(("wanted", "name"), [("sdpa", "sdpa_by_sequence"), ("eager", "eager")])
def test_an_attention_that_is_named_is_used(attention, config, wanted: str, name: str) -> None:
    assert attention.of_packs(wanted, config, torch.bfloat16, CPU).name == name


@pytest.mark.parametrize("window", [None, 5, 100])
def test_by_sequence_attends_within_its_sequence_and_window(attention, window: int | None) -> None:
    lengths = [3, 1, 20, 8]
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 32, 8, dtype=torch.float64) for heads in (4, 2, 2))
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    output = attention.by_sequence(module, query, key, value, lengths, window)
    sequence = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))
    back = torch.arange(32)[:, None] - torch.arange(32)
    seen = (sequence[:, None] == sequence) & (back >= 0) & (back < (window or 32))
    key, value = (rows.repeat_interleave(2, dim=1) for rows in (key, value))
    scores = (query @ key.transpose(2, 3) / 8**0.5).masked_fill(~seen, -torch.inf)
    assert torch.allclose(output, (scores.softmax(-1) @ value).transpose(1, 2))
