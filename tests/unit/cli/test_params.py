"""`longwriter params`: the reference of params.yaml, whole or in part."""

import shutil

import pytest

from tests.unit.cli.conftest import ROOT


@pytest.fixture(autouse=True)
def stages(checkout):
    shutil.copyfile(ROOT / "dvc.yaml", checkout / "dvc.yaml")


def test_a_key_is_shown_with_its_value_its_bounds_and_what_it_makes_stale(run):
    code, out, _ = run("params", "sft.optimizer.epochs")
    assert code == 0
    assert out.splitlines() == [
        "sft.optimizer.epochs: 3.0",
        "    Passes over the rows; a fraction is allowed.",
        "    (a number from 0.000001 to 1,000)",
        "    (runs again: sft, and what follows)",
    ]


def test_a_section_is_shown_with_its_sentence_and_nothing_of_others(run):
    _, out, _ = run("params", "tracing")
    assert out.startswith("\ntracing: Traces in MLflow")
    assert "tracing.seed: 0\n" in out
    assert "no stage runs again" in out
    assert "sft" not in out


def test_an_unknown_key_names_the_sections(run):
    code, out, err = run("params", "stf")
    assert (code, out) == (2, "")
    assert err.startswith("UserError: params.yaml has no key 'stf'; its sections are base_model, ")
