import re
from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.errors import BadParams
from tests.unit.params.test_params import committed

LABELS = {"base_model": "the base model", "sft": "SFT", "dpo": "DPO"}


def checked(models=LABELS, pairs=(("sft", "base_model"),), repeats=(), **others):
    compare = {
        "models": {name: {"label": label} for name, label in models.items()},
        "pairs": [list(pair) for pair in pairs],
        "repeats": [list(group) for group in repeats],
    }
    return params.check({**committed(), "compare": compare, **others}, "params.yaml")


def test_models_are_compared_in_the_order_of_the_file():
    compare = checked({"dpo": "DPO", "lora": "LoRA (r 16)"}, [("dpo", "lora")]).compare
    assert list(compare.models) == ["dpo", "lora"]
    assert compare.pairs == [["dpo", "lora"]]


@pytest.mark.parametrize(
    ("models", "pairs", "message"),
    [
        (LABELS, [("sft", "bse")], "compare.pairs.0.1: found 'bse'; allowed: a model of compare.models: base_model, sft, dpo"),
        (LABELS, [("sft", "sft")], "compare.pairs.0: found a list of 2; allowed: two different models"),
        (LABELS, [("sft", "dpo"), ("sft", "dpo")], "compare.pairs.1: found a list of 2; allowed: each pair once, in one order"),
        (LABELS, [("sft", "dpo"), ("dpo", "sft")], "compare.pairs.1: found a list of 2; allowed: each pair once, in one order; both orders are one test"),
        (LABELS, [("sft",)], "compare.pairs.0: found a list of 1; allowed: a list; 2 item(s)"),
        (LABELS, [], "compare.pairs: found a list of 0; allowed: a list; at least 1 item(s)"),
        ({**LABELS, "sft-2": "SFT 2"}, [("sft", "dpo")], "compare.models.sft-2"),
        ({**LABELS, "../sft": "SFT 2"}, [("sft", "dpo")], "compare.models.../sft"),
        ({**LABELS, "SFT": "SFT 2"}, [("sft", "dpo")], "compare.models.SFT"),
        ({**LABELS, "other": "SFT"}, [("sft", "dpo")], "compare.models.other.label: found 'SFT'; allowed: a label that no other model has"),
        ({**LABELS, "other": "sft"}, [("sft", "dpo")], "compare.models.other.label: found 'sft'; allowed: a label that no other model has"),
        ({**LABELS, "other": "a | b"}, [("sft", "dpo")], "compare.models.other.label"),
        ({**LABELS, "base": "Base"}, [("sft", "dpo")], "compare.models.base: found a mapping; allowed: another name"),
        ({"sft": "SFT"}, [("sft", "sft")], "compare.models: found a mapping; allowed: a mapping; at least 2 key(s)"),
    ],
)  # fmt: skip
def test_a_comparison_that_does_not_fit_is_an_error_with_its_reason(models, pairs, message):
    with pytest.raises(BadParams, match=re.escape(message)):
        checked(models, pairs)


@pytest.mark.parametrize(
    ("repeats", "message"),
    [
        ([["sft", "sft_2"]], "compare.repeats.0.1: found 'sft_2'; allowed: a model of compare.models: base_model, sft, dpo"),
        ([["sft"]], "compare.repeats.0: found a list of 1; allowed: a list; from 2 to 100 item(s)"),
        ([["sft", "sft"]], "compare.repeats.0: found a list of 2; allowed: a list; from 2 to 100 item(s); each item once"),
        ([["sft", "dpo"], ["dpo", "sft"]], "compare.repeats.1: found a list of 2; allowed: each group once"),
        ([["sft", "dpo"], ["sft", "base_model"]], "compare.repeats.1.0: found 'sft'; allowed: a model of no other group"),
    ],
)  # fmt: skip
def test_trainings_of_one_recipe_are_two_models_or_more_that_are_compared(repeats, message):
    assert checked(pairs=[("dpo", "sft")], repeats=[["sft", "dpo"]]).compare.repeats == [["sft", "dpo"]]
    with pytest.raises(BadParams, match=re.escape(message)):
        checked(repeats=repeats)


def test_the_registered_model_is_a_compared_one():
    register = {**committed()["register"], "model": "ppo"}
    with pytest.raises(
        BadParams, match=r"register\.model: found 'ppo'; allowed: a model of compare\.models: base_model, "
    ):
        checked(register=register)


def test_an_unknown_key_of_a_compared_model_is_named_with_the_keys_that_exist():
    values = committed()
    values["compare"]["models"]["sft"]["lable"] = "SFT"
    with pytest.raises(
        BadParams,
        match=r"compare\.models\.sft\.lable: found a key that .* did you mean label\?; allowed: label",
    ):
        params.check(values, "params.yaml")


def test_a_model_that_occurs_twice_is_an_error(tmp_path):
    text = Path("params.yaml").read_text(encoding="utf-8")
    file = tmp_path / "params.yaml"
    file.write_text(
        text.replace("  models: #", "  models:\n    sft:\n      label: SFT 2\n    # "), encoding="utf-8"
    )
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["compare"]["models"]["sft"]["label"] == "SFT"
    with pytest.raises(
        BadParams, match=r"params\.yaml:\d+: compare\.models\.sft: found this key twice \(first in line \d+\)"
    ):
        params.load(file)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("name", "longwriter-write", "and not with `longwriter-`, as prompt templates do"),
        ("alias", "sft", "an alias that is no model of compare.models"),
        ("former_alias", "base_model", "an alias that is no model of compare.models"),
    ],
)
def test_a_name_in_the_registry_that_means_something_else_is_an_error(key, value, allowed):
    values = committed()
    values["register"] = {**values["register"], key: value}
    with pytest.raises(BadParams, match=re.escape(f"register.{key}: found '{value}'; allowed: ")) as error:
        params.check(values, "params.yaml")
    assert allowed in str(error.value)
