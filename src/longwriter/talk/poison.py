"""Finds text in answers that must not get into a data set: API errors, talk about the task, plan lines.

The patterns find only what is surely poison, because a story may tell of a server error. Each pattern has words
that prose does not use, or matches only at places where prose does not occur. Quoted text is dialogue and never
counts as talk; text in a code fence is code and never counts as an error.

Pure.
"""

from __future__ import annotations

import re

from longwriter.talk.pattern_set import PatternSet
from longwriter.talk.refusals import is_refusal, refused_by_models, refused_by_rules
from longwriter.talk.sentences import NARRATED
from longwriter.talk.talk_model import VETO, talk_score, talking_part
from longwriter.talk.task_talk import (
    describing_sentence,
    is_sure,
    sets_tasks,
    speaks_of_prompts,
    speaks_of_texts,
    talking_sentence,
)
from longwriter.text.basics import markup, thinking
from longwriter.text.basics.counting import BLANK_LINE, normalise
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused
from longwriter.text.basics.wording import unspoken

_WINDOW = 600  # characters in which a text opens or closes
_MODELS_READ = 4000  # characters whose paragraphs the models read, in a text of several
_MOST_VETOES = 40  # paragraphs of a text in which the models may overrule the rules
_LONGEST_ERROR_LINE = 200  # characters
_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)

_ANYWHERE = (
    r"(?:^|[.!?…。！？][\"”’]?\s+)max\.? tries\. failed\b",
    r"\berror code: *[45]\d\d *[-–—] *[{<\"']",
    r"[\"']error[\"']\s*:\s*\{\s*[\"'](?:message|code|type|status)[\"']\s*:",
    r"^[ \t]*\{\s*[\"'](?:errors?|detail|fault)[\"']\s*:",
    r"^[ \t]*\{\s*[\"'](?:object|type|status)[\"']\s*:\s*[\"'](?:error|failed|failure)[\"']",
    r"^[ \t]*\{\s*[\"'](?:code|status|status_?code)[\"']\s*:\s*[\"']?[45]\d\d\b",
    (
        r"^[ \t]*\{\s*[\"']message[\"']\s*:\s*[\"'][^\"'\n]{0,60}(?:error|not found|unauthori[sz]ed|"
        r"forbidden|limit)"
    ),
    r"^[ \t]*<!doctype html[^>\n]*>\s*(?:$|<)",
    r"^[ \t]*<html(?:\s[^>\n]*)?>\s*(?:$|<)",
    r"<title>\s*(?:[45]\d\d\b|error\b)",
    r"^[ \t]*traceback \(most recent call last\):[ \t]*(?:\n\s+file \"|\Z)",
    (
        r"\b(?:openai|anthropic|litellm|httpx|httpcore|requests|aiohttp|urllib3)\.[\w.]{0,80}"
        r"(?:error|exception|timeout): \S"
    ),
    r"\bHTTPS?ConnectionPool\(host=",
    r"\bthis model['’]s maximum context length is \d",
    r"\bthe server had an error (?:while )?processing your request",
    r"\bthe server encountered an internal error (?:and|or) (?:was|misconfiguration)",
    r"系统检测到输入或生成内容可能包含不安全或敏感内容",
)
_AT_LINE_START = (
    r"max(?:imum)? retries (?:exceeded|reached) (?:with url|for request)",
    r"rate limit (?:reached|exceeded) for (?:(?:the )?model )?"
    r"(?:[`\"'“]?[\w./:]*(?:\d|\w-\w)[\w./:-]*|requests\b|tokens\b|organization\b)",
    r"you exceeded your current quota\b",
    r"upstream (?:connect error|request timeout)\b",
    (
        r"(?:the (?:engine|server|model)|that model) is (?:currently )?overloaded(?: or not| with other|"
        r",? please try)"
    ),
    r"incorrect api key provided\b",
    (
        r"(?:您的|当前)?(?:账户|账号|请求|API)?(?:已?达到|触发|超出|超过)了?(?:速率|频率|并发|请求频率|"
        r"调用次数)(?:限制|上限)"
    ),
)
_STATUS = (
    r"internal server error|bad gateway|gateway time-?out|too many requests"
    r"|service (?:is )?(?:temporarily |currently )?unavailable"
)
_LATER = r"(?:[，,。！! ]+请?您?(?:稍后|稍候)(?:再试|重试|再来))?"
_AS_LAST_LINE = (  # and nothing else in it: prose that goes on after such words is prose
    rf"(?:api |http |request |server )?error(?: code)?[ :：-]*[45]\d\d\b(?:[ :–-]*(?:{_STATUS}))?",
    r"insufficient (?:credits?|balance|quota|funds)|\[error\] [^.!?\n]{3,80}",
    rf"(?:http(?:/\d(?:\.\d)?)? |status(?: code)?[ :]*)?[45]\d\d[ :–-]*"
    rf"(?:{_STATUS}|bad request|unauthorized|forbidden|not found|request timeout|payload too large)",
    _STATUS,
    r"(?:the )?(?:request|read|connection|connect)[ -](?:timed[ -]out|timeout|reset by peer|refused|aborted)",
    r"connection error|no healthy upstream|stream timeout",
    r"rate limit (?:reached|exceeded)(?:[.,;]? *(?:please )?(?:try|retry) again.{0,40})?",
    r"max(?:imum)?\.? (?:re)?tries(?: (?:exceeded|reached|failed))?",
    r"(?:invalid|missing) api key|an (?:unknown |unexpected |internal )?error (?:has )?occurred",
    rf"(?:服务器?|系统|网络|接口)(?:繁忙|异常|错误|内部错误|超时|不可用|调用失败|请求失败|开小差了){_LATER}",
    rf"(?:服务器)?内部(?:服务器)?错误|(?:请求|连接)(?:超时|失败|过于频繁|过多){_LATER}",
    r"(?:账户|账号)余额不足|已?达到?最大重试次数",
)
_BEFORE = (
    r"^[ \t>]*(?:(?:\[(?:error|错误)\]|(?:(?:api |http |server |request )?error|错误|报错) ?[:：-])[ \t]*)?"
)
_ERRORS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (*_ANYWHERE, *(f"{_BEFORE}(?:{pattern})" for pattern in _AT_LINE_START))
)
_ERROR_SET = PatternSet(_ERRORS)
_ERROR_LINE = re.compile(rf"{_BEFORE}(?:{'|'.join(_AS_LAST_LINE)})[ \t.!。！…]*\Z", re.IGNORECASE)

_NO_VALUE = re.compile(r"[\W_]*(?:null|undefined|none|nan|n/a|\[object object\])[\W_]*", re.IGNORECASE)

_TALK_WORDS = (
    "as an ai", "作为", "待续", "接上", "续上", "段继续",
    *(f"{bracket}{word}" for bracket in "[(（【" for word in ("continu", "to be continu", "end of")),
)  # fmt: skip
_CLOSING_WORDS = (
    "i hope", "let me know", "like me to", "want me to", "i continue", "i proceed", "i go on", "feel free", "words",
    "字", "希望", "我继续", "我接着", "告诉我",
)  # fmt: skip
_PLAN_WORDS = ("main point", "main_point", "word count", "word_count", "字数", "段")

_PART = r"(?:paragraph|section|passage|continuation|draft|revision|rewrite)"
_TEXT = (
    r"(?:text|essay|article|story|chapter|letter|speech|report|poem|piece|version|response|answer|"
    r"introduction|conclusion)"
)
_HERE = r"(?:here(?:['’]?s| is| are)|below is|the following is)"
_HAN_PART = r"第[\d一二三四五六七八九十百]+(?:个?自然)?(?:段落?|部分|小?节|章)"
_OPENINGS = (
    r"(?:sure|certainly|of course|okay|ok|absolutely|awesome|great)(?: thing)?!",
    rf"(?:sure|certainly|of course|okay|ok|absolutely|awesome|great)[,.:–— -]+"
    rf"(?:{_HERE}|i(?:['’]?ll| will| can|['’]d be (?:happy|glad))\b (?:\w+ )?(?:help|write|"
    r"continue|draft|provide)"
    rf"|let(?:['’]s| me) (?:begin|start|continue|write|draft))",
    rf"{_HERE} (?:[^\s:.!?]+ ){{0,8}}{_PART}\b[^.!?\n]{{0,80}}:",
    rf"{_HERE} (?:[^\s:.!?]+ ){{0,8}}{_TEXT}\b[^.!?\n]{{0,80}}:[\s*_]*(?:\n|\Z)",
    rf"{_HERE} your (?:[^\s:.!?]+ ){{0,4}}(?:{_PART}|{_TEXT})\b",
    r"this is (?:paragraph|section|part) \d+\b",
    rf"as (?:you )?requested, (?:{_HERE}|i(?:['’]?ve| have) (?:written|drafted|continued))",
    (
        r"i(?:['’]?ve| have) (?:written|drafted|prepared|continued|expanded) (?:the|this|your|a|"
        rf"another) (?:[\w-]+ ){{0,3}}{_PART}\b"
    ),
    (
        r"this paragraph (?:will|discusses|describes|covers|introduces|explores|focuses|expands|continues|"
        r"is about)\b"
    ),
    r"continuing (?:the|from|with)\b[^.!?\n]{0,60}:",
    r"(?:paragraph|section) \d+ (?:of|/) \d+\b",
    r"好的[，,!！:：]|当然(?:可以)?[!！]|当然可以[，,。]",
    r"(?:当然|没问题)[，,!！ ]+(?:以下|下面|这是|我(?:可以|将|会|来|很乐意)(?:为|帮|继续|写|给))",
    (
        rf"(?:(?:以下|下面)(?:就)?[是为]|这[是为])[^。！？\n]{{0,20}}?{_HAN_PART}[^。！？\n]{{0,30}}?"
        r"(?:[:：，,。\n]|\Z)"
    ),
    (
        r"(?:以下|下面)(?:就)?[是为][^。！？\n]{0,20}?(?:段落|正文|续写|全文|文章|初稿|草稿|"
        r"内容)[ *]*(?:[:：\n]|\Z)"
    ),
    r"(?:根据|按照)[您你]的(?:要求|需求|指示|大纲)[，,](?:以下|下面|我(?:为您|将|来)?(?:撰写|续写|写))",
)
_ANYWHERE_TALK = (
    r"\bas an ai (?:language )?(?:model|assistant), i\b",
    r"作为(?:一个|一名)?(?:AI|人工智能)(?:语言)?(?:模型|助手)，我",
    (
        r"(?:^[^\w\n]*|[.!?…。！？\"”’] *)[\[(（【](?:to be continued|continue[ds]?|continuing|"
        r"end of (?:the )?(?:paragraph|section|part))\b[^\])）】\n]{0,60}[\])）】][^\w\n]*$"
    ),
    (
        r"[（(【\[] *(?:未完)?(?:待续|接上[文段]|续上[文段]|下一?段(?:继续|"
        r"待续))[^)）】\]\n]{0,20}[)）】\]][^\w\n]*$"
    ),
)
_CLOSINGS = (
    r"\bi hope (?:this|that) (?:helps|is helpful)(?: you)?\W*\Z",
    rf"\bi hope (?:this|the) (?:{_PART}|{_TEXT}) (?:helps|meets|captures|fits|works|satisfies|is what)\b",
    r"\blet me know if (?:you(?:['’]d| would) like|you want|you need) (?:me to (?:continue|revise|expand|"
    r"rewrite|proceed|adjust)"
    r"|(?:any |some |further )+(?:changes|revisions|adjustments|edits|modifications))\b",
    r"\b(?:would you like|do you want) me to (?:continue|proceed|write|expand|revise)\b[^?]*\?\W*\Z",
    r"\b(?:shall|should) i (?:continue|proceed|go on) with (?:the )?(?:next|rest|remaining)\b[^?]*\?\W*\Z",
    rf"\bfeel free to (?:modify|adjust|edit|customi[sz]e|adapt) (?:this|the) (?:{_PART}|{_TEXT}|template)\b",
    (
        r"[\[(（] *(?:共|约|word count:? *|total:? *|about |approximately |"
        r"approx\. )*\d[\d,]* *(?:words|字) *[\])）]\W*\Z"
    ),
    r"希望(?:这|以上|本)[^。！？\n]{0,14}(?:对[您你]有(?:所)?帮助(?=[。！!～~\s）)]*\Z)|(?:满足|符合)[您你]的(?:要求|需求|期望))",
    r"(?:需要|想要?|希望)我(?:继续|接着)(?:写|往下|续写|完成)[^。\n]{0,12}(?:[?？吗]|告诉我)",
    r"请?(?:随时)?告诉我[^。\n]{0,16}(?:继续(?:写|撰写)|续写|修改|调整|扩展)",
)
_OPENING = re.compile(rf"\A\W*(?:{'|'.join(_OPENINGS)})", re.IGNORECASE)
_TALK = re.compile("|".join(_ANYWHERE_TALK), re.IGNORECASE | re.MULTILINE)
_CLOSING = re.compile("|".join(_CLOSINGS), re.IGNORECASE)

_PROSE_FENCES = frozenset(
    {"", "text", "txt", "plain", "plaintext", "markdown", "md", "prose", "story", "essay", "answer"}
)
_ENDS_PROSE = re.compile(r"[.!?…。！？][\"'”’」』)*_]{0,3}\s*\Z")
_SENTENCE_ENDS = re.compile(r"[.!?…。！？\n]")
_OF_REQUEST = re.compile(
    r"\b(?:you (?:asked|requested|wanted|need)|your|sure|certainly|of course|revised|rewritten|improved|paragraph|essay|i['’]?(?:ve|ll)"
    r"|i (?:have|will))\b|[您你]的|当然|好的|要求|段落",
    re.IGNORECASE,
)
_HTML_TAG = re.compile(r"</?[a-z][a-z0-9]{0,11}>")

_PLAN_LINE = re.compile(
    r"^[^\w\n]*paragraph +\d+[^\w\n]+main point\b|^[^\w\n]*main point[^\w\n]*[:：]"
    r"|^[^\w\n]*(?:total +)?word count[*_ ]*[:：][*_ ~]*(?:about +)?\d"
    r"|[-–—,;，；(（|] *[*_]*word count[*_ ]*[:：][*_ ~]*\d"
    r"|[\"'](?:main_point|word_count)[\"']\s*:"
    r"|^[^\w\n]*第[\d一二三四五六七八九十百]+段[^\w\n]+(?:要点|主要内容|主旨|中心思想)[^\w\n]*[:：]"
    r"|(?:^[^\w\n]*|[-–—，,；;（(] *)(?:总)?字数[*_ ]*[:：][*_ ]*约?\d",
    re.IGNORECASE | re.MULTILINE,
)


def error_text(text: str) -> str | None:
    """Return the line of a text that shows an API's error, or None.

    A message that only an API would send counts anywhere ("Error code: 429 - {…}", an HTML page, a JSON
    error, a traceback). Words that prose may hold too ("Internal Server Error", 系统繁忙) count only as the
    whole last line. So does what programs print for a missing value ("null"), as the whole text.
    """
    if len(text) < _LONGEST_ERROR_LINE and _NO_VALUE.fullmatch(text):
        return text.strip()
    prose = _FENCED.sub("", text).rstrip() if "```" in text else text.rstrip()
    last = prose[prose.rfind("\n") + 1 :]
    if len(last) < _LONGEST_ERROR_LINE and _ERROR_LINE.match(last):
        return last.strip()
    matches = [_ERRORS[position].search(prose) for position in _ERROR_SET.candidates(prose)]
    start = min((match.start() for match in matches if match), default=-1)
    return prose[start:].strip()[:EVIDENCE_CHARS] if start >= 0 else None


def meta_talk(text: str, instruction: str = "") -> str | None:
    """Return the part of a text that talks about the text or the task, or None.

    The rules search the opening ("Here is paragraph 3:", 以下是第三段) and the last line ("I hope this helps");
    patterns that prose cannot hold ("[Continued in the next part]") count anywhere. The models of `talk_model` read
    all sentences; in a very long text, only the sentences at its ends. `instruction` is empty if it is not known.
    """
    text = _without_code(text)
    return _talk_by_rules(text, instruction, may_veto=True) or _talk_by_models(text, instruction)


def _talk_by_models(text: str, instruction: str) -> str | None:
    """Return the sentence that the models take for talk, or None; they do not read a text about prompts or settings, or an exam."""
    if speaks_of_prompts(instruction) or sets_tasks(instruction):
        return None
    prose = _FENCED.sub("", text) if "```" in text else text
    has_tags = _HTML_TAG.search(prose) is not None
    prose = _HTML_TAG.sub("x", prose) if has_tags else prose
    sentence = talking_part(prose, speaks_of_texts(instruction) or has_tags)
    return sentence[:EVIDENCE_CHARS] if sentence else None


def _without_code(text: str) -> str:
    """Return a text without its blocks of code and the sentences that announce them ("The loop prints a line:").

    A fence around prose is no code. A sentence that speaks of the reader's request stays.
    """
    if "```" not in text:
        return text
    parts = text.split("```")
    for number in range(1, len(parts), 2):
        kind, _, code = parts[number].partition("\n")
        name = kind.strip().lower()
        if name in _PROSE_FENCES and (name or _ENDS_PROSE.search(code[-8:])):
            parts[number] = f"```{parts[number]}```"
            continue
        before, parts[number] = parts[number - 1].rstrip(), "\n\n"
        lead = _SENTENCE_ENDS.split(before[-_WINDOW:])[-1]
        if lead.endswith((":", "：")) and not _OF_REQUEST.search(lead):
            parts[number - 1] = before[: len(before) - len(lead)]
    return "".join(parts)


def _talk_by_rules(text: str, instruction: str, may_veto: bool) -> str | None:
    """Return the part that the rules take for talk, or None; `may_veto`: the models may overrule them."""
    text = text.strip()
    if _speaks(_OPENING, text[:_WINDOW]) and not NARRATED.match(text):
        return text[:EVIDENCE_CHARS]
    if _has(text, _TALK_WORDS) and (match := _TALK.search(text)) and _speaks(_TALK, text):
        return text[match.start() :].strip()[:EVIDENCE_CHARS]
    end = text[text.rfind("\n") + 1 :][-_WINDOW:]
    closes = _has(end, _CLOSING_WORDS) and _speaks(_CLOSING, end)
    if closes:
        return end[-EVIDENCE_CHARS:]
    if sentence := describing_sentence(text, instruction):
        return sentence[:EVIDENCE_CHARS]
    sentence = talking_sentence(text, instruction)
    if sentence is None:
        return None
    if may_veto and talk_score(sentence) < VETO and not is_sure(text, instruction):
        return None
    return sentence[:EVIDENCE_CHARS]


def plan_line(text: str) -> str | None:
    """Return the line of a plan that was left in prose, or None."""
    match = _PLAN_LINE.search(text) if _has(text, _PLAN_WORDS) else None
    return text[match.start() :].strip()[:EVIDENCE_CHARS] if match else None


def _has(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether a text holds one of `words`: much faster than the patterns."""
    lower = text.lower()
    return any(word in lower for word in words)


def _speaks(pattern: re.Pattern[str], text: str) -> bool:
    """Tell whether a pattern matches in a text outside of quotation marks."""
    return bool(pattern.search(text)) and bool(pattern.search(unspoken(text)))


def check_answer(text: str, finish_reason: str) -> Refused | None:
    """Return why an answer cannot be used, whatever was asked, or None.

    The reasons are `empty_answer` and `content_filter`.
    """
    if finish_reason == "content_filter":
        return Refused("content_filter", f"the endpoint cut the answer off: {text[:EVIDENCE_CHARS]}")
    return (
        None
        if normalise(text[:_WINDOW]) or normalise(text)
        else Refused("empty_answer", f"no text (finish_reason {finish_reason})")
    )


REASONS = ("error_text", "reasoning_text", "control_token", "refusal", "plan_line", "meta_talk")
"""The reasons of `check_text`, in its order."""


def check_text(text: str, instruction: str = "") -> Refused | None:
    """Return why a text is not prose, with one of the `REASONS`, or None.

    The models of refusals come last, because they are slow: most bad texts get a reason from the rules before.
    `instruction` is empty if it is not known; it matters because a letter of apology may apologise.
    """
    if evidence := error_text(text):
        return Refused("error_text", evidence)
    if refused := check_markup(text):
        return refused
    by_rules = refused_by_rules(text, instruction)
    if by_rules and is_refusal(text, instruction):
        return Refused("refusal", text[:EVIDENCE_CHARS])
    if evidence := plan_line(text):
        return Refused("plan_line", evidence)
    if evidence := talking_paragraph(text, instruction):
        return Refused("meta_talk", evidence)
    if not by_rules and refused_by_models(text, instruction):
        return Refused("refusal", text[:EVIDENCE_CHARS])
    return None


def check_markup(text: str) -> Refused | None:
    """Return why a text holds marks that only models and servers write, `reasoning_text` or `control_token`, or None."""
    if evidence := thinking.reasoning_text(text):
        return Refused("reasoning_text", evidence)
    if evidence := markup.control_token(text):
        return Refused("control_token", evidence)
    return None


def talking_paragraph(text: str, instruction: str = "") -> str | None:
    """Return the talk about the text or the task in a text or in one of its paragraphs, or None.

    A block of code and the sentence that announces it are left out. The models read the paragraphs that begin in the
    first `_MODELS_READ` characters, and the last one; each paragraph was read by itself when it was written.
    """
    if "\n" not in text:
        return meta_talk(text, instruction)
    text = _without_code(text)
    if evidence := _talk_by_rules(text, instruction, may_veto=True):
        return evidence
    paragraph, start = "", 0
    parts = BLANK_LINE.split(text)
    for number, part in enumerate(parts, start=1):
        paragraph = f"{paragraph}\n\n{part}" if paragraph else part
        if paragraph.count("```") % 2:
            continue
        first = number <= _MOST_VETOES
        evidence = _talk_by_rules(paragraph, instruction, may_veto=first)
        if not evidence and ((first and start < _MODELS_READ) or number == len(parts)):
            evidence = _talk_by_models(paragraph, instruction)
        if evidence:
            return evidence
        start += len(paragraph)
        paragraph = ""
    return None


def check_point(point: str) -> Refused | None:
    """Return why a main point cannot be used, or None.

    The reasons are `error_text`, `reasoning_text`, `control_token`, `plan_line`, and `meta_talk` at the
    opening.
    """
    if evidence := error_text(point):
        return Refused("error_text", evidence)
    if refused := check_markup(point):
        return refused
    if evidence := plan_line(point):
        return Refused("plan_line", evidence)
    opens = _speaks(_OPENING, point[:_WINDOW])
    return Refused("meta_talk", point[:EVIDENCE_CHARS]) if opens else None
