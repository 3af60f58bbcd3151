"""What the nightly flow does with git: find imported sources, and commit dvc.lock to a branch of its own.

The commit also has what dvc.lock was made from (params.yaml, the .dvc files of imported sources), and the headline
numbers and plots in data/, which git keeps (see .gitignore). So `dvc metrics diff` and `dvc plots diff` compare any
two nights.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from longwriter.errors import UserError, without_password
from longwriter.io import scratch
from longwriter.tracking import git


def _committer() -> dict[str, str]:
    """Return the variables of a committer if git knows none on this machine, else nothing."""
    if git.succeeds("var", "GIT_COMMITTER_IDENT"):
        return {}
    names = {f"GIT_{role}_NAME": "longwriter nightly" for role in ("AUTHOR", "COMMITTER")}
    return {**names, **{f"GIT_{role}_EMAIL": "longwriter@localhost" for role in ("AUTHOR", "COMMITTER")}}


def imported_sources() -> list[str]:
    """Return the .dvc files of the checkout: sources that `dvc import-url` keeps up to date."""
    return [path for path in git.paths("ls-files", "-z", "*.dvc") if Path(path).is_file()]


def numbers() -> list[str]:
    """Return the files in data/ that git does not ignore: headline numbers and plots."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "data")
    return [path for path in git.paths(*words) if Path(path).is_file()]


def nights(count: int) -> list[str]:
    """Return the newest nightly branches of this checkout, the newest first, at most `count`."""
    order = ("--sort=-refname", "--sort=-committerdate")  # by time, then by name
    words = ("for-each-ref", *order, f"--count={count}", "--format=%(refname)", "refs/heads/nightly")
    return git.lines(*words)


def is_kept() -> bool:
    """Tell whether dvc.lock, as it is now, is committed to HEAD or to the newest nightly branch."""
    committed = [
        git.run("ls-tree", "--format=%(objectname)", ref, "dvc.lock") for ref in ("HEAD", *nights(1))
    ]
    return git.run("hash-object", "dvc.lock") in committed


def commit(branch: str, message: str) -> str | None:
    """Commit dvc.lock, params.yaml, imported sources and numbers to `branch`; the checkout stays as it is.

    The commit has the code of HEAD. Its parents are the last night and HEAD, or only one of them if it contains the
    other. So the nights are one line of commits, and a pull request of the newest one has them all.

    Returns:
        The commit, or None if the last night (HEAD if there is none) has the same content already.
    """
    parents = [git.run("rev-parse", ref) for ref in (*nights(1), "HEAD")]
    if len(parents) == 2:
        night, head = parents
        if git.succeeds("merge-base", "--is-ancestor", head, night):
            parents = [night]
        elif git.succeeds("merge-base", "--is-ancestor", night, head):
            parents = [head]
    paths = ["params.yaml"] if Path("params.yaml").is_file() else []
    return commit_tree(
        f"refs/heads/{branch}", parents, message, [*paths, *imported_sources(), *numbers()], code="HEAD"
    )


def push(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
    """Push the newest nightly branch to the git remote `origin`, unless it is there, or HEAD contains it.

    Raises:
        UserError: git cannot push it; the message has git's reason and the command to repeat.
    """
    for ref in nights(1):
        branch = ref.removeprefix("refs/heads/")
        pushed = git.run("for-each-ref", "--format=%(objectname)", f"refs/remotes/origin/{branch}")
        if git.run("rev-parse", ref) == pushed or git.succeeds("merge-base", "--is-ancestor", ref, "HEAD"):
            return
        words = ("push", "--quiet", "origin", f"{ref}:{ref}")
        try:
            git.run(*words, env={"GIT_TERMINAL_PROMPT": "0"})
        except RuntimeError as error:
            reason = without_password(" ".join(str(error).split()))
            raise UserError(
                f"the branch {branch} is complete, but could not be pushed: {reason}; "
                f"correct it and run: git push origin {branch}"
            ) from None
        log.info("pushed %s to origin", branch)


def commit_tree(
    ref: str,
    parents: Sequence[str],
    message: str,
    paths: Sequence[str],
    *,
    code: str,
    env: Mapping[str, str] | None = None,
) -> str | None:
    """Commit dvc.lock and other files on top of `parents`, and let `ref` name the commit.

    Args:
        ref: Full name of a ref, such as refs/heads/NAME.
        parents: Commits; the first one is the last of its line.
        message: Message of the commit.
        paths: Files beside dvc.lock.
        code: The commit that all other files come from.
        env: Variables of git, for a repository and a work tree other than those of the working directory.

    Returns:
        The commit, or None if the first parent has the same content already.
    """
    env = dict(env or {})
    with scratch.folder() as folder:
        index = {**env, "GIT_INDEX_FILE": str(folder / "index")}
        git.run("read-tree", code, env=index)
        git.run("--literal-pathspecs", "add", "--", "dvc.lock", *paths, env=index)
        tree = git.run("write-tree", env=index)
    if tree == git.run("rev-parse", f"{parents[0]}^{{tree}}", env=env):
        return None
    on_top = [word for parent in parents for word in ("-p", parent)]
    created = git.run("commit-tree", tree, *on_top, "-m", message, env={**_committer(), **env})
    git.run("update-ref", ref, created, env=env)
    return created
