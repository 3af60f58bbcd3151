"""How far the positions of a model reach, and how they are extended."""

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from longwriter.errors import ModelUnusable
from longwriter.models.base.rope import Scaling, extend, reach

GLM = {
    "model_type": "glm", "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
}  # fmt: skip


@pytest.mark.parametrize(
    ("scaling", "rope", "positions", "tokens"),
    [
        (Scaling("linear", 4.0), {"rope_type": "linear", "factor": 4.0}, 8192, 32768),
        (Scaling("dynamic", 5.0), {"rope_type": "dynamic", "factor": 5.0}, 8192, 40960),
        (
            Scaling("yarn", 5.0),
            {"rope_type": "yarn", "factor": 5.0, "original_max_position_embeddings": 8192},
            40960,
            40960,
        ),
        (Scaling("theta", 16.0, 5e6), {"rope_theta": 5e6}, 131072, 131072),
    ],
)
def test_a_config_is_extended_as_transformers_and_vllm_read_it(scaling, rope, positions, tokens):
    extended = extend(GLM, scaling)
    assert extended["rope_parameters"] == GLM["rope_parameters"] | rope
    assert extended["max_position_embeddings"] == positions
    assert reach(extended) == tokens
    assert reach(GLM) == 8192


def test_llama_3_1_reaches_what_its_config_says():
    rope = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192, "rope_theta": 5e5}
    assert reach({"max_position_embeddings": 131072, "rope_parameters": rope}) == 131072


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2"}, "no rotary positions"),
        (GLM | {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "for each kind of layer"),
        (extend(GLM, Scaling("yarn", 4.0)), r"already \(yarn, 32,768 tokens\)"),
    ],
)
def test_a_model_that_cannot_be_extended_is_refused(config, words):
    with pytest.raises(ModelUnusable, match=words):
        extend(config, Scaling("yarn", 4.0))


@pytest.mark.parametrize(
    "scaling",
    [Scaling("linear", 4.0), Scaling("dynamic", 4.0), Scaling("yarn", 4.0), Scaling("theta", 4.0, 1e6)],
)
def test_transformers_runs_an_extended_config(scaling):
    import torch

    own = LlamaConfig(
        vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=16,
    )  # fmt: skip
    config = LlamaConfig(**extend(own.to_dict(), scaling))
    logits = LlamaForCausalLM(config)(torch.zeros(1, 40, dtype=torch.long)).logits
    assert logits.isfinite().all()
    assert reach(config.to_dict()) == 64
