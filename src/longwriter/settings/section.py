"""The base of every section of a file of settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


class Conflict(NamedTuple):
    """A value that is allowed by itself, but not together with other values of its section."""

    key: tuple[str | int, ...]
    """The key below the section."""
    allowed: str
    """What the key may be, together with the other values."""
    is_secret: bool = False
    """Whether the value must not be shown."""


class Section(BaseModel):
    """Base of all sections: frozen, strict types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    moved: ClassVar[Mapping[str, str]] = {}
    """Keys of older versions, each with the place that it has now."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the values that do not fit the other values of this section."""
        yield from ()

    @model_validator(mode="after")
    def _no_conflicts(self) -> Self:
        if conflicts := list(self.conflicts()):
            raise conflict_error(conflicts)
        return self


def conflict_error(conflicts: list[Conflict]) -> PydanticCustomError:
    """Return an error that holds the conflicts; their keys begin at the value that is checked."""
    return PydanticCustomError("conflicts", "values do not fit together", {"conflicts": conflicts})


def keys(section: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of a section as the file spells them, each with its field."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def other_names(section: type[BaseModel], name: str) -> list[str]:
    """Return the names under which a field is read, beside its own."""
    field = section.model_fields.get(name)
    alias = field.validation_alias if field else None
    return (
        [str(choice) for choice in alias.choices if choice != name] if isinstance(alias, AliasChoices) else []
    )


def by_other_name(section: type[BaseModel], name: str) -> FieldInfo | None:
    """Return the field that is also read under this name; None if there is none."""
    fields = section.model_fields.items()
    return next((field for own, field in fields if name in other_names(section, own)), None)


def ordered(low: tuple[str, float], high: tuple[str, float]) -> Iterator[Conflict]:
    """Yield a conflict if the first of two (key, value) is above the second."""
    if low[1] > high[1]:
        yield Conflict((low[0],), f"at most {high[1]:,}, the value of {high[0]}")
