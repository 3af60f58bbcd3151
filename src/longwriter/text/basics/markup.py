"""Finds control tokens, control characters and tool calls in the texts of models, and removes those at the ends.

A token that the text only mentions, in quotes or in a code block, is no tool call.

Pure. Every search is linear in the length of the text.
"""

from __future__ import annotations

import re

from longwriter.text.basics.prompts import EVIDENCE_CHARS

OPENING_QUOTES, CLOSING_QUOTES = "`'\"“‘「『", "`'\"”’」』"
_TOOLS = (
    r"tools?|execute(?:_\w{1,16})?|code_interpreter|code_execution|(?:web_)?search|browser?|retrieve|observation|action"
    r"|i?python|bash|shell|run|command|tools?_calls?|functions?\.\w{1,40}"
)
_TOOL_CALL = re.compile(
    r"</?(?:\w{1,16}:)?(?:function_calls?|tool_calls?|tool_code|tool_use|tool_request|tool_(?:output|result)s?|function_results?|invoke(?=[\s>]))(?:\s[^<>\n]{0,120})?>"
    r"|<function(?:=[\w.-]{1,80}| name=[\"'][^<>\n]{1,80})>|<parameter=\w{1,80}>"
    r"|\[TOOL_CALLS?\]|<\|python_tag\|>|<[|｜]tool[_▁ ]calls?[^|｜<>\n]{0,24}[|｜]>|<\|action_start\|>"
    r"|✿(?:FUNCTION|ARGS)✿|^functools\[\{|^Action:[^\n]{1,80}\nAction Input:|^```tool_(?:code|call|output)s?\n"
    rf"|^[ \t]{{0,8}}<(?P<tool>{_TOOLS})(?:\s[^<>\n]{{0,80}})?>[^<]{{0,4000}}</(?P=tool)>|<(?P<own>tools?|execute(?:_\w{{1,16}})?|code_interpreter)>[^<]{{0,4000}}</(?P=own)>|\A\s*<(?:{_TOOLS})>(?! [a-z])"
    rf"|^[ \t]{{0,8}}<(?:tools?|tool_\w{{1,16}}|execute\w{{0,17}}|code_interpreter|invoke|function_calls?)(?:\s[^<>\n]{{0,200}})?/>"
    r"|^[ \t]{0,8}(?:(?:assistant|commentary|analysis)\s?){1,2}to=[\w.]{2,40}(?=[\s{])|^[ \t]{0,8}to=(?:functions?\.\w{1,40}|python|browser)(?=[\s{])"
    r"|\bassistant ?to=(?:functions?\.|python\b|browser\b)"
    r"|\A\s*\{\s*(?:\"type\"\s*:\s*\"function\"\s*,\s*)?\"name\"\s*:\s*\"[\w.-]{1,80}\"\s*,\s*\"(?:parameters|arguments)\"\s*:",
    re.MULTILINE,
)
_TOOL_WORDS = (
    "<",
    "tool",
    "TOOL_CALL",
    "function",
    "invoke",
    "<parameter=",
    "python_tag",
    "✿",
    "Action Input:",
    "action_start",
    "to=",
    '"name"',
)

_WORD_TOKENS = (
    r"bos|eos|pad|unk|mask|cls|sep|sop|eop|eot|eod|im_start|im_end|(?:start|end)_of_(?:turn|image|text|utterance)|image_soft_token"
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
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS?|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|IMG_BREAK|IMG_END|BEGIN_AUDIO)\]"
    r"|\[UNUSED_TOKEN_\d{1,4}\]|<mask:\d{1,4}>|\[(?:PAD|UNK|CLS|SEP|MASK|BOS|EOS|gMASK|sMASK)\]|\]~!?b[\[\]]|\[e~\[|\[\|[a-z_]{2,24}\|\]"
    r"|<role>[A-Z]{2,12}</role>|<[|｜]DSML[|｜]"  # Ling; DeepSeek's calls of tools
    r"|【\d{1,3}(?::\d{1,3})?†[^】\n]{1,60}】"  # a source of gpt-oss
)
_SPACES = re.compile(r"(?:[A-Za-z,.]{1,30}▁){3}")  # SentencePiece's, which a server left in the text
_TOKEN_SIGNS = ("<", "[", "|", "]", "【")  # each token has one of them
_LONGEST_TOKEN = 90  # characters
_LINE_ROLES = ("\nuser\n", "\nassistant\n")  # what is left of a ChatML turn whose control tokens were skipped
_INVISIBLE = "\ufeff\u200b\u2060"  # a byte order mark, and signs without width
_LAST_ROLE = re.compile(r"\n(?:Assistant|ASSISTANT):\s*\Z")
_GLUED_ROLE = re.compile(r"assistant(?:final)?(?=[A-Z\"“'*\u4e00-\u9fff])")
_ROLE = re.compile(
    r"(?:assistant|model|writer|gpt|bot)(?=\s*[\n<])|assistant(?:final)?(?=[A-Z\"“'*\u4e00-\u9fff])"
)
_LEFTOVER = re.compile(
    r"\s*(?:/?[a-z_]{0,24}\|>|\|[a-z_]{2,24}\|>|/?(?:s>|INST\])|\[/?ASSISTANT\])(?=\s*[A-Z\u4e00-\u9fff\"“*#\n])"
)
_TAIL = re.compile(  # a token cut at the end of a text, and what programs and models write there
    r"(?:(?<=[.!?…\"”’*。！？」』）)\]])\s{0,3}(?:<[/|]?[a-z_]{0,24}\|?|\[/?(?:INST|ASS?I?S?T?A?N?T?)?|#{3,6})"
    r"|</?(?:end(?:_of_\w{1,16})?|stop|n|br ?/?|im_end|结束)>|\[/?(?:end|end of \w{1,12}|done|stop|assistant|结束)\]|\|im_end\|"
    r"|【(?:结束|完)】|END_OF_(?:TEXT|PARAGRAPH|ANSWER|RESPONSE)|\n(?:-{3,8}|\*{3}))\Z",
    re.IGNORECASE,
)
_LONGEST_TAIL = 40  # characters
_SPACE = re.compile(r"\s*")

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue200-\ue206\ufffd-\uffff]")
_ANSI = re.compile(  # colours, titles of windows, and signs that choose a set of characters
    r"(?:\x1b\[|\x9b)[0-9;?]{0,20}[@-~]|\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)|\x1b[()#%][0-9A-Za-z]|\x1b[=>78c]"
)
_CONTROL_TABLE = {**dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]), 0x09: "\t", 0x0A: "\n", 0x0D: "\r"}
_CONTROL_TABLE |= {0x0B: "\n", 0x0C: "\n", 0x85: "\n"}  # these end lines


def tool_call(text: str) -> str | None:
    """Return the first call of a tool in a text with what follows it, or None; one in quotes or in a code block is prose."""
    if not any(word in text for word in _TOOL_WORDS):
        return None
    fences = counted_to = 0
    for match in _TOOL_CALL.finditer(text):
        fences += text.count("```", counted_to, match.start())
        counted_to = match.start()
        if fences % 2:
            continue
        before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
        if not (before and after and before in OPENING_QUOTES and after in CLOSING_QUOTES):
            return repr(text[match.start() :].lstrip()[:EVIDENCE_CHARS])[1:-1]
    return None


def control_token(text: str) -> str | None:
    """Return the first control token or control character of a text with what follows it, or None.

    Control tokens are those of the usual tokenizers and chat templates, such as `<|im_end|>`. The most frequent
    ones also count if one of their ends is missing. A line that is only `user` or `assistant` counts as one.
    """
    if call := tool_call(text):
        return call
    match = _CONTROL.search(text)
    if match is None and any(sign in text for sign in _TOKEN_SIGNS):
        match = _TOKEN.search(text)
    if match is None and "▁" in text:
        match = _SPACES.search(text)
    if match is None:
        match = _LAST_ROLE.search(text)
    start = match.start() if match else max(text.find(role) for role in _LINE_ROLES)
    return None if start < 0 else repr(text[start:].lstrip("\n")[:EVIDENCE_CHARS])[1:-1]


def without_outer_tokens(text: str) -> str:
    """Return a text without the control tokens at its start and end, and without a role after those at its start.

    A text without such tokens is returned unchanged, unless it begins with a line that is a bare role.
    """
    text = text.lstrip(_INVISIBLE) if text[:1] in _INVISIBLE else text
    if text.startswith("assistant\n"):
        text = text.removeprefix("assistant\n").lstrip()
    text = _GLUED_ROLE.sub("", text, count=1) if _GLUED_ROLE.match(text) else text
    if head := _LEFTOVER.match(text):
        text = text[head.end() :].lstrip()
    if tail := _TAIL.search(text[-_LONGEST_TAIL:].rstrip()):
        text = text[: len(text) - len(text[-_LONGEST_TAIL:]) + tail.start()].rstrip()
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
    if "\x1b" in text or "\x9b" in text:
        text = _ANSI.sub("", text)
    return text.translate(_CONTROL_TABLE)
