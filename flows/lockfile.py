"""What the nightly flow does with git: find imported sources, and commit dvc.lock to a branch of its own.

With dvc.lock go the headline numbers and plots in data/, which git keeps (see .gitignore).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from longwriter.tracking import git


def _committer() -> dict[str, str]:
    """Return the variables of a committer if git knows none on this machine, else nothing."""
    if git.succeeds("var", "GIT_COMMITTER_IDENT"):
        return {}
    names = {f"GIT_{role}_NAME": "longwriter nightly" for role in ("AUTHOR", "COMMITTER")}
    return {**names, **{f"GIT_{role}_EMAIL": "longwriter@localhost" for role in ("AUTHOR", "COMMITTER")}}


def imported_sources() -> list[str]:
    """Return the .dvc files of the checkout: sources that `dvc import-url` keeps up to date."""
    return [path for path in git.run("ls-files", "*.dvc").splitlines() if Path(path).is_file()]


def numbers() -> list[str]:
    """Return the files in data/ that git does not ignore: headline numbers and plots."""
    names = git.run("ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "data")
    return [path for path in names.splitlines() if Path(path).is_file()]


def is_kept() -> bool:
    """Tell whether dvc.lock, as it is now, is committed to HEAD or to the newest nightly branch."""
    newest = git.run(
        "for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(refname)", "refs/heads/nightly"
    )
    refs = ["HEAD", newest] if newest else ["HEAD"]
    committed = [git.run("ls-tree", "--format=%(objectname)", ref, "dvc.lock") for ref in refs]
    return git.run("hash-object", "dvc.lock") in committed


def commit(branch: str, message: str) -> str | None:
    """Commit dvc.lock and the numbers in data/ to `branch`; work tree, index and HEAD stay as they are.

    Returns:
        The commit, or None if the branch (HEAD if there is no such branch) holds the same lock file already.
    """
    tip = git.run("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") or git.run(
        "rev-parse", "HEAD"
    )
    return commit_tree(f"refs/heads/{branch}", tip, message, [*imported_sources(), *numbers()])


def commit_tree(
    ref: str, parent: str, message: str, paths: Sequence[str], env: Mapping[str, str] | None = None
) -> str | None:
    """Commit dvc.lock and other files on top of `parent`, and let `ref` name the commit.

    Args:
        ref: Full name of a ref, such as refs/heads/NAME.
        parent: A commit.
        message: Message of the commit.
        paths: Files beside dvc.lock.
        env: Variables of git, for a repository and a work tree other than those of the working directory.

    Returns:
        The commit, or None if `parent` has the same content already.
    """
    env = dict(env or {})
    with tempfile.TemporaryDirectory() as folder:
        index = {**env, "GIT_INDEX_FILE": str(Path(folder) / "index")}
        git.run("read-tree", parent, env=index)
        git.run("add", "dvc.lock", *paths, env=index)
        tree = git.run("write-tree", env=index)
    if tree == git.run("rev-parse", f"{parent}^{{tree}}", env=env):
        return None
    created = git.run("commit-tree", tree, "-p", parent, "-m", message, env={**_committer(), **env})
    git.run("update-ref", ref, created, env=env)
    return created
