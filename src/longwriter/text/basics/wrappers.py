"""Removes what a model puts around a whole answer: tags, a page of HTML, a code fence, JSON, YAML, a box, its own name.

Only a frame around the whole answer is removed. A tag, a fence or a name inside the text belongs to the text, and so
does a fence around code.

Pure. Every search is linear in the length of the text.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from longwriter.text.basics.counting import BLANK_LINE

_BOX, _LONGEST_VALUE = "\\boxed{", 40  # characters of a value, which stays in its box
_HAN, _LONGEST_HAN_VALUE = re.compile(r"[\u4e00-\u9fff]"), 16

_NAMES = (
    r"(?:(?:final|revised|rewritten|edited)_)?(?:answer|response|output|solution|result|reply|completion|draft"
    r"|paragraph|passage|text|story|essay|version)|assistant|writer|content|final|document|writing|chapter"
    r"|revised|rewritten|(?:ant|bolt)?artifact|canvas|doc|root|poem|letter|speech|答案|回答|正文|文章|段落|内容"
)
_ELEMENTS = r"p|div|article|section|body|main"  # of HTML
_TAG_END = r"(?:\s[^<>\n]{0,80})?\s{0,2}>"
_SENTENCE = r"(?=\s*\n|\s*[A-Z\"“'‘*_#\d(（<\u4e00-\u9fff「『《])"  # what a text begins with
_OPENING = re.compile(rf"\s*<\s{{0,2}}(?P<name>(?i:{_NAMES})){_TAG_END}{_SENTENCE}")
_ELEMENT = re.compile(rf"\s*<(?P<name>{_ELEMENTS}){_TAG_END}", re.IGNORECASE)
_CLOSING = re.compile(
    rf"<\s{{0,2}}/\s{{0,2}}(?P<name>{_NAMES}|{_ELEMENTS})\s{{0,2}}>\Z|\[END FINAL RESPONSE\]\Z", re.IGNORECASE
)
_LONGEST_TAG = 40  # characters of a closing tag
_NESTED = 3  # tags in each other
_XML = re.compile(r"\A\s*<\?xml[^<>]{0,80}\?>\s*")
_MENTION = re.compile(r"(?:[:,(]|[a-z])\s\Z")  # what stands before a tag of which a sentence speaks
_BRACKETS = re.compile(
    r"\s*(?:\[(?P<english>ANSWER|RESPONSE|OUTPUT|TEXT|STORY)\]|【(?P<chinese>答案|回答|正文|最终答案)】)\s*",
    re.IGNORECASE,
)

_TEXT_KEYS = re.compile(rf"(?:{_NAMES}|article|section|message|body|html|text_\w{{1,20}})\Z", re.IGNORECASE)
_PART_KEYS = re.compile(
    r"(?:intro|introduction|hook|opening|beginning|start|background|context|setting|body|main|middle|development|argument"
    r"|rising_action|climax|resolution|falling_action|end|ending|closing|conclusion|epilogue|prologue|开头|引言|中间|正文|发展|高潮|结尾|结论)"
    r"(?:_?\d{1,2}|_(?:text|paragraph|section))?\Z",
    re.IGNORECASE,
)
_KEYS_BESIDE = {
    "role", "type", "kind", "language", "lang", "word_count", "words", "length", "paragraph_number", "step", "number",
    "index", "id", "status", "finish_reason", "字数", "title", "heading", "headline", "subtitle", "author", "genre", "tone",
    "theme", "style", "topic", "date", "tags", "summary", "meta", "metadata", "notes", "标题", "题目",
}  # fmt: skip
_LIST_KEY = re.compile(
    rf"(?:data|markdown|paragraphs|sections|parts|chapters|scenes|texts|narrative|description|scene|段落|{_NAMES})\Z",
    re.IGNORECASE,
)
_NUMBERED_KEY = re.compile(r"(?:paragraph|section|part|p|段落|第)[_ ]?\d{1,3}段?\Z", re.IGNORECASE)
_DEEPEST = 3  # objects and lists in each other
_LEAD = re.compile(
    r"\s*+(?:[^{\[\n]{1,100}:[ \t]*\n\s*)?(?:```(?:json)?\s*)?(?=[{\[])"
)  # "Here is the JSON:"
_OBJECT = re.compile(
    rf"\s*(?:```\w{{0,12}}\s*)?(?:\{{\s*[\"'](?:{_NAMES}|article|section|message|body|paragraphs|title)[\"']\s*:\s*[\"'\[{{]"
    rf"|\[\s*(?:\"(?=[^\"\n]{{40}})|\{{\s*\"(?:{_NAMES})\"\s*:\s*\"))",
    re.IGNORECASE,
)
_YAML = re.compile(
    r"\s*(?:```ya?ml\n)?(?:---\n)?(?P<beside>(?:[A-Za-z_]{1,16}:[ \t][^\n|>]{1,200}\n){0,6})"
    rf"(?:{_NAMES}|article|section|message|body):[ \t]?(?:[|>][+-]?[ \t]*\n(?P<indent>[ \t]{{1,8}})(?=\S)|(?=[^\s|>\"']))",
    re.IGNORECASE,
)
_FRONT_MATTER = re.compile(r"\s*---\n(?:[A-Za-z_]{1,16}:[ \t]?[^\n]{0,200}\n){1,12}---\n+")
_RULE = re.compile(r"\A\s*(?:-{3,10}|\*{3}|_{3,10})[ \t]*\n\s*")
_CHANNEL = re.compile(
    r"\A\s*(?:(?:<\|)?channel(?:\|>)?\s?[:=] ?final\b\W{0,3}|\[final\]|<channel>final</channel>|\*{0,2}final\*{0,2}(?=\n)|assistant to=final)\s*",
    re.IGNORECASE,
)

_PAGE = re.compile(
    r"\s*(?:<!doctype html[^<>\n]{0,120}>\s*)?<(?:html|body)(?:\s[^<>\n]{0,80})?>", re.IGNORECASE
)
_SERVER_PAGE = re.compile(  # a page of a server or proxy, not of a model
    r"<(?:title|h1)>[^<]{0,80}(?:\b[1-5]\d\d\b|error|unavailable|not found|gateway|forbidden|denied|time-?out|timed out|log ?in|sign ?in"
    r"|moved|maintenance|unauthori[sz]ed|too many|bad request|blocked|captcha|just a moment)",
    re.IGNORECASE,
)
_HEAD = re.compile(r"<head>|</head>", re.IGNORECASE)
_PAGE_TAG = re.compile(
    r"<(?:!doctype html[^<>]{0,120}|/?(?P<block>html|body|p|div|h[1-6]|br|article|main|section|header)(?:\s(?:lang|class|id|style)=[^<>\n]{0,80})?\s?/?"
    r"|/?(?:b|i|em|strong|span|u|small))>",
    re.IGNORECASE,
)

_INLINE = r"</?(?:b|i|em|strong|u|br|span)\s?/?>"
_PARAGRAPHS = re.compile(  # an answer of nothing but paragraphs of HTML
    rf"\s*+(?:<p(?:\s[^<>\n]{{0,80}})?>(?:[^<>]|{_INLINE})*+</p>\s*+){{2,}}\Z", re.IGNORECASE
)
_INLINE_TAG = re.compile(_INLINE, re.IGNORECASE)
_PARAGRAPH_TAGS = re.compile(r"</p>\s*+|<p(?:\s[^<>\n]{0,80})?>", re.IGNORECASE)

_FENCE = re.compile(
    r"\s*(?P<mark>`{3,8}|~{3,8}|\"{3})(?P<kind>text|txt|plain(?:text)?|markdown|md|prose|story|essay|answer)?[ \t]*\n",
    re.IGNORECASE,
)
_PROSE_END = re.compile(r"[.!?…。！？][\"”’」』)*_]*\Z")

_MODELS = "Claude|Gemini|Bard|Llama|Qwen|DeepSeek|Mistral|Mixtral|Copilot|Grok|Kimi|SmolLM|Gemma|Phi|GLM|Nova"
_ROLE = (
    r"(?:(?:AI |helpful )?assistant|AI(?: (?:writer|model|response|answer))?|writer|(?:language )?model|(?:chat ?)?bot|(?:Chat)?GPT(?:-[\w.]{1,8})?(?: said)?|response"
    r"|final|(?:final )?(?:answer|draft|text|version)|output|paragraph|passage|continuation|completion|reply|draft|body|generated text|narrative"
    r"|(?:(?:short|full|complete|your) )?story|letter|poem|essay|article|speech|report|blog post"
    rf"|(?:{_MODELS})(?:[ -][\w.]{{1,12}}){{0,2}}"
    r"|(?-i:A)|(?:AI ?)?(?:智能)?助[手理]|回答|回复|正文|写作助手|作家助手|故事|文章|文本|散文|小说(?:正文)?|短文|作文|豆包|文心一言|通义千问|千问|元宝|智谱清言)"
    r"(?: ?[(（][\w ]{1,20}[)）])?"
)
_LABEL = re.compile(
    rf"\s*(?:#{{1,4}} ?)?(?:\*{{1,2}}|__?|\[|<|@)?{_ROLE}(?:(?:\*{{1,2}}|__|\]|>)\s?[:：]|[:：](?:\*{{1,2}}|__?)?)(?:\s*+\n\s*|\s*+(?-i:(?![a-z])))"
    r"|\s*\*\*(?:final )?(?:answer|response|text|draft)\*\*[ \t]*\n\s*"
    rf"|\s*#{{1,4}} ?\*{{0,2}}(?:assistant|response|(?:final )?answer)\*{{0,2}}[ \t]*\n\s*|\s*(?:assistant|bot|ai)>{{1,3}}\s*|\s*[\[<(](?:assistant|writer)[\]>)]\s*",
    re.IGNORECASE,
)
_THING = re.compile(  # "Model: T-34." names a thing; a text after the name of a role is a sentence
    r"\W*+(?:model|bot)\W{1,6}(?:[^\s.,;(]{1,24} ?){1,3}(?:[.,;(\n]|\Z)"
    r"|\W*+[^:：\n]{1,30}[:：][^.;。；\n]{1,60}[.;。；]\s{0,3}[^\W_]{2,20}[:：]",  # "Output: 4 t. Input: 5 t."
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"^[ \t]{0,4}\W{0,3}[^\W\d_][\w .'’()（）-]{0,30}\W{0,3}[:：]", re.MULTILINE)


def without_wrapper(text: str, *, has_thinking: bool = True) -> str:
    """Return a text without what models put around a whole answer, except their own name.

    A pair of tags may have lost one tag: a stop sequence cut it off, or the prompt held it. The other tag is
    removed only if the answer follows thinking, or if the tag occurs once and is no element of HTML.
    """
    text = _unboxed(text)
    text = _without_fence(_text_of_page(_text_of_yaml(_text_of_object(text))))
    text = _CHANNEL.sub("", _RULE.sub("", text, count=1), count=1)
    if start := _BRACKETS.match(text):
        name = start["english"] or start["chinese"]
        end = re.compile(rf"\s*[\[【]/{name}[\]】]\s*\Z", re.IGNORECASE)
        tail = text[-len(name) - 12 :] if len(text) > len(name) + 12 else text
        closing = end.search(tail)
        return text[start.end() : len(text) - len(tail) + closing.start() if closing else len(text)]
    text = _XML.sub("", text, count=1)
    for _ in range(_NESTED):
        outer, text = text, _without_tags(text, has_thinking)
        if text == outer:
            break
    return text


def _without_tags(text: str, has_thinking: bool) -> str:
    """Return a text without the tags around it; see `without_wrapper`."""
    start = _OPENING.match(text) or _ELEMENT.match(text)
    bare = text.rstrip()
    end = _CLOSING.search(bare, max(0, len(bare) - _LONGEST_TAG))
    if not start and not end:
        return text
    is_element = start is not None and start.re is _ELEMENT
    if start and end:
        if is_element and bare.count("</") > 1:
            return text
    elif (
        is_element
        or (end and not start and _MENTION.search(bare, max(0, end.start() - 2), end.start()))
        or not (has_thinking or _is_alone(text, (start or end)["name"]))  # type: ignore[index]
    ):
        return text
    return (bare[: end.start()] if end else text)[start.end() if start else 0 :]


def _is_alone(text: str, name: str | None) -> bool:
    """Tell whether a tag, without its partner, is the only one of its name, and the text does not end in HTML."""
    if name is None or re.fullmatch(_ELEMENTS, name, re.IGNORECASE):
        return False
    return len(re.findall(rf"[</]\s{{0,2}}{name}\b", text, re.IGNORECASE)) == 1


def _text_of_object(text: str) -> str:
    """Return the text that JSON holds under a name such as `text`, or in a list; any other answer unchanged."""
    lead = _LEAD.match(text)
    if not lead and not (text.lstrip().startswith('"') and "\\" in text):
        return text
    try:
        value: Any = json.loads(_bare_json(text[lead.end() if lead else 0 :]), strict=False)
    except (ValueError, RecursionError):
        return text
    return _text_in(value) or text


def _is_long(text: str) -> bool:
    """Tell whether a text is longer than a value such as a name or a number."""
    return len(text) > (_LONGEST_HAN_VALUE if _HAN.search(text) else _LONGEST_VALUE)


def _bare_json(text: str) -> str:
    """Return a JSON text without a code fence around it."""
    return text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")


def _text_in(value: Any, depth: int = _DEEPEST) -> str | None:
    """Return the text in a JSON value that holds nothing else, its paragraphs with blank lines between; else None."""
    if isinstance(value, str):
        return value if _is_long(value) else None
    if not depth or not value:
        return None
    if isinstance(value, dict):
        if len(value) > 1 and all(isinstance(key, str) and _PART_KEYS.match(key) for key in value):
            texts = list(value.values())
            if all(isinstance(inner, str) for inner in texts) and any(map(_is_long, texts)):
                return "\n\n".join(texts)
            return _text_in(texts, depth)
        named = {key: inner for key, inner in value.items() if isinstance(inner, str | dict | list)}
        texts = [inner for key, inner in named.items() if _TEXT_KEYS.match(key) or _LIST_KEY.match(key)]
        numbered = [inner for key, inner in named.items() if _NUMBERED_KEY.match(key)]
        others = sum(
            not (_TEXT_KEYS.match(key) or key.lower() in _KEYS_BESIDE) for key in value.keys() - named
        )
        if others or len(texts) + len(numbered) + sum(key.lower() in _KEYS_BESIDE for key in named) < len(
            named
        ):
            return None
        if len(texts) == 1:
            return _text_in(texts[0], depth - 1)
        value = numbered if not texts else None
    if not isinstance(value, list):
        return None
    parts = [_text_in(item, depth - 1) for item in value]
    return "\n\n".join(part for part in parts if part) if parts and all(parts) else None


def _text_of_yaml(text: str) -> str:
    """Return the text of a YAML block such as `text: |`, or after the front matter; any other answer unchanged."""
    if front := _FRONT_MATTER.match(text):
        return text[front.end() :]
    head = _YAML.match(text)
    if not head or any(
        line.partition(":")[0].lower() not in _KEYS_BESIDE for line in head["beside"].splitlines()
    ):
        return text
    indent = head["indent"] or ""
    if not indent and not head["beside"]:
        return text  # one label, which `without_role` knows
    lines = text[head.end() :].rstrip().removesuffix("```").rstrip().removesuffix("\n...").split("\n")
    if not all(line.startswith(indent) or not line.strip() for line in lines[1:]):
        return text
    return "\n".join([lines[0], *(line.removeprefix(indent) for line in lines[1:])])


def _text_of_page(text: str) -> str:
    """Return the text of paragraphs of HTML, or of a page that holds only paragraphs and headings; any other text unchanged."""
    bare = _without_html_fence(text)
    if _PARAGRAPHS.match(bare):
        plain = _PARAGRAPH_TAGS.sub(lambda tag: "\n\n" if tag[0][1] == "/" else "", _INLINE_TAG.sub("", bare))
        return html.unescape(plain.strip())
    if not _PAGE.match(bare) or not bare.rstrip().lower().endswith(("</html>", "</body>")):
        return text
    if _SERVER_PAGE.search(bare):
        return text
    _, *rest = _HEAD.split(bare, maxsplit=2)
    if len(rest) == 2:
        if any(f"<{name}" in rest[0].lower() for name in ("style", "script", "link")):
            return text  # a real page, not a frame around a text
        bare = rest[1]
    body = _PAGE_TAG.sub(lambda tag: "\n\n" if tag["block"] else "", bare)
    if re.search(r"</?[a-z!]", body, re.IGNORECASE):
        return text
    return html.unescape("\n\n".join(part.strip() for part in BLANK_LINE.split(body.strip())))


def _without_html_fence(text: str) -> str:
    """Return a text without a code fence of HTML around it."""
    bare = text.strip()
    return (
        bare[7:-3]
        if bare.startswith("```html\n") and bare.endswith("```") and bare.count("```") == 2
        else text
    )


def is_broken_object(text: str) -> bool:
    """Tell whether an answer is JSON with a text in it, cut or damaged, so that nobody can take the text out."""
    if not _OBJECT.match(text):
        return False
    try:
        json.loads(_bare_json(text), strict=False)
    except (ValueError, RecursionError):
        return True
    return False


def _without_fence(text: str) -> str:
    """Return the prose in a code fence that stands around a whole answer; code keeps its fence."""
    start = _FENCE.match(text)
    mark = start["mark"] if start else "```"
    bare = text.rstrip()
    has_end = bare.endswith(f"\n{mark}")
    if not start and not (has_end and bare.count(mark) == 1):
        return text
    inner = (bare[: -len(mark)] if has_end else text)[start.end() if start else 0 :].rstrip()
    if inner.count(f"\n{mark}") % 2 or not _PROSE_END.search(inner[-8:]):
        return text
    is_marked = start is not None and start["kind"] is not None
    return text if not is_marked and f"\n{mark}" in inner else inner


def without_role(text: str) -> str:
    """Return a text without the name of the model or of its role at the start, as in `**Assistant:** The tide`.

    A scene or an interview, in which another line begins with a name and a colon, stays as it is.
    """
    label = _LABEL.match(text)
    if not label or _THING.match(text) or not _is_long(text[label.end() :]):
        return text
    return text if _SPEAKER.search(text, label.end()) else text[label.end() :]


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
