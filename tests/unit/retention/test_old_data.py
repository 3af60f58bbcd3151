"""What `dvc gc` alone would remove too much or too little of, in a real repository of DVC and git."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from longwriter.errors import UserError
from longwriter.retention import old_data
from tests.unit.tracking.test_versioning import initialised  # noqa: F401

WORK = "cp in.txt out.txt && { cat in.txt; printf ' in short'; } >n.json && echo >>.git/ran"
STAGE = {"cmd": WORK, "deps": ["in.txt"], "outs": ["out.txt"], "metrics": [{"n.json": {"cache": False}}]}


@pytest.fixture
def repo(initialised, tmp_path, monkeypatch):  # noqa: F811
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tests")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tests@example.invalid")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"work": STAGE}}))
    return tmp_path


def git(*words):
    subprocess.run(["git", *words], check=True, capture_output=True)


def run_with(text, branch=None):
    """Run the stage on other input, and commit it to a branch."""
    if branch:
        git("checkout", "-q", "-B", branch)
    Path("in.txt").write_text(text)
    with Repo(".") as dvc:
        dvc.reproduce()
    if branch:
        git("add", "-A")
        git("commit", "-q", "-m", text)


def cached():
    """Return the contents of the cache, and the number of entries in the run cache."""
    objects = [path.read_text() for path in Path(".dvc/cache/files").rglob("*") if path.is_file()]
    return sorted(objects), len(list(Path(".dvc/cache/runs").glob("*/*/*")))


def cached_folder(name):
    """Put a folder with one file into the cache, and return its digest; no .dvc file names it."""
    Path(name).mkdir()
    Path(f"{name}/a.txt").write_text("a")
    with Repo(".") as dvc:
        [stage] = dvc.add([name])
    Path(f"{name}.dvc").unlink()
    return stage.outs[0].hash_info.value


def executions():
    return Path(".git/ran").read_text().count("\n")


def test_data_of_branches_and_of_the_newest_nights_stays_and_can_still_be_restored(repo):
    run_with("first", "main")
    for night in ("first night", "second night"):
        run_with(night, f"nightly/{night.partition(' ')[0]}")
    git("checkout", "-q", "main")
    run_with("never committed")
    run_with("first")
    everything = ("first", "first night", "never committed", "second night")
    assert cached() == (sorted([*everything, *(f"{text} in short" for text in everything)]), 4)
    old = old_data.find(1, set())
    gone = sorted(path.read_text() for path in old.objects)
    assert gone == [
        "first night",
        "first night in short",
        "never committed",
        "never committed in short",
    ]
    assert cached()[1] == 4
    assert old_data.remove(1, set()) == old
    assert cached() == (["first", "first in short", "second night", "second night in short"], 2)
    assert old_data.remove(1, set()) == ([], [], 0)
    assert executions() == 4
    run_with("second night")
    assert executions() == 4
    run_with("first night")
    assert executions() == 5


def test_a_nightly_branch_that_was_pushed_keeps_its_data_no_longer_than_the_others(repo, tmp_path_factory):
    origin = tmp_path_factory.mktemp("origin")
    git("init", "-q", "--bare", str(origin))
    git("remote", "add", "origin", str(origin))
    for branch in ("nightly/2026-01-01", "nightly/2026-01-02", "me/nightly/idea", "main"):
        run_with(branch, branch)
        git("push", "-q", "origin", branch)
    gone = {path.read_text() for path in old_data.find(1, set()).objects}
    assert gone == {"nightly/2026-01-01", "nightly/2026-01-01 in short"}


def test_data_that_the_caller_names_stays_with_the_files_of_a_folder(repo):
    digest = cached_folder("folder")
    run_with("first", "main")
    assert len(old_data.find(1, set()).objects) == 2
    assert old_data.find(1, {digest}) == ([], [], 0)
    assert old_data.find(1, {"0" * 32 + ".dir"}).bytes > 0


def test_an_entry_of_the_run_cache_goes_with_its_output_and_then_an_older_one_is_restored(repo):
    run_with("first", "main")
    [entry] = Path(".dvc/cache/runs").glob("*/*/*")
    newer = yaml.safe_load(entry.read_text())
    newer["outs"][0]["md5"] = "0" * 32  # an output that is not in the cache any more
    (entry.parent / ("f" * 64)).write_text(yaml.safe_dump(newer))
    assert [path.name for path in old_data.remove(1, set()).entries] == ["f" * 64]
    run_with("second")
    Path("in.txt").write_text("first")
    with Repo(".") as dvc:
        dvc.reproduce()
    assert Path("out.txt").read_text() == "first"
    assert executions() == 2
    assert old_data.find(1, set()).entries != []  # of "second"


def test_a_cache_that_others_may_use_stays_unchanged(repo, tmp_path_factory):
    with Repo(".") as dvc, dvc.config.edit("local") as config:
        config["cache"]["dir"] = str(tmp_path_factory.mktemp("shared"))
    with pytest.raises(UserError, match="lies outside this checkout"):
        old_data.find(1, set())


def test_data_that_a_branch_names_and_nobody_has_is_no_warning(repo, caplog):
    """DVC warns of each, in words for its developers: `Missing cache files: name: None`."""
    digest = cached_folder("old")
    Path("old.dvc").write_text(yaml.safe_dump({"outs": [{"md5": digest, "hash": "md5", "path": "old"}]}))
    shutil.rmtree(".dvc/cache")
    with Repo(".") as dvc, dvc.config.edit() as config:
        config["remote"] = {"away": {"url": str(repo / "remote")}}
        config["core"]["remote"] = "away"
    (repo / "remote").mkdir()
    run_with("first")
    caplog.clear()
    assert old_data.find(1, set()).objects == []
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
