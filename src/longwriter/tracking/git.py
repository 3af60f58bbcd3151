"""Runs git; no other file does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from longwriter.errors import UserError

_OTHER_OWNER = re.compile(r"git config --global --add safe\.directory .+")  # git's advice


def run(*words: str, env: Mapping[str, str] | None = None) -> str:
    """Return the output of `git WORDS`, without the white space around it.

    Args:
        words: Command and arguments.
        env: Variables added to the environment.

    Raises:
        RuntimeError: git failed; the message has the command and git's error.
        UserError: the checkout belongs to another user, so git refuses to read it.
    """
    return _output(*words, env=env).strip()


def paths(*words: str) -> list[str]:
    """Return the paths that `git WORDS` lists.

    Args:
        words: Command and arguments; `-z` must be among them, because a name may hold any character but NUL.

    Raises:
        RuntimeError, UserError: see `run`.
    """
    return [path for path in _output(*words).split("\0") if path]


def lines(*words: str) -> list[str]:
    """Return the lines of `git WORDS`, such as names of refs, which may hold other line ends of Unicode.

    Raises:
        RuntimeError, UserError: see `run`.
    """
    return [line for line in _output(*words).split("\n") if line]


def succeeds(*words: str) -> bool:
    """Tell whether `git WORDS` ends without an error."""
    return _run(*words).returncode == 0


def state_tags() -> dict[str, str]:
    """Return the tags `git.commit` and `git.dirty`; dvc.lock and data/, which a run changes, do not count as dirty.

    Outside a repository the commit is `none`, and nothing is dirty.
    """
    commit = _run("rev-parse", "HEAD")
    changes = _run("status", "--porcelain", "--", ".", ":(exclude)dvc.lock", ":(exclude)data")
    return {
        "git.commit": commit.stdout.strip() if commit.returncode == 0 else "none",
        "git.dirty": "true" if changes.returncode == 0 and changes.stdout.strip() else "false",
    }


def _output(*words: str, env: Mapping[str, str] | None = None) -> str:
    result = _run(*words, env=env)
    if result.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {result.stderr.strip()}")
    return result.stdout


def _run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    no_locks = {"GIT_OPTIONAL_LOCKS": "0"}  # `git status` does not write its index: the disk may be full
    environment = {**os.environ, **(env or {}), **no_locks}
    result = subprocess.run(
        ["git", *words],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # a name need not be UTF-8
        check=False,
        env=environment,
    )
    if result.returncode and (command := _OTHER_OWNER.search(result.stderr)):
        raise UserError(
            f"git refuses {Path.cwd()}, which belongs to another user: run this as that user, or allow it: {command[0]}"
        )
    return result
