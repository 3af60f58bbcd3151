"""`longwriter profile`: what is wrong in a profile is named with the line of the profile."""

from pathlib import Path

import pytest

from longwriter import params
from tests.unit.cli.conftest import ROOT


@pytest.fixture
def profile(checkout, run):
    """Run `longwriter profile VERB mine` with a profile of this text; return exit code, output and errors."""
    Path("infra").unlink()
    Path("infra/profiles").mkdir(parents=True)
    Path("infra/deepspeed").symlink_to(ROOT / "infra/deepspeed")
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    def runs(verb, text):
        Path("infra/profiles/mine.yaml").write_text(text, encoding="utf-8")
        return run("profile", verb, "mine")

    return runs


def test_a_profile_is_applied_and_keeps_comments(profile):
    code, out, _ = profile("apply", "plan:\n  max_steps: 9\nsft:\n  optimizer: {learning_rate: 2e-5}\n")
    assert (code, out[:40]) == (0, "params.yaml now follows profile mine; `g")
    assert params.load().plan.max_steps == 9
    assert params.load().sft.optimizer.learning_rate == 2e-5
    assert "# en | zh; a 135M model cannot write Chinese" in Path("params.yaml").read_text(encoding="utf-8")


def test_a_file_of_values_is_applied_like_a_profile(profile, run):
    profile("show", "plan:\n  max_steps: 9\n")  # makes infra/profiles
    Path("mine.yaml").write_text("plan:\n  max_steps: 8\n", encoding="utf-8")
    assert run("profile", "apply", "mine.yaml")[0] == 0
    assert params.load().plan.max_steps == 8
    code, _, err = run("profile", "apply", "yours.yaml")
    assert code == 2
    assert "no profile 'yours.yaml' in infra/profiles; there are mine; a file of your own ends with" in err


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plan:\n  max_stepz: 9\n", ["infra/profiles/mine.yaml:2: plan.max_stepz: found a key that does not exist; did you mean max_steps?"]),
        ("plan:\n  max_steps: 010\n", ["infra/profiles/mine.yaml:2: plan.max_steps: found 010; allowed: a number without a 0 in front"]),
        ("plan:\n  max_steps: 9\nplan:\n  min_steps: 1\n", ["infra/profiles/mine.yaml:3: plan: found this key twice (first in line 1)"]),
        ("plan:\n\n  max_steps: many\nreport: {seed: -1}\n", ["infra/profiles/mine.yaml:3: plan.max_steps: found 'many'; allowed: a whole number", "infra/profiles/mine.yaml:4: report.seed: found -1; allowed: "]),
        ("plan: {max_steps: 1}\n", ["params.yaml:53: plan.min_steps: found 3; allowed: at most 1, the value of max_steps"]),
        ("", ["infra/profiles/mine.yaml: found null; allowed: a mapping of sections"]),
        ("- plan\n", ["infra/profiles/mine.yaml: found a list of 1; allowed: a mapping of sections"]),
        ("plan: 3\n", ["infra/profiles/mine.yaml:1: plan: found 3; allowed: a mapping with the keys llm, prompt, "]),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_named_with_its_lines_and_changes_nothing(profile, text, lines):
    if lines[0].startswith("params.yaml:"):
        written = Path("params.yaml").read_text(encoding="utf-8").splitlines()
        lines = [lines[0].replace(":53:", f":{written.index('  min_steps: 3') + 1}:")]
    before = Path("params.yaml").read_bytes()
    code, out, err = profile("apply", text)
    assert (code, out) == (2, "")
    errors = err.removeprefix("BadParams: ").splitlines()
    assert len(errors) == len(lines)
    assert [line for line, start in zip(errors, lines, strict=True) if not line.startswith(start)] == []
    assert Path("params.yaml").read_bytes() == before


def test_values_that_params_shares_by_anchors_are_not_changed_by_half(profile):
    text = Path("params.yaml").read_text(encoding="utf-8")
    shared = text.replace("  sampling:\n    temperature: 0.7", "  sampling: &one\n    temperature: 0.7")
    start = shared.index("  sampling:\n    temperature: 0.5\n    max_tokens: 1024")
    end = shared.index("\npairwise:")
    Path("params.yaml").write_text(f"{shared[:start]}  sampling: *one\n{shared[end:]}", encoding="utf-8")
    code, _, err = profile("show", "plan: {sampling: {temperature: 0.1}}\n")
    assert code == 2
    assert "params.yaml shares values by & and *, and infra/profiles/mine.yaml changes one of them" in err
