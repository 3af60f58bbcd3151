"""Faults that LLM APIs inject: spoilt answers, error statuses, broken connections.

A transport fault (the client should send the request again) is drawn anew for each arrival of a request. A
content fault (a complete answer that is no good) and a lasting fault belong to the request, so that what a
client keeps in the end does not depend on when the client was killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from typing import Any

from aiohttp import web

from tests.chat_server import wire

RETRY_AFTER_S = 1
TRANSPORT = (
    "status_408", "status_409", "status_429", "status_500", "status_502", "status_503",
    "reset", "hang", "truncated_json", "invalid_json", "html_200", "error_200",
)  # fmt: skip
CONTENT = ("empty", "refusal", "cut_off", "content_filter", "error_text", "meta_talk", "loop", "plan_line")
SHAPES_KEPT = (  # the answer is good, in a form that takes reading
    "thinking", "half_thinking", "reasoning_field", "parts", "odd_usage", "control_tokens", "nul",
)  # fmt: skip
SHAPES_REFUSED = ("surrogate", "only_reasoning", "unsplit_thinking", "max_tokens")
SHAPES = (*SHAPES_KEPT, *SHAPES_REFUSED)
ANSWERED = ("answer", *CONTENT, *SHAPES)
THOUGHT = "Okay, the user wants prose. Let me settle the season first."
LASTING = ("status_400", "always_500")

SIGN_IN_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in first.</body></html>"
)
REFUSALS = (
    "I'm sorry, but I can't assist with that request.",
    "As an AI language model, I am unable to write this part of the text.",
)
ERROR_TEXTS = (
    "Max tries. Failed.",
    "Error code: 429 - {'error': {'message': 'Rate limit reached for requests', 'type': 'requests'}}",
    "openai.APITimeoutError: Request timed out.",
)
META_TALK = ("Here is paragraph 2 of the text: ", "Sure! Here's the paragraph you asked for: ")
PLAN_LINE = "Paragraph 3 - Main Point: The keeper counts the lamps - Word Count: 80 words"


def fault_rates(total: float, single: list[str]) -> dict[str, float]:
    """Return the rate of each fault.

    Args:
        total: Rate of all faults of transport and content together, half each; each odd shape comes at a
            twentieth of it.
        single: Rates of single faults, as `NAME=RATE`; they replace that fault's share of `total`.
    """
    half = total / 2
    rates = {fault: half / len(group) for group in (TRANSPORT, CONTENT) for fault in group}
    rates |= dict.fromkeys(SHAPES, total / 20)
    rates["status_400"] = half / 10
    rates |= {name: float(rate) for name, _, rate in (item.partition("=") for item in single)}
    if unknown := rates.keys() - {*TRANSPORT, *CONTENT, *SHAPES, *LASTING}:
        raise SystemExit(f"unknown fault: {unknown}")
    return rates


def fault_of(rates: dict[str, float], digest: str, arrival: int) -> str | None:
    """Return the fault of a request at its n-th arrival, or None."""
    return (
        _draw(rates, LASTING, "lasting", digest)
        or _draw(rates, TRANSPORT, "transport", digest, arrival)
        or _draw(rates, CONTENT, "content", digest)
        or _draw(rates, SHAPES, "shape", digest)
    )


def _draw(rates: dict[str, float], faults: tuple[str, ...], *parts: object) -> str | None:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    for fault in faults:
        point -= rates.get(fault, 0.0)
        if point < 0:
            return fault
    return None


def spoil(fault: str, text: str, digest: str) -> tuple[str, str]:
    """Return (text, finish reason) of the answer `text` with a content fault."""
    rng = random.Random(digest)
    half = text[: len(text) * 3 // 5]
    sentences = half[: half.rfind(". ") + 1] or half
    answers = {
        "empty": ("", "stop"),
        "refusal": (f"{rng.choice(REFUSALS)} {sentences}", "stop"),
        "cut_off": (half.rstrip(" ."), "length"),
        "content_filter": (sentences, "content_filter"),
        "error_text": (f"{sentences if rng.random() < 0.7 else ''}\n{rng.choice(ERROR_TEXTS)}", "stop"),
        "meta_talk": (rng.choice(META_TALK) + text, "stop"),
        "loop": (_loop(text), "stop"),
        "plan_line": (f"{sentences}\n{PLAN_LINE}\n{text[len(sentences) :].strip()}", "stop"),
    }
    return answers[fault]


def reshape(shape: str, completion: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion in an odd shape."""
    choice = completion["choices"][0]
    message = choice["message"]
    text = message["content"]
    half = len(text) // 2
    messages: dict[str, dict[str, Any]] = {
        "thinking": {"content": f"<think>\n{THOUGHT}\n</think>\n\n{text}"},
        "half_thinking": {"content": f"{THOUGHT}\n</think>\n\n{text}"},
        "reasoning_field": {"content": text, "reasoning_content": THOUGHT},
        "parts": {"content": [{"type": "text", "text": part} for part in (text[:half], text[half:])]},
        "control_tokens": {"content": f"<|im_start|>assistant\n{text}<|im_end|>"},
        "nul": {"content": f"{text[:half]}\x00{text[half:]}\x07"},
        "surrogate": {"content": f"{text[:half]}\ud83d{text[half:]}"},
        "only_reasoning": {"content": None, "reasoning_content": THOUGHT},
        "unsplit_thinking": {"content": f"{text[:half]}\n<think>\n{THOUGHT}"},
        "max_tokens": {"content": text[:half].rstrip(" .")},
    }
    usage = (
        {"prompt_tokens": "12", "completion_tokens": 2**63} if shape == "odd_usage" else completion["usage"]
    )
    finish = "MAX_TOKENS" if shape == "max_tokens" else choice["finish_reason"]
    changed = {**choice, "message": {**message, **messages.get(shape, {})}, "finish_reason": finish}
    return {**completion, "choices": [changed], "usage": usage}


def _loop(text: str) -> str:
    """Return the first sentence of `text` eight times; of a plan, its first main point in each step."""
    try:
        plan = json.loads(text)
        for step in plan["steps"]:
            step["main_point"] = plan["steps"][0]["main_point"]
        return json.dumps(plan)
    except (ValueError, TypeError, KeyError):
        return " ".join([text.split(". ")[0].rstrip(".") + "."] * 8)


SPENT = {
    "budget": (400, "budget_exceeded", "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0"),
    "key": (401, "invalid_api_key", "Incorrect API key provided: sk-...wxyz."),
    "credit": (402, "invalid_request_error", "Insufficient Balance"),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan."),
}
"""Status, code and message of an account that cannot be used any more: LiteLLM's, OpenAI's, DeepSeek's, OpenAI's."""


def spent(kind: str) -> wire.Reply:
    """Return the error of an account that cannot be used any more."""
    status, code, text = SPENT[kind]
    error = {"message": text, "type": code, "param": None, "code": code}
    return web.json_response({"error": error}, status=status)


async def fail(fault: str, request: web.Request, answer: str, hang_s: float) -> wire.Reply:
    """Reply to a request, whose good answer is `answer`, with a transport fault or a lasting one."""
    name, _, status = fault.partition("_")
    if name in ("status", "always"):
        headers = {"Retry_After": str(RETRY_AFTER_S)} if status == "429" else {}
        return wire.error(int(status), f"scripted {status}", **headers)
    if fault == "hang":
        await asyncio.sleep(hang_s)
    if fault in ("hang", "reset"):
        return await wire.cut_short(request, answer)
    pages = {
        "truncated_json": (answer[: len(answer) * 2 // 3], "application/json"),
        "invalid_json": ("{'choices': None, oops", "application/json"),
        "html_200": (SIGN_IN_PAGE, "text/html"),
        "error_200": (json.dumps({"error": {"message": "upstream overloaded"}}), "application/json"),
    }
    text, content_type = pages[fault]
    return web.Response(text=text, content_type=content_type)
