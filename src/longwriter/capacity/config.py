"""Reads the shape of a model from its config alone; no weights are read.

transformers builds the model on PyTorch's meta device, whose tensors have shapes but no memory, so the number of
parameters is exact for every architecture that transformers knows.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from longwriter.capacity.shape import Shape
from longwriter.errors import ModelUnusable
from longwriter.launch import sharing
from longwriter.models.base import rope


def read(file: Path, scaling: rope.Scaling | None = None) -> Shape:
    """Return the shape of a model.

    Args:
        file: Its config.json; no code that comes with a model is run.
        scaling: How base_model will extend the context; None = not at all.

    Raises:
        ModelUnusable: the file is missing, or no config of a causal language model that transformers knows.
    """
    if not file.is_file():
        raise ModelUnusable(f"{file} is missing, or is no file: name the config.json of a model")
    try:
        config = AutoConfig.from_pretrained(file).get_text_config()
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises many kinds on what somebody else wrote
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelUnusable(f"{file} is no config of a causal language model ({reason})") from None
    head = model.get_output_embeddings()
    linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    parameters = sum(weight.numel() for weight in model.parameters())
    embedding = model.get_input_embeddings().weight
    is_shared = head is not None and head.weight is embedding
    values = config.to_dict()
    values |= {name: values[own] for name, own in config.attribute_map.items() if own in values}
    if not (heads := values.get("num_attention_heads")):
        raise ModelUnusable(
            f"{file}: a {config.model_type} model has no attention, so it cannot be trained here"
        )
    others = sharing.other_layers(config)
    return Shape(
        model_type=config.model_type,
        parameters=parameters,
        lookup=0 if is_shared else embedding.numel(),
        linear_ends=sum(layer.in_features + layer.out_features for layer in linear),
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=_largest(values.get("num_key_value_heads")) or heads,
        head_size=_largest(values.get("head_dim")) or config.hidden_size // heads,
        feed_forward=_largest(values.get("intermediate_size")) or 4 * config.hidden_size,
        context=rope.reach(rope.extend(values, scaling) if scaling else values),
        other_layers=others or (("recurrent",) if model._is_stateful else ()),
        takes_sdpa=bool(model._supports_sdpa and model._supports_attention_backend),
    )


def _largest(value: int | list[int] | None) -> int | None:
    """Return a number of a config, or the largest if it has one for each layer."""
    return max(value) if isinstance(value, list) else value
