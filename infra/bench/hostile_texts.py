"""Pure. Texts that make a regular expression slow, made from the expression itself.

A slow expression is one that reads the same characters again from many places. So the texts are long runs of
what a repeat of the expression takes, and many copies of a text that it almost matches.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_LONG = 20  # a repeat that may have more items can be made long
_RUN = 100  # characters of a long repeat in a text that is copied
_CHARACTERS = " a1\n字“-.A_|\x00"  # a negated class or a dot becomes the first of these that it matches
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_CATEGORY = {
    codes.CATEGORY_DIGIT: "1", codes.CATEGORY_NOT_DIGIT: "a", codes.CATEGORY_SPACE: " ", codes.CATEGORY_NOT_SPACE: "a",
    codes.CATEGORY_WORD: "a", codes.CATEGORY_NOT_WORD: "-",
}  # fmt: skip

Make = Callable[[int], str]
"""Returns a text of so many characters."""


def repeated(unit: str) -> Make:
    """Return a function that repeats `unit`."""
    return lambda chars: (unit * (chars // len(unit) + 1))[:chars]


def of_pattern(pattern: re.Pattern[str], count: int, seed: int = 7) -> dict[str, Make]:
    """Return texts for a pattern, by name: runs, near misses and near misses with a long run, `count` of each."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    source = random.Random(seed)
    items = [item for item in _long_repeats(tree)]
    made: dict[str, Make] = {}
    for _ in range(count):
        if items and (unit := _expand(source.choice(items), source)):
            made[f"run of {unit!r}"] = repeated(unit)
        near = _expand(tree, source)[:-1]
        if near:
            made[f"copies of {near[:60]!r}"] = repeated(near)
        if items:
            chosen = source.choice(items)
            state = source.getstate()
            made[f"long run in {near[:60]!r}"] = _with_run(tree, chosen, state)
            inner = _with_run(tree, chosen, state)(_RUN)
            made[f"copies of {inner[:60]!r} with a run"] = repeated(inner)
    return made


def near_misses(pattern: re.Pattern[str], count: int, seed: int = 7) -> set[str]:
    """Return short texts that a pattern almost matches, and whole matches."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    source = random.Random(seed)
    matches = [_expand(tree, source) for _ in range(count)]
    return {text for match in matches for text in (match, match[:-1]) if text}


def _with_run(tree: Any, chosen: Any, state: Any) -> Make:
    """Return a function that makes a near miss in which one repeat has many items."""

    def make(chars: int) -> str:
        source = random.Random()
        source.setstate(state)
        return _expand(tree, source, chosen, chars)[:-1] + "\x00"

    return make


def _long_repeats(tree: Any) -> Iterator[Any]:
    """Yield what is repeated in an expression, where that may be long."""
    for code, value in tree:
        if code in _REPEATS:
            if value[1] > _LONG:
                yield value[2]
            yield from _long_repeats(value[2])
        elif code is codes.BRANCH:
            for branch in value[1]:
                yield from _long_repeats(branch)
        elif code is codes.SUBPATTERN:
            yield from _long_repeats(value[3])
        elif code is codes.ATOMIC_GROUP:
            yield from _long_repeats(value)
        elif code in (codes.ASSERT, codes.ASSERT_NOT):
            yield from _long_repeats(value[1])


def _expand(tree: Any, source: random.Random, chosen: Any = None, chars: int = 0) -> str:
    """Return a text that an expression matches, or nearly; the repeat of `chosen` fills `chars` characters."""
    parts: list[str] = []
    for code, value in tree:
        if code is codes.LITERAL:
            parts.append(chr(value))
        elif code is codes.NOT_LITERAL:
            parts.append(next(char for char in _CHARACTERS if ord(char) != value))
        elif code is codes.ANY:
            parts.append("a")
        elif code is codes.IN:
            parts.append(_member(value, source))
        elif code is codes.BRANCH:
            parts.append(_expand(source.choice(value[1]), source, chosen, chars))
        elif code is codes.SUBPATTERN:
            parts.append(_expand(value[3], source, chosen, chars))
        elif code is codes.ATOMIC_GROUP:
            parts.append(_expand(value, source, chosen, chars))
        elif code is codes.ASSERT and source.random() < 0.5:
            parts.append(_expand(value[1], source, chosen, chars))
        elif code is codes.AT and value is codes.AT_BEGINNING and parts == []:
            parts.append("\n")
        elif code in _REPEATS:
            least, most, item = value
            one = _expand(item, source, chosen, chars)
            times = chars // max(len(one), 1) if item is chosen else source.choice((least, least + 1))
            parts.append(one * min(times, int(most)))
    return "".join(parts)


def _member(items: Any, source: random.Random) -> str:
    """Return a character of a class, such as `[a-z_]`."""
    if items[0][0] is codes.NEGATE:
        return next((char for char in _CHARACTERS if not _has(items[1:], char)), "\x07")
    code, value = source.choice(items)
    if code is codes.RANGE:
        return chr(source.choice(value))
    return chr(value) if code is codes.LITERAL else _CATEGORY.get(value, "a")


def _has(items: Any, char: str) -> bool:
    """Tell whether a class holds a character."""
    for code, value in items:
        if code is codes.LITERAL and value == ord(char):
            return True
        if code is codes.RANGE and value[0] <= ord(char) <= value[1]:
            return True
        if code is codes.CATEGORY:
            name = str(value).rpartition("_")[2]
            is_in = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}[
                name
            ]
            if is_in != ("NOT" in str(value)):
                return True
    return False
