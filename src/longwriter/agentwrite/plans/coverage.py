"""How much of an instruction a plan covers: measured by a rule, or judged by a model.

Pure. The rule is the share of the instruction's content words that occur in the main points. It compares
words, not meaning: a good plan that uses other words scores low, so the threshold must leave room for that.
A judge compares meaning, and costs one call per plan; its prompt and the reading of its answer are here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import snowballstemmer
import stopwordsiso

from longwriter.text.basics.counting import HAN, normalise, tokens
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused, framed, read_object

_DUPLICATE_SHARE = 0.85  # points that share at least this much of their content words are duplicates
_HAN_RUN = re.compile(f"[{HAN}]+")
_HAN_NUMBERS = "零〇一二两三四五六七八九十百千万亿几"
_ENGLISH_NUMBERS = frozenset(
    tokens(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
        " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred"
        " thousand million billion first second third fourth fifth dozen"
    )
)
_REQUEST_WORDS = frozenset(  # words about the length, and about the request itself
    tokens(
        "word words page pages paragraph paragraphs length long longer short shorter minimum maximum"
        " write writing written draft compose"
    )
)
_CONTRASTS = frozenset(  # stop words that make two points different
    tokens(
        "before after during against without with not no never his her their old new last next best worst"
        " how why who what when where up down inside outside"
    )
)
_HAN_REQUEST_WORDS = "字数|篇幅|左右|至少|至多|少于|超过|低于|大约|长度|以上|以内|撰写|创作|编写|帮我"
_HAN_FUNCTION = "的了和与及或在是对把被从为以之其这那着过也就都而并且很请写让字篇"

_STOP_WORDS = frozenset(stopwordsiso.stopwords("en")) | _ENGLISH_NUMBERS | _REQUEST_WORDS
_HAN_STOP_WORDS = sorted(
    (word for word in stopwordsiso.stopwords("zh") if len(word) > 1 and _HAN_RUN.fullmatch(word)),
    key=lambda word: (-len(word), word),
)
_HAN_SEPARATORS = re.compile(  # what stands between Han content words
    f"(?:{_HAN_REQUEST_WORDS}|{'|'.join(_HAN_STOP_WORDS)}|[{_HAN_FUNCTION}{_HAN_NUMBERS}])+"
)
_STEMMER = snowballstemmer.stemmer("english")


@functools.lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return str(_STEMMER.stemWord(word))


def terms(text: str) -> frozenset[str]:
    """Return the content words of a text: stems of Latin words, and pairs of neighbouring Han characters.

    Stop words, numbers, and the words of a request ("write", "words", 字数) are not content words.
    """
    latin = (
        token.replace("’", "'")
        for token in tokens(text)
        if not token[0].isdigit() and not _HAN_RUN.match(token)
    )
    stems = {_stem(word) for word in latin if word not in _STOP_WORDS}
    parts = [part for run in _HAN_RUN.findall(text) for part in _HAN_SEPARATORS.split(run)]
    return frozenset(stems | {part[i : i + 2] for part in parts for i in range(len(part) - 1)})


def coverage(instruction: str, points: Sequence[str]) -> float:
    """Return the share of the instruction's content words that occur in the main points.

    Returns:
        Share in [0, 1]; 1 for an instruction without content words.
    """
    required = terms(instruction)
    covered = frozenset[str]().union(*map(terms, points))
    return len(required & covered) / len(required) if required else 1.0


def duplicates(points: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two points that say the same, or None.

    Two points say the same if their words are equal. They also do if they share nearly all content words, all
    numbers and all words of contrast. So "Day 1: rest" and "Day 2: rest" differ, and so do "before the war" and
    "after the war".
    """
    parsed = [(tuple(tokens(point)), terms(point), _distinctions(point)) for point in points]
    for i, (words, content, distinctions) in enumerate(parsed):
        for j, (other_words, other_content, other_distinctions) in enumerate(parsed[:i]):
            union = content | other_content
            is_near = bool(union) and len(content & other_content) >= _DUPLICATE_SHARE * len(union)
            if words == other_words or (is_near and distinctions == other_distinctions):
                return points[j], points[i]
    return None


def _distinctions(text: str) -> set[str]:
    """Return the numbers and words of contrast in a text."""
    words = set(tokens(text))
    numbers = {word for word in words if word[0].isdigit() or word in _HAN_NUMBERS}
    return numbers | (words & (_ENGLISH_NUMBERS | _CONTRASTS))


def coverage_prompt(template: str, instruction: str, plan: str) -> str:
    """Return the judge's prompt for one plan, with instruction and plan fenced as `framed` does.

    Raises:
        BadParams: the template lacks a field.
    """
    return framed(template, "plan.judge.prompt", instruction=instruction, plan=plan)


def coverage_schema() -> dict[str, Any]:
    """Return the JSON schema of the judge's answer."""
    return {
        "type": "object",
        "properties": {"missing": {"type": "string"}, "covered": {"type": "boolean"}},
        "required": ["missing", "covered"],
        "additionalProperties": False,
    }


def parse_coverage(answer: str) -> Refused | None:
    """Return why a judge's answer refuses a plan, or None if the plan passes; never raises.

    Returns:
        Refused with reason `not_covered` (the detail is what is missing), or `coverage_unreadable`.
    """
    values = read_object(answer) or {}
    is_covered = values.get("covered")
    if not isinstance(is_covered, bool):
        return Refused("coverage_unreadable", normalise(answer)[:EVIDENCE_CHARS])
    if is_covered:
        return None
    return Refused("not_covered", normalise(str(values.get("missing", "")))[:EVIDENCE_CHARS])
