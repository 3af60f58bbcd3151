import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from longwriter import params
from longwriter.cli import profile
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
    assert yaml.safe_load(profile.applied("embedded")) == committed()


def test_every_profile_fits_and_holds_the_same_keys():
    def keys(value, prefix=""):
        if not isinstance(value, dict) or prefix == ".judge.llm":  # null, or all fields of a model
            return {prefix}
        return set().union(*(keys(inner, f"{prefix}.{key}") for key, inner in value.items()))

    found = [keys(yaml.safe_load(path.read_text())) for path in Path("infra/profiles").glob("*.yaml")]
    assert len(found) >= 2
    assert all(one == found[0] for one in found)
    assert params.check(yaml.safe_load(profile.applied("paper")), "paper").plan.max_steps == 50


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("plan.min_stepz", 3, "plan.min_stepz"),
        ("plan.min_steps", "three", "plan.min_steps"),
        ("plan.min_steps", 0, "plan.min_steps"),
        ("plan.min_steps", 99, "plan.min_steps > plan.max_steps"),
        ("dataset.test_share", 1.5, "dataset.test_share"),
        ("llm.engine", "magic", "llm.engine"),
        ("llm.base_url", "http://127.0.0.1:1/v1", "llm: Value error, base_url"),
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
        profile.applied("nope")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("plan.min_steps", "three", ["plan.min_steps", "valid integer", "'three'"]),
        ("plan.min_steps", 0, ["plan.min_steps", "greater than or equal to 1", "found 0"]),
        ("plan.sampling.seed", True, ["plan.sampling.seed", "valid integer", "True"]),
        ("plan.sampling.temperature", 2.5, ["plan.sampling.temperature", "less than or equal to 2", "2.5"]),
        ("plan.sampling.top_p", 0, ["plan.sampling.top_p", "greater than 0", "found 0"]),
        ("dataset.test_share", float("nan"), ["dataset.test_share", "finite number", "nan"]),
        ("dataset.relabel_length", "yes", ["dataset.relabel_length", "valid boolean", "'yes'"]),
        ("instructions.languages", [], ["instructions.languages", "at least 1 item"]),
        ("instructions.languages", ["en", "fr"], ["instructions.languages.1", "'en' or 'zh'", "'fr'"]),
        ("llm.engine", "magic", ["llm.engine", "'vllm' or 'external'", "'magic'"]),
        ("base_model.source", "s3:x", ["base_model.source", "pypi|hub|path", "'s3:x'"]),
        ("base_model.sha256", "abc", ["base_model.sha256", "{64}", "'abc'"]),
        ("validate.min_rows", None, ["validate.min_rows", "valid integer", "None"]),
    ],
)
def test_a_bad_value_is_told_with_what_is_allowed_and_what_was_found(path, value, told):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, value), "params.yaml")
    assert [part for part in ["params.yaml: ", *told] if part not in str(error.value)] == []


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("plan.min_steps", "plan.max_steps"),
        ("plan.min_step_words", "plan.max_step_words"),
        ("validate.min_words", "validate.max_words"),
    ],
)
def test_swapped_bounds_are_named_both_and_equal_ones_fit(low, high):
    values = with_value(low, 7)
    values[high.split(".")[0]][high.split(".")[1]] = 6
    with pytest.raises(BadParams, match=re.escape(f"{low} > {high} (7 > 6)")):
        params.check(values, "params.yaml")
    values[high.split(".")[0]][high.split(".")[1]] = 7
    params.check(values, "params.yaml")


@pytest.mark.parametrize(
    ("path", "exist"),
    [
        ("plan.min_stepz", {"min_steps", "max_steps"}),
        ("sft.optimizer.betta", {"betas", "learning_rate"}),
        ("validat", {"validate", "register"}),
    ],
)
def test_an_unknown_key_is_told_with_the_keys_that_exist(path, exist):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, 3), "params.yaml")
    assert {path} | exist <= set(re.findall(r"[\w.]+", str(error.value)))


def test_an_unknown_key_of_a_section_that_may_be_null_is_told_too():
    judge = {**committed()["llm"], "modell": "x"}
    with pytest.raises(BadParams, match=r"judge\.llm\.modell: no such key; allowed here: engine, model, "):
        params.check(with_value("judge.llm", judge), "params.yaml")


@pytest.mark.parametrize(
    ("text", "write"),
    [("5e-5", "5.0e-5"), ("1e3", "1.0e+3"), ("2.5E3", "2.5e+3"), ("'0.5'", "0.5"), ("'-1'", "-1.0")],
)
def test_a_number_that_yaml_reads_as_text_is_told_as_it_must_be_written(text, write):
    assert isinstance(yaml.safe_load(text), str)
    assert isinstance(yaml.safe_load(write), float)
    with pytest.raises(
        BadParams, match=re.escape(f"sft.optimizer.learning_rate: YAML reads this as text: write {write}")
    ):
        params.check(with_value("sft.optimizer.learning_rate", yaml.safe_load(text)), "params.yaml")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("path", ["llm.timeout_s", "dpo.beta", "report.confidence"])
def test_no_knob_is_infinite(path, value):
    with pytest.raises(BadParams, match=re.escape(path)):
        params.check(with_value(path, value), "params.yaml")


@pytest.mark.parametrize("value", [True, "0.5"])
@pytest.mark.parametrize(
    "path",
    [
        "dataset.test_share",
        "llm.timeout_s",
        "plan.sampling.temperature",
        "plan.sampling.top_p",
        "sft.optimizer.weight_decay",
        "dpo.beta",
        "report.confidence",
    ],
)
def test_neither_a_boolean_nor_a_text_is_a_number(path, value):
    with pytest.raises(BadParams, match=re.escape(path)):
        params.check(with_value(path, value), "params.yaml")


def test_whole_numbers_fit_where_fractions_do():
    assert params.check(with_value("dataset.test_share", 1), "params.yaml").dataset.test_share == 1.0
    assert params.check(with_value("llm.timeout_s", 600), "params.yaml").llm.timeout_s == 600.0


@pytest.mark.parametrize("section", list(committed()))
def test_a_missing_section_is_named(section):
    values = committed()
    del values[section]
    with pytest.raises(BadParams, match=rf"params\.yaml: {section}: Field required"):
        params.check(values, "params.yaml")


def test_every_trouble_of_a_file_is_told_at_once():
    values = with_value("plan.min_steps", 0)
    values["dataset"]["min_words"] = "many"
    with pytest.raises(BadParams, match=r"plan\.min_steps.*dataset\.min_words"):
        params.check(values, "params.yaml")


def test_text_that_is_no_yaml_is_told_with_its_file_and_line(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: 1\nb: [\n")
    with pytest.raises(BadParams, match=r"(?s)params\.yaml is not valid YAML: .*line 3"):
        params.load(file)
    file.write_bytes(b"a: \xff")
    with pytest.raises(BadParams, match=r"params\.yaml is not valid YAML"):
        params.load(file)


def test_params_do_not_change_after_they_are_read():
    loaded = params.load()
    with pytest.raises(ValidationError, match="frozen"):
        loaded.plan.min_steps = 1
