"""Finds the markup of models in their texts: thinking, control tokens and control characters.

Reasoning models put their thinking before the answer. A server with the right parser removes it; without
one, it stays in the text as tags (`<think>`), as channels (`<|channel|>analysis`), or with one tag missing.
A tag that the text only mentions (`` `<think>` `` in backticks or quotes, or in a code block) is prose.

Pure. Every search is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from longwriter.text.basics.prompts import EVIDENCE_CHARS

_NAME = (
    r"(?:[\w:-]{0,16}(?:think(?:ing)?|thoughts?)(?:[:_]\w{1,16})?|internal|cot|plan"
    r"|(?:[\w-]{0,12}[:_-])?(?:reason(?:ing)?(?:_\w{1,16})?|reflection|scratch_?pad|inner_monologue"
    r"|chain_of_thought|analysis|planning)|思考(?:过程)?|推理)"
)
_MARK = re.compile(
    rf"(?:[<＜]|&lt;)\s{{0,2}}(?P<close>[/\\])?\s{{0,2}}{_NAME}(?:\s[^<>\n]{{0,80}}?)?\s{{0,2}}(?P<empty>/)?(?:[>＞]|&gt;|\Z)"
    r"|\[(?P<mistral>/)?THINK\]|◁(?P<kimi>/)?think▷"
    r"|(?P<other><\|end_of_thought\|>|<\|end_thinking\|>|<channel\|>|<[|｜]end▁of▁thinking[|｜]>)"
    rf"|<\|(?:begin_of_thought|start_thinking|(?P<pipe>/)?{_NAME})\|>|<\|channel>\s?thought",
    re.IGNORECASE,
)
_SIGN = re.compile("[<＜&◁[]")  # each match of `_MARK` begins with one
_CLOSES = ("close", "mistral", "kimi", "other", "pipe")
_OPENING_QUOTES, _CLOSING_QUOTES = "`'\"“‘「『", "`'\"”’」』"

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
    r"\W{0,4}(?:thoughts?|thinking(?: process)?|reasoning|chain of thought)\*{0,2}\s?:\*{0,2}"
    r"|#{1,4} ?\*{0,2}(?:thinking(?: process)?|reasoning|chain of thought)\*{0,2}[ \t]*\n",
    re.IGNORECASE,
)
_LABELLED_ANSWER = re.compile(
    r"^\W{0,4}(?:final )?(?:answer|response|output)\*{0,2}\s?:\*{0,2}"
    r"|^#{1,4} ?\*{0,2}(?:final )?(?:answer|response|output)\*{0,2}$",
    re.IGNORECASE | re.MULTILINE,
)
_OPENINGS = (  # how thinking opens a text, how it ends, and whether the opening alone is proof
    (re.compile(r"\A\s*<details type=[\"']?reasoning[^<>\n]{0,120}>"), "</details>", True),  # Open WebUI
    (re.compile(r"\A\s*```(?:thinking|thoughts?|reasoning)\n"), "\n```", True),
    (re.compile(r"\A\s*Thinking\.\.\.\s*\n"), "...done thinking.", False),  # Ollama
    (re.compile(r"\A\s*<unused94>(?:thought\n)?"), "<unused95>", True),  # MedGemma
    (re.compile(r"\A\s*thought\n"), "<unused95>", False),
    (re.compile(r"\A\s*<\|im_start\|>think\n"), "<|im_start|>answer\n", True),  # s1
)
_WRAPPERS = (
    r"(?:(?:final_)?(?:answer|response|output|solution)|assistant|content|draft|final|paragraph|passage|text)"
)
_WRAPPER = re.compile(rf"\s*<{_WRAPPERS}>")
_BOX, _LONGEST_VALUE = "\\boxed{", 40  # characters of a value, which stays in its box
_WRAPPER_END = re.compile(rf"(?:</{_WRAPPERS}>|\[END FINAL RESPONSE\])\Z")

_WORD_TOKENS = (
    r"bos|eos|pad|unk|mask|cls|sep|sop|eop|eot|eod|im_start|im_end|(?:start|end)_of_(?:turn|image|text|utterance)"
    r"|(?:end|begin)oftext|unused\d{1,4}|extra_id_\d{1,4}|reserved_special_token_\d{1,4}|0x[0-9A-F]{2}"
    r"|file_sep|repo_?name|filename|gh_stars|issue_(?:start|comment|closed)|empty_output"
    r"|reserved_\d{1,4}|SPECIAL_\d{1,4}|(?:BOS|EOS|PAD|UNK|SEP|CLS|MASK|EOT|EOD)(?:_TOKEN)?|eo[ham]|seed:\w{1,16}"
    r"|longcat_\w{1,16}|(?:beginning|end)_of_sentence|_(?:user|bot|system|end)|\[\w{1,80}\]"
    r"|jupyter_(?:start|text|code|output|script)|fim_(?:prefix|middle|suffix|pad)|commit_(?:before|msg|after)"
)
_TOKEN = re.compile(
    r"<[|｜] ?[\w▁/:.][^<>|｜\n]{0,64}[|｜]>"  # <|im_end|>, <｜end▁of▁sentence｜>
    r"|<\|[a-z_]{2,24}>|<[a-z_]{2,24}\|>|<\|[a-z_]{1,24}\Z"
    r"|<\|(?:im_(?:start|end|sep)|endoftext|eot_id|end_of_text|(?:start|end)_header_id)\b"
    r"|\b(?:im_(?:start|end|sep)|endoftext|eot_id|end_of_text|(?:start|end)_header_id)\|>"
    rf"|<(?:{_WORD_TOKENS})>|</?s>|</?tool_(?:call|response)>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS?|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS)\]"
    r"|\[(?:PAD|UNK|CLS|SEP|MASK|BOS|EOS|gMASK|sMASK)\]|\]~!?b[\[\]]|\[e~\[|\[\|[a-z_]{2,24}\|\]"
)
_TOKEN_SIGNS = ("<", "[", "|", "]")  # each token has one of them
_LONGEST_TOKEN = 90  # characters
_LINE_ROLES = ("\nuser\n", "\nassistant\n")  # what is left of a ChatML turn whose control tokens were skipped
_INVISIBLE = "\ufeff\u200b\u2060"  # a byte order mark, and signs without width
_LAST_ROLE = re.compile(r"\n(?:Assistant|ASSISTANT):\s*\Z")
_GLUED_ROLE = re.compile(r"assistant(?:final)?(?=[A-Z\"“'*\u4e00-\u9fff])")
_ROLE = re.compile(r"(?:assistant|model)(?=\s*[\n<])")
_SPACE = re.compile(r"\s*")

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd-\uffff]")
_ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[@-~]")
_CONTROL_TABLE = {**dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]), 0x09: "\t", 0x0A: "\n", 0x0D: "\r"}
_CONTROL_TABLE |= {0x0B: "\n", 0x0C: "\n", 0x85: "\n"}  # these end lines


_OPENS = re.compile(r"\W{0,40}(?:analysis|commentary|here|thought|thinking|reasoning|chain)", re.IGNORECASE)


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
    return _split_tags(text)


def _opening(text: str) -> tuple[int, str] | None:
    """Return where the thinking that opens a text begins, and the words that end it; None without such thinking."""
    for opening, end, is_sure in _OPENINGS:
        if (match := opening.match(text)) and (is_sure or end in text):
            return match.end(), end
    return None


def _labels(text: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the labels of thinking, which opens the text, and of the answer; None unless it has both."""
    thought = _LABEL.match(text)
    answer = _LABELLED_ANSWER.search(text, thought.end()) if thought else None
    return (thought, answer) if thought and answer else None


def has_marks(text: str) -> bool:
    """Tell quickly whether a text may hold thinking: False is certain, True is not."""
    # searches for one character are many times faster than those for more
    return any(sign in text for sign in "<[&＜◁") or _OPENS.match(text) is not None


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
    place = 0
    while sign := _SIGN.search(text, place):  # many short searches let other threads run in between
        match = _MARK.match(text, sign.start())
        place = match.end() if match else sign.end()
        if match is None:
            continue
        start, end = match.span()
        before, after = text[max(0, start - 1) : start], text[end : end + 1]
        if before and after and before in _OPENING_QUOTES and after in _CLOSING_QUOTES:
            continue
        closes = any(match[group] is not None for group in _CLOSES)
        if not is_inside:
            fences += text.count("```", counted_to, start)
            if fences % 2:
                counted_to = start
                continue
        mark = _Mark(start, end, not closes, closes or match["empty"] is not None)
        is_inside = not mark.closes
        fences, counted_to = 0, end
        yield mark


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


def without_wrapper(text: str, *, has_thinking: bool = True) -> str:
    """Return a text without the tags that models put around an answer.

    One tag without the other is removed only if the answer follows thinking.
    """
    text = _unboxed(text)
    start = _WRAPPER.match(text)
    if not has_thinking and not (start and _WRAPPER_END.search(text.rstrip())):
        return text
    answer = text[start.end() :] if start else text
    return _WRAPPER_END.sub("", answer.rstrip())


def _unboxed(text: str) -> str:
    r"""Return the text that an answer in `\boxed{…}` holds; any other answer, and a short value, unchanged."""
    if not text.lstrip(" \n$\\[").startswith(_BOX[1:]) or text.count(_BOX) != 1:
        return text
    inner = text.strip(" \n$").removeprefix("\\[").removesuffix("\\]").strip(" \n").removeprefix(_BOX)
    if not inner.endswith("}") or len(inner) <= _LONGEST_VALUE or inner.count("{") != inner.count("}") - 1:
        return text
    if inner.find("{") > -1 and inner.find("}") < inner.find("{"):  # the box ends before the text does
        return text
    inner = inner[:-1]
    return inner[6:-1] if inner.startswith("\\text{") and inner.endswith("}") else inner


def reasoning_text(text: str) -> str | None:
    """Return the first mark of thinking in a text with what follows it, or None."""
    if not has_marks(text):
        return None
    if _BARE_HARMONY.match(text) or _ANNOUNCED.match(text) or _opening(text) or _labels(text):
        return text.strip()[:EVIDENCE_CHARS]
    start = text.find("<|channel|>")
    if start < 0:
        start = next((mark.start for mark in _marks(text)), -1)
    return text[start:][:EVIDENCE_CHARS] if start >= 0 else None


def control_token(text: str) -> str | None:
    """Return the first control token or control character of a text with what follows it, or None.

    Control tokens are those of the usual tokenizers and chat templates; whole (`<|im_end|>`) or, of the
    most frequent ones, without one of their ends. A line that is only `user` or `assistant` counts as one.
    """
    match = _CONTROL.search(text)
    if match is None and any(sign in text for sign in _TOKEN_SIGNS):
        match = _TOKEN.search(text)
    if match is None:
        match = _LAST_ROLE.search(text)
    start = match.start() if match else max(text.find(role) for role in _LINE_ROLES)
    return None if start < 0 else repr(text[start:].lstrip("\n")[:EVIDENCE_CHARS])[1:-1]


def without_outer_tokens(text: str) -> str:
    """Return a text without the control tokens at its start and end, and without a role after the former.

    A text without such tokens is returned unchanged, unless it begins with a line that is a bare role.
    """
    text = text.lstrip(_INVISIBLE) if text[:1] in _INVISIBLE else text
    if text.startswith("assistant\n"):
        text = text.removeprefix("assistant\n").lstrip()
    text = _GLUED_ROLE.sub("", text, count=1) if _GLUED_ROLE.match(text) else text
    if not any(sign in text for sign in _TOKEN_SIGNS):
        return text
    start = 0
    position = _space_end(text, 0)
    while match := _TOKEN.match(text, position) or (_ROLE.match(text, position) if start else None):
        start = match.end()
        position = _space_end(text, start)
    end = last = _space_start(text, len(text))
    while match := _last_token(text, max(start, end - _LONGEST_TOKEN), end):
        end = _space_start(text, match.start())
    return text[start:end].strip() if start or end < last else text


def _space_end(text: str, start: int) -> int:
    """Return the end of the white space that begins at `start`."""
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _space_start(text: str, end: int) -> int:
    """Return the start of the white space that ends at `end`."""
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _last_token(text: str, start: int, end: int) -> re.Match[str] | None:
    """Return the control token with which `text[:end]` ends, or None; it begins at `start` or later."""
    for sign in ("<", "[", "]~", "<<", "[e", "<["):
        begin = text.rfind(sign, start, end)
        if begin >= 0 and (match := _TOKEN.fullmatch(text, begin, end)):
            return match
    if not text.endswith("|>", start, end):
        return None
    matches = list(_TOKEN.finditer(text, start, end))  # a token without its beginning
    return matches[-1] if matches and matches[-1].end() == end else None


def without_control_characters(text: str) -> str:
    """Return a text without control characters, except tab and line ends, and without terminal colours."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return text.translate(_CONTROL_TABLE)
