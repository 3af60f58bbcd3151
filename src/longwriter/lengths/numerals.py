"""Reads numbers as people write them in a request: "2,000", "1.5k", "two thousand", 一万五千, 七八百.

Pure. `NUMBER` is the pattern of a number, and `value` reads a match of it. Vague numbers ("a few thousand",
几千) have no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from operator import itemgetter

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = (
    {word: number for number, word in enumerate(_ONES)}
    | {word: 10 * number for number, word in enumerate(_TENS, 2)}
    | {"a": 1, "hundred": 100, "thousand": 1000}
)
_HAN_DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"k": 1000, "w": 10_000, "thousand": 1000, "hundred": 100, "百": 100, "千": 1000, "万": 10_000}


def _any_of(words: Iterable[str]) -> str:
    """Return a pattern that matches any of the words, the longest first; grouped by first letter, to fail fast."""
    longest_first = sorted(words, key=lambda word: (word[0], -len(word), word))
    return "|".join(
        f"{letter}(?:{'|'.join(word[1:] for word in group)})"
        for letter, group in groupby(longest_first, itemgetter(0))
    )


_WORD = rf"(?:{_any_of(_WORDS.keys() - {'a'})})"
_AND = r"[\s-]{1,3}(?:and[\s-])?"
_TO_99 = rf"(?:(?:{_any_of(_TENS)})(?:[\s-]{{1,3}}(?:{_any_of(_ONES[1:10])}))?|(?:{_any_of(_ONES)}))\b"
_HUNDRED = rf"hundred\b(?:{_AND}{_TO_99}(?!{_AND}(?:hundred|thousand)\b))?"
_TO_999 = rf"(?:{_TO_99}(?:{_AND}{_HUNDRED})?|{_HUNDRED})"
_THOUSAND = rf"thousand\b(?:{_AND}{_TO_999}(?!{_AND}thousand\b))?"
_SPELLED = rf"(?:{_TO_999}(?:{_AND}{_THOUSAND})?|{_THOUSAND})"
_DIGITS = r"(?<![\d$#a-zA-Z_])(?<!\d[.,])(?:\d{1,3}(?:[,，]\d{3}){1,2}(?!\d)|\d{1,7}(?:\.\d{1,2})?)(?!\d)"
_SCALE = r"(?:\s?(?:thousand|hundred)\b|\s?[kw](?![a-z])|\s?[百千万](?:\d千)?)"
NUMBER = (
    rf"(?:{_DIGITS}{_SCALE}?"
    rf"|(?<!\w)(?>(?:an?\s{{1,20}}(?=hundred|thousand))?{_SPELLED})"
    r"|(?<![几数零〇一二两三四五六七八九十百千万第])[零〇一二两三四五六七八九十百千万]{1,12})"
)
"""Pattern of one number, for `re.IGNORECASE`; it matches a spelled number as a whole, so "five" never matches
inside "twenty-five"."""
START = re.compile(
    r"\d(?<![\d$#a-zA-Z_].)(?<!\d[.,].)"
    r"|[零〇一二两三四五六七八九十百千万](?<![几数零〇一二两三四五六七八九十百千万第].)"
    r"|[aA](?<=\b.)(?=[nN]?\s+[htHT])|[eEfFhHnNoOsStTzZſ](?<=\b.)(?=[eEhHiIlLnNoOuUwWıİ]\w)"
)
"""Pattern of the places where a match of `NUMBER` may begin; it finds them much faster than `NUMBER` does."""
AFTER_WORD = re.compile(rf"(?<!\w){_WORD}\s{{1,3}}\Z", re.IGNORECASE)
"""Pattern of a spelled number at the end of a text. A number right after it belongs to a list such as "one two
three"."""

_SCALED = re.compile(r"([\d,，.]+)\s?(thousand|hundred|[kw百千万])?(?:(\d)千)?")
_EITHER = re.compile(
    r"[一二两三四五六七八]([二三四五六七八九])(?=[十百千万])"
)  # 三四百: three or four hundred


def value(text: str) -> int | None:
    """Return the value of `text`, which is a match of `NUMBER`; None if it has no positive whole value.

    If a Chinese numeral names two neighbouring digits (七八百: 700 or 800), the larger one counts.
    """
    text = text.lower().strip()
    scaled = _SCALED.fullmatch(text)
    if scaled:
        digits, scale, thousands = scaled.groups()
        number = Decimal(re.sub("[,，]", "", digits)) * _SCALES.get(scale, 1) + 1000 * int(thousands or 0)
        return int(number) if number and number == int(number) else None
    return (_spelled(text) if text[0].isascii() else _han(text)) or None


def _spelled(text: str) -> int | None:
    """Return the value of an English numeral; None if it is not one number, such as "one two three"."""
    total = group = 0
    last = 10_000
    for word in re.findall(r"[a-z]+", text):
        if word in ("and", "an"):
            continue
        number = _WORDS[word]
        if number == 1000:
            total, group = total + (group or 1) * 1000, 0
        elif number == 100:
            group = (group or 1) * 100
        elif group % 100 and not (last in range(20, 100) and number < 10):
            return None
        else:
            group += number
        last = number
    return total + group


def _han(text: str) -> int | None:
    """Return the value of a Chinese numeral; None for a unit without a digit before it (千) and for digits alone."""
    if text[0] in "百千万零〇" or not set(text) & set("十百千万"):
        return None
    total = group = digit = 0
    last = 1
    for char in _EITHER.sub(r"\1", text):
        if char in _HAN_DIGITS:
            digit, last = _HAN_DIGITS[char], last if _HAN_DIGITS[char] else 10
        elif char == "万":
            total, group, digit, last = total + (group + digit) * 10_000, 0, 0, 10_000
        else:
            last = _HAN_UNITS[char]
            group, digit = group + (digit or 1) * last, 0
    return total + group + digit * last // 10 if last > 10 else total + group + digit
