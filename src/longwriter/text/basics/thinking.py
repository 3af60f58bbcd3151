"""Separates the thinking of a reasoning model from its answer, and finds thinking that stayed in a text.

Reasoning models put their thinking before the answer. A server with the right parser removes the thinking. Without
that parser, the thinking stays in the text: in tags (`<think>`), of which one may be missing, in channels
(`<|channel|>analysis`), in a comment of HTML, or under a heading or an emoji. A tag that the text only mentions is
prose: in backticks or quotes, in a code block, or as a word of a sentence ("between <think> and </think>").

Pure. Every search is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from longwriter.text.basics.counting import first_paragraph
from longwriter.text.basics.markup import CLOSING_QUOTES, OPENING_QUOTES
from longwriter.text.basics.prompts import EVIDENCE_CHARS

_NAME = (
    r"(?:[\w:-]{0,16}(?:think(?:ing)?|thoughts?)(?:[:_]\w{1,16})?|internal|cot|plan"
    r"|(?:[\w-]{0,12}[:_-])?(?:reason(?:ing)?(?:_\w{1,16})?|reflection|scratch_?pad|inner_monologue"
    r"|chain_of_thought|analysis|planning)|思考(?:过程)?|推理)"
)
_BRACKETED = r"(?:think(?:ing)?|thoughts?|reasoning|scratchpad|思考(?:过程)?|推理(?:过程)?|思路|构思)"
_MARK = re.compile(
    r"(?P<other><\|end_of_thought\|>|<\|end_thinking\|>|<channel\|>|<[|｜]end▁of▁thinking[|｜]>|<\|?think(?:ing)?[_-]end\|?>)"
    rf"|(?:\\?[<＜]\|?|&lt;)\s{{0,2}}(?P<close>[/\\])?\s{{0,2}}{_NAME}(?:\s[^<>\n]{{0,80}}?)?\s{{0,2}}(?P<empty>/)?(?:\\?\|?[>＞]|&gt;|\Z)"
    r"|\[(?P<mistral>/)?THINK\]|◁(?P<kimi>/)?think▷"
    rf"|[\[{{【《〔(（]{{1,2}}\s?(?P<bracket>/\s?)?{_BRACKETED}(?P<over>\s?(?:结束|完毕|完))?\s?[\]}}】》〕)）]{{1,2}}"
    rf"|<\|(?:begin_of_thought|start_thinking|(?P<pipe>/)?{_NAME})\|>|<\|channel>\s?thought",
    re.IGNORECASE,
)
_SIGN = re.compile("[<＜&◁[{【《〔(（\\\\]")  # each match of `_MARK` begins with one
_CLOSES = ("close", "mistral", "kimi", "other", "pipe", "bracket", "over")
_CLOSED_BRACKET = re.compile(
    rf"[\[{{【《〔(（]\s?(?:/\s?{_BRACKETED}|{_BRACKETED}\s?(?:结束|完毕|完))\s?[\]}}】》〕)）]",
    re.IGNORECASE,
)
_BRACKETS = "{【《〔(（"  # and "[[": one pair alone may be prose

# OpenAI's harmony format: <|start|>assistant<|channel|>analysis<|message|>…<|end|>. Servers that skip
# control tokens leave "analysis…assistantfinal…".
_HARMONY = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")
_CHANNEL = re.compile(r"\s*(\w+)")
_BARE_HARMONY = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z\"“'*\d\u4e00-\u9fff])")
_BARE_FINAL = "assistantfinal"
# IBM Granite, ServiceNow Apriel and prompts for ReAct announce thinking and answer in words.
_ANNOUNCED = re.compile(
    r"\s*here(?:['’]s| is| are) my (?:thought process|reasoning steps)\s?:", re.IGNORECASE
)
_ANNOUNCED_ANSWER = re.compile(
    r"here(?:['’]s| is) my (?:response|answer)\s?:|\[BEGIN FINAL RESPONSE\]", re.IGNORECASE
)
_LABEL = re.compile(
    r"\W{0,4}(?:thoughts?|thinking(?: process)?|thought process|(?:step[- ]by[- ]step )?reasoning(?: trace)?|chain of thought)\*{0,2}\s?:\*{0,2}"
    r"|#{1,4} ?\*{0,2}(?:thinking(?: process)?|thought process|reasoning(?: trace)?|chain of thought)\*{0,2}[ \t]*\n"
    r"|\W{0,4}(?:思考(?:过程)?|思路|构思|推理过程)(?:\*{0,2}[:：]|\*{0,2}[ \t]*\n|[】\]])",
    re.IGNORECASE,
)
_LABELLED_ANSWER = re.compile(
    r"^\W{0,4}(?:final )?(?:answer|response|output)\*{0,2}\s?:\*{0,2}"
    r"|^(?:#{1,4} ?\*{0,2}|\*\*)(?:final )?(?:answer|response|output|text|story|draft|paragraph)(?::?\*\*:?)?$"
    r"|^\W{0,4}(?:正文|最终(?:回答|答案)|正式内容)(?:\*{0,2}[:：]\*{0,2}|[】\]]|\*{0,2}$)|【(?:正文|最终回答|最终答案)】",
    re.IGNORECASE | re.MULTILINE,
)
_ASIDE = r"(?i:thinking|thought(?:s| process)?|reasoning|思考(?:过程)?|思路|构思)\*{0,2}\s?[:：]"
_OPENINGS = (  # how thinking opens a text, how it ends, and whether the opening alone is proof
    (re.compile(r"\A\s*<details type=[\"']?reasoning[^<>\n]{0,120}>"), "</details>", True),  # Open WebUI
    (
        re.compile(
            r"\A\s*<details[^<>\n]{0,80}>\s{0,4}<summary>[^<>\n]{0,20}(?:[Tt]h(?:ought|ink)|[Rr]eason|思考)"
        ),
        "</details>",
        True,
    ),
    (re.compile(r"\A\s*```(?:think(?:ing)?|thoughts?|reasoning|scratchpad|思考)\n"), "\n```", True),
    (re.compile(r"\A\s*```\w{0,12}\n\s{0,8}<think(?:ing)?>"), "\n```", False),
    (re.compile(rf"\A\s*\[{_ASIDE}"), "]\n", False),
    (re.compile(rf"\A\s*\({_ASIDE}"), ")\n", False),
    (re.compile(rf"\A\s*（{_ASIDE}"), "）\n", False),
    (re.compile(rf"\A\s*【{_ASIDE}"), "】\n", False),
    (re.compile(rf"\A\s*>\s?\*{{0,2}}{_ASIDE}"), "\n\n", False),
    (
        re.compile(
            r"\A\s*>\s?[*_]{0,2}(?i:thinking|thought process|reasoning|思考(?:过程)?)[*_]{0,2}[.…]{0,3}[ \t]*\n>"
        ),
        "\n\n",
        False,
    ),
    (re.compile(r"\A\s*Thinking\.\.\.\s*\n"), "...done thinking.", False),  # Ollama
    (re.compile(r"\A\s*<unused94>(?:thought\n)?"), "<unused95>", True),  # MedGemma
    (re.compile(r"\A\s*thought\n"), "<unused95>", False),
    (re.compile(r"\A\s*<\|inner_prefix\|>"), "<|inner_suffix|>", True),  # Apertus
    (re.compile(r"\A\s*(?:assistant\s)?analysis[:\n]"), "\nfinal\n", False),  # harmony without its tokens
    (re.compile(r"\A\s*assistant\s?analysis(?=[A-Z])"), "assistant final", False),
    (re.compile(r"\A\s*channel\s?: ?(?:analysis|commentary)\b"), "channel: final", False),
    (re.compile(r"\A\s*<\|im_start\|>think\n"), "<|im_start|>answer\n", True),  # s1
)
_STARTING_TAG = re.compile(  # names that only at the start of a text are no part of it
    r"\s*<((?:self_|draft_|writing_|inner_)?(?:brainstorm(?:ing)?|outline|notes?|monologue|reflect|critique|consider(?:ations?)?"
    r"|deliberat(?:e|ion)|ponder|process|work|steps?|strategy|approach|context|instructions?|task|meta))>",
    re.IGNORECASE,
)
_HALF_TAG = re.compile(  # the end of a closing tag, at the start of a text
    r"\s*(?:/?t?h?ink(?:ing)?|nk|k|/(?:reasoning|thoughts?))>(?=[ \t]*\n|(?<=nk>)\s*[A-Z\u4e00-\u9fff]|(?<=ing>)\s*[A-Z\u4e00-\u9fff])"
)
_TOLD = re.compile(  # a line, a heading or a sign that says: this is thinking
    r"\s*(?:(?P<line>(?:[*_](?:thinking|thinks|pondering)\b[^*_\n]{0,40}[*_]|(?:[🤔💭🧠🧐⏳][ \t]*)?thinking ?(?:\.{3}|…)(?=[ \t]*\n[ \t]*\n)"
    r"|(?:thought|reasoned|thinking) for (?:\d+|a few|several|a couple of) ?(?:s|sec|seconds?|m|min|minutes?)"
    r"|[(（\[](?:thinking|thinks|思考)[^()（）\[\]\n]{0,20}[)）\]]|已(?:深度)?思考[^。\n]{0,20}|(?:深度)?思考中(?:\.{3}|…{1,2}))[ \t]*(?:\n|\Z))"
    r"|(?P<sure>#{1,4} ?\*{0,2}(?:(?:my )?thinking process|thought process|chain of thought|step[- ]by[- ]step reasoning|思考过程|推理过程)\*{0,2}:?[ \t]*\n)"
    r"|(?P<heading>(?:#{1,4} ?|\*\*)(?:thinking|reasoning|planning|思考|思路|构思|推理)(?:\*\*)?[:：]?(?:\*\*)?(?:[ \t]*\n|[ \t])"
    r"|(?:\*\*)?(?:my )?(?:thinking(?: process)?|thoughts?|reasoning|planning|thought process|(?:inner|internal) monologue|思考(?:过程)?|思路)[:：](?:\*\*)?|\*\*plan:?\*\*:?)"
    r"|[*_]{1,2}(?:thinking|thinks)[*_]{1,2}[:：]?[ \t]|[🤔💭🧠🧐][ \t]*)",
    re.IGNORECASE,
)
_TOLD_END = re.compile(
    r"^[ \t]{0,4}(?:-{3,10}|\*{3,10}|_{3,10}|={3,10})[ \t]*\n"
    r"|[*_]{1,2}(?:/ ?thinking|(?:end of|done|stops|finished) thinking|thinking (?:ends|stops|done|over)|ends thinking)[*_]{1,2}[ \t]*(?:\n|\Z)"
    r"|^(?=#{1,4} )",
    re.IGNORECASE | re.MULTILINE,
)
_TASK = r"\b(?:the (?:user|task|prompt|instruction|request|paragraph|word count|outline)|\d+ words)\b|用户|题目|字数"
_OF_TASK = re.compile(_TASK, re.IGNORECASE)
_PLANNING = re.compile(  # what a model says to itself about its task
    rf"{_TASK}|\b(?:i(?:['’]ll|['’]m going to| will| need| should| must| want to| have to| can| could)|let(?:['’]s| me)"
    r"|we (?:need|should|must|have to|will)|need to)\b"
    r"|(?:^|[.!?:,;]\s)(?:start|begin|open|end|close|finish) (?:with|on|by|in)\b|\bkeep (?:it|this)\b"
    r"|我(?:需要|应该|得|要|来|先)|首先|要求|先写|开头",
    re.IGNORECASE,
)
_LONGEST_BLOCK = 2000  # characters in which planning is looked for
_MENTION_BEFORE = re.compile(r"[a-z,\u4e00-\u9fff] ?\Z|[(（]\Z")
_MENTION_AFTER = re.compile(
    r"[,.;:)…，。；：）]|['’]s\b| (?:and|or|tags?|tokens?|marks?|markers?|is|are|was|were|to|elements?|blocks?|pairs?|means|in|for)\b"
    r"| ?[\u4e00-\u9fff]"
)
_MENTION_GAP = 60  # characters between a tag that is mentioned and the closing one
_COMMENT, _COMMENT_END = "<!--", "-->"
_LINE_START = re.compile(r"(?:\A|\n)[ \t]{0,8}\Z")
_LINE_END = re.compile(r"[ \t]{0,8}(?:\n|\Z)")
_PAGE = re.compile(r"\s*(?:```\w{0,12}\s*)?<(?:!doctype|html|head|\?xml|svg)", re.IGNORECASE)
_OPENS = re.compile(
    r"[\W_]{0,40}(?:analysis|commentary|channel|here|my|thought|think|pondering|plan|reason|step|chain|h?ink|nk|k>|已|思考|思路|构思|推理)"
    r"|\s*[🤔💭🧠🧐⏳]|\W{0,8}inner|\W{0,8}internal",
    re.IGNORECASE,
)
_SIGNS = (
    "<[&＜◁{【《〔(（"  # a text without thinking may hold them, a text with thinking has one or an opening
)


class Split(NamedTuple):
    """A text without its thinking, and the thinking.

    `is_clean` is False if the text does not show where the thinking ends: a tag is missing, or tags contradict
    each other. `text` is then the part that is certainly outside of the thinking.
    """

    text: str
    thinking: str
    is_clean: bool


class _Mark(NamedTuple):
    """A tag that opens or closes thinking."""

    start: int
    end: int
    opens: bool
    closes: bool


def split_thinking(text: str) -> Split:
    """Return a text without its thinking.

    A closing tag without an opening one ends the thinking at the start of the text, because many chat
    templates put the opening tag into the prompt.
    """
    if not has_marks(text):
        return Split(text, "", True)
    bare, notes, is_closed = _without_comments(text)
    if not is_closed:
        return Split(bare, notes, False)
    if notes:
        split = split_thinking(bare)
        return Split(split.text, "\n".join(filter(None, (notes, split.thinking))), split.is_clean)
    if half := _HALF_TAG.match(text):
        split = _split_tags(text[half.end() :])
        return Split(split.text, half[0] + split.thinking, split.is_clean)
    if "<|channel|>" in text or "<|message|>" in text:
        return _split_channels(text)
    if match := _BARE_HARMONY.match(text):
        thinking, final, answer = text[match.end() :].rpartition(_BARE_FINAL)
        return Split(answer, thinking if final else answer, True) if final else Split("", answer, False)
    if match := _ANNOUNCED.match(text):
        answer_at = _ANNOUNCED_ANSWER.search(text, match.end())
        if answer_at is None:
            return Split("", text[match.end() :], False)
        return Split(text[answer_at.end() :], text[match.end() : answer_at.start()], True)
    if opening := _opening(text):
        start, words = opening
        thinking, end, answer = text[start:].partition(words)
        return Split(answer, thinking, bool(end))
    if labels := _labels(text):
        before, after = labels
        return Split(text[after.end() :], text[before.end() : after.start()], True)
    return _told(text) or _split_tags(text)


def _opening(text: str) -> tuple[int, str] | None:
    """Return where the thinking that opens a text begins, and the words that end it; None without such thinking."""
    for opening, end, is_sure in _OPENINGS:
        if (match := opening.match(text)) and (is_sure or end in text):
            return match.end(), end
    tag = _STARTING_TAG.match(text)
    return (tag.end(), f"</{tag[1]}>") if tag and f"</{tag[1]}>" in text else None


def _labels(text: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the labels of thinking, which opens the text, and of the answer; None unless it has both."""
    thought = _LABEL.match(text)
    answer = _LABELLED_ANSWER.search(text, thought.end()) if thought else None
    return (thought, answer) if thought and answer else None


def _told(text: str) -> Split | None:
    """Return a text without the thinking that a line, a heading or an emoji announces; None without such thinking.

    A heading or an emoji may belong to the text ("## Thinking"), so the words after it decide: a model that
    thinks speaks of its task. If nothing shows where that ends, the split is not clean.
    """
    head = _TOLD.match(text)
    if head is None:
        return None
    rest = text[head.end() :]
    thought = first_paragraph(rest)[:_LONGEST_BLOCK]
    end = _TOLD_END.search(rest)
    says_end = end is not None and "thinking" in end[0].lower()
    if says_end or head["sure"] or (_OF_TASK if head["line"] else _PLANNING).search(thought):
        if end and rest[end.end() :].strip():
            return Split(rest[end.end() :], rest[: end.start()], True)
        return Split("", rest, False)
    return Split(rest, head[0].strip(), True) if head["line"] else None


def has_marks(text: str) -> bool:
    """Tell quickly whether a text may hold thinking: False is certain, True is not."""
    # searches for one character are many times faster than those for more
    return any(sign in text for sign in _SIGNS) or _OPENS.match(text) is not None


def _split_tags(text: str) -> Split:
    """Return a text without what stands between tags; see `split_thinking`."""
    outside: list[str] = []
    thoughts: list[str] = []
    position = 0
    is_inside, nested = False, 0  # tags that were opened inside the thinking and not closed yet
    for mark in _marks(text):
        part = text[position : mark.start]
        if mark.closes and not is_inside and not mark.opens:
            if nested:
                nested -= 1
            elif outside or thoughts:
                return Split("".join(outside) + part, text[mark.start :], False)
            thoughts.append(part)
        elif is_inside and not mark.closes:
            nested += 1  # or the thinking only mentions the tag
            continue
        else:
            (thoughts if is_inside else outside).append(part)
            nested = nested if is_inside else 0
            is_inside = not mark.closes
        position = mark.end
    if is_inside:
        return Split("".join(outside), text[position:], False)
    return Split("".join([*outside, text[position:]]), "\n".join(thoughts), True)


def _marks(text: str) -> Iterator[_Mark]:
    """Yield the tags around thinking, in order, without those that the text only mentions."""
    fences = 0  # marks of code blocks since thinking last ended
    counted_to = 0  # they are counted up to here
    is_inside = False
    mentioned_to = -_MENTION_GAP - 1  # end of the last tag that a sentence mentions
    has_closed_bracket = _CLOSED_BRACKET.search(text) is not None
    place = 0
    while sign := _SIGN.search(text, place):  # many short searches let other threads run in between
        match = _MARK.match(text, sign.start())
        place = match.end() if match else sign.end()
        if match is None:
            continue
        start, end = match.span()
        before, after = text[max(0, start - 1) : start], text[end : end + 1]
        if before and after and before in OPENING_QUOTES and after in CLOSING_QUOTES:
            continue
        if match[0][0] in _BRACKETS and not has_closed_bracket:
            continue  # a heading or a stage direction
        closes = any(match[group] is not None for group in _CLOSES)
        if not is_inside:
            is_named = not closes or start - mentioned_to <= _MENTION_GAP
            if (
                is_named
                and _MENTION_BEFORE.search(text[max(0, start - 2) : start])
                and _MENTION_AFTER.match(text, end)
            ):
                mentioned_to = end
                continue
            fences += text.count("```", counted_to, start)
            if fences % 2:
                counted_to = start
                continue
        mark = _Mark(start, end, not closes, closes or match["empty"] is not None)
        is_inside = not mark.closes
        fences, counted_to = 0, end
        yield mark


def _without_comments(text: str) -> tuple[str, str, bool]:
    """Return a text without the comments of HTML on lines of their own, the comments, and whether the last one ends.

    Comments in a line, in a code block and in a page of HTML stay.
    """
    if _COMMENT not in text or _PAGE.match(text):
        return text, "", True
    last_end = text.rfind(_COMMENT_END)
    outside: list[str] = []
    notes: list[str] = []
    position = place = fences = 0
    while (start := text.find(_COMMENT, place)) >= 0:
        fences += text.count("```", place, start)
        place = start + len(_COMMENT)
        if fences % 2 or not _LINE_START.search(
            text[max(0, start - 9) : start] if start > 9 else text[:start]
        ):
            continue
        if place > last_end:
            return "".join([*outside, text[position:start]]), text[place:], False
        end = text.index(_COMMENT_END, place) + len(_COMMENT_END)
        if not _LINE_END.match(text, end) and text[:start].strip():
            continue
        outside.append(text[position:start])
        notes.append(text[place : end - len(_COMMENT_END)].strip() or "-")
        position = place = end
    return "".join([*outside, text[position:]]), "\n".join(notes), True


def _split_channels(text: str) -> Split:
    """Return the channel `final` of a text in OpenAI's harmony format, and the other channels as thinking."""
    pieces = _HARMONY.split(text)  # text, token, text, token, text …
    channel = "final"
    contents: dict[bool, list[str]] = {True: [], False: []}
    is_clean = True
    for number in range(0, len(pieces), 2):
        piece = pieces[number]
        token = pieces[number - 1] if number else "start"
        is_header = number + 1 < len(pieces) and pieces[number + 1] == "message"
        if token == "channel" or (is_header and not number):
            name = _CHANNEL.match(piece)
            channel = name[1].lower() if name else ""
            piece = piece[name.end() :] if name and not is_header else ""
        elif token == "start" or is_header:
            is_clean = is_clean and len(piece.split()) <= 2  # the role, and where a tool call goes
            piece = ""
        elif token != "message":
            is_clean = is_clean and not piece.strip()
        contents[channel == "final"].append(piece)
    answer = "".join(contents[True])
    return Split(answer, "".join(contents[False]), is_clean and bool(answer.strip()))


def reasoning_text(text: str) -> str | None:
    """Return the first mark of thinking in a text with what follows it, or None."""
    if not has_marks(text):
        return None
    _, notes, is_closed = _without_comments(text)
    if notes or not is_closed:
        return f"{_COMMENT} {notes}"[:EVIDENCE_CHARS]
    if (
        _HALF_TAG.match(text)
        or _BARE_HARMONY.match(text)
        or _ANNOUNCED.match(text)
        or _opening(text)
        or _labels(text)
        or _told(text)
    ):
        return text.strip()[:EVIDENCE_CHARS]
    start = text.find("<|channel|>")
    if start < 0:
        start = next((mark.start for mark in _marks(text)), -1)
    return text[start:][:EVIDENCE_CHARS] if start >= 0 else None
