"""The reference of params.yaml: what each key means and allows, from the typed sections.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

from longwriter.settings.allowed import allowed_values, members
from longwriter.settings.section import Section, keys


class Entry(NamedTuple):
    """One key of params.yaml."""

    key: str
    """Its dotted name; `<name>` stands for the names that a mapping holds."""
    allowed: str
    """Which values it takes, in words; "" for a section, whose keys follow."""
    meaning: str
    """What it does."""


def entries(section: type[Section], prefix: str = "") -> Iterator[Entry]:
    """Yield each key of a section and of the sections in it, in the order of the file.

    A section that may be null (`plan.llm`) is one entry: its keys are those of the section of its type.
    """
    for name, field in keys(section).items():
        key = f"{prefix}{name}"
        metadata = tuple(field.metadata)
        kinds = [member for member, _ in members(field.annotation, metadata)]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)
        meaning = " ".join((field.description or "").split())
        if inner is None or NoneType in kinds:
            yield Entry(key, allowed_values(field.annotation, metadata), meaning)
        else:
            yield Entry(key, "", meaning or (inner.__doc__ or "").partition("\n")[0])
            yield from entries(inner, f"{key}.")


def stale_stages(key: str, params: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the stages that a new value of a key makes stale.

    Args:
        key: Dotted name of the key.
        params: {stage: the keys and sections that it names in dvc.yaml}.
    """
    return [
        stage
        for stage, names in params.items()
        if any(key == name or key.startswith(f"{name}.") for name in names)
    ]


def value(values: Any, key: str) -> Any:
    """Return the value of a dotted key; KeyError if the values have no such key."""
    for part in key.split("."):
        if not isinstance(values, Mapping):
            raise KeyError(key)
        values = values[part]
    return values
