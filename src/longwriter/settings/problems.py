"""Checks values against their sections, and writes one line for each value that is not allowed.

The line names file, line, key, what was found and what is allowed. A text that may be a secret is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from longwriter.errors import BadParams
from longwriter.settings.allowed import allowed_values, members
from longwriter.settings.section import by_other_name, keys, other_names
from longwriter.settings.texts import secret
from longwriter.settings.yaml_file import Document, Key, display

Model = TypeVar("Model", bound=BaseModel)

_HIDDEN = "(not shown)"
_NO_SECRET = "values without secrets; put a key into the environment variable that api_key_env names"
_NUMERAL = re.compile(r"[-+]?[0-9][0-9_.,]*(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_TRUTH = {"true", "false", "yes", "no", "on", "off"}


def checked(model: type[Model], document: Document) -> Model:
    """Return the values of a document as `model`.

    Raises:
        BadParams: the message names every value that is not allowed, one line each.
    """
    result: Model | None = None
    for key, kind in _secrets(document.values, ()):
        document.add(key, f"found {kind} {_HIDDEN}; allowed: {_NO_SECRET}")
    try:
        result = model.model_validate(document.values)
    except ValidationError as error:
        for item in error.errors():
            _add(document, model, item)
    raise_problems(document)
    assert result is not None  # every ValidationError adds a problem, or its key has one
    return result


def row_problem(record: type[BaseModel], item: Any) -> str:
    """Return what is wrong with a row of a file: the field, what was found, and what is allowed.

    Args:
        record: Type of the rows.
        item: An error of pydantic, as in `ValidationError.errors()`.
    """
    kind, name = item["type"], ".".join(map(str, item["loc"]))
    if kind == "value_error" or kind.startswith("json_"):
        return f"{name + ': ' if name else ''}{item['msg'].removeprefix('Value error, ')}"
    if not name:
        return f"found {display(item['input'])}; allowed: an object with the fields {', '.join(keys(record))}"
    _, annotation, metadata, section = _resolved(record, item["loc"])
    if kind == "extra_forbidden":
        return f"{name} is a field that does not exist; allowed: {', '.join(keys(section))}"
    is_empty = kind == "string_too_short" and item["ctx"]["min_length"] == 1
    words = "a text that is not empty" if is_empty else allowed_values(annotation, metadata)
    if kind == "missing":
        others = [other for other in other_names(section, name.rpartition(".")[2]) if other != name]
        also = f" ({' or '.join(others)} is read too)" if others else ""
        return f"{name} is missing{also}; allowed: {words}"
    return f"{name}: found {display(item['input'])}; allowed: {words}"


def raise_problems(document: Document) -> None:
    """Raise BadParams with all problems of a document, in the order of its lines; do nothing if it has none."""
    if document.problems:
        ordered = sorted(
            dict.fromkeys(document.problems), key=lambda problem: (problem.file, problem.line or 0)
        )
        raise BadParams("\n".join(map(str, ordered)))


def _secrets(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield the key of each text that may be a secret, and which kind of secret."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str) and (kind := secret(name)):
                yield (*key, _HIDDEN), kind
            else:
                yield from _secrets(inner, (*key, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _secrets(inner, (*key, place))
    elif isinstance(value, str) and (kind := secret(value)):
        yield key, kind


def _add(document: Document, model: type[BaseModel], item: Any) -> None:
    """Add an error of pydantic to the problems, unless its key already has a problem."""
    is_key = item["loc"][-1:] == ("[key]",)
    key, annotation, metadata, section = _resolved(model, item["loc"][:-1] if is_key else item["loc"])
    if item["type"] == "conflicts":
        for conflict in item["ctx"]["conflicts"]:
            actual = _HIDDEN if conflict.is_secret else display(_at(document.values, (*key, *conflict.key)))
            _add_once(document, (*key, *conflict.key), f"found {actual}; allowed: {conflict.allowed}")
    elif item["type"] == "extra_forbidden":
        if place := getattr(section, "moved", {}).get(str(key[-1])):
            _add_once(document, key, f"found a key of an older version; it is now {place}")
            return
        names = list(keys(section))
        similar = get_close_matches(str(key[-1]), names, n=1)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        _add_once(document, key, f"found a key that does not exist{hint}; allowed: {', '.join(names)}")
    elif item["type"] == "missing":
        _add_once(document, key, f"this key is missing; allowed: {allowed_values(annotation, metadata)}")
    elif is_key:
        mapping = _resolved(model, item["loc"][:-2])[1]
        words = allowed_values(get_args(mapping)[0])
        _add_once(document, key, f"found this key; allowed: {words}")
    else:
        is_hidden = bool(key) and str(key[-1]).endswith("_env")
        actual = f"a text {_HIDDEN}" if is_hidden else display(item["input"])
        words = allowed_values(annotation, metadata) + _without_quotes(item["input"], annotation)
        _add_once(document, key, f"found {actual}; allowed: {words}")


def _add_once(document: Document, key: Key, text: str) -> None:
    """Add a problem, unless this key, a key above it or a key below it already has one."""
    key = tuple(_HIDDEN if isinstance(part, str) and secret(part) else part for part in key)
    is_noted = any(
        (problem.key and problem.key == key[: len(problem.key)]) or (key and key == problem.key[: len(key)])
        for problem in document.problems
    )
    if not is_noted:
        document.add(key, text)


def _at(value: Any, key: Key) -> Any:
    """Return the value at a key; None where there is none."""
    for part in key:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _without_quotes(value: Any, annotation: Any) -> str:
    """Return how to write a text that was meant as a number, or as true or false."""
    kinds = {member for member, _ in members(annotation)}
    if not isinstance(value, str):
        return ""
    is_number = bool(kinds & {int, float}) and _NUMERAL.fullmatch(value) is not None
    return " (without quotes)" if is_number or (bool in kinds and value.lower() in _TRUTH) else ""


def _resolved(model: type[BaseModel], location: Sequence[int | str]) -> tuple[Key, Any, tuple[Any, ...], Any]:
    """Return a location of pydantic as a key of the file, its annotation and metadata, and its section.

    Pydantic also names the member of a union in its locations; such a name is left out.
    """
    key: list[str | int] = []
    annotation: Any = model
    metadata: tuple[Any, ...] = ()
    section: Any = model
    for part in location:
        for member, _ in members(annotation):
            if isinstance(member, type) and issubclass(member, BaseModel):
                field = keys(member).get(str(part)) or by_other_name(member, str(part))
                section, annotation = member, field.annotation if field else None
                metadata = tuple(field.metadata) if field else ()
            elif get_origin(member) is dict:
                annotation, metadata = get_args(member)[1], ()
            elif get_origin(member) is list and isinstance(part, int):
                annotation, metadata = get_args(member)[0], ()
            else:
                continue
            key.append(part)
            break
    return tuple(key), annotation, metadata, section
