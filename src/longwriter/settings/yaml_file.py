"""Settings read from a YAML file: the values that DVC reads, and the line of each key.

DVC reads YAML 1.2; other programs read YAML 1.1, in which `010` is 8, `1:30` is 90 and `yes` is true. A
value that the two versions, or a person, may read differently is a problem here, so that every reader of
the file sees the same value. Problems are collected with their lines; only invalid YAML is an error at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from longwriter.errors import BadParams

Key = tuple[str | int, ...]
"""Where a value is: the keys and list indexes from the top of the file."""

_BYTES = 2**20  # params.yaml has 6 kB, the longest profile 5 kB
_DEPTH = 20  # params.yaml has 4 levels
_VALUES = 100_000  # values after aliases are filled in
_DIGITS = 18  # a whole number of so many digits fits into 64 bits, the limit of JSON readers and other tools
_SHOWN = 60  # characters of a value in a message

_PLAIN: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_PLAIN |= {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?")
_TRUTH = re.compile(r"(?i)yes|no|on|off")
_AMBIGUOUS = (
    (re.compile(r"(?i)y|n|yes|no|on|off"), "true or false, or the text in quotes"),
    (re.compile(r"[-+]?0[0-9_]+(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"), "a number without a 0 in front, or the text in quotes"),
    (re.compile(r"[-+]?0[oObBxX][0-9a-fA-F_]+"), "a decimal number, or the text in quotes"),
    (re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"), "a number without _, or the text in quotes"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a decimal number, or the text in quotes"),
    (re.compile(r"[-+]?\.[0-9]+[eE][-+]?[0-9]+"), "a number with a digit before the point"),
    (re.compile(r"[-+.](?=[^_]*_)[-+.0-9_eE]*"), "a number without _, or the text in quotes"),
    (re.compile(r"(?i)[-+]?\.inf|\.nan"), "a finite number"),
    (re.compile(r"=|<<"), "the text in quotes"),
)  # fmt: skip
"""Texts without quotes that YAML readers read as different values, and how to write each of them."""


class _Composed(NamedTuple):
    """A value, the number of values in it with aliases filled in, and the number of its levels."""

    value: Any
    size: int = 1
    height: int = 0


class Problem(NamedTuple):
    """What is wrong with the value of a key; `line` counts from 1, None = the line is unknown."""

    file: str
    line: int | None
    key: Key
    text: str

    def __str__(self) -> str:
        """Return the one line that a person reads."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {dotted(self.key)}: {self.text}"


@dataclass
class Document:
    """The values of a file, the place (file, line) of each key, and the problems; a bad value is None."""

    file: str
    values: Any = None
    places: dict[Key, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, key: Key) -> tuple[str, int | None]:
        """Return file and line of a key; if the key is not in the file, return file and line of its section."""
        parts = (key[:size] for size in range(len(key), 0, -1))
        return next((self.places[part] for part in parts if part in self.places), (self.file, None))

    def add(self, key: Key, text: str, line: int | None = None) -> None:
        """Add a problem; its line is `line`, or that of the key if `line` is None."""
        file, of_key = self.place(key)
        self.problems.append(Problem(file, line or of_key, key, text))


def dotted(key: Key) -> str:
    """Return a key as a person writes it, such as `plan.sampling.seed`, on one line and without control characters."""
    name = ".".join(str(part) for part in key) or "(whole file)"
    return name if name.isprintable() else repr(name)[1:-1]


def display(value: Any) -> str:
    """Return a value as a message shows it: short, on one line, spelled as in YAML."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:
        return f"a number of more than {_DIGITS} digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def read(path: Path, *, with_dates: bool = False) -> Document:
    """Return what a YAML file holds.

    Args:
        path: The file.
        with_dates: Read a date such as 2026-11-24 as text; otherwise a date is a problem.

    Raises:
        BadParams: the file cannot be read, is not UTF-8, or is not one YAML document.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise BadParams(
                f"{path} is a link to {path.readlink()}, which is missing: link to a file"
            ) from None
        raise BadParams(f"{path} is missing: run from the top of the checkout") from None
    except OSError as error:
        raise BadParams(f"{path} cannot be read ({error.strerror}): a file of YAML is needed") from None
    if len(content) > _BYTES:
        raise BadParams(f"{path}: found {len(content):,} bytes; allowed: at most {_BYTES:,}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadParams(
            f"{path}:{line}: found bytes that are not UTF-8; allowed: text saved as UTF-8"
        ) from None
    return parse(text, str(path), with_dates=with_dates)


def parse(text: str, file: str, *, with_dates: bool = False) -> Document:
    """Return what a text of YAML holds; `file` names the text in messages.

    Raises:
        BadParams: the text is not one YAML document.
    """
    if text.startswith("\ufeff"):
        raise BadParams(f"{file}:1: found a byte order mark; allowed: UTF-8 without one")
    document = Document(file)
    try:
        _Composer(document, YAML(typ="safe").parse(text), with_dates).compose()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise BadParams(f"{file}{line}: not valid YAML: {_reason(text, mark, error)}") from None
    except YAMLError as error:
        at = getattr(error, "position", None)
        line = f":{text.count(chr(10), 0, at) + 1}" if isinstance(at, int) else ""
        reason = str(error).partition("\n")[0]
        raise BadParams(f"{file}{line}: not valid YAML: {reason}") from None
    return document


def _reason(text: str, mark: Any, error: MarkedYAMLError) -> str:
    """Return why the text cannot be read, on one line."""
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab before the first word; indent with spaces"
    parts = [part.strip() for part in (error.context, error.problem) if part]
    return ", ".join(parts) or type(error).__name__


class _Composer:
    """Builds the values of a document from the parser's events, one by one; deep nesting is a problem, not a crash."""

    def __init__(self, document: Document, events: Iterator[Event], with_dates: bool) -> None:
        self.document = document
        self.events = events
        self.with_dates = with_dates
        self.anchors: dict[str, _Composed | None] = {}  # None while the value is composed

    def compose(self) -> None:
        """Read the one document of the stream into `document`."""
        is_started = False
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if is_started:
                    self._stop(event, "a second document after ---", "one document")
                is_started = True
                if event.version or event.tags:
                    self._stop(event, "a directive (% at the start of a line)", "YAML 1.2 without directives")
                self.document.values = self._node(next(self.events), ()).value

    def _stop(self, event: Event, actual: str, allowed: str) -> NoReturn:
        """Raise for a problem after which the rest of the file cannot be read."""
        raise BadParams(
            f"{self.document.file}:{event.start_mark.line + 1}: found {actual}; allowed: {allowed}"
        )

    def _add(self, event: Event, key: Key, actual: str, allowed: str) -> None:
        self.document.add(key, f"found {actual}; allowed: {allowed}", event.start_mark.line + 1)

    def _place(self, event: Event, key: Key) -> None:
        self.document.places[key] = (self.document.file, event.start_mark.line + 1)

    def _check_depth(self, event: Event, depth: int) -> None:
        if depth > _DEPTH:
            self._stop(event, f"more than {_DEPTH} levels of nesting", f"at most {_DEPTH}")

    def _node(self, event: Any, key: Key) -> _Composed:
        """Return the value that starts with an event."""
        self._check_depth(event, len(key))
        if isinstance(event, AliasEvent):
            return self._alias(event, key)
        if event.anchor:
            if event.anchor in self.anchors:
                self._add(event, key, f"the anchor &{event.anchor} a second time", "each anchor once")
            self.anchors[event.anchor] = None
        if isinstance(event, ScalarEvent):
            node = _Composed(self._scalar(event, key))
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, key)
        else:
            node = self._sequence(key)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._add(event, key, f"the tag {display(tag)}", "a value without a tag")
            node = _Composed(None)
        if node.size > _VALUES:
            self._stop(event, f"more than {_VALUES:,} values", f"at most {_VALUES:,}, aliases filled in")
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: AliasEvent, key: Key) -> _Composed:
        if event.anchor not in self.anchors:
            self._add(event, key, f"the alias *{event.anchor}", "an anchor that the file defines before it")
            return _Composed(None)
        node = self.anchors[event.anchor]
        if node is None:
            self._add(event, key, f"the alias *{event.anchor} inside its own value", "another alias")
            return _Composed(None)
        self._check_depth(event, len(key) + node.height)
        return node

    def _sequence(self, key: Key) -> _Composed:
        nodes: list[_Composed] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            inner = (*key, len(nodes))
            self._place(event, inner)
            nodes.append(self._node(event, inner))
        return _collection([node.value for node in nodes], nodes)

    def _mapping(self, start: Event, key: Key) -> _Composed:
        values: dict[str, Any] = {}
        merged: dict[str, Any] | None = None
        nodes = []
        while not isinstance(event := next(self.events), MappingEndEvent):
            name = self._key(event, key)
            inner = (*key, "?" if name is None else name)
            is_merge = name == "<<" and isinstance(event, ScalarEvent) and not event.style
            is_repeated = name in values or (is_merge and merged is not None)
            if is_repeated:
                _, first = self.document.places[inner]
                self._add(event, inner, f"this key twice (first in line {first})", "each key once")
            else:
                self._place(event, inner)
            node = self._node(next(self.events), inner)
            nodes.append(node)
            if is_merge:
                merged = self._merge(start, inner, node.value)
            elif name is not None and not is_repeated:
                values[name] = node.value
        return _collection((merged or {}) | values, nodes)

    def _key(self, event: Event, key: Key) -> str | None:
        """Return the name of a key; if the key is not text, add a problem and return None."""
        if isinstance(event, ScalarEvent) and event.tag is None and not event.anchor:
            if event.style or not (allowed := _key_trouble(event.value)):
                return str(event.value)
            self._add(event, (*key, event.value), f"the key {_cut(event.value)}", allowed)
            return None
        self._add(event, key, "a key that is not plain text", "a name")
        if not isinstance(event, ScalarEvent):
            self._node(event, (*key, "?"))
        return None

    def _merge(self, start: Event, key: Key, value: Any) -> dict[str, Any]:
        """Return the keys that `<<` adds; if several mappings of a list have a key, the first one counts."""
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            if not any(problem.key == key for problem in self.document.problems):
                self._add(start, key, f"{display(value)} after <<", "a mapping, or a list of mappings")
            return {}
        merged: dict[str, Any] = {}
        for part in parts:
            merged |= {name: inner for name, inner in part.items() if name not in merged}
        return merged

    def _scalar(self, event: ScalarEvent, key: Key) -> Any:
        """Return the value of a scalar; if YAML readers differ about it, add a problem and return None."""
        text = str(event.value)
        if event.style or event.tag is not None:
            return text
        if text in _PLAIN:
            return _PLAIN[text]
        if self.with_dates and _DATE.fullmatch(text):
            return text
        if allowed := _value_trouble(text):
            self._add(event, key, _cut(text), allowed)
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text


def _collection(value: Any, nodes: list[_Composed]) -> _Composed:
    height = 1 + max((node.height for node in nodes), default=0)
    return _Composed(value, 1 + sum(node.size for node in nodes), height)


def _value_trouble(text: str) -> str | None:
    """Return how a value without quotes must be written; None if all YAML readers read the same value."""
    if _INTEGER.fullmatch(text):
        return None if len(text.lstrip("+-")) <= _DIGITS else f"a number of at most {_DIGITS} digits"
    if _FLOAT.fullmatch(text):
        return None if math.isfinite(float(text)) else "a finite number"
    if _DATE.fullmatch(text):
        return "the date in quotes, as text"
    return next((allowed for pattern, allowed in _AMBIGUOUS if pattern.fullmatch(text)), None)


def _key_trouble(text: str) -> str | None:
    """Return how a key without quotes must be written; None if all YAML readers read the same text."""
    is_text = not (
        text in _PLAIN
        or _FLOAT.fullmatch(text)
        or _TRUTH.fullmatch(text)
        or (len(text) > 1 and text != "<<" and _value_trouble(text))
    )
    return None if is_text else "a name, in quotes"


def _cut(text: str) -> str:
    """Return a plain value as the file spells it, cut to a short piece."""
    return text if len(text) <= _SHOWN else f"{text[:20]}… ({len(text):,} characters)"
