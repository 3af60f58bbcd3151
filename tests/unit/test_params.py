from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.edges import profiles
from longwriter.errors import BadParams


def committed():
    return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def with_value(path, value):
    values = committed()
    *sections, key = path.split(".")
    section = values
    for name in sections:
        section = section[name]
    section[key] = value
    return values


def test_the_committed_params_are_the_embedded_profile():
    params.check(committed(), "params.yaml")
    assert yaml.safe_load(profiles.applied("embedded")) == committed()


def test_every_profile_fits_and_holds_the_same_keys():
    def keys(value, prefix=""):
        if not isinstance(value, dict):
            return {prefix}
        return set().union(*(keys(inner, f"{prefix}.{key}") for key, inner in value.items()))

    found = [keys(yaml.safe_load(path.read_text())) for path in Path("infra/profiles").glob("*.yaml")]
    assert len(found) >= 2
    assert all(one == found[0] for one in found)
    assert params.check(yaml.safe_load(profiles.applied("paper")), "paper").plan.max_steps == 50


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("plan.min_stepz", 3, "plan.min_stepz"),
        ("plan.min_steps", "three", "plan.min_steps"),
        ("plan.min_steps", 0, "plan.min_steps"),
        ("plan.min_steps", 99, "plan.min_steps > plan.max_steps"),
        ("dataset.test_share", 1.5, "dataset.test_share"),
        ("llm.engine", "magic", "llm.engine"),
        ("llm.base_url", "http://127.0.0.1:1/v1", "llm.base_url"),
        ("base_model.sha256", None, "sha256"),
        ("validate", 3, "validate"),
    ],
)
def test_a_bad_value_is_named_with_its_key(path, value, told):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, value), "params.yaml")
    assert str(error.value).startswith("params.yaml: ")
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_a_file_that_is_no_mapping_is_told(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(BadParams, match=r"params\.yaml"):
        params.load(file)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(BadParams, match="missing"):
        params.load(tmp_path / "params.yaml")


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(BadParams, match="embedded, paper"):
        profiles.applied("nope")
