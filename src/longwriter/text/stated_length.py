"""The length that a prompt asks the whole text to have, read by rule, in English and Chinese.

Every number that counts words (Chinese: characters) is a mention. A mention asks for the whole text's
length unless what stands around it says otherwise (`length_rules`). Where two mentions ask for
different lengths, the one that says it is the whole or the goal counts; else the prompt states none:
a wrong length costs more than a missing one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from longwriter.text import length_rules as rules
from longwriter.text import numerals

_N = numerals.NUMBER
_UNIT = (
    r"(?:\+?\s*(?:\([^()\n]{1,30}\))?\)?[\s-]{0,2}(?:(?:English|Chinese)\s)?words?\b|[\s-]?Chinese\scharacters?\b"
    r"|\s?[多余来]?\s?个?(?:(?:中文|汉)字|字(?![数符典母体幕画节眼形帖迹样面号库型谜]|段(?!落))"
    r"|(?:英文)?单词|词(?![语汇条典组性频云根源曲人牌])))"
)
_UNITS = ("word", "character", "字", "词")  # one of them is in whatever `_MENTION` and `_LABEL` find
_TO = r"(?:\s?(?:[-–—~～－至到]|to\b|and\b|or\b|与|和|或)\s?)"
_MENTION = re.compile(
    rf"(?:(?P<low>{_N}){_UNIT}?{_TO}(?!hundred|thousand))?(?P<number>{_N})(?P<unit>{_UNIT})", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?:\bword[\s-]?(?:count|limit|length|target|minimum|maximum)s?\b"
    r"(?:\s|[:：=~≈<>≤≥-]|\b(?:should|must|be|is|of|at|to|about|around|approximately|least|most|no|not|more|less|"
    r"fewer|than|under|over|between|minimum|maximum|exceed|requirement|set|keep|kept)\b){1,12}"
    r"|字数(?:\s|[:：=]|要求|限制|范围|控制|保持|大概|大约|约|在|为|是|不少于|不低于|不超过|不得|不能|少于|低于|超过|至少|最少|最多|于){0,6})"
    rf"(?:(?P<low>{_N}){_TO})?(?P<number>{_N})(?P<unit>(?!\s?(?:[%％\d]|\.\d|pages?|字符)))",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"```[\s\S]*?(?:```|\Z)|`[^`\n]*`|^>[^\n]*|“[^“”]*”|「[^」]*」|『[^』]*』|《[^》\n]*》"
    r"|(?<![\w\"])\"(?=\S)[^\"]{1,3000}\"(?!\w)"
    r"|(?<!\w)['‘](?=\w)(?:[^'’\n]|['’](?=\w)){1,300}['’](?!\w)"
    r"|^(?:text|passage|transcript|excerpt|original(?: text)?|source|原文|材料|文本)\s*[:：][\s\S]*?(?=\n\s*\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_RANGE_END = re.compile(rf"{_N}\s?(?:\([^()\n]{{1,30}}\))?{_TO}[^,.;，。；\n]{{0,20}}$", re.IGNORECASE)
_OPENS_RANGE = re.compile(r"(?:\b(?:between|from)\s+|介于\s?)$", re.IGNORECASE)
_CLOSES_RANGE = re.compile(r"\s?之间")
_ARTICLE = re.compile(r"an?\s+", re.IGNORECASE)
_ASIDE = re.compile(rf"\s?\([^()\n]*?(?:{_N}|¤)[^()\n]*\)", re.IGNORECASE)
_STOP = re.compile(r"[。！？；;!?\n]|\.(?=\s|$)")
_WINDOW = 200  # characters before and after a mention that its rules read
_MANY = 50  # mentions: a prompt with more is full of numbers, and asks with none of them


class Place(NamedTuple):
    """A length with its unit (of a range both ends), prompt[start:end]; `unit` is to follow the number."""

    start: int
    end: int
    unit: str


class Statement(NamedTuple):
    """What a prompt says of the length of the whole text.

    `words` is that length, None where none is stated or none counts; `places` are where it stands, in
    order. `others` tells whether the prompt holds a further length, of a part or in conflict.
    """

    words: int | None
    places: tuple[Place, ...] = ()
    others: bool = False


class _Ask(NamedTuple):
    """A mention that asks for a length; the highest rank counts, and 0 is the length of a part."""

    words: int
    rank: int
    bound: str
    place: Place


def stated_length(prompt: str) -> int | None:
    """Return the length in words (Chinese: characters) that a prompt asks the whole text to have.

    Of a range the second number counts, as in LongBench-Write ("300到400字" has length 400), and so does
    the upper of two bounds. A length per part is none, and so is one in pages, minutes or paragraphs.

    Returns:
        The length; None where none is stated, or where several are and none says that it is the whole.
    """
    return statement(prompt).words


def statement(prompt: str) -> Statement:
    """Return the length that `stated_length` finds in a prompt, and where it stands."""
    lower = prompt.lower()
    if not any(unit in lower for unit in _UNITS):
        return Statement(None)
    text, shift = _without_quotes(prompt)
    mentions = (*islice(_LABEL.finditer(text), _MANY + 1), *islice(_MENTION.finditer(text), _MANY + 1))
    found = {match.end("number"): match for match in mentions}
    if len(found) > _MANY:
        return Statement(None, others=True)
    asks = [ask for match in found.values() if (ask := _ask(text, match)) is not None]
    best = max((ask.rank for ask in asks), default=0)
    chosen = [ask for ask in asks if ask.rank == best > 0]
    wanted = {ask.words: ask.bound for ask in chosen}
    if sorted(wanted.values()) == ["max", "min"]:
        return Statement(next(words for words, bound in wanted.items() if bound == "max"), others=True)
    if len(wanted) != 1:
        return Statement(None, others=bool(asks))
    places = sorted(ask.place for ask in chosen)
    apart = all(one.end <= two.start for one, two in pairwise(places))
    inside = all(any(one.start <= ask.place.start < one.end for one in places) for ask in asks)
    single = (
        apart
        and inside
        and not any(_RANGE_END.search(text[max(0, one.start - _WINDOW) : one.start]) for one in places)
    )
    moved = tuple(one._replace(start=one.start + shift, end=one.end + shift) for one in places)
    return Statement(chosen[0].words, moved, others=not single)


def restated(prompt: str, stated: Statement, words: int) -> str:
    """Return the prompt with `words` in each of the places of its `statement`, in digits, typeset alike."""
    for start, end, unit in reversed(stated.places):
        number = f"{words:,}" if "," in prompt[start:end] else str(words)
        prompt = f"{prompt[:start]}{number}{unit}{prompt[end:]}"
    return prompt


def _without_quotes(prompt: str) -> tuple[str, int]:
    """Return the prompt with quoted text blotted out, and how many characters of its start it lacks.

    Where all of it is quoted, nothing is blotted out.
    """
    text, shift = prompt.strip(), len(prompt) - len(prompt.lstrip())
    if len(text) > 2 and text[0] + text[-1] in ('""', "“”") and not set(text[1:-1]) & set('"“”'):
        text, shift = text[1:-1], shift + 1
    return _QUOTED.sub(lambda quoted: re.sub(r"\S", "¤", quoted[0]), text), shift


def _ask(text: str, match: re.Match[str]) -> _Ask | None:
    """Return what a mention asks for; None where it is no length of the text to be written."""
    words = numerals.value(match["number"])
    start = match.start("number") if match["low"] is None else match.start("low")
    before = re.sub(r"\s+", " ", _STOP.split(text[max(0, start - _WINDOW) : start])[-1])
    ahead = text[match.end() : match.end() + _WINDOW]
    stop = _STOP.search(ahead)
    after = re.sub(r"\s+", " ", ahead[: stop.start()] if stop else ahead)
    if words is None or (match["number"] == "十" and not re.match(r"以?[内上下]|左右", after)):
        return None
    total = bool(rules.TOTAL_BEFORE.search(before) or rules.TOTAL_AFTER.match(after))
    plain = _without_hedges(before)
    if not rules.ASKS_AFTER.match(after):
        if _is_year(match, before, after):
            return None
        if _is_asked_about(before, after, "?" in (stop[0] if stop else "")):
            return None
        why = next((why for why in _whys(plain, after) if not (total and why in rules.PARTWISE)), None)
        if why is not None:
            return _Ask(words, 0, "", _place(text, match)) if why in rules.PARTWISE else None
    rank = 3 if total else 2 if rules.TARGET.search(plain) else 1
    hedges = before[len(plain) :]
    least = rules.MINIMUM.search(hedges) or after.startswith("以上")
    most = rules.MAXIMUM.search(hedges) or after.startswith(("以下", "以内", "之内"))
    return _Ask(words, rank, "min" if least else "max" if most else "", _place(text, match))


def _place(text: str, match: re.Match[str]) -> Place:
    """Return where a mention stands; "between" and 之间 belong to a range, "(two thousand)" to its number.

    The "a" of "a thousand-word tale" is the tale's.
    """
    start, end = match.start("number"), match.end("unit")
    unit = _ASIDE.sub("", match["unit"])
    if match["low"] is not None:
        start = match.start("low")
        start -= (
            len(opening[0]) if (opening := _OPENS_RANGE.search(text[max(0, start - _WINDOW) : start])) else 0
        )
        if closing := _CLOSES_RANGE.match(text, end):
            end, unit = closing.end(), f"{unit}左右"
    elif unit.endswith("word") and (article := _ARTICLE.match(match["number"])):
        start += article.end()
    return Place(start, end, unit)


def _without_hedges(before: str) -> str:
    """Return `before` without the "about", "at least" and 不少于 that it ends with."""
    while hedge := rules.HEDGE.search(before):
        before = before[: hedge.start()]
    return before


def _whys(before: str, after: str) -> Iterator[str]:
    """Return why a number is no length of the whole, for each rule that says so."""
    return (rule.why for rule in rules.RULES if _applies(rule, before, after))


def _applies(rule: rules.Rule, before: str, after: str) -> bool:
    return bool(
        (rule.before is None or rule.before.search(before))
        and (rule.after is None or rule.after.match(after))
        and not (rule.unless and rule.unless.search(before))
    )


def _is_year(match: re.Match[str], before: str, after: str) -> bool:
    """Tell whether the number is a year and "words" begins what is said of it."""
    if not rules.YEAR.fullmatch(match["number"]) or match["unit"] != " words":
        return False
    return bool(
        rules.YEAR_SURE.search(before) or (rules.YEAR_BEFORE.search(before) and rules.YEAR_VERB.match(after))
    )


def _is_asked_about(before: str, after: str, marked: bool) -> bool:
    """Tell whether the number stands in a question that is not itself to be answered at that length."""
    clause = re.split(r"[，,]", before)[-1] + re.split(r"[，,]", after)[0]
    if rules.ZH_QUESTION.search(clause) or "多少字" in after:
        return True
    question = re.split(r"[:：(（—]", before)[-1]
    if rules.QUANTITY.match(question):
        return not re.search(r"[,，–-]\s*$", _without_hedges(before))
    at_its_end = rules.TAIL.search(_without_hedges(before)) and rules.TAIL_END.match(after)
    return bool(marked and rules.QUESTION.match(question) and not at_its_end)
