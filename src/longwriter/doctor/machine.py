"""Checks of this machine and of the checkout: packages, parameters, memory, disk, GPUs, `.lw`, git."""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from longwriter import params as parameters
from longwriter.capacity import machine as capacity
from longwriter.capacity.memory import GIB
from longwriter.doctor.finding import Finding, State
from longwriter.errors import BadParams
from longwriter.io import databases, files
from longwriter.tracking import git

_MIN_DISK, _LOW_DISK = 2 * GIB, 12 * GIB
"""Free disk below which stages of the embedded profile fail, and below which one demo may fill it (it takes 6 GB)."""
_LOW_MEMORY = 6 * GIB  # a demo's SFT on two CPU ranks peaks at 5.7 GiB
_NAMES_SHOWN = 6


def checks() -> Iterator[Finding]:
    """Yield the findings about this machine and this checkout."""
    yield packages()
    yield settings()
    yield memory()
    yield from disk()
    yield gpus()
    yield local_state()
    yield source()


def packages(project: Path = Path("pyproject.toml")) -> Finding:
    """Compare the installed packages with the versions that the checkout asks for."""
    asked = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    wrong = []
    for line in asked["dependencies"]:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} is {version}, not {needed.specifier}")
    python = f"Python {sys.version.split()[0]}"
    if not Requirement(f"python{asked['requires-python']}").specifier.contains(sys.version.split()[0]):
        wrong.insert(0, f"{python} is not {asked['requires-python']}")
    if not wrong:
        return Finding(
            "packages", "ok", f"{python}, {len(asked['dependencies'])} packages as pyproject.toml asks"
        )
    text = "; ".join(wrong[:_NAMES_SHOWN]) + (
        f"; and {len(wrong) - _NAMES_SHOWN} more" if wrong[_NAMES_SHOWN:] else ""
    )
    return Finding("packages", "error", text, "bash infra/setup.sh base")


def settings() -> Finding:
    """Check params.yaml and the files that it names."""
    try:
        parameters.load()
    except BadParams as error:
        return Finding(
            "params.yaml",
            "error",
            "; ".join(str(error).splitlines()),
            "longwriter params shows what is allowed",
        )
    return Finding("params.yaml", "ok", "every value is allowed, and every file that it names is there")


def memory() -> Finding:
    """Compare the memory that is free with what the embedded profile takes."""
    free, whole = psutil.virtual_memory().available, psutil.virtual_memory().total
    text = f"{free / GIB:.1f} of {whole / GIB:.1f} GiB are free"
    if free >= _LOW_MEMORY:
        return Finding("memory", "ok", text)
    cure = "end other programs, or see with `longwriter capacity` what the training of params.yaml takes"
    return Finding("memory", "warning", text, cure)


def disk() -> Iterator[Finding]:
    """Compare the free disk of each file system that the pipeline writes to with what a demo takes."""
    folders: dict[int, list[Path]] = {}
    for folder in (files.LOCAL, files.DATA, Path(".dvc/cache")):
        there = folder if folder.exists() else Path()
        folders.setdefault(there.stat().st_dev, []).append(folder)
    for same in folders.values():
        free = shutil.disk_usage(same[0] if same[0].exists() else Path()).free
        text = f"{free / GIB:.1f} GiB are free for {', '.join(map(str, same))}"
        if free >= _LOW_DISK:
            yield Finding("disk", "ok", text)
        else:
            state: State = "error" if free < _MIN_DISK else "warning"
            yield Finding("disk", state, text, "make room: longwriter clean lists what can go")


def gpus() -> Finding:
    """Name the GPUs that PyTorch sees."""
    there = capacity.this()
    if not there.gpus:
        return Finding("GPUs", "ok", "PyTorch sees none: models are trained and served on the CPU")
    return Finding("GPUs", "ok", f"{there.gpus} x {there.gpu} with {(there.gpu_bytes or 0) / GIB:.0f} GiB")


def local_state() -> Finding:
    """Check that `.lw` can be written, and that its databases are not damaged."""
    files.LOCAL.mkdir(exist_ok=True)
    try:
        with tempfile.NamedTemporaryFile(dir=files.LOCAL):
            pass
    except OSError as error:
        cure = "give this user the right to write there, or move the checkout"
        return Finding(".lw", "error", f"cannot write to {files.LOCAL.resolve()}: {error.strerror}", cure)
    whole = [file for file in (files.REPLAY, files.LOCAL / "mlflow.db") if file.exists()]
    damaged = [f"{file}: {reason}" for file in whole if (reason := databases.damage(file))]
    if damaged:
        return Finding(
            ".lw",
            "error",
            "; ".join(damaged),
            "run any stage: it sets the file aside and keeps what is whole",
        )
    return Finding(".lw", "ok", f"can be written; {len(whole)} databases are whole")


def source() -> Finding:
    """Say which commit this is, and whether its changes are committed."""
    if not git.succeeds("rev-parse", "HEAD"):
        cure = "clone the project with git: lineage names the commit of each run"
        return Finding("git", "warning", "this folder is not a git checkout with a commit", cure)
    commit, branch = git.run("rev-parse", "--short", "HEAD"), git.run("rev-parse", "--abbrev-ref", "HEAD")
    changed = len(git.run("status", "--porcelain").splitlines())
    text = f"{branch} at {commit}, " + (
        f"{changed} files are not committed" if changed else "all is committed"
    )
    return Finding(
        "git",
        "warning" if changed else "ok",
        text,
        "commit them, so that lineage names them" if changed else "",
    )
