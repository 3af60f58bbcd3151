"""The shape of a model from its config.

The configs in models/ are retyped from the config.json of meta-llama/Llama-3.1-8B, Qwen/Qwen2.5-7B,
THUDM/glm-4-9b-hf, HuggingFaceTB/SmolLM2-135M-Instruct, mistralai/Mistral-7B-v0.3 and google/gemma-2-9b on the
Hugging Face hub; the numbers of parameters are those of their model cards.
"""

import json
from pathlib import Path

import pytest

from longwriter.capacity import config
from longwriter.errors import ModelUnusable
from longwriter.models.base.rope import Scaling
from tests.unit.capacity.shapes import GLM, LLAMA, QWEN, SMOLLM2

MODELS = Path("tests/unit/capacity/models")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("llama-3.1-8b", LLAMA), ("qwen2.5-7b", QWEN), ("glm-4-9b", GLM), ("smollm2-135m", SMOLLM2)],
)
def test_a_shape_is_read_from_a_config_without_weights(name, shape):
    assert config.read(MODELS / f"{name}.json") == shape


@pytest.mark.parametrize(
    ("name", "parameters"), [("mistral-7b", 7_248_023_552), ("gemma-2-9b", 9_241_705_984)]
)
def test_parameters_are_those_of_the_model_card(name, parameters):
    assert config.read(MODELS / f"{name}.json").parameters == parameters


SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 99}, {"heads": 4, "context": 99}),
        ({**SMALL, "model_type": "gemma3n_text", "intermediate_size": [48, 96], "num_key_value_heads": 2,
          "num_kv_shared_layers": 0, "laurel_rank": 2, "altup_num_inputs": 2, "hidden_size_per_layer_input": 4,
          "activation_sparsity_pattern": [0.0, 0.0]}, {"feed_forward": 96}),
        ({**SMALL, "model_type": "gemma2", "intermediate_size": 48}, {"takes_sdpa": False, "other_layers": ()}),
        ({**SMALL, "model_type": "lfm2", "layer_types": ["conv", "full_attention"]}, {"other_layers": ("conv",)}),
        ({**SMALL, "model_type": "llama", "intermediate_size": 48}, {"takes_sdpa": True, "other_layers": ()}),
    ],
    ids=lambda value: value.get("model_type"),
)  # fmt: skip
def test_the_numbers_of_less_common_configs_are_read(tmp_path, values, shown):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(values))
    shape = config.read(file)._asdict()
    assert shown == {name: shape[name] for name in shown}


def test_a_model_without_attention_is_refused(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('{"model_type": "mamba", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}')
    with pytest.raises(ModelUnusable, match="a mamba model has no attention, so it cannot be trained here"):
        config.read(file)


def test_a_scaling_extends_the_context():
    assert config.read(MODELS / "glm-4-9b.json", Scaling("yarn", 5.0)).context == 40960


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"model_type": "no-such-model"}', '{"model_type": "llama", "hidden_size": "wide"}',
             '{"model_type": "llama", "num_attention_heads": 0}'],
)  # fmt: skip
def test_what_is_no_config_of_a_language_model_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(
        ModelUnusable, match=r"config\.json is no config of a causal language model \("
    ) as refused:
        config.read(file)
    assert "\n" not in str(refused.value)


def test_a_config_that_is_missing_is_named_as_missing(tmp_path):
    with pytest.raises(ModelUnusable, match=r"config\.json is missing"):
        config.read(tmp_path / "config.json")
