import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ruamel.yaml import YAML

from longwriter import params
from longwriter.cli import profile
from longwriter.errors import BadParams
from tests.unit.params.fields import replace


def committed():
    return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def with_value(path, value):
    return replace(committed(), path, value)


def test_the_committed_params_are_the_embedded_profile():
    params.check(committed(), "params.yaml")
    assert yaml.safe_load(profile.applied("embedded")) == committed()


def test_every_profile_fits_and_holds_the_same_keys():
    whole = {
        ".instructions.judge.llm",
        ".plan.judge.llm",
        ".preferences.judge.llm",
        ".base_model.rope_scaling",
        ".benchmarks.files",
        ".serving.vllm",
    }

    def keys(value, prefix=""):
        if not isinstance(value, dict) or prefix in whole:  # null, or all fields of a section
            return {prefix}
        return set().union(*(keys(inner, f"{prefix}.{key}") for key, inner in value.items()))

    profiles = [keys(yaml.safe_load(path.read_text())) for path in Path("infra/profiles").glob("*.yaml")]
    assert len(profiles) >= 2
    assert all(profile == profiles[0] for profile in profiles)
    assert params.check(yaml.safe_load(profile.applied("paper")), "paper").plan.max_steps == 50


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("plan.min_stepz", 3, "plan.min_stepz"),
        ("plan.min_steps", "three", "plan.min_steps"),
        ("plan.min_steps", 0, "plan.min_steps"),
        ("plan.min_steps", 99, "plan.min_steps: found 99; allowed: at most 5, the value of max_steps"),
        ("dataset.test_share", 1.5, "dataset.test_share"),
        ("llm.engine", "magic", "llm.engine"),
        (
            "llm.base_url",
            "http://127.0.0.1:1/v1",
            "llm.base_url: found 'http://127.0.0.1:1/v1'; allowed: null for the engine openvino",
        ),
        ("base_model.sha256", None, "base_model.sha256: found null; allowed: the sha256 of the wheel"),
        ("validate", 3, "validate"),
    ],
)
def test_a_bad_value_is_named_with_its_key(path, value, parts):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, value), "params.yaml")
    assert str(error.value).startswith("params.yaml: ")
    assert parts in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_a_file_that_is_no_mapping_is_parts(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(BadParams, match=r"params\.yaml"):
        params.load(file)


def test_a_missing_file_is_parts(tmp_path):
    with pytest.raises(BadParams, match="missing"):
        params.load(tmp_path / "params.yaml")


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(BadParams, match="embedded, paper"):
        profile.applied("nope")


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("plan.min_steps", "three", ["plan.min_steps", "a whole number from 1 to 1,000", "'three'"]),
        ("plan.min_steps", 0, ["plan.min_steps", "from 1 to", "found 0"]),
        ("plan.sampling.seed", True, ["plan.sampling.seed", "a whole number from 0", "found true"]),
        ("plan.sampling.temperature", 2.5, ["plan.sampling.temperature", "a number from 0 to 2", "2.5"]),
        ("plan.sampling.top_p", 0, ["plan.sampling.top_p", "from 0.000001 to 1", "found 0"]),
        ("dataset.test_share", float("nan"), ["dataset.test_share", "a number at least 0, below 1", "nan"]),
        ("dataset.relabel_length", "yes", ["dataset.relabel_length", "true or false", "'yes'"]),
        ("instructions.languages", [], ["instructions.languages", "at least 1 item(s)"]),
        ("instructions.languages", ["en", "fr"], ["instructions.languages.1", "one of en, zh", "'fr'"]),
        ("llm.engine", "magic", ["llm.engine", "vllm, external", "'magic'"]),
        ("base_model.source", "s3:x", ["base_model.source", "path:FOLDER", "'s3:x'"]),
        ("base_model.sha256", "abc", ["base_model.sha256", "64 hex digits", "'abc'"]),
        ("validate.min_rows", None, ["validate.min_rows", "a whole number from 1", "found null"]),
    ],
)
def test_a_bad_value_is_parts_with_what_is_allowed_and_what_was_found(path, value, parts):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, value), "params.yaml")
    assert [part for part in ["params.yaml: ", *parts] if part not in str(error.value)] == []


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("plan.min_steps", "plan.max_steps"),
        ("plan.min_step_words", "plan.max_step_words"),
        ("validate.min_words", "validate.max_words"),
    ],
)
def test_swapped_bounds_are_named_both_and_equal_ones_fit(low, high):
    values = with_value(low, 70)
    values[high.split(".")[0]][high.split(".")[1]] = 60
    with pytest.raises(
        BadParams, match=re.escape(f"{low}: found 70; allowed: at most 60, the value of {high.split('.')[1]}")
    ):
        params.check(values, "params.yaml")
    values[high.split(".")[0]][high.split(".")[1]] = 70
    params.check(values, "params.yaml")


@pytest.mark.parametrize(
    ("path", "exist"),
    [
        ("plan.min_stepz", {"min_steps", "max_steps"}),
        ("sft.optimizer.betta", {"betas", "learning_rate"}),
        ("validat", {"validate", "register"}),
    ],
)
def test_an_unknown_key_is_parts_with_the_keys_that_exist(path, exist):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, 3), "params.yaml")
    assert {path} | exist <= set(re.findall(r"[\w.]+", str(error.value)))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("judge", "instructions.judge, plan.judge and preferences.judge: each stage has a judge of its own"),
        ("instructions.judge_prompt", "instructions.judge.prompt"),
        ("plan.coverage_judge", "plan.judge.llm (null = no judge)"),
        ("plan.coverage_prompt", "plan.judge.prompt"),
    ],
)
def test_a_key_of_an_older_version_is_named_with_its_place_now(path, place):
    with pytest.raises(BadParams) as error:
        params.check(with_value(path, {"llm": None}), "params.yaml")
    assert str(error.value) == f"params.yaml: {path}: found a key of an older version; it is now {place}"


def test_quality_has_a_weight_in_pairs_only_if_their_judge_is_named():
    with pytest.raises(
        BadParams, match=r"preferences\.quality_weight: found 0\.5; allowed: 0 while preferences\.judge\.llm"
    ):
        params.check(with_value("preferences.quality_weight", 0.5), "params.yaml")


@pytest.mark.parametrize(
    ("path", "changes", "allowed"),
    [
        ("instructions.judge.llm", {}, "null while instructions.unstated is keep, because nothing asks this judge"),
        ("instructions.judge.llm", {"instructions.unstated": "drop"}, "null while instructions.unstated is drop"),
        ("preferences.judge.llm", {}, "null while preferences.quality_weight is 0, because nothing asks this judge"),
        ("plan.judge.llm", {"write.mode": "direct"}, "null while write.mode is direct, because no plan is made"),
    ],
)  # fmt: skip
def test_a_judge_that_nothing_asks_is_refused(path, changes, allowed):
    values = committed()
    for key, value in {path: values["llm"], **changes}.items():
        replace(values, key, value)
    with pytest.raises(BadParams) as error:
        params.check(values, "params.yaml")
    [line] = str(error.value).splitlines()
    assert line.startswith(f"params.yaml: {path}: found a mapping; allowed: {allowed}")


def test_an_unknown_key_of_a_section_that_may_be_null_is_parts_too():
    judge = {**committed()["llm"], "modell": "x"}
    with pytest.raises(
        BadParams, match=r"plan\.judge\.llm\.modell: .*; did you mean model\?; allowed: engine, model, "
    ):
        params.check(with_value("plan.judge.llm", judge), "params.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("5e-5", 5e-5), ("1e-1", 0.1), ("1.0E-3", 0.001), (".5", 0.5), ("1", 1.0)]
)
def test_a_number_is_read_as_dvc_reads_it_however_it_is_written(tmp_path, text, value):
    file = tmp_path / "params.yaml"
    written = Path("params.yaml").read_text(encoding="utf-8").replace("1.4e-4", text)
    file.write_text(written, encoding="utf-8")
    assert params.load(file).sft.optimizer.learning_rate == value
    assert YAML(typ="safe").load(written)["sft"]["optimizer"]["learning_rate"] == value


@pytest.mark.parametrize("text", ["0.5", "5e-5", "-1", "1,000"])
def test_a_number_in_quotes_is_named_with_the_way_to_write_it(text):
    with pytest.raises(
        BadParams, match=rf"learning_rate: found '{text}'; allowed: a number .*without quotes"
    ):
        params.check(with_value("sft.optimizer.learning_rate", text), "params.yaml")


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


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"dataset.min_words": 700, "validate.max_words": 600}, "dataset.min_words: found 700; allowed: at most 600, the value of validate.max_words"),
        ({"validate.min_words": 700, "dataset.max_words": 600}, "validate.min_words: found 700; allowed: at most 600, the value of dataset.max_words"),
        ({"plan.sampling.max_tokens": 1024}, "plan.sampling.max_tokens: found 1024; allowed: below 1,024, the value of llm.context_tokens"),
        ({"write.mode": "direct", "write.direct_sampling.max_tokens": 9000}, "write.direct_sampling.max_tokens: found 9000; allowed: below 1,024"),
        ({"generate.sampling.max_tokens": 2048}, "generate.sampling.max_tokens: found 2048; allowed: below 2,048, the value of serving.context_tokens"),
        ({"write.min_paragraph_words": 101}, "write.min_paragraph_words: found 101; allowed: at most 100, the value of plan.max_step_words"),
        ({"training.ranks": 2, "sft.batch_packs": 3}, "sft.batch_packs: found 3; allowed: a multiple of 2, the value of training.ranks"),
        ({"training.ranks": 4, "sft.batch_packs": 4}, "dpo.batch_pairs: found 2; allowed: a multiple of 4"),
        ({"llm.model": "data/./sft/weights"}, "llm.model: found 'data/./sft/weights'; allowed: another folder: this model is trained on what"),
        ({"dataset.test_share": 1.0}, "dataset.test_share: found 1.0; allowed: a number at least 0, below 1"),
        ({"preferences.test_share": 0}, "preferences.test_share: found 0; allowed: a number at least 0.000001, below 1"),
    ],
)  # fmt: skip
def test_values_of_two_sections_that_leave_nothing_are_refused(values, line):
    document = committed()
    for path, value in values.items():
        replace(document, path, value)
    with pytest.raises(BadParams, match=re.escape(f"params.yaml: {line}")) as error:
        params.check(document, "params.yaml")
    assert "\n" not in str(error.value)


def test_an_external_endpoint_has_a_context_of_its_own():
    values = with_value("plan.sampling.max_tokens", 9000)
    values["llm"]["engine"] = "external"
    assert params.check(values, "params.yaml").plan.sampling.max_tokens == 9000


def test_whole_numbers_fit_where_fractions_do():
    assert params.check(with_value("dataset.general_share", 1), "params.yaml").dataset.general_share == 1.0
    assert params.check(with_value("llm.timeout_s", 600), "params.yaml").llm.timeout_s == 600.0


@pytest.mark.parametrize("section", list(committed()))
def test_a_missing_section_is_named(section):
    values = committed()
    del values[section]
    with pytest.raises(
        BadParams, match=rf"params\.yaml: {section}: this key is missing; allowed: a mapping with the keys "
    ):
        params.check(values, "params.yaml")


def test_every_trouble_of_a_file_is_parts_at_once():
    values = with_value("plan.min_steps", 0)
    values["dataset"]["min_words"] = "many"
    with pytest.raises(
        BadParams, match=r"params\.yaml: plan\.min_steps: .*\nparams\.yaml: dataset\.min_words: "
    ):
        params.check(values, "params.yaml")


def test_text_that_is_no_yaml_is_parts_with_its_file_and_line(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: 1\nb: [\n")
    with pytest.raises(BadParams, match=r"params\.yaml:3: not valid YAML: "):
        params.load(file)
    file.write_bytes(b"a: \xff")
    with pytest.raises(BadParams, match=r"params\.yaml:1: found bytes that are not UTF-8"):
        params.load(file)


def test_params_do_not_change_after_they_are_read():
    loaded = params.load()
    with pytest.raises(ValidationError, match="frozen"):
        loaded.plan.min_steps = 1
