"""What a field allows, in words, from its annotation. Pure."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from longwriter.settings.section import keys
from longwriter.settings.texts import Kind

_BOUNDS = {
    "gt": "above", "ge": "at least", "lt": "below", "le": "at most",
    "min_length": "at least", "max_length": "at most",
}  # fmt: skip


def members(annotation: Any, metadata: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the members of a union, or the one annotation, each with its metadata."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return members(inner, (*metadata, *more))
    if get_origin(annotation) in (Union, UnionType):
        return [pair for member in get_args(annotation) for pair in members(member, metadata)]
    return [(annotation, metadata)]


def allowed_values(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Return what a field takes, such as `a whole number from 1 to 100, or null`."""
    words = [_words(member, more) for member, more in members(annotation, metadata)]
    return ", or ".join(dict.fromkeys(words))


def _words(member: Any, metadata: tuple[Any, ...]) -> str:
    kinds = [item.allows for item in metadata if isinstance(item, Kind)]
    if member in (NoneType, None):
        return "null"
    if member is bool:
        return "true or false"
    if member in (int, float):
        return f"{'a whole number' if member is int else 'a number'} {_bounds(metadata)}"
    if get_origin(member) is Literal:
        names = list(map(str, get_args(member)))
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    if get_origin(member) is list:
        size = _bounds(metadata, " item(s)")
        return "; ".join(
            filter(None, ["a list", size, *kinds, f"an item: {allowed_values(get_args(member)[0])}"])
        )
    if get_origin(member) is dict:
        size = _bounds(metadata, " key(s)")
        return "; ".join(filter(None, ["a mapping", size, f"a key: {allowed_values(get_args(member)[0])}"]))
    if isinstance(member, type) and issubclass(member, BaseModel):
        return f"a mapping with the keys {', '.join(keys(member))}"
    return kinds[-1] if kinds else "a text"


def _bounds(metadata: tuple[Any, ...], unit: str = "") -> str:
    """Return the bounds of a number, or of the size of a list."""
    flat = [inner for item in metadata for inner in getattr(item, "metadata", [item])]
    bounds = {name: getattr(item, name) for item in flat for name in _BOUNDS if hasattr(item, name)}
    low, high = bounds.get("ge", bounds.get("min_length")), bounds.get("le", bounds.get("max_length"))
    if low is not None and high is not None:
        return f"{low:,}{unit}" if low == high else f"from {_number(low)} to {_number(high)}{unit}"
    return ", ".join(
        f"{_BOUNDS[name]} {_number(bound)}{unit}" for name, bound in bounds.items() if bound is not None
    )


def _number(bound: float) -> str:
    """Return a bound as people write it: `0.000001`, `1,000`."""
    return f"{bound:.12f}".rstrip("0") if 0 < bound < 0.001 else f"{bound:,}"
