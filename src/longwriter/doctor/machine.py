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
from longwriter.amounts import amount
from longwriter.capacity import check
from longwriter.capacity import machine as capacity
from longwriter.capacity.memory import GIB
from longwriter.doctor.finding import Finding, State
from longwriter.errors import BadParams, UserError
from longwriter.io import databases, files
from longwriter.io import disk as io_disk
from longwriter.params import Params
from longwriter.tracking import git

_MIN_DISK, _LOW_DISK = 2 * GIB, 12 * GIB
"""Bytes of free disk: with fewer than the first, stages of the embedded profile fail; with fewer than the second, a
demo, which writes 6 GB, may fill the disk."""
_LOW_MEMORY = 6 * GIB  # a demo's SFT on two CPU ranks peaks at 5.7 GiB
_NAMES_SHOWN = 6


def checks(params: Params | None) -> Iterator[Finding]:
    """Yield the findings about this machine and this checkout; without `params`, optional packages are left out."""
    yield packages()
    if params is not None:
        yield optional_packages(params)
    yield settings()
    yield memory()
    yield from disk()
    yield gpus()
    yield local_state()
    yield source()


def packages(project: Path = Path("pyproject.toml")) -> Finding:
    """Compare the installed packages with the versions that the checkout asks for."""
    project_table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    problems = []
    for line in project_table["dependencies"]:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    python = f"Python {sys.version.split()[0]}"
    if not Requirement(f"python{project_table['requires-python']}").specifier.contains(
        sys.version.split()[0]
    ):
        problems.insert(0, f"{python} is not {project_table['requires-python']}")
    if not problems:
        return Finding(
            "packages",
            "ok",
            f"{python}, {len(project_table['dependencies'])} packages as pyproject.toml asks",
        )
    text = "; ".join(problems[:_NAMES_SHOWN]) + (
        f"; and {len(problems) - _NAMES_SHOWN} more" if problems[_NAMES_SHOWN:] else ""
    )
    return Finding("packages", "error", text, "bash infra/setup.sh base")


def optional_packages(params: Params) -> Finding:
    """Name the packages that only some values of params.yaml need, and that are missing."""
    if problems := check.missing_packages(params, capacity.this()):
        cure = (
            "set up the machine that runs these stages so; `longwriter capacity` makes this check for others"
        )
        return Finding("optional packages", "warning", "; ".join(problems), cure)
    return Finding("optional packages", "ok", "params.yaml needs none that is missing")


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
    return Finding("params.yaml", "ok", "every value is allowed, and every file that it names exists")


def memory() -> Finding:
    """Compare the memory that is free with what the embedded profile takes."""
    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB are free"
    if free >= _LOW_MEMORY:
        return Finding("memory", "ok", text)
    cure = "end other programs; `longwriter capacity` shows what the training of params.yaml needs"
    return Finding("memory", "warning", text, cure)


def disk() -> Iterator[Finding]:
    """Compare the free disk of each file system that the pipeline writes to with what a demo takes."""
    folders: dict[int, list[Path]] = {}
    for folder in (files.LOCAL, files.DATA, Path(".dvc/cache")):
        existing = folder if folder.exists() else Path()
        folders.setdefault(existing.stat().st_dev, []).append(folder)
    for group in folders.values():
        free = shutil.disk_usage(group[0] if group[0].exists() else Path()).free
        text = f"{free / GIB:.1f} GiB are free for {', '.join(map(str, group))}"
        if free >= _LOW_DISK:
            yield Finding("disk", "ok", text)
        else:
            state: State = "error" if free < _MIN_DISK else "warning"
            yield Finding("disk", state, text, "make room: `longwriter clean` lists what can be removed")


def gpus() -> Finding:
    """Name the GPUs that PyTorch sees."""
    this_machine = capacity.this()
    if not this_machine.gpus:
        return Finding("GPUs", "ok", "PyTorch sees none: models are trained and served on the CPU")
    return Finding(
        "GPUs",
        "ok",
        f"{this_machine.gpus} x {this_machine.gpu} with {(this_machine.gpu_bytes or 0) / GIB:.0f} GiB",
    )


def local_state() -> Finding:
    """Check that `.lw` can be written, and that its databases are not damaged."""
    try:
        files.LOCAL.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=files.LOCAL) as file:
            file.write(b"x")
    except OSError as error:
        if trouble := io_disk.trouble(error):
            return Finding(".lw", "error", *trouble.split(": ", 1))
        cure = "give this user the right to write there, or move the checkout"
        return Finding(".lw", "error", f"cannot write to {files.LOCAL.resolve()}: {error.strerror}", cure)
    present = [file for file in (files.REPLAY, files.LOCAL / "mlflow.db") if file.exists()]
    damaged = [f"{file}: {reason}" for file in present if (reason := databases.damage(file))]
    if damaged:
        return Finding(
            ".lw",
            "error",
            "; ".join(damaged),
            "run any stage: it moves the damaged file aside and keeps the rows that can be read",
        )
    names = ", ".join(file.name for file in present)
    return Finding(".lw", "ok", f"can be written; {f'not damaged: {names}' if names else 'no database yet'}")


def source() -> Finding:
    """Say which commit this is, and whether its changes are committed."""
    try:
        has_commit = git.succeeds("rev-parse", "HEAD")
    except UserError as error:
        return Finding("git", "error", *str(error).split(": ", 1))
    if not has_commit:
        cure = "clone the project with git: lineage names the commit of each run"
        return Finding("git", "warning", "this folder is not a git checkout with a commit", cure)
    commit, branch = git.run("rev-parse", "--short", "HEAD"), git.run("rev-parse", "--abbrev-ref", "HEAD")
    changed = len(git.run("status", "--porcelain").splitlines())
    text = f"{branch} at {commit}, " + (
        f"{amount(changed, 'change')} not committed" if changed else "everything is committed"
    )
    return Finding(
        "git",
        "warning" if changed else "ok",
        text,
        "commit them, so that lineage names them" if changed else "",
    )
