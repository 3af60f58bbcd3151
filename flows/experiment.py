"""A run with other parameters: in a copy of the checkout, so that params.yaml and data/ stay as they are.

The copy lies in `.lw/experiments/NAME` and shares DVC's cache and `.lw` (stored answers, checkpoints, MLflow) with
the checkout. Its result is a DVC experiment (`dvc exp show`, `dvc exp apply NAME`). The run does not change the
checkout, however it ends. The copy of a run that was killed is removed by the next run with other parameters.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flows import lockfile
from longwriter.cli import profile
from longwriter.errors import StageBusy, UserError
from longwriter.io import files, process
from longwriter.params import FILE
from longwriter.settings import problems, yaml_file
from longwriter.tracking import git, versioning

FOLDER = Path(".lw/experiments")
NAME_ENV = "DVC_EXP_NAME"  # DVC sets it in `dvc exp run`; the runs in MLflow get it as a tag
_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Experiment(NamedTuple):
    """A run with other parameters: its name, the folder of the checkout, the folder of its copy."""

    name: str
    checkout: Path
    folder: Path


def changes(overrides: Sequence[str]) -> dict[str, Any]:
    """Return overrides such as `sft.optimizer.epochs=1` as nested values; a value is read as in params.yaml.

    Raises:
        UserError: an override has another form, or two of them set the same key.
        BadParams: a value is not YAML.
    """
    result: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not (separator and text.strip() and _KEY.fullmatch(key)):
            raise UserError(
                f"override {override[:80]!r}: write KEY=VALUE, such as sft.optimizer.epochs=1 (longwriter params "
                "lists the keys)"
            )
        document = yaml_file.parse(text, f"override {key}")
        problems.raise_problems(document)
        *sections, last = key.split(".")
        section = result
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                break
        if not isinstance(section, dict) or last in section:
            raise UserError(f"override {key} is set twice: name it once")
        section[last] = document.values
    return result


@contextlib.contextmanager
def checkout(overrides: Sequence[str], run: str) -> Iterator[Experiment | None]:
    """Run the block in a copy of the checkout with other parameters; without overrides, in the checkout itself.

    Args:
        overrides: Such as `sft.optimizer.epochs=1`.
        run: Name of the run, part of the experiment's name.

    Raises:
        UserError: an override is not valid, or this is no git repository.
        BadParams: a value is not allowed; nothing was run.
    """
    if not overrides:
        yield None
        return
    text = profile.changed(changes(overrides), "the overrides")
    if not git.succeeds("rev-parse", "HEAD"):
        raise UserError("overrides need a git repository with a commit: they run in a copy of it")
    top = Path.cwd().resolve()
    name = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")[:60] or "run"
    _remove_dead()
    with process.only_one(f"experiment-{name}", files.LOCAL / "locks", wait_s=0):
        experiment = Experiment(name, top, top / FOLDER / name)
        before = {key: os.environ.get(key) for key in (NAME_ENV, "PYTHONPATH")}
        try:
            _copy(experiment, text)
            os.environ[NAME_ENV] = name
            os.environ["PYTHONPATH"] = f"{experiment.folder / 'src'}{os.pathsep}{experiment.folder}"
            os.chdir(experiment.folder)
            yield experiment
        finally:
            os.chdir(top)
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
            shutil.rmtree(experiment.folder, ignore_errors=True)


def _copy(experiment: Experiment, params: str) -> None:
    """Make the copy: the files that git would commit, other parameters, and the data by links to DVC's cache."""
    top, folder = experiment.checkout, experiment.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git.run("clone", "--quiet", "--shared", "--no-checkout", str(top), str(folder))
    git.run("-C", str(folder), "reset", "--quiet")
    for path in git.paths("ls-files", "-coz", "--exclude-standard"):
        if (top / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(top / path, folder / path)
    (folder / FILE).write_text(params, encoding="utf-8")
    (folder / ".lw").symlink_to(top / files.LOCAL)
    versioning.share_cache(folder)


def keep(experiment: Experiment) -> str | None:
    """Make the result a DVC experiment of the checkout; return its commit.

    The commit has params.yaml, dvc.lock and the headline numbers of the copy. It is built here, as `dvc exp save`
    would also record stages that did not run as up to date.
    """
    baseline = git.run("-C", str(experiment.checkout), "rev-parse", "HEAD")
    ref = f"refs/exps/{baseline[:2]}/{baseline[2:]}/{experiment.name}"
    env = {
        "GIT_DIR": git.run("-C", str(experiment.checkout), "rev-parse", "--absolute-git-dir"),
        "GIT_WORK_TREE": str(experiment.folder),
    }
    return lockfile.commit_tree(
        ref,
        [baseline],
        f"Experiment {experiment.name}",
        [str(FILE), *lockfile.numbers()],
        code=baseline,
        env=env,
    )


def _remove_dead() -> None:
    """Remove the copies of runs that were killed."""
    for folder in sorted(FOLDER.glob("*")):
        with (
            contextlib.suppress(StageBusy),
            process.only_one(f"experiment-{folder.name}", files.LOCAL / "locks", wait_s=0),
        ):
            shutil.rmtree(folder, ignore_errors=True)
