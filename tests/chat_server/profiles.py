"""What known endpoints take, ignore and refuse, and how they say so.

Each profile follows the provider's public documentation and error messages that its users have reported.
The texts come from `writer`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from aiohttp import web

from tests.chat_server import wire, writer

Body = dict[str, Any]
_COMMON = {"model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream", "n"}
_OPENAI = _COMMON | {"max_completion_tokens", "seed", "response_format", "frequency_penalty", "user"}


class Profile(NamedTuple):
    """The rules of an endpoint."""

    refuse: Callable[[Body], wire.Reply | None]
    """Returns the error that a request gets, or None."""
    honoured: Collection[str]
    """Fields that change the answer; the others are ignored."""
    formats: Collection[str]
    """Types of `response_format` that are honoured."""


def _openai_error(text: str, param: str | None, code: str | None) -> wire.Reply:
    error = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
    return web.json_response({"error": error}, status=400)


def _unknown(body: Body, known: Collection[str]) -> str | None:
    return next((name for name in body if name not in known), None)


def _openai(body: Body) -> wire.Reply | None:
    if name := _unknown(body, _OPENAI):
        return _openai_error(f"Unrecognized request argument supplied: {name}", None, None)
    if len(body.get("stop") or []) > 4:
        return _openai_error(
            "Invalid 'stop': array too long. Expected at most 4.", "stop", "array_above_max_length"
        )
    if body.get("max_tokens", 0) > 16384:
        text = f"max_tokens is too large: {body['max_tokens']}. This model supports at most 16384 completion tokens."
        return _openai_error(text, "max_tokens", None)
    return None


def _o_series(body: Body) -> wire.Reply | None:
    if "max_tokens" in body:
        return _openai_error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter",
        )  # fmt: skip
    if body.get("temperature", 1) != 1:
        return _openai_error(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported.", "temperature", "unsupported_value",
        )  # fmt: skip
    for name in ("top_p", "stop"):
        if name in body:
            return _openai_error(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                name,
                "unsupported_parameter",
            )
    return _openai(body)


def _azure(body: Body) -> wire.Reply | None:
    if name := _unknown(body, _OPENAI):
        return _openai_error(f"Unrecognized request argument supplied: {name}", None, None)
    if body.get("response_format", {}).get("type") == "json_schema":
        text = "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"
        return web.json_response({"error": {"code": "BadRequest", "message": text}}, status=400)
    return None


def _vllm(body: Body) -> wire.Reply | None:
    if body.get("max_tokens", 0) > 8192:
        text = f"max_tokens={body['max_tokens']} cannot be greater than max_model_len=8192."
        error = {"object": "error", "message": text, "type": "BadRequestError", "param": None, "code": 400}
        return web.json_response(error, status=400)
    return None


def _gemini(body: Body) -> wire.Reply | None:
    unknown = [name for name in body if name not in _OPENAI - {"seed", "user"}]
    if unknown:
        text = "\n".join(
            f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in unknown
        )
        error = {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}
        return web.json_response([{"error": error}], status=400)
    return None


def _anthropic(body: Body) -> wire.Reply | None:
    if "temperature" in body and "top_p" in body:
        text = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        return web.json_response({"error": {"code": "invalid_request_error", "message": text}}, status=400)
    if any(not stop.strip() for stop in body.get("stop") or []):
        text = "stop_sequences: each stop sequence must contain non-whitespace"
        return web.json_response({"error": {"code": "invalid_request_error", "message": text}}, status=400)
    return None


def _litellm(body: Body) -> wire.Reply | None:
    refused = sorted(body.keys() & {"seed", "response_format"})
    if refused:
        text = (
            f"litellm.UnsupportedParamsError: acme does not support parameters: {refused}, for model=acme/one. To "
            "drop these, set `litellm.drop_params=True`."
        )
        error = {"message": text, "type": "None", "param": None, "code": "500"}
        return web.json_response({"error": error}, status=500)
    return None


def _openrouter(body: Body) -> wire.Reply | None:
    if body.get("response_format", {}).get("type") == "json_schema":
        text = "No endpoints found that can handle the requested parameters."
        return web.json_response({"error": {"message": text, "code": 404}}, status=404)
    return None


def _nothing(body: Body) -> wire.Reply | None:
    return None


_BASIC = {"temperature", "stop", "max_tokens", "max_completion_tokens", "seed"}
_BOTH = ("json_schema", "json_object")
PROFILES = {
    "openai": Profile(_openai, _BASIC, _BOTH),
    "o-series": Profile(_o_series, _BASIC, _BOTH),
    "azure": Profile(_azure, _BASIC, ("json_object",)),
    "vllm": Profile(_vllm, {*_BASIC, "repetition_penalty"}, _BOTH),
    "llama.cpp": Profile(_nothing, {*_BASIC, "repeat_penalty"}, _BOTH),
    "ollama": Profile(_nothing, _BASIC, _BOTH),
    "openrouter": Profile(_openrouter, {*_BASIC, "repetition_penalty"} - {"seed"}, ("json_object",)),
    "litellm": Profile(_litellm, _BASIC - {"seed"}, ()),
    "gemini": Profile(_gemini, _BASIC - {"seed"}, _BOTH),
    "anthropic": Profile(_anthropic, _BASIC - {"seed"}, ()),
}


def handler(name: str, requests: list[Body]) -> wire.Handler:
    """Return a handler that follows a profile; it appends the answered requests to `requests`."""
    profile = PROFILES[name]

    async def reply(request: web.Request) -> wire.Reply:
        body = json.loads(await request.read())
        if refusal := profile.refuse(body):
            return refusal
        requests.append(body)
        text, finish = _answer(name, profile, body)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return web.json_response(
            wire.completion(text, finish, body["model"], digest[:12], 9, len(text.split()))
        )

    return reply


def _answer(name: str, profile: Profile, body: Body) -> tuple[str, str]:
    """Return (text, finish reason): that of the writer, who sees only the honoured fields."""
    if name == "o-series" and body.get("max_completion_tokens", 9999) < 500:
        return "", "length"  # its reasoning used the tokens up
    seen = {
        field: value
        for field, value in body.items()
        if field in profile.honoured or field in ("model", "messages")
    }
    if "repeat_penalty" in seen:
        seen["repetition_penalty"] = seen.pop("repeat_penalty")
    kind = body.get("response_format", {}).get("type")
    if kind in profile.formats:
        if kind == "json_object":
            return '{"colour": "blue"}', "stop"
        seen["response_format"] = body["response_format"]
    if "Write the numbers" in str(body["messages"]):
        text = "one, two, three, four, five, six, seven, eight, nine, ten"
        return next((text.split(stop)[0] for stop in seen.get("stop", [])), text), "stop"
    return writer.answer(seen)
