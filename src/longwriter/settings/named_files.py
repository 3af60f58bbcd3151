"""Checks of the files that params.yaml names: templates, the DeepSpeed configuration, the hostfile.

They are read together with the parameters, so a wrong file stops the first stage, not the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from longwriter.settings.texts import OWN_FOLDERS, Kind
from longwriter.settings.yaml_file import Document, Key

_BYTES = 2**20  # the longest template has 2 kB
_OF_THE_SYSTEM = ("/proc", "/sys", "/dev")
_FIELD = re.compile(r"\{(\w+)\}")
_SLOTS = re.compile(r"([A-Za-z0-9_][\w.:@-]*)\s+slots=([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Content:
    """Annotation of a field that names a file: what the file must hold, in words, and a test of its text."""

    allows: str
    fits: Callable[[str], bool]


@dataclass(frozen=True)
class Holds:
    """Annotation of a field that names a folder: the files that it must hold."""

    names: tuple[str, ...]

    @property
    def allows(self) -> str:
        """Return what is allowed, in words."""
        return f"a folder with {' and '.join(self.names)}"


def template(*needs: str, others: tuple[str, ...] | None = None) -> Content:
    """Return the content of a prompt template.

    Args:
        needs: Fields that the template must have.
        others: Fields that it may have too; None = all other braces are text, as in JSON.
    """
    allowed_names = None if others is None else {*needs, *others}

    def fits(text: str) -> bool:
        names = set(_FIELD.findall(text))
        return set(needs) <= names and (allowed_names is None or names <= allowed_names)

    limit = "" if others is None else f"; no other field than {_braces(others)}"
    return Content(f"a template with {_braces(needs)}{limit}", fits)


def _braces(names: Iterable[str]) -> str:
    return " ".join(f"{{{name}}}" for name in names)


def hosts(text: str) -> list[tuple[str, int]] | None:
    """Return the hosts of a DeepSpeed hostfile with the `slots` of each; None for any other text."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    matches = [_SLOTS.fullmatch(line) for line in lines]
    slots = [(match[1], int(match[2])) for match in matches if match]
    return slots if slots and len(slots) == len(lines) else None


def read_json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a text; None if the text is anything else, or if the object has a key twice."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


JSON_OBJECT = Content(
    "one JSON object, each key once, without NaN and Infinity",
    lambda text: read_json_object(text) is not None,
)
CHAT_TEMPLATE = Content("a Jinja template that reads `messages`", lambda text: "messages" in text)
HOSTFILE = Content(
    "lines of the form HOST slots=GPUS, and nothing else", lambda text: hosts(text) is not None
)


def fields(path: str) -> set[str]:
    """Return the names of the fields in a template file; empty if it cannot be read (`check` reports that)."""
    try:
        return set(_FIELD.findall(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return set()


def check(params: BaseModel, document: Document) -> None:
    """Add a problem to `document` for each file that is missing, or that is not what its key needs.

    A pipe or a device in place of a file is a problem too: every reader, DVC included, would wait for ever.
    """
    for key, path, content in _named_files(params, ()):
        try:
            actual = _actual(path, content)
        except OSError as error:
            actual = f"cannot be read ({error.strerror})"
        if actual:
            document.add(key, f"found {path}, which {actual}; allowed: {content.allows}")


def _actual(path: str, content: Content | Holds | Kind) -> str | None:
    """Return what is wrong with a file or a folder that a key names, or None."""
    if isinstance(content, Content):
        return _trouble(Path(path), content)
    if isinstance(content, Holds):
        return _trouble_of_folder(Path(path), content.names)
    return _trouble_of_input(path, content.on_disk)


def _named_files(section: BaseModel, key: Key) -> Iterator[tuple[Key, str, Content | Holds | Kind]]:
    """Yield the key and the path of each file that the parameters name, with what it must be."""
    for name, field in type(section).model_fields.items():
        value, here = getattr(section, name), (*key, field.alias or name)
        if isinstance(value, BaseModel):
            yield from _named_files(value, here)
        elif isinstance(value, dict):
            for item, inner in value.items():
                yield from _named_files(inner, (*here, item)) if isinstance(inner, BaseModel) else ()
        elif isinstance(value, str):
            yield from ((here, value, content) for content in _contents(field.metadata, field.annotation))


def _contents(metadata: Iterable[Any], annotation: Any) -> Iterator[Content | Holds | Kind]:
    of_members = [
        item for part in getattr(annotation, "__args__", ()) for item in getattr(part, "__metadata__", ())
    ]
    items = [*metadata, *of_members]
    contents: list[Content | Holds | Kind] = [item for item in items if isinstance(item, Content | Holds)]
    yield from contents or [item for item in items if isinstance(item, Kind) and item.on_disk]


def _trouble_of_input(text: str, needs: str | None) -> str | None:
    """Return what is wrong with an input, or None; a URL is checked by the stage that reads it."""
    path = Path(text)
    if "://" in text:
        return None
    if not path.exists():
        return None  # a machine that only trains does not need it; a flow looks for what its stages read
    if not (path.is_file() or path.is_dir()):
        return "is a pipe or a device"
    if any(path.resolve().is_relative_to(name) for name in _OF_THE_SYSTEM):
        return "is a part of the running system, not a file of rows"
    if _is_own_output(path.resolve()):
        return "leads to a folder that the pipeline writes"
    if needs != "a file or a folder" and path.is_dir() != (needs == "a folder"):
        return "is a folder" if path.is_dir() else "is a file"
    return None


def _is_own_output(path: Path) -> bool:
    """Tell whether a path without links is in a folder that the pipeline writes.

    The checkout of an experiment lies in `.lw` of another one, and its own `.lw` is a link to that folder.
    """
    checkout = Path.cwd().resolve()
    if path.is_relative_to(checkout):
        return path.relative_to(checkout).parts[:1] in [(name,) for name in OWN_FOLDERS]
    return any(path.is_relative_to(Path(name).resolve()) for name in OWN_FOLDERS)


def keys_of(params: BaseModel, path: str) -> list[str]:
    """Return the keys that name a file or a folder, such as `instructions.source`."""
    return [".".join(map(str, key)) for key, named, _ in _named_files(params, ()) if named == path]


def _trouble_of_folder(path: Path, names: tuple[str, ...]) -> str | None:
    """Return what is wrong with a folder that must hold files of these names, or None."""
    if not path.exists():
        return "is missing"
    missing = [name for name in names if not (path / name).is_file()]
    return _trouble_of_input(str(path), "a folder") or (f"has no {missing[0]}" if missing else None)


def _trouble(path: Path, content: Content) -> str | None:
    """Return what is wrong with a file, or None."""
    if not path.is_file():
        return "is a folder" if path.is_dir() else _trouble_of_input(str(path), "a file") or "is missing"
    if path.stat().st_size > _BYTES:
        return f"has more than {_BYTES:,} bytes"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    return None if content.fits(text) else "holds something else"
