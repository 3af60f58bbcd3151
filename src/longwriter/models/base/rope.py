"""How many tokens a model's positions reach, and how a config is changed so that they reach more.

Pure. The configs are those of transformers 5 (`rope_parameters`). They are read as vLLM reads them. With `linear`
and `dynamic`, `max_position_embeddings` is the length of the pre-training, and the factor multiplies it. With
`yarn` and the others it is already the extended length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from longwriter.errors import ModelUnusable

_MULTIPLIES = ("linear", "dynamic")


class Scaling(NamedTuple):
    """What base_model.rope_scaling says."""

    rope_type: str
    """`linear`, `dynamic`, `yarn`, or `theta`: only the base of the rotation changes."""
    factor: float
    """Reach as a multiple of the model's own."""
    rope_theta: float | None = None
    """Base of the rotation; None = the model's own."""


def reach(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the positions of a config reach; None if it does not say."""
    tokens = config.get("max_position_embeddings")
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        return None
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type") in _MULTIPLIES:
        return int(tokens * rope.get("factor", 1.0))
    if rope.get("rope_type") == "yarn" and rope.get("original_max_position_embeddings"):
        return max(tokens, int(rope["original_max_position_embeddings"] * rope.get("factor", 1.0)))
    return tokens


def extend(config: Mapping[str, Any], scaling: Scaling) -> dict[str, Any]:
    """Return a config whose positions reach `scaling.factor` times as far.

    Raises:
        ModelUnusable: the model has no such positions, or scales them already.
    """
    rope = config.get("rope_parameters")
    if reach(config) is None or not isinstance(rope, dict) or "rope_theta" not in rope:
        raise ModelUnusable(
            f"base_model.rope_scaling: a model of type {config.get('model_type')} has no rotary positions, or has "
            "some for each kind of layer; allowed: null"
        )
    if rope.get("rope_type", "default") != "default":
        raise ModelUnusable(
            f"base_model.rope_scaling: the model scales its positions already ({rope['rope_type']}, "
            f"{reach(config):,} tokens); allowed: null"
        )
    own = config["max_position_embeddings"]
    new_rope = {**rope, "rope_theta": scaling.rope_theta or rope["rope_theta"]}
    if scaling.rope_type != "theta":
        new_rope |= {"rope_type": scaling.rope_type, "factor": scaling.factor}
    if scaling.rope_type == "yarn":
        new_rope["original_max_position_embeddings"] = own
    positions = own if scaling.rope_type in _MULTIPLIES else int(own * scaling.factor)
    return {**config, "rope_parameters": new_rope, "max_position_embeddings": positions}
