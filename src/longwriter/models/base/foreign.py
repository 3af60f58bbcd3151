"""Looks at a model folder of a stranger before anything reads it: the sizes of its files, and its chat template."""

from __future__ import annotations

from pathlib import Path

from longwriter.errors import ModelUnusable
from longwriter.models.base import rendering

_READ_WHOLE = (".json", ".jinja", ".model", ".txt")
_LARGEST = 100 * 10**6  # bytes; the largest tokenizer.json of published models has 35 MB


def check(folder: Path) -> None:
    """Return if an engine can serve the folder without harm.

    Raises:
        ModelUnusable: a file is too large, or is a pipe; or its chat template takes too long, too much memory, or
            writes too much.
    """
    check_files(folder)
    rendering.check_folder(folder)


def check_files(folder: Path) -> None:
    """Check that no file is a pipe, and that files which libraries read as a whole are not too large.

    Raises:
        ModelUnusable: the message names the file.
    """
    for file in sorted(folder.iterdir()):
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise ModelUnusable(
                f"{file} is a pipe or a device, not a file: remove it, or get the model again"
            )
        if file.suffix in _READ_WHOLE and file.is_file() and (size := file.stat().st_size) > _LARGEST:
            raise ModelUnusable(
                f"{file} has {size / 1e6:,.0f} MB; at most {_LARGEST / 1e6:,.0f} MB are read: get the model again, or "
                "choose another one"
            )
