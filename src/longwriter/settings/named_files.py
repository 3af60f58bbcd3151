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

from longwriter.settings.texts import Kind
from longwriter.settings.yaml_file import Document, Key

_BYTES = 2**20  # the longest template has 2 kB
_FIELD = re.compile(r"\{(\w+)\}")
_SLOTS = re.compile(r"([A-Za-z0-9_][\w.:@-]*)\s+slots=([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Content:
    """Annotation of a field that names a file: what the file must hold, in words, and a test of its text."""

    allows: str
    fits: Callable[[str], bool]


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

    A pipe or a device in place of a file is a problem too: whoever reads it, DVC too, would wait without end.
    """
    for key, path, content in _named_files(params, ()):
        actual = _trouble(Path(path), content) if isinstance(content, Content) else _trouble_of_input(path)
        if actual:
            document.add(key, f"found {path}, which {actual}; allowed: {content.allows}")


def _named_files(section: BaseModel, key: Key) -> Iterator[tuple[Key, str, Content | Kind]]:
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


def _contents(metadata: Iterable[Any], annotation: Any) -> Iterator[Content | Kind]:
    of_members = [
        item for part in getattr(annotation, "__args__", ()) for item in getattr(part, "__metadata__", ())
    ]
    items = [*metadata, *of_members]
    contents: list[Content | Kind] = [item for item in items if isinstance(item, Content)]
    yield from contents or [item for item in items if isinstance(item, Kind) and item.is_path]


def _trouble_of_input(text: str) -> str | None:
    """Return what is wrong with a source of rows, or None; whether it exists is checked by DVC and by its stage."""
    path = Path(text)
    return "is a pipe or a device" if path.exists() and not (path.is_file() or path.is_dir()) else None


def _trouble(path: Path, content: Content) -> str | None:
    """Return what is wrong with a file, or None."""
    if not path.is_file():
        return "is a folder" if path.is_dir() else _trouble_of_input(str(path)) or "is missing"
    if path.stat().st_size > _BYTES:
        return f"has more than {_BYTES:,} bytes"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if content.fits(text) else "holds something else"
