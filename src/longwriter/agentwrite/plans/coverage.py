"""How much of an instruction a plan covers: by rule, and by a judge.

By rule: the share of the instruction's content words that the main points touch. It sees words, not
meaning, so a good plan in other words scores low and the threshold must leave room. A judge sees more,
and costs a call a plan.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import snowballstemmer
import stopwordsiso

from longwriter.text.counting import HAN, normalise, tokens
from longwriter.text.prompts import Refused, framed, read_object

_ALIKE = 0.85  # share of two points' content words that both have; one word in seven may differ
_HAN_RUN = re.compile(f"[{HAN}]+")
_HAN_NUMBERS = "零〇一二两三四五六七八九十百千万亿几"
_ENGLISH_NUMBERS = frozenset(
    tokens(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand"
        " million billion first second third fourth fifth dozen"
    )
)
_REQUEST_WORDS = frozenset(  # of its length, and of the asking itself
    tokens(
        "word words page pages paragraph paragraphs length long longer short shorter minimum maximum"
        " write writing written draft compose"
    )
)
_CONTRASTS = frozenset(  # stop words by which two points may differ
    tokens(
        "before after during against without with not no never his her their old new last next best worst"
        " how why who what when where up down inside outside"
    )
)
_HAN_REQUEST_WORDS = "字数|篇幅|左右|至少|至多|少于|超过|低于|大约|长度|以上|以内|撰写|创作|编写|帮我"
_HAN_FUNCTION = "的了和与及或在是对把被从为以之其这那着过也就都而并且很请写让字篇"
_SHOWN = 200  # characters of an unreadable answer that are kept as evidence


_STOP_WORDS = frozenset(stopwordsiso.stopwords("en")) | _ENGLISH_NUMBERS | _REQUEST_WORDS
_HAN_STOP_WORDS = sorted(
    (word for word in stopwordsiso.stopwords("zh") if len(word) > 1 and _HAN_RUN.fullmatch(word)),
    key=lambda word: (-len(word), word),
)
_BETWEEN = re.compile(  # what separates Han content
    f"(?:{_HAN_REQUEST_WORDS}|{'|'.join(_HAN_STOP_WORDS)}|[{_HAN_FUNCTION}{_HAN_NUMBERS}])+"
)
_STEMMER = snowballstemmer.stemmer("english")


@functools.lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return str(_STEMMER.stemWord(word))


def terms(text: str) -> frozenset[str]:
    """Return the content words of a text: stems of Latin words, and pairs of neighbouring Han characters.

    Stop words, numbers, and the words of a request ("write", "words", 字数) are none.
    """
    latin = (
        token.replace("’", "'")
        for token in tokens(text)
        if not token[0].isdigit() and not _HAN_RUN.match(token)
    )
    stems = {_stem(word) for word in latin if word not in _STOP_WORDS}
    parts = [part for run in _HAN_RUN.findall(text) for part in _BETWEEN.split(run)]
    return frozenset(stems | {part[i : i + 2] for part in parts for i in range(len(part) - 1)})


def coverage(instruction: str, points: Sequence[str]) -> float:
    """Return the share of the instruction's content words that the main points touch.

    Returns:
        Share in [0, 1]; 1 for an instruction without content words.
    """
    wanted = terms(instruction)
    touched = frozenset[str]().union(*map(terms, points))
    return len(wanted & touched) / len(wanted) if wanted else 1.0


def duplicates(points: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two points that say the same, or None.

    The same: equal words; or nearly all content words shared, and no number or word of contrast in one
    alone ("Day 1: rest" and "Day 2: rest" differ, so do "before the war" and "after the war").
    """
    read = [(tuple(tokens(point)), terms(point), _marks(point)) for point in points]
    for i, (words, content, marks) in enumerate(read):
        for j, (other_words, other_content, other_marks) in enumerate(read[:i]):
            together = content | other_content
            near = bool(together) and len(content & other_content) >= _ALIKE * len(together)
            if words == other_words or (near and marks == other_marks):
                return points[j], points[i]
    return None


def _marks(text: str) -> set[str]:
    """Return the numbers and words of contrast in a text."""
    found = set(tokens(text))
    numbers = {token for token in found if token[0].isdigit() or token in _HAN_NUMBERS}
    return numbers | (found & (_ENGLISH_NUMBERS | _CONTRASTS))


def coverage_prompt(template: str, instruction: str, plan: str) -> str:
    """Return the judge's prompt for one plan, with instruction and plan framed.

    Raises:
        BadParams: the template lacks a field.
    """
    return framed(template, "plan.coverage_prompt", instruction=instruction, plan=plan)


def coverage_schema() -> dict[str, Any]:
    """Return the JSON schema of the judge's answer."""
    return {
        "type": "object",
        "properties": {"missing": {"type": "string"}, "covered": {"type": "boolean"}},
        "required": ["missing", "covered"],
        "additionalProperties": False,
    }


def parse_coverage(answer: str) -> Refused | None:
    """Return why a judge's answer does not let a plan pass, or None where it does; never raises.

    Returns:
        Refused with reason `not_covered` (and what is missing), or `coverage_unreadable`.
    """
    found = read_object(answer) or {}
    covered = found.get("covered")
    if not isinstance(covered, bool):
        return Refused("coverage_unreadable", normalise(answer)[:_SHOWN])
    return None if covered else Refused("not_covered", normalise(str(found.get("missing", "")))[:_SHOWN])
