"""Finds the weights of a model by the name that a person gives it.

A name is a model of the pipeline (`sft`: data/sft/weights), a folder, or a version in MLflow's registry, by its alias
(`candidate`), number (`3`) or URI (`models:/longwriter/3`).
The registry does not hold weights, only DVC's digest of them. If weights are no longer in data/, they are copied
from DVC's cache or its remote.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from longwriter.errors import UserError
from longwriter.io import files
from longwriter.models.base import foreign
from longwriter.params import Params
from longwriter.text import inert
from longwriter.tracking import logged_models, versioning

FETCHED = files.LOCAL / "fetched"
_URI = re.compile(r"models:/([\w.-]+)[@/]([\w-]+)")


class Version(NamedTuple):
    """A version of the registered model."""

    number: str
    digest: str
    """DVC's digest of its weights."""


def folder(name: str, params: Params) -> Path:
    """Return the folder with the weights of a model.

    Args:
        name: A model of the pipeline, a folder, or a registered version, by alias, number or MLflow URI.
        params: `register.name` is the registered model.

    Raises:
        UserError: nothing has this name; the message lists the names that exist.
        BadRecord: the weights of a registered version are neither here nor in DVC's cache and remote.
        ModelUnusable: the folder would harm the engine that serves it; see `foreign.check`.
    """
    if version := registered(name, params):
        return of_digest(version.digest)
    if name in available():
        return files.DATA / name / "weights"
    if "/" in name or Path(name).is_dir():
        path = Path(name)
        if any(path.glob("*.safetensors")) or (path / "model.gguf").is_file():
            foreign.check(path)
            return path
        raise UserError(f"{inert.line(name)} is not a folder with *.safetensors or model.gguf")
    model = params.register_.name
    raise UserError(
        f"no model {inert.line(name)}: models with weights in data/ are {', '.join(available()) or 'none'} "
        f"(`dvc repro` makes them); aliases of {model} in MLflow are "
        f"{', '.join(logged_models.aliases(model)) or 'none'}, its versions {_numbers(model)}; or name a folder"
    )


def registered(name: str, params: Params) -> Version | None:
    """Return the registered version that a name means; None if it names something else, or nothing.

    Args:
        name: As `folder` takes it; a model of the pipeline and a folder go before an alias.
        params: As `folder` takes it.

    Raises:
        UserError: an MLflow URI names another registered model, or a version that does not exist.
    """
    model, uri = params.register_.name, _URI.fullmatch(name)
    if uri and uri[1] != model:
        raise UserError(
            f"models:/{uri[1]}: this checkout registers {model} (register.name); for another model, "
            "run longwriter fetch in its checkout and name the folder"
        )
    if not uri and (name in available() or "/" in name or Path(name).is_dir()):
        return None
    word = uri[2] if uri else name
    digests = logged_models.versions(model)
    aliased = None if word.isdigit() else logged_models.version_of(model, word)
    number = str(aliased.version) if aliased else word
    if number in digests:
        return Version(number, digests[number])
    if uri:
        raise UserError(f"{name}: the versions of {model} in MLflow are {_numbers(model)}")
    return None


def _numbers(model: str) -> str:
    """Return the numbers of the versions of a registered model, as a list to read."""
    return ", ".join(sorted(logged_models.versions(model), key=int)) or "none"


def of_digest(digest: str) -> Path:
    """Return a folder with the weights that have this DVC digest; they are fetched if they are not in data/.

    Raises:
        BadRecord: neither data/ nor DVC's cache or remote has them.
    """
    for model in available():
        path = files.DATA / model / "weights"
        if versioning.digest(path) == digest:
            return path
    target = FETCHED / digest.removesuffix(".dir")
    if not target.is_dir():
        copy(digest, target)
    return target


def copy(digest: str, target: Path, note: str = "") -> None:
    """Copy the folder that has this DVC digest from DVC's cache, or from its remote, to a new folder.

    Args:
        digest: DVC's digest of the folder.
        target: The folder to write.
        note: Markdown for the end of its README.md, the model's card.

    Raises:
        BadRecord: neither cache nor remote has it.
        UserError: the target holds files.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} holds files already: name a new folder")
    with files.published(target) as folder:
        versioning.copy_folder(digest, folder)
        if note:
            with (folder / "README.md").open("a", encoding="utf-8") as card:
                card.write(f"\n{note}")


def available() -> list[str]:
    """Return the models that have weights in data/."""
    return sorted(path.parent.name for path in files.DATA.glob("*/weights") if any(path.iterdir()))


def default(params: Params) -> str:
    """Return the model to use if none is named: the one to register, else one that has weights.

    Raises:
        UserError: no model has weights.
    """
    names = available()
    if not names:
        raise UserError("no model has weights in data/ yet: run `bash infra/demo.sh` or `dvc repro` first")
    preferred = [params.register_.model, *reversed(params.compare.models)]
    return next((name for name in preferred if name in names), names[0])
