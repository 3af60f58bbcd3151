"""dvc.lock and the branches that hold it."""

import logging
import os
import subprocess

import pytest

from flows import lockfile
from longwriter.errors import UserError
from longwriter.tracking import git as git_module
from longwriter.web import net


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


@pytest.mark.parametrize(
    "item",
    [
        b"s\xc3\xa9",
        b'a "b"',
        b"two\nlines",
        b" begins and ends ",
        b"\xff",
        b"\xe2\x80\xa8",
        b":(top)*",
        b"-n",
    ],
    ids=repr,
)
def test_a_file_goes_to_the_branch_whatever_its_name_is(repo, item):
    (repo / ".gitignore").write_text("/data/*/*\n!/data/*/headline.json\n")
    name = os.fsdecode(item)
    (repo / "data" / name).mkdir(parents=True)
    (repo / "data" / name / "headline.json").write_text("{}")
    (repo / f"{name}.dvc").write_text("x")
    (repo / "other").write_text("x")
    git("add", "--", f"./{name}.dvc")
    assert lockfile.imported_sources() == [f"{name}.dvc"]
    assert lockfile.numbers() == [f"data/{name}/headline.json"]
    created = lockfile.commit("nightly/2026-01-01", "first")
    expected = sorted([f"{name}.dvc", f"data/{name}/headline.json"])
    assert sorted(git_module.paths("diff", "-z", "--name-only", "HEAD", created)) == expected


def test_the_name_of_a_branch_is_one_line(repo):
    (repo / "dvc.lock").write_text("2")
    assert lockfile.commit("nightly/2026\u2028\u00a001", "first")
    assert lockfile.nights(2) == ["refs/heads/nightly/2026\u2028\u00a001"]


def test_a_lock_file_that_was_never_committed_is_not_kept(repo):
    subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
    subprocess.run(["git", "commit", "-qm", "y"], check=True)
    assert not lockfile.is_kept()


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def night(repo, day, lock):
    (repo / "dvc.lock").write_text(lock)
    return lockfile.commit(f"nightly/2026-01-{day:02}", lock)


def test_a_night_holds_the_parameters_that_it_ran_with(repo):
    (repo / "params.yaml").write_text("old")
    git("add", "params.yaml")
    git("commit", "-qm", "p")
    (repo / "params.yaml").write_text("new")  # nobody has committed it
    created = night(repo, 1, "2")
    assert git("show", f"{created}:params.yaml") == "new"
    assert git("show", "HEAD:params.yaml") == "old"


def test_the_nights_are_one_line_of_commits_with_the_code_of_head(repo):
    first, second = night(repo, 1, "2"), night(repo, 2, "3")
    assert git("rev-parse", f"{second}^@").split() == [first]
    (repo / "code.py").write_text("new")
    git("add", "code.py")
    git("commit", "-qm", "code")
    third, head = night(repo, 3, "4"), git("rev-parse", "HEAD")
    assert git("rev-parse", f"{third}^@").split() == [second, head]
    assert git("show", f"{third}:code.py") == "new"
    same_day = night(repo, 3, "5")
    assert git("rev-parse", f"{same_day}^@").split() == [third]
    git("reset", "-q", "--hard", same_day)  # somebody took it over
    assert git("rev-parse", f"{night(repo, 4, '6')}^@").split() == [same_day]


def test_the_newest_night_is_pushed_until_it_is_there_or_merged(repo, tmp_path_factory):
    origin, log = tmp_path_factory.mktemp("origin"), logging.getLogger("test")
    git("init", "-q", "--bare", str(origin))
    night(repo, 1, "2")
    git("remote", "add", "origin", f"https://me:secret@127.0.0.1:{net.free_port()}/x.git")
    with pytest.raises(UserError, match="git push origin nightly/2026-01-01") as refused:
        lockfile.push(log)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    git("remote", "set-url", "origin", str(origin))
    created = night(repo, 2, "3")
    lockfile.push(log)
    assert git("-C", str(origin), "for-each-ref", "--format=%(refname) %(objectname)") == (
        f"refs/heads/nightly/2026-01-02 {created}"
    )
    git("-C", str(origin), "update-ref", "-d", "refs/heads/nightly/2026-01-02")
    git("fetch", "-q", "--prune")
    git("reset", "-q", "--hard", created)  # it was merged, and its branch removed
    lockfile.push(log)
    assert git("-C", str(origin), "for-each-ref") == ""
