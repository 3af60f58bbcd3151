"""Reads the reply of a chat completion: from its bytes to the text that a stage may use.

The replay cache and the call log store these bytes. `read` derives everything else from the bytes each time
that they are used, so better rules also apply to stored replies. It separates the thinking of reasoning
models from the text, removes control tokens around the text and control characters in it, and gives
`finish_reason` one name for each meaning.

Pure.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, TypeGuard

import orjson

from longwriter.text.basics import markup, wrappers
from longwriter.text.basics.counting import encodable, without_invisible
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused
from longwriter.text.basics.thinking import Split, split_thinking

_LARGEST_COUNT = 10**12  # tokens; a larger number is an error of the server

_STOP = {
    "stop", "stopped", "stopsequence", "stoptoken", "eos", "eostoken", "end", "endturn", "endofturn",
    "endoftext", "complete", "completed", "finish", "finished", "normal", "done", "success",
}  # fmt: skip
_FAILED = {
    "error", "errorlimit", "networkerror", "internalerror", "servererror", "failed", "failure", "abort",
    "aborted", "cancelled", "canceled", "timeout", "insufficientsystemresource", "overloaded", "ratelimit",
    "ratelimited", "usercancel", "malformedmodeloutput",
}  # fmt: skip
_FILTER = (
    "filter", "safety", "unsafe", "block", "prohibit", "sensitive", "guardrail", "toxic", "recitation", "spii",
    "moderation", "refus", "policy", "flagged",
)  # fmt: skip
_LENGTH = (
    "length", "max", "limit", "truncat", "token", "context", "budget", "incomplete", "cutoff", "cut_off", "overflow",
    "too_long", "partial", "interrupt", "unfinished", "pause",
)  # fmt: skip
_STOPS = (
    "stop_word",
    "stop_str",
    "stop_seq",
    "stop_token",
    "stop_reason",
    "eos_",
    "natural",
)  # how names of a stop begin
_AROUND_THINKING = re.compile(  # an empty code fence or quotation, and line ends that were escaped twice
    r"\A(?:\s*(?:```\w{0,12}\s{0,8}```|>[ \t]{0,8}(?=\n)|\\n))+"
)
_CONTROL_ESCAPE = re.compile(rb"\\[bfu]")  # JSON never holds bare control characters below U+0020
_WORD = re.compile(r"[^a-z]+")

_TEXT_PARTS = ("text", "output_text", "markdown")
_NOTES = ("refusal", "nothing", "citation", "citations", "reference", "references", "annotations", "usage")
"""Kinds of parts that do not belong to the text; an empty part has the kind `nothing`."""
_THINKING_PARTS = ("thinking", "reasoning", "redacted_thinking", "reasoning_text", "summary_text", "thought")
_THINKING_FIELDS = (
    "reasoning_content", "reasoning", "thinking", "thinking_content", "reasoning_details", "thinking_blocks",
)  # fmt: skip
_INNER_FIELDS = (
    "text",
    "thinking",
    "reasoning",
    "content",
    "summary",
    "refusal",
    "message",
    "reason",
    "value",
)
_EVENT_STREAM = re.compile(
    rb"\s*(?:(?:data|event|id|retry)?:[ \r\n]|data:[{\[])"
)  # how server-sent events begin
_JSON_OBJECT = re.compile(r"\s*(?:```(?:json)?\s*)?\{\s*[\"'}]")


class NoCompletion(ValueError):
    """The body of a reply is not a complete chat completion; the message says what it is."""


class Usage(NamedTuple):
    """Tokens of one call, as the server counts them; `prompt_tokens` include the tokens from its cache."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class Completion(NamedTuple):
    """A chat completion: its bytes, and what they say."""

    body: bytes
    """The body of the reply, as it came."""
    is_json: bool
    """Whether the body is strict JSON, which every program can read."""
    text: str
    """The answer without thinking; if the answer is empty, the refusal that the server sent in its place."""
    thinking: str
    finish_reason: str
    """`stop`, `length`, `content_filter`, another reason in lower case, or `unknown`."""
    usage: Usage | None
    """None = unknown: the server gives no counts, or impossible ones."""
    model: str | None
    """The model that answered, as the server calls it."""
    refused: Refused | None
    """Why no stage may use the answer, or None."""
    fingerprint: str | None = None
    """The server's name for the configuration that answered."""


class Answer(NamedTuple):
    """The answer to one request; `call_id` is the hash of the request, the rest is as in `Completion`.

    `served` is the model that answered, as the server calls it.
    """

    call_id: str
    text: str
    finish_reason: str
    usage: Usage | None
    replayed: bool
    refused: Refused | None = None
    thinking: str = ""
    served: str | None = None


def read(body: bytes) -> Completion:
    """Return what the body of a reply says.

    The reasons of `Completion.refused`: `refusal` (the server's own field says so); `only_reasoning`;
    `unsplit_reasoning` (nobody can say where the thinking ends); `broken_text` (lone surrogates, or bytes that are
    not UTF-8); `not_text` (an image, a tool call or damaged JSON in the answer, for example).

    Raises:
        NoCompletion: the body is not JSON, is not a chat completion, or says that the completion failed.
    """
    reply, is_json = _parse(body)
    message, choice = _message(reply)
    finish_reason = _finish_reason(choice)
    text, thinking, other_part = _content(message)
    is_broken = not is_json and _has_surrogates(text)
    if is_broken:
        text = encodable(text)
    split = Split(text, "", True) if _JSON_OBJECT.match(text) else split_thinking(text)
    thinking = thinking or split.thinking
    has_thinking = bool(thinking) or split.text != text
    clean = _clean(split.text, has_thinking=has_thinking, body=body, is_json=is_json)
    refusal = "" if clean.strip() else _refusal(message)
    if is_broken:
        refused: Refused | None = Refused("broken_text", f"characters are damaged: {clean[:EVIDENCE_CHARS]}")
    elif other_part:
        refused = Refused("not_text", f"a part of the answer is of the type {encodable(other_part)}")
    elif call := markup.tool_call(split.text):
        refused = Refused("not_text", f"the answer calls a tool: {call}")
    elif wrappers.is_broken_object(clean):
        refused = Refused(
            "not_text", f"the answer is a JSON object that cannot be read: {clean[:EVIDENCE_CHARS]}"
        )
    elif refusal:
        refused = Refused("refusal", refusal[:EVIDENCE_CHARS])
    else:
        refused = _unusable_thinking(clean, thinking, split.is_clean, finish_reason)
    usage, model = _usage(reply.get("usage")), reply.get("model")
    fingerprint = reply.get("system_fingerprint")
    return Completion(
        body, is_json, clean if clean.strip() or not refusal else refusal, encodable(thinking), finish_reason,
        usage, encodable(model) if isinstance(model, str) else None, refused,
        encodable(fingerprint) if isinstance(fingerprint, str) else None,
    )  # fmt: skip


def _parse(body: bytes) -> tuple[dict[str, Any], bool]:
    """Return a body's JSON object, and whether the body is strict JSON.

    Also accepted, although strict JSON does not allow it: lone surrogates, NaN, numbers of any size, control
    characters in strings, a byte order mark. Bytes that are not UTF-8 become lone surrogates.
    """
    is_strict = True
    try:
        reply: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        is_strict = False
        text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        try:
            reply = json.loads(text, strict=False, parse_int=_integer)
        except (ValueError, RecursionError):
            raise NoCompletion(_what_is(body)) from None
    if not isinstance(reply, dict) or reply.get("error"):
        raise NoCompletion("an error, not a chat completion")
    return reply, is_strict


def _what_is(body: bytes) -> str:
    """Return what a body is that is not JSON."""
    if _EVENT_STREAM.match(body):
        return (
            "an event stream, although `stream` was not asked for (let the endpoint, or the proxy before it, answer "
            "as one JSON object)"
        )
    return "a web page" if body.lstrip()[:1] == b"<" else "broken JSON"


def _integer(digits: str) -> float:
    """Return a JSON integer; with more than 30 digits, which Python may refuse to read, return infinity."""
    return int(digits) if len(digits) <= 30 else float("inf")


def _message(reply: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the message of a completion, and the choice that holds it."""
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise NoCompletion("no chat completion")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and message is None and _finish_reason(choice) == "content_filter":
        message = {}  # Gemini leaves the message out if it blocks an answer
    if not isinstance(message, dict) or choice.get("error"):  # OpenRouter: a provider failed in mid-answer
        raise NoCompletion("a failed completion")
    return message, choice


def _finish_reason(choice: dict[str, Any]) -> str:
    """Return why the answer ended: one name for each meaning, although servers use different words."""
    if choice.get("finish_reason") in ("stop", "length"):
        return str(choice["finish_reason"])
    fields = ("finish_reason", "native_finish_reason", "stop_reason")
    value = next((choice[name] for name in fields if isinstance(choice.get(name), str) and choice[name]), "")
    name = _WORD.sub("_", value.rpartition(".")[2].lower()).strip("_")
    if not name or name in ("null", "none", "unspecified", "finish_reason_unspecified"):
        return "unknown"
    if name.replace("_", "") in _STOP or name.startswith(_STOPS):
        return "stop"
    if name.replace("_", "") in _FAILED:
        raise NoCompletion("a failed completion")
    if any(part in name for part in _FILTER):
        return "content_filter"
    return "length" if any(part in name for part in _LENGTH) else name


def _content(message: dict[str, Any]) -> tuple[str, str, str | None]:
    """Return (text, thinking, type of a part that is neither text nor thinking, or None) of a message."""
    content = message.get("content")
    fields = [message[name] for name in _THINKING_FIELDS if name in message]
    thinking = next((text for value in fields if (text := _inner_text(value))), "")
    if content is None or isinstance(content, str):
        return content or "", thinking, None
    if isinstance(content, dict) and not {"type", "text"} & content.keys():
        return json.dumps(content, ensure_ascii=False), thinking, None  # JSON mode of Cloudflare's Workers AI
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        raise NoCompletion("a message that is not text")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in parts:
        kind = _part_type(part)
        if kind == "text":
            texts.append(part if isinstance(part, str) else _part_text(part))
        elif kind == "thinking":
            thoughts.append(_inner_text(part))
        elif kind not in _NOTES:
            return "".join(texts), thinking, kind
    return "".join(texts), thinking or "\n".join(thoughts), None


def _part_text(part: dict[str, Any]) -> str:
    """Return the text of a part; it is under `text` or, from some servers, under `content`."""
    return _inner_text(part.get("text")) or _inner_text(part.get("content"))


def _part_type(part: Any) -> str:
    """Return `text`, `thinking`, or the type that a part of a message names."""
    if part is None:
        return "nothing"
    if not isinstance(part, dict):
        return "text" if isinstance(part, str) else type(part).__name__
    kind = str(part.get("type") or ("text" if "text" in part else next(iter(part), "nothing"))).lower()
    if kind in _THINKING_PARTS or part.get("thought") is True:
        return "thinking"
    return "text" if kind in _TEXT_PARTS else kind[:EVIDENCE_CHARS]


def _inner_text(value: Any, depth: int = 4) -> str:
    """Return the text in a field: a string, a list of parts, or an object with a field of text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "".join(_inner_text(item, depth - 1) for item in value)
    if isinstance(value, dict) and depth:
        return next((text for key in _INNER_FIELDS if (text := _inner_text(value.get(key), depth - 1))), "")
    return ""


def _refusal(message: dict[str, Any]) -> str:
    """Return the refusal of a message: its own field, or a part of its content; empty if there is none."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    refusals = [part for part in parts if isinstance(part, dict) and part.get("type") == "refusal"]
    value = message.get("refusal") or refusals
    if not value:
        return ""
    return encodable(_inner_text(value).strip() or json.dumps(value)[:EVIDENCE_CHARS])


def _clean(text: str, *, has_thinking: bool, body: bytes, is_json: bool) -> str:
    """Return a text without control tokens around it and without control and invisible characters."""
    text = without_invisible(text)
    if has_thinking:
        text = _AROUND_THINKING.sub("", text).strip()
    text = wrappers.without_wrapper(text, has_thinking=has_thinking)
    if has_thinking:
        text = text.strip()
    text = wrappers.without_role(markup.without_outer_tokens(text))
    if not is_json or b"\x7f" in body or b"\xc2" in body or _CONTROL_ESCAPE.search(body):
        text = markup.without_control_characters(text)
    return text


def _unusable_thinking(text: str, thinking: str, is_clean: bool, finish_reason: str) -> Refused | None:
    """Return why thinking makes an answer unusable, or None."""
    if thinking and not text.strip() and finish_reason != "content_filter":
        return Refused(
            "only_reasoning",
            f"no text after {len(thinking):,} characters of reasoning (finish_reason {finish_reason}): "
            f"raise max_tokens, or turn reasoning off in llm.extra_body. It ends: {encodable(thinking[-80:])}",
        )
    if not is_clean:
        return Refused(
            "unsplit_reasoning", f"no clear end of the reasoning: {encodable(thinking[:EVIDENCE_CHARS])}"
        )
    return None


def _usage(usage: Any) -> Usage | None:
    """Return the token counts, or None if they are missing or impossible.

    OpenAI reports cached tokens in `prompt_tokens_details`, DeepSeek directly in `usage`. Without a usable
    count of cached tokens, it is 0.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not _is_count(prompt) or not _is_count(completion) or not prompt + completion:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    cached = cached or usage.get("prompt_cache_hit_tokens")
    return Usage(prompt, cached if _is_count(cached) and cached <= prompt else 0, completion)


def _is_count(value: Any) -> TypeGuard[int]:
    """Tell whether a JSON value can be a number of tokens."""
    return type(value) is int and 0 <= value < _LARGEST_COUNT


def _has_surrogates(text: str) -> bool:
    """Tell whether a text has lone surrogates, which UTF-8 cannot express."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
