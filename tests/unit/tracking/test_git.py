import subprocess

import pytest

from longwriter.doctor import machine
from longwriter.errors import UserError
from longwriter.tracking import git

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")


def test_what_a_run_changes_does_not_make_the_tree_dirty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("1")
    git.run("init", "-q")
    git.run("add", "-A")
    git.run(*COMMIT)
    (tmp_path / "dvc.lock").write_text("x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/headline.json").write_text("{}")
    assert git.state_tags() == {"git.commit": git.run("rev-parse", "HEAD"), "git.dirty": "false"}
    (tmp_path / "one.txt").write_text("2")
    assert git.state_tags()["git.dirty"] == "true"


def test_outside_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert git.state_tags() == {"git.commit": "none", "git.dirty": "false"}


def test_a_failure_has_the_command_and_the_error_of_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=r"git rev-parse HEAD: fatal: not a git repository"):
        git.run("rev-parse", "HEAD")
    assert not git.succeeds("rev-parse", "HEAD")


def test_a_checkout_of_another_user_is_refused_with_what_to_do(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests use it
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for call in (git.state_tags, lambda: git.run("branch"), lambda: git.succeeds("branch")):
        with pytest.raises(UserError, match=r"belongs to another user: run this .* safe\.directory /\S+$"):
            call()
    found = machine.source()
    assert (found.state, found.topic) == ("error", "git")
    assert "safe.directory" in found.cure
