"""dvc.lock and the branches that hold it."""

import subprocess

import pytest

from flows import lockfile


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@example.invalid")
    (tmp_path / "dvc.lock").write_text("1")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def test_a_lock_file_is_kept_where_head_or_the_newest_nightly_branch_holds_it(repo):
    assert lockfile.is_kept()
    (repo / "dvc.lock").write_text("2")
    assert not lockfile.is_kept()  # as after a night whose push failed
    assert lockfile.commit("nightly/2026-01-01", "first")
    assert lockfile.is_kept()
    (repo / "dvc.lock").write_text("3")
    assert not lockfile.is_kept()
    assert lockfile.commit("nightly/2026-01-01", "second")
    assert lockfile.commit("nightly/2026-01-01", "third") is None
    assert lockfile.is_kept()


def test_the_numbers_that_git_keeps_go_to_the_branch_with_the_lock_file(repo):
    (repo / ".gitignore").write_text("/data/*/*\n!/data/*/headline.json\n")
    (repo / "data/sft").mkdir(parents=True)
    for name in ("headline.json", "metrics.json"):
        (repo / "data/sft" / name).write_text("{}")
    created = lockfile.commit("nightly/2026-01-01", "first")
    words = ["git", "diff", "--name-only", "HEAD", created]
    assert (
        subprocess.run(words, check=True, capture_output=True, text=True).stdout == "data/sft/headline.json\n"
    )


def test_a_lock_file_that_was_never_committed_is_not_kept(repo):
    subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
    subprocess.run(["git", "commit", "-qm", "y"], check=True)
    assert not lockfile.is_kept()
