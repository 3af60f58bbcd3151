"""The reference of params.yaml names each key, says what it does, and which stages it makes stale."""

from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.params import reference
from longwriter.tracking import versioning

ENTRIES = list(reference.entries(params.Params))


def leaves(values, prefix=""):
    """Yield the dotted keys of a mapping; a mapping with names of models or of measures is one key."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and key not in ("compare.models", "dataset.repetition"):
            yield from leaves(value, f"{key}.")
        else:
            yield key


def test_each_key_of_params_yaml_is_in_the_reference_and_no_other():
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    assert sorted(entry.key for entry in ENTRIES if entry.allowed) == sorted(leaves(values))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_each_key_has_a_sentence(entry):
    assert len(entry.meaning.split()) >= 2
    assert entry.meaning.endswith(".")


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("sft.optimizer.epochs", ["sft"]),
        ("training.precision", ["sft", "dpo"]),
        ("training.ranks", []),
        ("score.prompt", ["fitness", "score"]),  # names a file that is a dependency
        ("instructions.judge.llm", ["instructions"]),
        ("plan.judge.sampling.temperature", ["plan"]),
        (
            "preferences.judge.llm",
            ["preferences", "report"],
        ),  # the report says whether it is the benchmark's too
        ("preferences.judge.sampling", ["preferences"]),
        ("score.judges", ["fitness", "score", "pairwise", "report"]),
        ("compare.models", ["generate", "short_prompts", "score", "pairwise", "report", "register"]),
        ("llm.timeout_s", []),
        ("tracing.share", []),
        ("retention.trace_days", []),
    ],
)
def test_a_key_names_the_stages_that_it_makes_stale(key, stages):
    assert reference.stale_stages(key, versioning.stage_params()) == stages


def test_every_section_but_those_that_change_no_data_makes_a_stage_stale():
    named = versioning.stage_params()
    quiet = {entry.key.partition(".")[0] for entry in ENTRIES if entry.allowed}
    quiet -= {entry.key.partition(".")[0] for entry in ENTRIES if reference.stale_stages(entry.key, named)}
    assert quiet == {"tracing", "retention"}
