from pydantic import ValidationError

from longwriter.params.training import LoraParams
from tests.unit.params.fields import LORA


def conflicts(**changes):
    try:
        LoraParams(**{**LORA, **changes})
    except ValidationError as error:
        return [(place.key, place.allowed) for place in error.errors()[0]["ctx"]["conflicts"]]
    return []


def test_layers_are_all_linear_ones_or_named():
    assert conflicts(targets="all-linear", full_layers=["lm_head"]) == []
    assert conflicts(targets=["q_proj", "v_proj"], full_layers=["lm_head"]) == []


def test_a_layer_with_an_adapter_is_not_trained_whole_too():
    [(key, allowed)] = conflicts(targets=["q_proj", "v_proj"], full_layers=["lm_head", "q_proj"])
    assert key == ("full_layers",)
    assert allowed == "layers that are not in targets: q_proj are"
