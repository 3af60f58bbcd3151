"""Finds the weights of a model by the name that a person gives it.

A name is a model of the pipeline (`sft`: data/sft/weights), an alias in MLflow's registry (`candidate`), or a folder.
The registry does not hold weights, only DVC's digest of them. If weights are no longer in data/, they are copied
from DVC's cache or its remote.
"""

from __future__ import annotations

from pathlib import Path

from longwriter.errors import UserError
from longwriter.io import files
from longwriter.params import Params
from longwriter.text import inert
from longwriter.tracking import logged_models, versioning

FETCHED = files.LOCAL / "fetched"


def folder(name: str, params: Params) -> Path:
    """Return the folder with the weights of a model.

    Args:
        name: A model of the pipeline, an alias in the registry, or a folder.
        params: `register.name` is the registered model that has the aliases.

    Raises:
        UserError: nothing has this name; the message lists the names that exist.
        BadRecord: the weights of a registered version are neither here nor in DVC's cache and remote.
    """
    if name in available():
        return files.DATA / name / "weights"
    if "/" in name or Path(name).is_dir():
        path = Path(name)
        if any(path.glob("*.safetensors")) or (path / "model.gguf").is_file():
            return path
        raise UserError(f"{inert.line(name)} is not a folder with *.safetensors or model.gguf")
    registered = params.register_.name
    aliases = logged_models.aliases(registered)
    if name not in aliases:
        raise UserError(
            f"no model {inert.line(name)}: models with weights in data/ are {', '.join(available()) or 'none'} "
            f"(`dvc repro` makes them); aliases of {registered} in MLflow are {', '.join(aliases) or 'none'}; "
            "or name a folder"
        )
    return of_digest(aliases[name])


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
