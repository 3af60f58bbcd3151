"""Takes a text out of what a model puts around a whole answer: tags, a code fence, JSON, a box, its own name.

Only a frame around the whole answer goes. A tag, a fence or a name inside the text belongs to the text, and so
does a fence around code.

Pure. Every search is linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BOX, _LONGEST_VALUE = "\\boxed{", 40  # characters of a value, which stays in its box

_NAMES = (
    r"(?:(?:final|revised|rewritten|edited)_)?(?:answer|response|output|solution|result|reply|completion|draft"
    r"|paragraph|passage|text|story|essay|version)|assistant|writer|content|final|document|writing|chapter"
    r"|revised|rewritten|(?:ant|bolt)?artifact|canvas|答案|回答|正文|文章|段落|内容"
)
_ELEMENTS = r"p|div|article|section|body|main"  # of HTML
_TAG_END = r"(?:\s[^<>\n]{0,80})?\s{0,2}>"
_SENTENCE = r"(?=\s*\n|\s*[A-Z\"“'‘*_#\d(（\u4e00-\u9fff「『《])"  # what a text begins with
_OPENING = re.compile(rf"\s*<\s{{0,2}}(?P<name>(?i:{_NAMES})){_TAG_END}{_SENTENCE}")
_ELEMENT = re.compile(rf"\s*<(?P<name>{_ELEMENTS}){_TAG_END}", re.IGNORECASE)
_CLOSING = re.compile(
    rf"<\s{{0,2}}/\s{{0,2}}(?P<name>{_NAMES}|{_ELEMENTS})\s{{0,2}}>\Z|\[END FINAL RESPONSE\]\Z", re.IGNORECASE
)
_LONGEST_TAG = 40  # characters of a closing tag
_BRACKETS = re.compile(
    r"\s*(?:\[(?P<english>ANSWER|RESPONSE|OUTPUT|TEXT|STORY)\]|【(?P<chinese>答案|回答|正文|最终答案)】)\s*",
    re.IGNORECASE,
)

_TEXT_KEYS = re.compile(rf"(?:{_NAMES}|article|section|message|body|text_\w{{1,20}})\Z", re.IGNORECASE)
_KEYS_BESIDE = {
    "role", "type", "kind", "language", "lang", "word_count", "words", "length", "paragraph_number", "step", "number",
    "index", "id", "status", "finish_reason", "字数",
}  # fmt: skip
_OBJECT = re.compile(
    rf"\s*(?:```\w{{0,12}}\s*)?\{{\s*[\"'](?:{_NAMES}|article|section|message|body)[\"']\s*:\s*[\"']",
    re.IGNORECASE,
)

_FENCE = re.compile(
    r"\s*(?P<mark>`{3,8}|~{3,8}|\"{3})(?P<kind>text|txt|plain(?:text)?|markdown|md|prose|story|essay|answer)?[ \t]*\n",
    re.IGNORECASE,
)
_PROSE_END = re.compile(r"[.!?…。！？][\"”’」』)*_]*\Z")

_ROLE = (
    r"(?:(?:AI |helpful )?assistant|AI(?: (?:writer|model))?|writer|(?:language )?model|(?:chat ?)?bot|(?:Chat)?GPT(?:-\d)?|response"
    r"|(?:final )?answer|output|paragraph|passage|continuation|text"
    r"|(?:AI ?)?(?:智能)?助[手理]|回答|回复|正文|写作助手|作家助手)(?: ?[(（][\w ]{1,20}[)）])?"
)
_LABEL = re.compile(
    rf"\s*(?:#{{1,4}} ?)?(?:\*{{1,2}}|__|\[|<|@)?{_ROLE}(?:(?:\*{{1,2}}|__|\]|>)\s?[:：]|[:：](?:\*{{1,2}}|__)?)\s*"
    rf"|\s*#{{1,4}} ?\*{{0,2}}(?:assistant|response)\*{{0,2}}[ \t]*\n\s*|\s*[\[<(](?:assistant|writer)[\]>)]\s*",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"^[ \t]{0,4}\W{0,3}[^\W\d_][\w .'’()（）-]{0,30}\W{0,3}[:：]", re.MULTILINE)


def without_wrapper(text: str, *, has_thinking: bool = True) -> str:
    """Return a text without what models put around a whole answer, except their own name.

    One tag without the other goes only if the answer follows thinking, or if the tag occurs once and is no
    element of HTML: a stop sequence cuts off the other, or the prompt held it.
    """
    text = _without_fence(_text_of_object(_unboxed(text)))
    if start := _BRACKETS.match(text):
        name = start["english"] or start["chinese"]
        end = re.compile(rf"\s*[\[【]/{name}[\]】]\s*\Z", re.IGNORECASE)
        tail = text[-len(name) - 12 :] if len(text) > len(name) + 12 else text
        closing = end.search(tail)
        return text[start.end() : len(text) - len(tail) + closing.start() if closing else len(text)]
    return _without_tags(text, has_thinking)


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
    elif is_element or not (has_thinking or _is_alone(text, (start or end)["name"])):  # type: ignore[index]
        return text
    return (bare[: end.start()] if end else text)[start.end() if start else 0 :]


def _is_alone(text: str, name: str | None) -> bool:
    """Tell whether a tag, without its partner, is the only one of its name, and the text does not end in HTML."""
    if name is None or re.fullmatch(_ELEMENTS, name, re.IGNORECASE):
        return False
    return len(re.findall(rf"[</]\s{{0,2}}{name}\b", text, re.IGNORECASE)) == 1


def _text_of_object(text: str) -> str:
    """Return the text that a JSON object holds under a name such as `text`; any other answer unchanged."""
    if not _OBJECT.match(text) and not text.lstrip().startswith(("{", "```json")):
        return text
    try:
        value: Any = json.loads(text.strip().removeprefix("```json").removesuffix("```"), strict=False)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return text
    texts = [value[key] for key in value if _TEXT_KEYS.match(key)]
    is_frame = all(_TEXT_KEYS.match(key) or key.lower() in _KEYS_BESIDE for key in value)
    if not is_frame or len(texts) != 1 or not isinstance(texts[0], str) or len(texts[0]) <= _LONGEST_VALUE:
        return text
    return texts[0]


def is_broken_object(text: str) -> bool:
    """Tell whether an answer is an object with a text in it, cut or damaged, so that nobody can take the text out."""
    if not _OBJECT.match(text):
        return False
    try:
        json.loads(text.strip().removeprefix("```json").removesuffix("```"), strict=False)
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
    if not label or len(text) - label.end() <= _LONGEST_VALUE:
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
