import subprocess
import sys

import pytest
import yaml

from longwriter.edges import versioning
from longwriter.errors import BadRecord


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "a.txt").write_text("a\r\n")
    (tmp_path / "folder" / "b.txt").write_text("字")
    (tmp_path / "one.txt").write_text("1")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    return tmp_path


def test_digests_are_those_of_dvc(repo):
    for name in ("folder", "one.txt"):
        subprocess.run([sys.executable, "-m", "dvc", "add", "-q", name], check=True)
        said = yaml.safe_load((repo / f"{name}.dvc").read_text())["outs"][0]["md5"]
        assert versioning.digest(repo / name) == said


def test_a_missing_file_has_no_digest(repo):
    with pytest.raises(BadRecord, match="missing"):
        versioning.digest(repo / "nope")


def test_the_fingerprint_changes_with_command_dependency_and_parameter():
    def mark(cmd="c", deps="1", params=1):
        return versioning.fingerprint(versioning.StageFiles(cmd, [], [], {"p": params}), {"d": deps})

    assert mark() == mark()
    assert len({mark(), mark(cmd="x"), mark(deps="2"), mark(params=2)}) == 4


def test_the_lock_file_does_not_make_the_tree_dirty(repo):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (repo / "dvc.lock").write_text("x")
    assert versioning.git_state()["git.dirty"] == "false"
    (repo / "one.txt").write_text("2")
    assert versioning.git_state()["git.dirty"] == "true"
