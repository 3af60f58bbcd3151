"""Reads the length that a prompt asks the whole text to have, by rules for English and Chinese.

Every number of words (Chinese: characters) is a mention. A mention asks for a length of the whole text,
unless a rule in `rules` finds another meaning in the words around it. If two mentions ask for different
lengths, the mention that the prompt calls the total or the goal counts. If there is no such mention, the
prompt states no length, because a wrong length does more harm than a missing length.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from longwriter.lengths import numerals, rules
from longwriter.text.basics.quotations import Kind, Quotations

_N = numerals.NUMBER
_UNIT = (
    r"(?:\+?\s*(?:\([^()\n]{1,30}\))?\)?[\s-]{0,2}(?:(?:English|Chinese)\s)?words?\b|"
    r"[\s-]?Chinese\scharacters?\b"
    r"|\s?[多余来]?\s?个?(?:(?:中文|汉)字|字(?![数符典母体幕画节眼形帖迹样面号库型谜]|段(?!落))"
    r"|(?:英文)?单词|词(?![语汇条典组性频云根源曲人牌])))"
)
_UNITS = ("word", "character", "字", "词")  # each match of `_MENTION` or `_LABEL` holds one of these
_TO = r"(?:\s?(?:[-–—~～－至到]|to\b|and\b|or\b|与|和|或)\s?)"
_MENTION = re.compile(
    rf"(?:(?P<low>{_N}){_UNIT}?{_TO}(?!hundred|thousand))?(?P<number>{_N})(?P<unit>{_UNIT})", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?:\bword[\s-]?(?:count|limit|length|target|minimum|maximum)s?\b"
    r"(?:\s|[:：=~≈<>≤≥-]|\b(?:should|must|be|is|of|at|to|about|around|approximately|least|most|no|not|"
    r"more|less|fewer|than|under|over|between|minimum|maximum|exceed|requirement|set|keep|kept)\b){1,12}"
    r"|字数(?:\s|[:：=]|要求|限制|范围|控制|保持|大概|大约|约|在|为|是|不少于|不低于|不超过|不得|不能|少于|"
    r"低于|超过|至少|最少|最多|于){0,6})"
    rf"(?:(?P<low>{_N}){_TO})?(?P<number>{_N})(?P<unit>(?!\s?(?:[%％\d]|\.\d|pages?|字符)))",
    re.IGNORECASE,
)
_QUOTED = Quotations(
    [
        Kind("```", re.compile(r"(?P<end>```|\Z)")),
        Kind("`", re.compile(r"(?P<end>`)|\n")),
        Kind("^>", re.compile(r"(?P<end>(?=\n(?!>))|\Z)")),  # neighbouring lines are one quotation
        Kind("“(?!“)", re.compile("(?P<end>”)|“")),
        Kind("「", re.compile("(?P<end>」)")),
        Kind("『", re.compile("(?P<end>』)")),
        Kind("《", re.compile(r"(?P<end>》)|\n")),
        Kind(r"(?<![\w\"])\"(?=\S)", re.compile(r"(?P<end>\"(?!\w))|\""), least=1, most=3000),
        Kind(r"(?<!\w)['‘](?=\w)", re.compile(r"(?P<end>['’](?!\w))|\n"), most=300),
        Kind(
            r"^(?:text|passage|transcript|excerpt|original(?: text)?|source|原文|材料|文本)\s*[:：]",
            re.compile(r"(?P<end>(?=\n\s*\n)|\Z)"),
        ),
    ],
    re.IGNORECASE | re.MULTILINE,
)
_VISIBLE = re.compile(r"\S")
_RANGE_END = re.compile(rf"{_N}\s?(?:\([^()\n]{{1,30}}\))?{_TO}[^,.;，。；\n]{{0,20}}$", re.IGNORECASE)
_OPENS_RANGE = re.compile(r"(?:\b(?:between|from)\s+|介于\s?)$", re.IGNORECASE)
_CLOSES_RANGE = re.compile(r"\s?之间")
_ARTICLE = re.compile(r"an?\s+", re.IGNORECASE)
_ASIDE = re.compile(rf"\s?\((?=[^()\n]*\))[^()\n]*?(?:{_N}|¤)[^()\n]*\)", re.IGNORECASE)
_STOP = re.compile(r"[。！？；;!?\n]|\.(?=\s|$)")
_UNIT_WORD = re.compile("|".join(_UNITS), re.IGNORECASE)
_LONGEST_MENTION = 400  # characters of two numbers, the words between them and the words before the unit
_WINDOW = 200  # characters before and after a mention that the rules read
_MANY = 50  # mentions: a prompt with more of them is a list of numbers, and none of these is its length


class Place(NamedTuple):
    """Where a length stands: prompt[start:end] is the number with its unit; of a range, both numbers.

    `unit` is the text to write after a new number.
    """

    start: int
    end: int
    unit: str


class Statement(NamedTuple):
    """What a prompt says about the length of the whole text.

    `words` is that length; None if no length is stated, or if lengths are in conflict. `places` are the places
    where it stands, in order. `others` is True if the prompt also holds another length: of a part, or in
    conflict.
    """

    words: int | None
    places: tuple[Place, ...] = ()
    others: bool = False


class _Request(NamedTuple):
    """A mention that asks for a length; the highest rank counts, and rank 0 is the length of a part."""

    words: int
    rank: int
    bound: str
    place: Place


def stated_length(prompt: str) -> int | None:
    """Return the length in words (Chinese: characters) that a prompt asks the whole text to have.

    Of a range, the second number counts, as in LongBench-Write ("300到400字" has length 400). Of two bounds,
    the upper bound counts. The length of a part does not count, and a length in pages, minutes or paragraphs
    does not count.

    Returns:
        The length; None if no length is stated, or if several are stated and none is called the total.
    """
    return statement(prompt).words


def statement(prompt: str) -> Statement:
    """Return the length that `stated_length` reads from a prompt, and where it stands."""
    lower = prompt.lower()
    if not any(unit in lower for unit in _UNITS):
        return Statement(None)
    text, shift = _without_quotes(prompt)
    mentions = (*islice(_LABEL.finditer(text), _MANY + 1), *islice(_mentions(text), _MANY + 1))
    matches = {match.end("number"): match for match in mentions}
    if len(matches) > _MANY:
        return Statement(None, others=True)
    requests = [request for match in matches.values() if (request := _request(text, match)) is not None]
    best_rank = max((request.rank for request in requests), default=0)
    best = [request for request in requests if request.rank == best_rank > 0]
    bounds = {request.words: request.bound for request in best}
    if sorted(bounds.values()) == ["max", "min"]:
        return Statement(next(words for words, bound in bounds.items() if bound == "max"), others=True)
    if len(bounds) != 1:
        return Statement(None, others=bool(requests))
    places = sorted(request.place for request in best)
    is_only = _are_only(places, requests, text)
    in_prompt = tuple(place._replace(start=place.start + shift, end=place.end + shift) for place in places)
    return Statement(best[0].words, in_prompt, others=not is_only)


def restated(prompt: str, stated: Statement, words: int) -> str:
    """Return the prompt with `words` in digits at each place of its `statement`.

    A thousands separator is used if the old number has one.
    """
    for start, end, unit in reversed(stated.places):
        number = f"{words:,}" if "," in prompt[start:end] else str(words)
        prompt = f"{prompt[:start]}{number}{unit}{prompt[end:]}"
    return prompt


def _are_only(places: list[Place], requests: list[_Request], text: str) -> bool:
    """Tell whether the places hold all requested lengths, do not overlap, and are not the end of a longer range."""
    are_apart = all(place.end <= following.start for place, following in pairwise(places))
    are_all = all(
        any(place.start <= request.place.start < place.end for place in places) for request in requests
    )
    end_a_range = any(
        _RANGE_END.search(text[max(0, place.start - _WINDOW) : place.start]) for place in places
    )
    return are_apart and are_all and not end_a_range


def _without_quotes(prompt: str) -> tuple[str, int]:
    """Return the prompt with quoted text replaced by `¤`, and the number of characters removed at its start.

    If the whole prompt is in quotation marks, nothing is replaced.
    """
    text, shift = prompt.strip(), len(prompt) - len(prompt.lstrip())
    if len(text) > 2 and text[0] + text[-1] in ('""', "“”") and not set(text[1:-1]) & set('"“”'):
        text, shift = text[1:-1], shift + 1
    return _QUOTED.replaced(text, _VISIBLE, "¤"), shift


def _mentions(text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of `_MENTION` in order; it is tried only where a number may begin and a unit follows."""
    place = 0
    while unit := _UNIT_WORD.search(text, place):
        place = max(place, unit.start() - _LONGEST_MENTION)
        while start := numerals.START.search(text, place, unit.start()):
            match = _MENTION.match(text, start.start())
            place = match.end() if match else start.end()
            if match:
                yield match
        place = max(place, unit.end())


def _request(text: str, match: re.Match[str]) -> _Request | None:
    """Return the length that a mention asks for; None if it is not a length of the text to be written."""
    words = numerals.value(match["number"])
    start = match.start("number") if match["low"] is None else match.start("low")
    before = re.sub(r"\s+", " ", _STOP.split(text[max(0, start - _WINDOW) : start])[-1])
    ahead = text[match.end() : match.end() + _WINDOW]
    stop = _STOP.search(ahead)
    after = re.sub(r"\s+", " ", ahead[: stop.start()] if stop else ahead)
    if words is None or (match["number"] == "十" and not re.match(r"以?[内上下]|左右", after)):
        return None
    if (
        match["low"] is None
        and re.match("[a-z]", match["number"], re.IGNORECASE)
        and numerals.AFTER_WORD.search(before)
    ):
        return None
    is_total = bool(rules.TOTAL_BEFORE.search(before) or rules.TOTAL_AFTER.match(after))
    unhedged = _without_hedges(before)
    if not rules.ASKS_AFTER.match(after):
        if _is_year(match, before, after):
            return None
        if _is_in_question(before, after, "?" in (stop[0] if stop else "")):
            return None
        reasons = (rule.reason for rule in rules.RULES if _applies(rule, unhedged, after))
        reason = next((reason for reason in reasons if not (is_total and reason in rules.PARTWISE)), None)
        if reason is not None:
            return _Request(words, 0, "", _place(text, match)) if reason in rules.PARTWISE else None
    rank = 3 if is_total else 2 if rules.TARGET.search(unhedged) else 1
    hedges = before[len(unhedged) :]
    is_minimum = rules.MINIMUM.search(hedges) or after.startswith("以上")
    is_maximum = rules.MAXIMUM.search(hedges) or after.startswith(("以下", "以内", "之内"))
    bound = "min" if is_minimum else "max" if is_maximum else ""
    return _Request(words, rank, bound, _place(text, match))


def _place(text: str, match: re.Match[str]) -> Place:
    """Return the place of a mention.

    The place of a range includes "between" and 之间. The place of a number includes "(two thousand)" after it.
    The "a" of "a thousand-word tale" belongs to the tale, so it is not part of the place.
    """
    start = match.start("number")
    end = match.end("unit")
    unit = _ASIDE.sub("", match["unit"])
    if match["low"] is not None:
        start = match.start("low")
        opening = _OPENS_RANGE.search(text[max(0, start - _WINDOW) : start])
        start -= len(opening[0]) if opening else 0
        if closing := _CLOSES_RANGE.match(text, end):
            end, unit = closing.end(), f"{unit}左右"
    elif unit.endswith("word") and (article := _ARTICLE.match(match["number"])):
        start += article.end()
    return Place(start, end, unit)


def _without_hedges(before: str) -> str:
    """Return `before` without hedges at its end, such as "about", "at least" and 不少于."""
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
    """Tell whether the number is a year, and "words" is the subject of the clause that follows."""
    if not rules.YEAR.fullmatch(match["number"]) or match["unit"] != " words":
        return False
    return bool(
        rules.YEAR_SURE.search(before) or (rules.YEAR_BEFORE.search(before) and rules.YEAR_VERB.match(after))
    )


def _is_in_question(before: str, after: str, has_question_mark: bool) -> bool:
    """Tell whether the number stands in a question whose answer need not have that length."""
    clause = re.split(r"[，,]", before)[-1] + re.split(r"[，,]", after)[0]
    if rules.ZH_QUESTION.search(clause) or "多少字" in after:
        return True
    question = re.split(r"[:：(（—]", before)[-1]
    if rules.QUANTITY.match(question):
        return not re.search(r"[,，–-]\s*$", _without_hedges(before))
    is_at_end = rules.TAIL.search(_without_hedges(before)) and rules.TAIL_END.match(after)
    return bool(has_question_mark and rules.QUESTION.match(question) and not is_at_end)
