"""DPO without padding: the numbers and gradients of padded rows, from one pack that has no padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from longwriter.tokens.packing import IGNORE_INDEX
from tests.jobs import load_model

FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")
SHAPE = {
    "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip
ROWS = [(2, 60), (2, 7), (30, 33), (30, 58)]  # tokens of the prompt, and of prompt and answer
"""Two pairs: the chosen answers, then the rejected ones. The prompt of one pair is a long text."""


@pytest.fixture(scope="module")
def modules():
    from longwriter.training.ranks import attention, loss_head, pair_trainer  # take seconds

    assert attention.SDPA_BY_SEQUENCE == "sdpa_by_sequence"  # registered by this import
    return loss_head, pair_trainer


def new_model(kind: str, tiny_model: Path, attention: str) -> Any:
    if kind == "llama":
        return load_model(tiny_model, attn_implementation=attention)
    from transformers import AutoModelForCausalLM, MistralConfig, Qwen3Config

    torch.manual_seed(0)
    config = MistralConfig(**SHAPE, sliding_window=8) if kind == "mistral" else Qwen3Config(**SHAPE)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)


def padded_batch(rows: list[tuple[int, int]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    longest = max(tokens for _, tokens in rows)
    ids = torch.randint(3, 250, (len(rows), longest))
    place = torch.arange(longest)
    mask = torch.stack([place < tokens for _, tokens in rows]).long()
    is_target = torch.stack([(place >= prompt) & (place < tokens) for prompt, tokens in rows])
    return {
        "input_ids": ids.masked_fill(mask == 0, 2),
        "attention_mask": mask,
        "labels": ids.masked_fill(~is_target, IGNORE_INDEX),
    }


@pytest.mark.parametrize("rows", [ROWS, [(0, 5), (1, 1)], [(3, 9), (3, 9)]], ids=["uneven", "tiny", "even"])
@pytest.mark.parametrize(
    ("kind", "attention", "head", "is_checkpointed"),
    [
        ("llama", "sdpa_by_sequence", "dense", False),
        ("llama", "sdpa_by_sequence", "fused", True),
        ("llama", "eager", "dense", False),
        ("llama", "sdpa", "fused", False),
        ("mistral", "sdpa_by_sequence", "dense", True),
        ("mistral", "eager", "fused", False),
        ("qwen3", "sdpa_by_sequence", "fused", False),
    ],
)
def test_pairs_without_padding_have_the_numbers_and_gradients_of_padded_pairs(
    modules, tiny_model: Path, kind: str, attention: str, head: str, is_checkpointed: bool, rows
) -> None:
    loss_head, pair_trainer = modules
    batch = padded_batch(rows)
    weights = torch.rand(batch["labels"][:, 1:].shape)
    outputs, gradients = [], []
    for is_padded in (True, False):
        model = new_model(kind, tiny_model, "eager" if is_padded else attention)
        loss_head.add(head, model, 200, torch.device("cpu"), FIELDS)
        if is_checkpointed and not is_padded:
            model.activation_checkpointing_enable()
            model.train()
        options = {**batch, "use_cache": False, "fused_lm_head": True}
        output = model(**options) if is_padded else pair_trainer.without_padding(model, **options)
        (output.log_probs * weights).sum().backward()
        outputs.append(output)
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    for name in FIELDS:
        padded, flat = (getattr(output, name).detach().float() for output in outputs)
        assert padded.shape == flat.shape == weights.shape
        assert (padded - flat).abs().max() < 1e-5, name
    assert gradients[0].norm() > 0
    assert (gradients[0] - gradients[1]).norm() <= 2e-6 * gradients[0].norm()


def test_the_model_sees_each_token_once_and_no_padding(modules) -> None:
    _, pair_trainer = modules
    seen = {}

    def model(**inputs: Any) -> Any:
        seen.update(inputs)
        values = torch.arange(1.0, 6.0)[None]  # for the tokens 1 to 5 of the pack
        return pair_trainer.FusedCausalLMOutput(
            log_probs=values, entropy=values, mean_logits=values, is_top1=values > 4
        )

    ids = torch.tensor([[11, 12, 13, 14], [11, 21, 0, 0]])
    output = pair_trainer.without_padding(
        model, input_ids=ids, attention_mask=(ids > 0).long(), labels=ids.masked_fill(ids == 0, IGNORE_INDEX)
    )
    assert seen["input_ids"].tolist() == [[11, 12, 13, 14, 11, 21]]
    assert seen["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert seen["labels"].tolist() == [[IGNORE_INDEX, 12, 13, 14, IGNORE_INDEX, 21]]
    assert seen["sequence_lengths"] == [4, 2]
    assert seen["cu_seq_lens_q"].tolist() == seen["cu_seq_lens_k"].tolist() == [0, 4, 6]
    assert (seen["max_length_q"], seen["max_length_k"]) == (4, 4)
    assert seen["seq_idx"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert "attention_mask" not in seen  # flash-attn would read the lengths of the sequences from it
    assert output.log_probs.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert output.is_top1.tolist() == [[False, False, False], [True, False, False]]
