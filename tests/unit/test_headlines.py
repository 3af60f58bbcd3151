"""The numbers that git keeps: `dvc metrics show` fits a terminal, and a fresh clone can compare commits."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from longwriter.execution.summary import Summary
from longwriter.tracking import versioning

SHARED = ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config")
NUMBERS = {
    "words_mean": 12_345.678, "length_score_mean": 77.1612, "quality_score_mean": 81.25, "ended_share": 0.9583,
    "loop_share": 0.25, "refusal_share": 0.0417, "test_loss": 2.100716,
}  # fmt: skip
SCORED = (
    "words_mean",
    "length_score_mean",
    "quality_score_mean",
    "ended_share",
    "loop_share",
    "refusal_share",
)
OF = {
    "write": ("words_mean",), "dataset": ("words_mean",), "sft": ("test_loss",), "sample": ("words_mean", "ended_share"),
    "generate": ("words_mean", "ended_share"), "score": SCORED,
}  # fmt: skip


def run(folder, *words):
    names = {f"GIT_{role}_{key}": "t@x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    env = {**os.environ, **names, "DVC_NO_ANALYTICS": "1", "COLUMNS": "120"}
    return subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


def write(folder, rows, loss):
    """Write what each stage writes with 6,000,000 rows: headline, metrics, and the curves of training."""
    for name in versioning.stage_names():
        numbers = {key: NUMBERS[key] for key in OF.get(name.partition("@")[0], ())}
        if name == "sft":
            numbers["test_loss"] = loss
        result = Summary(6_000_000, rows, {"refused": 6_000_000 - rows}, numbers)
        target = folder / "data" / name.replace("@", "/")
        target.mkdir(parents=True, exist_ok=True)
        (target / "metrics.json").write_text(json.dumps(result.metrics()))
        (target / "headline.json").write_text(json.dumps(result.headline()))
    for stage in ("sft", "dpo"):
        (folder / f"data/{stage}/curve.csv").write_text(f"step,loss\n1,3.0\n2,{loss}\n")
        (folder / f"data/{stage}/weights").mkdir(exist_ok=True)
        (folder / f"data/{stage}/weights/curve.csv").write_text("no plot")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone, without DVC's cache, of a repository with two commits of results."""
    origin, clone = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("clones") / "clone"
    for name in SHARED:
        (origin / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(name, origin / name)
    run(origin, "git", "init", "--quiet")
    for rows, loss in ((5_000_000, 2.5), (5_912_345, 2.100716)):
        write(origin, rows, loss)
        run(origin, "git", "add", "--all")
        run(origin, "git", "commit", "--quiet", "--message=Run")
    run(origin, "git", "clone", "--quiet", str(origin), str(clone))
    return clone


def test_git_keeps_the_headline_of_each_stage_and_the_plots_and_nothing_else_of_data(clone):
    headlines = {f"data/{name.replace('@', '/')}/headline.json" for name in versioning.stage_names()}
    curves = {"data/sft/curve.csv", "data/dpo/curve.csv"}
    assert set(run(clone, "git", "ls-files", "data").splitlines()) == headlines | curves


def test_the_headlines_fit_a_terminal_of_120_columns(clone):
    table = run(clone, "dvc", "metrics", "show").splitlines()
    assert len(table) == 1 + len(versioning.stage_names())
    assert max(map(len, table)) <= 120, "\n".join(table)
    [score] = [line for line in table if "data/score/dpo-small/" in line]
    shown = dict(zip(table[0].split(), score.split(), strict=True))
    assert shown.items() >= {"in": "6000000", "kept": "5912345", "words": "12346", "loss": "-"}.items()
    assert shown.items() >= {"S_l": "77.2", "ended": "0.96", "refused": "0.04"}.items()


def test_a_fresh_clone_compares_numbers_and_curves_of_two_commits(clone):
    changes = json.loads(run(clone, "dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json"))
    assert changes["data/sft/headline.json"]["loss"] == {
        "old": 2.5,
        "new": 2.101,
        "diff": pytest.approx(-0.399),
    }
    plots = json.loads(
        run(clone, "dvc", "plots", "diff", "--json", "HEAD~1", "HEAD", "--targets", "data/sft/curve.csv")
    )
    assert "2.100716" in json.dumps(plots)
    assert not Path(clone / ".dvc/cache").exists()
