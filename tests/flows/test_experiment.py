"""Runs with other parameters: what an override may be, and that the checkout stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from flows import experiment, forecast
from longwriter.errors import BadParams, LongWriterError
from tests.workspace import ROOT


@pytest.mark.parametrize(
    ("overrides", "values"),
    [
        (["sft.optimizer.epochs=1"], {"sft": {"optimizer": {"epochs": 1}}}),
        (
            ["sft.seed=3", "sft.lora=null", "llm.base_url=http://127.0.0.1:8000/v1?a=b"],
            {"sft": {"seed": 3, "lora": None}, "llm": {"base_url": "http://127.0.0.1:8000/v1?a=b"}},
        ),
        (
            ["generate.benchmarks=[small, ruler]", "write.mode='direct'"],
            {"generate": {"benchmarks": ["small", "ruler"]}, "write": {"mode": "direct"}},
        ),
        ([], {}),
    ],
)
def test_overrides_are_read_as_params_yaml_is(overrides: list[str], values: dict[str, Any]) -> None:
    assert experiment.changes(overrides) == values


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sft"], "override 'sft': write KEY=VALUE"),
        (["epochs=1"], "override 'epochs=1': write KEY=VALUE"),
        (["sft.epochs="], "write KEY=VALUE"),
        (["../x.y=1"], "write KEY=VALUE"),
        (["sft.a=1", "sft.a=2"], "override sft.a is set twice"),
        (["sft.a=1", "sft.a.b=2"], "override sft.a.b is set twice"),
        (["sft.a.b=2", "sft.a=1"], "override sft.a is set twice"),
        (["sft.a=[1"], "override sft.a:2: not valid YAML"),
        (["sft.a=010"], "a number without a 0 in front"),
    ],
)
def test_an_override_that_can_be_misread_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(LongWriterError) as refused:
        experiment.changes(overrides)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git and DVC repository with the parameters of this project and one stage, which ran."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy2(ROOT / name, name)
    for folder in (
        "src/longwriter/prompts",
        "src/longwriter/rules",
        "src/longwriter/seeds",
        "infra/deepspeed",
    ):
        shutil.copytree(ROOT / folder, folder)
    shutil.copy2(ROOT / "infra/prices.yaml", "infra/prices.yaml")
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    repo = Repo.init(".")
    repo.run(
        name="plan", cmd="mkdir -p data/plan && echo 1 > data/plan/rows", outs=["data/plan/rows"],
        params=["report.seed"],
    )  # fmt: skip
    repo.close()
    Path(".lw").mkdir()
    Path(".lw/answers").write_text("stored")
    for words in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "begin"]):
        subprocess.run(["git", *words], check=True)
    Path("notes.txt").write_text("not committed yet")
    return tmp_path


def _state(checkout: Path) -> dict[str, str]:
    """Return what git, and whoever looks into the checkout, sees of it."""
    done = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    files = ["params.yaml", "dvc.lock", "data/plan/rows"]
    return {"git": done.stdout, **{name: (checkout / name).read_text() for name in files}}


def test_a_run_with_overrides_has_data_and_answers_and_leaves_a_dvc_experiment(checkout: Path) -> None:
    before = _state(checkout)
    with experiment.checkout(["report.seed=77"], "Quick Fox_1") as trial:
        assert trial is not None
        assert trial.name == "quick-fox-1"
        assert Path.cwd() == checkout / ".lw/experiments/quick-fox-1"
        assert "seed: 77" in Path("params.yaml").read_text()
        assert Path("data/plan/rows").read_text() == "1\n"
        assert Path(".lw/answers").read_text() == "stored"
        assert Path("notes.txt").read_text() == "not committed yet"
        with Repo(".") as repo:
            assert set(repo.status()) == {"plan"}
        sentence, table = forecast.make(["plan"])
        assert sentence.startswith(
            "1 of 1 stages would run, about 0.02 hours by the last runs here, $0.00 for LLM calls"
        )
        assert "| plan    | its files or parameters have changed |" in table
        with Repo(".") as repo:
            repo.reproduce(["plan"], single_item=True)
        experiment.keep(trial)
    assert Path.cwd() == checkout
    assert _state(checkout) == before
    assert not (checkout / ".lw/experiments/quick-fox-1").exists()
    assert (checkout / ".lw/answers").exists()
    with Repo(".") as repo:
        assert repo.status() == {}
        [names] = repo.experiments.ls().values()
        assert [name for name, _ in names] == ["quick-fox-1"]
        repo.experiments.apply("quick-fox-1")
    assert "seed: 77" in Path("params.yaml").read_text()
    with Repo(".") as repo:
        assert repo.status() == {}


def test_a_value_that_is_not_allowed_stops_the_run_before_anything_is_made(checkout: Path) -> None:
    for override in ("sft.optimizer.epochs=-1", "sft.optimizer.no_such_key=1"):
        with pytest.raises(BadParams, match=override.partition("=")[0]), experiment.checkout([override], "a"):
            pass
    assert not (checkout / ".lw/experiments").exists()


def test_after_kill_9_the_checkout_is_clean_and_the_next_run_removes_the_copy(checkout: Path) -> None:
    before = _state(checkout)
    code = (
        "import os, signal\nfrom flows import experiment\n"
        "with experiment.checkout(['report.seed=77'], 'killed'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=False)
    assert done.returncode == -9
    assert _state(checkout) == before
    assert (checkout / ".lw/experiments/killed/params.yaml").exists()
    with experiment.checkout(["report.seed=78"], "next"):
        assert [path.name for path in (checkout / ".lw/experiments").iterdir()] == ["next"]
