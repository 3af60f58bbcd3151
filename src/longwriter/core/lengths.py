"""The length that a prompt asks the whole text to have, read by rule, in English and Chinese.

Every number that counts words (Chinese: characters) is a mention. A mention asks for the whole text's
length unless what stands around it says otherwise (`length_rules`). Where two mentions ask for
different lengths, the one that says it is the whole or the goal counts; else the prompt states none:
a wrong length costs more than a missing one.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from longwriter.core import length_rules as rules
from longwriter.core import numerals

_N = numerals.NUMBER
_UNIT = (
    r"(?:\+?\s*(?:\([^()\n]{1,30}\))?\)?[\s-]{0,2}(?:(?:English|Chinese)\s)?words?\b|[\s-]?Chinese\scharacters?\b"
    r"|\s?[多余来]?\s?个?(?:(?:中文|汉)字|字(?![数符典母体幕画节眼形帖迹样面号库型谜]|段(?!落))"
    r"|(?:英文)?单词|词(?![语汇条典组性频云根源曲人牌])))"
)
_UNITS = ("word", "character", "字", "词")  # one of them is in whatever `_MENTION` and `_LABEL` find
_TO = r"(?:\s?(?:[-–—~～－至到]|to\b|and\b|or\b|与|和|或)\s?)"
_MENTION = re.compile(rf"(?:(?P<low>{_N}){_UNIT}?{_TO})?(?P<number>{_N})(?P<unit>{_UNIT})", re.IGNORECASE)
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
_STOP = re.compile(r"[。！？；;!?\n]|\.(?=\s|$)")
_WINDOW = 200  # characters before and after a mention that its rules read
_MANY = 50  # mentions: a prompt with more is full of numbers, and asks with none of them


class _Ask(NamedTuple):
    """A mention that asks for the whole text's length; the highest rank counts."""

    words: int
    rank: int
    bound: str


def stated_length(prompt: str) -> int | None:
    """Return the length in words (Chinese: characters) that a prompt asks the whole text to have.

    Of a range the second number counts, as in LongBench-Write ("300到400字" has length 400), and so does
    the upper of two bounds. A length per part is none, and so is one in pages, minutes or paragraphs.

    Returns:
        The length; None where none is stated, or where several are and none says that it is the whole.
    """
    lower = prompt.lower()
    if not any(unit in lower for unit in _UNITS):
        return None
    text = _without_quotes(prompt)
    mentions = (*islice(_LABEL.finditer(text), _MANY + 1), *islice(_MENTION.finditer(text), _MANY + 1))
    found = {match.end("number"): match for match in mentions}
    if len(found) > _MANY:
        return None
    asks = [ask for match in found.values() if (ask := _ask(text, match)) is not None]
    best = max((ask.rank for ask in asks), default=0)
    wanted = {ask.words: ask.bound for ask in asks if ask.rank == best}
    if sorted(wanted.values()) == ["max", "min"]:
        return next(words for words, bound in wanted.items() if bound == "max")
    return next(iter(wanted)) if len(wanted) == 1 else None


def _without_quotes(prompt: str) -> str:
    """Return the prompt with quoted text blotted out; where all of it is quoted, nothing is."""
    text = prompt.strip()
    if len(text) > 2 and text[0] + text[-1] in ('""', "“”") and not set(text[1:-1]) & set('"“”'):
        text = text[1:-1]
    return _QUOTED.sub(lambda quoted: re.sub(r"\S", "¤", quoted[0]), text)


def _ask(text: str, match: re.Match[str]) -> _Ask | None:
    """Return what a mention asks for; None where it is not the whole text's length."""
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
    if not rules.ASKS_AFTER.match(after) and (
        _is_year(match, before, after)
        or _is_asked_about(before, after, "?" in (stop[0] if stop else ""))
        or any(
            _applies(rule, plain, after) for rule in rules.RULES if not (total and rule.why in rules.PARTWISE)
        )
    ):
        return None
    rank = 3 if total else 2 if rules.TARGET.search(plain) else 1
    hedges = before[len(plain) :]
    least = rules.MINIMUM.search(hedges) or after.startswith("以上")
    most = rules.MAXIMUM.search(hedges) or after.startswith(("以下", "以内", "之内"))
    return _Ask(words, rank, "min" if least else "max" if most else "")


def _without_hedges(before: str) -> str:
    """Return `before` without the "about", "at least" and 不少于 that it ends with."""
    while hedge := rules.HEDGE.search(before):
        before = before[: hedge.start()]
    return before


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
