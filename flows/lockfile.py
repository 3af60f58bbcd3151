"""Git, for the nightly flow: which sources are imported, and the lock file on a branch of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path


def _git(*words: str, env: dict[str, str] | None = None) -> str:
    """Return git's output.

    Raises:
        RuntimeError: git failed; its words are in the message.
    """
    done = subprocess.run(
        ["git", *words], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _identity() -> dict[str, str]:
    """Return a committer for machines on which nobody has told git one; else nothing."""
    known = subprocess.run(["git", "var", "GIT_COMMITTER_IDENT"], capture_output=True, check=False)
    if known.returncode == 0:
        return {}
    names = {f"GIT_{who}_NAME": "longwriter nightly" for who in ("AUTHOR", "COMMITTER")}
    return {**names, **{f"GIT_{who}_EMAIL": "longwriter@localhost" for who in ("AUTHOR", "COMMITTER")}}


def imported_sources() -> list[str]:
    """Return the .dvc files of the checkout: sources that `dvc import-url` keeps up to date."""
    return [path for path in _git("ls-files", "*.dvc").splitlines() if Path(path).is_file()]


def is_kept() -> bool:
    """Tell whether HEAD, or the newest nightly branch, holds dvc.lock as it is now."""
    newest = _git(
        "for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(refname)", "refs/heads/nightly"
    )
    refs = ["HEAD", newest] if newest else ["HEAD"]
    held = [_git("ls-tree", "--format=%(objectname)", ref, "dvc.lock") for ref in refs]
    return _git("hash-object", "dvc.lock") in held


def commit(branch: str, message: str) -> str | None:
    """Commit dvc.lock as it is now to `branch`; work tree, index and HEAD stay as they are.

    Returns:
        The commit, or None where the branch (else HEAD) holds the same lock file already.
    """
    tip = _git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") or _git("rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", tip, env=env)
        _git("add", "dvc.lock", *imported_sources(), env=env)
        tree = _git("write-tree", env=env)
    if tree == _git("rev-parse", f"{tip}^{{tree}}"):
        return None
    made = _git("commit-tree", tree, "-p", tip, "-m", message, env=_identity())
    _git("update-ref", f"refs/heads/{branch}", made)
    return made
