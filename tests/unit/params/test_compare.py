import re
from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.errors import BadParams
from tests.unit.params.test_params import committed

LABELS = {"base_model": "the base model", "sft": "SFT", "dpo": "DPO"}


def checked(models=LABELS, pairs=(("sft", "base_model"),), **others):
    compare = {
        "models": {name: {"label": label} for name, label in models.items()},
        "pairs": [list(pair) for pair in pairs],
    }
    return params.check({**committed(), "compare": compare, **others}, "params.yaml")


def test_models_are_compared_in_the_order_of_the_file():
    compare = checked({"dpo": "DPO", "lora": "LoRA (r 16)"}, [("lora", "dpo"), ("dpo", "lora")]).compare
    assert list(compare.models) == ["dpo", "lora"]
    assert compare.pairs == [["lora", "dpo"], ["dpo", "lora"]]


@pytest.mark.parametrize(
    ("models", "pairs", "message"),
    [
        (LABELS, [("sft", "bse")], "pairs: no model 'bse'; there are base_model, sft, dpo"),
        (LABELS, [("sft", "sft")], "pairs: sft is compared with itself"),
        (LABELS, [("sft", "dpo"), ("sft", "dpo")], "pairs: [sft, dpo] is there twice"),
        (LABELS, [("sft",)], "compare.pairs.0: List should have at least 2 items"),
        (LABELS, [], "compare.pairs: List should have at least 1 item"),
        ({**LABELS, "sft-2": "SFT 2"}, [("sft", "dpo")], "compare.models.sft-2"),
        ({**LABELS, "../sft": "SFT 2"}, [("sft", "dpo")], "compare.models.../sft"),
        ({**LABELS, "SFT": "SFT 2"}, [("sft", "dpo")], "compare.models.SFT"),
        ({**LABELS, "other": "SFT"}, [("sft", "dpo")], "models: two models have the label 'SFT'"),
        ({**LABELS, "other": "a | b"}, [("sft", "dpo")], "compare.models.other.label"),
        ({**LABELS, "base": "Base"}, [("sft", "dpo")], "models: base and base_model would share metric names"),
        ({"sft": "SFT"}, [("sft", "sft")], "compare.models: Dictionary should have at least 2 items"),
    ],
)  # fmt: skip
def test_a_comparison_that_does_not_fit_is_an_error_with_its_reason(models, pairs, message):
    with pytest.raises(BadParams, match=re.escape(message)):
        checked(models, pairs)


def test_the_registered_model_is_a_compared_one():
    register = {**committed()["register"], "model": "ppo"}
    with pytest.raises(
        BadParams, match=r"register\.model: no model 'ppo' in compare\.models; there are base_m"
    ):
        checked(register=register)


def test_an_unknown_key_of_a_compared_model_is_told_with_the_keys_that_exist():
    values = committed()
    values["compare"]["models"]["sft"]["lable"] = "SFT"
    with pytest.raises(BadParams, match=r"compare\.models\.sft\.lable: no such key; allowed here: label"):
        params.check(values, "params.yaml")


def test_a_model_that_is_there_twice_is_an_error(tmp_path):
    text = Path("params.yaml").read_text(encoding="utf-8")
    file = tmp_path / "params.yaml"
    file.write_text(
        text.replace("  models: #", "  models:\n    sft:\n      label: SFT 2\n    # "), encoding="utf-8"
    )
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["compare"]["models"]["sft"]["label"] == "SFT"
    with pytest.raises(BadParams, match=r"(?s)params\.yaml is not valid YAML.*found the key 'sft' twice"):
        params.load(file)
