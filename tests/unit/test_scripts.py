"""The scripts in infra/: exit codes of test.sh, and where the quick demo runs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from longwriter.cli import profile
from longwriter.tracking import versioning

CHECKS = ("ruff", "shellcheck", "lint-imports", "mypy", "pytest")


@pytest.mark.parametrize(("failing", "code"), [(None, 0), ("ruff", 3), ("mypy", 4), ("pytest", 5)])
def test_the_script_ends_with_the_code_of_the_check_that_failed(tmp_path, failing, code):
    (tmp_path / "infra").mkdir()
    shutil.copy("infra/test.sh", tmp_path / "infra/test.sh")
    (tmp_path / "infra/setup.sh").write_text('set -euo pipefail; cd "$(dirname "${BASH_SOURCE[0]}")/.."\n')
    for check in CHECKS:
        command = tmp_path / "bin" / check
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\nexit {code if check == failing else 0}\n")
        command.chmod(0o755)

    ended = subprocess.run(
        ["bash", "infra/test.sh"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == code, ended.stdout + ended.stderr


def git(folder, *words):
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def demo(tmp_path):
    """A checkout whose set-up, `longwriter` and `python` are stubs; each call of a stub is a line of `calls`."""
    (tmp_path / "bin").mkdir()
    for name in ("longwriter", "python"):
        stub = tmp_path / "bin" / name
        stub.write_text(f'#!/bin/sh\necho "{name} $*, in $PWD" >> "$CALLS"\necho 6 > params.yaml\n')
        stub.chmod(0o755)
    folder = tmp_path / "checkout"
    (folder / "infra/quick").mkdir(parents=True)
    shutil.copy("infra/demo.sh", folder / "infra/demo.sh")
    setup = 'set -euo pipefail; cd "$(dirname "${BASH_SOURCE[0]}")/.."; lw_die() { echo "$*"; exit 1; }\n'
    (folder / "infra/setup.sh").write_text(setup)
    (folder / "infra/quick/seconds.json").write_text("{}")
    (folder / "params.yaml").write_text("40\n")
    shutil.copy("dvc.yaml", folder)
    (folder / ".gitignore").write_text("/.lw\n/.venv\n")
    git(folder, "init", "--quiet")

    def run(*words):
        env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls")}
        command = ["bash", "infra/demo.sh", *words]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    run.folder, run.calls = folder, tmp_path / "calls"
    return run


def test_the_quick_demo_runs_in_a_clone_of_the_last_commit_and_changes_nothing_else(demo):
    (demo.folder / "dvc.lock").write_text("of the whole demo\n")
    git(demo.folder, "add", "--all")
    git(demo.folder, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qm", "Start")
    (demo.folder / "params.yaml").write_text("39\n")

    place = demo.folder / ".lw/quick"
    for _ in range(2):
        ended = demo("data", "--quick")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        if not (place / "dvc.lock").exists():
            (place / "dvc.lock").write_text("of the first quick run\n")

    assert (place / "dvc.lock").read_text() == "of the first quick run\n"
    apply, flow = (
        f"longwriter profile apply infra/quick/params.yaml, in {place}",
        f"python -m flows data, in {place}",
    )
    assert demo.calls.read_text().splitlines() == [apply, flow, apply, flow]
    assert (place / "params.yaml").read_text() == "6\n"
    assert (demo.folder / "params.yaml").read_text() == "39\n"
    assert git(demo.folder, "status", "--porcelain") == " M params.yaml\n"
    assert ended.stdout.count("its numbers are chance") == 2  # at the begin and at the end
    assert f"commands see it only after: cd {place}" in ended.stdout


def test_the_quick_demo_says_what_to_do_in_a_folder_without_a_commit(demo):
    ended = demo("--quick")
    assert (ended.returncode, demo.calls.exists()) == (1, False)
    assert "--quick clones the last commit, and this folder has none" in ended.stdout


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["quick"], "demo: unknown word quick: did you mean 'bash infra/demo.sh --quick'?"),
        (["data", "-quick"], "demo: unknown word -quick: did you mean 'bash infra/demo.sh --quick'?"),
        (
            ["stf"],
            "demo: unknown word stf: allowed are a group (data, training, benchmark), a stage of dvc.yaml",
        ),
        (["s.t"], "demo: unknown word s.t: allowed are a group"),
        ([""], "demo: unknown word : allowed are a group"),
        (["--fast"], "demo: unknown word --fast: allowed are a group"),
    ],
)
def test_the_demo_refuses_a_word_that_it_does_not_know_before_its_set_up(demo, words, answer):
    (demo.folder / "infra/setup.sh").write_text("echo set-up >> $CALLS\n")
    ended = demo(*words)
    assert (ended.returncode, demo.calls.exists()) == (2, False)
    assert ended.stderr.startswith(answer) and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["data", "sft"],
        ["generate", "generate@sft-small"],
        ["--set", "sft.optimizer.seed=2", "training", "--dry-run", "--share", "--set=a=quick"],
    ],
)
def test_the_demo_hands_names_and_options_on_to_the_flows(demo, words):
    ended = demo(*words)
    assert ended.returncode == 0, ended.stderr
    assert demo.calls.read_text() == f"python -m flows {' '.join(words)}, in {demo.folder}\n"


def test_the_values_of_the_quick_demo_are_allowed_and_its_stages_have_seconds():
    values = profile.checked(yaml.safe_load(Path("infra/quick/params.yaml").read_text()))
    [benchmark] = values.generate.benchmarks
    assert len(Path(values.generate.folder, f"{benchmark}.jsonl").read_text().splitlines()) == 3
    seconds = json.loads(Path("infra/quick/seconds.json").read_text())
    assert set(seconds) == {name.replace("small", benchmark) for name in versioning.stage_names()}


SCRIPTS = ("demo.sh", "setup.sh", "test.sh", "ui.sh", "cluster/train.sh")


def in_an_empty_folder(folder, script, word):
    """Run a copy of a script that has no other file beside it, so that it can start nothing."""
    copy = folder / "infra" / script
    copy.parent.mkdir(parents=True)
    shutil.copy(f"infra/{script}", copy)
    (folder / "dvc.yaml").touch()
    command = ["bash", str(copy), word]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_each_script_says_how_to_use_it_and_starts_nothing(tmp_path, script, word):
    ended = in_an_empty_folder(tmp_path, script, word)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ") and f"infra/{script}" in ended.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "infra"]


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "test.sh"])  # pytest gets its words
def test_each_script_refuses_an_unknown_option_in_one_line(tmp_path, script):
    ended = in_an_empty_folder(tmp_path, script, "--fast")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "--fast" in ended.stderr
    assert "allowed" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "infra"]


def test_every_script_beside_the_readme_of_infra_is_asked_for_its_help():
    assert {path.name for path in Path("infra").glob("*.sh")} == {name for name in SCRIPTS if "/" not in name}
