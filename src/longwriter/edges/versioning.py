"""What DVC and git know: a stage's files and parameters, their digests, and the commit.

The only file in `src` that imports dvc. Digests are DVC's own (md5 of a file, `.dir` of a folder),
so that MLflow, `dvc.lock` and the cache name the same bytes by the same word.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo

from longwriter.errors import BadRecord, UserError
from longwriter.records import content_hash


class StageFiles(NamedTuple):
    """One stage of dvc.yaml with its templates filled in; paths are relative to the checkout."""

    cmd: str
    deps: list[str]
    outs: list[str]
    params: dict[str, Any]


def stage_names() -> list[str]:
    """Return the stages of dvc.yaml in its order, each item of a matrix as `NAME@ITEM`.

    Raises:
        UserError: dvc.yaml, or params.yaml that fills it, cannot be read.
    """
    with Repo(".") as repo:
        try:
            return list(load_file(repo, "dvc.yaml").stages)
        except DvcException as error:
            raise UserError(f"dvc.yaml: {error}") from error


def stage_files(name: str) -> StageFiles:
    """Return what dvc.yaml says of a stage."""
    with Repo(".") as repo:
        stage = repo.stage.load_one(name=name)
        deps, params = [], {}
        for dep in stage.deps:
            if hasattr(dep, "params"):
                params.update(dep.read_params())
            else:
                deps.append(dep.def_path)
        return StageFiles(stage.cmd, deps, [out.def_path for out in stage.outs], params)


def digest(path: Path | str) -> str:
    """Return DVC's digest of a file (32 hex digits) or a folder (the same plus `.dir`).

    Of a URL such as s3://bucket/prefix, DVC itself reads the objects.
    """
    if "://" in str(path):
        return _digest_of_url(str(path))
    path = Path(path)
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "md5").hexdigest()
    if not path.is_dir():
        raise BadRecord(f"{path} is missing: run the stage that writes it (`dvc repro`)")
    rows = [
        {"md5": digest(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
    ]
    rows.sort(key=lambda row: row["relpath"])
    return hashlib.md5(json.dumps(rows).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _digest_of_url(url: str) -> str:
    """Return the digest that DVC gives a dependency outside the checkout."""
    with Repo(".") as repo:
        found = next((dep for stage in repo.index.stages for dep in stage.deps if dep.def_path == url), None)
        if found is None or not found.exists:
            raise BadRecord(f"{url} is no dependency of a stage, or does not exist")
        return str(found.get_hash().value)


def fingerprint(stage: StageFiles, deps: dict[str, str]) -> str:
    """Return the sha256 of all that decides a stage's output.

    Args:
        stage: Its command and parameters.
        deps: {path: digest} of its dependencies.
    """
    return content_hash([stage.cmd, deps, stage.params])


def bytes_of(md5: str, path: str) -> Path:
    """Return a file with the bytes of a digest: DVC's cache has it, or the checkout's `path` still.

    Raises:
        BadRecord: neither has them.
    """
    with Repo(".") as repo:
        cached = Path(repo.cache.local.oid_to_path(md5))
    for file in (cached, Path(path)):
        if file.is_file() and digest(file) == md5:
            return file
    raise BadRecord(
        f"{path} with md5 {md5} is not in the DVC cache: `dvc fetch` it with the dvc.lock of that time"
    )


def git_state() -> dict[str, str]:
    """Return tags `git.commit` and `git.dirty`; dvc.lock, which a run changes, does not count."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    dirty = git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    return {"git.commit": git("rev-parse", "HEAD") or "none", "git.dirty": "true" if dirty else "false"}
