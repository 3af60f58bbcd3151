"""Whether the rows of a pack see each other, in models that keep them apart and in models that do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from longwriter.errors import ModelUnusable
from longwriter.launch import sharing

SHAPE = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {}, "mistral": {"sliding_window": 8}, "qwen3": {}, "glm4": {}, "gemma3_text": {"sliding_window": 8},
    "mixtral": EXPERTS,
    "jamba": {"num_experts": 2, "mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False, "attn_layer_period": 2,
              "attn_layer_offset": 1, "expert_layer_period": 2},
    "minimax": {**EXPERTS, "layer_types": ["linear_attention", "full_attention"] * 2, "block_size": 8},
    "gpt_oss": {**EXPERTS, "layer_types": ["full_attention"] * 4},
    "stablelm": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def isolation() -> Any:
    from longwriter.training.ranks import attention, isolation  # take seconds

    assert attention.SDPA_BY_SEQUENCE == "sdpa_by_sequence"  # registered by this import
    return isolation


def new_model(kind: str, attention: str) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from longwriter.training.ranks import loss_head

    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**SHAPE | KINDS[kind])
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)
    with torch.no_grad():
        for weights in model.parameters():
            weights.normal_(0, 0.3)
    loss_head.add("dense", model, 64, torch.device("cpu"))
    return model


@pytest.mark.parametrize(
    ("kind", "attention"),
    [*((kind, "sdpa_by_sequence") for kind in ("llama", "mistral", "qwen3", "glm4", "gemma3_text", "mixtral")),
     ("llama", "eager"), ("stablelm", "eager")],
)  # fmt: skip
def test_rows_are_kept_apart_by_models_with_attention_alone(
    isolation: Any, kind: str, attention: str
) -> None:
    model = new_model(kind, attention).train()
    assert isolation.changes(model) < 1e-6
    assert model.training


@pytest.mark.parametrize(
    ("kind", "attention"),
    [("jamba", "sdpa_by_sequence"), ("minimax", "sdpa_by_sequence"), ("gpt_oss", "eager")],
)
def test_a_model_whose_rows_see_each_other_is_not_trained(isolation: Any, kind: str, attention: str) -> None:
    model = new_model(kind, attention)
    with pytest.raises(ModelUnusable, match="the rows of a pack see each other in this model"):
        isolation.Isolation().on_train_begin(None, None, None, model=model)


def test_a_model_that_does_not_tell_its_attention_where_rows_begin_is_named(isolation: Any) -> None:
    with pytest.raises(ModelUnusable, match="StableLmAttention does not say where rows begin: set training"):
        isolation.changes(new_model("stablelm", "sdpa_by_sequence"))


def test_a_model_whose_own_attention_mixes_rows_is_refused_by_its_name() -> None:
    assert "the attention of a gpt_oss model would let" in str(
        sharing.pack_problem("gpt_oss", (), False, "eager")
    )


@pytest.mark.parametrize(
    ("others", "takes_sdpa", "attention", "problem"),
    [
        ((), True, "auto", None),
        ((), False, "eager", None),
        (("chunked_attention",), True, "eager", None),
        ((), False, "auto", "training.attention is auto"),
        (("chunked_attention",), True, "sdpa", "training.attention is sdpa"),
        (("linear_attention",), True, "eager", "of kind linear_attention of a x model would let the rows"),
        (("chunked_attention", "conv"), True, "sdpa", "of kind conv of a x model"),
    ],
)
def test_what_the_config_says_about_rows_in_a_pack(
    others: tuple[str, ...], takes_sdpa: bool, attention: str, problem: str | None
) -> None:
    found = sharing.pack_problem("x", others, takes_sdpa, attention)
    assert (found is None) if problem is None else (found is not None and problem in found)
