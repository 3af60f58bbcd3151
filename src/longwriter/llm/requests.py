"""Builds the request that `LLM.ask` sends to the endpoint.

Does no I/O itself. The identity of a request is everything that decides its answer; the replay cache finds
the answer by the hash of the identity. Identity and JSON are built once, so every retry sends the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from longwriter.hashing import content_hash
from longwriter.llm.probing import Capabilities
from longwriter.params import Sampling

Identity = dict[str, Any]

_CHECK_TOKENS = 8
_PROBE_TOKENS = 16  # estimated answer to a probe that sends no `max_tokens`


@dataclass(slots=True, eq=False)
class Request:
    """One request and its state."""

    call_id: str
    """Hash of `identity`; empty for a probe."""
    identity: Identity
    """Everything that decides the answer; empty for a probe."""
    body: bytes
    """JSON that is sent."""
    estimated_tokens: int
    """Estimate of its tokens: the prompt plus the longest answer that is allowed."""
    check_body: bytes | None
    """JSON of a short request that any healthy endpoint answers; None if this request is a probe."""
    sent_at: float | None = None
    """`time.monotonic()` when the current try was sent; None while it waits. Sent requests are paid for."""
    is_wanted: bool = True
    """Whether somebody still waits for the answer."""


def chat(
    model: str,
    prompt: str,
    sampling: Sampling,
    extra_body: dict[str, Any],
    capabilities: Capabilities,
    *,
    schema: dict[str, Any] | None,
    json_object: bool,
    attempt: int,
    opening: str = "",
) -> Request:
    """Return the request for an answer to one user message; the arguments are those of `LLM.ask`.

    `json_object` is in the identity only if it is true, and `opening` only if it is not empty, so that requests
    from before they existed keep their hash.
    """
    identity: Identity = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "sampling": sampling.model_dump(),
        "extra_body": extra_body,
        "schema": schema,
        "attempt": attempt,
    }
    if json_object:
        identity["json_object"] = True
    if opening:
        identity["messages"].append({"role": "assistant", "content": opening})
    check_fields = {capabilities.tokens_field or "max_tokens": _CHECK_TOKENS}
    return Request(
        call_id=content_hash(identity),
        identity=identity,
        body=_body(identity, capabilities),
        estimated_tokens=estimated_tokens(prompt + opening, sampling.max_tokens),
        check_body=_plain(model, "Say yes.", check_fields, extra_body),
    )


def probe(model: str, prompt: str, fields: dict[str, Any], extra_body: dict[str, Any]) -> Request:
    """Return a probe with only these fields; an `extra_body` in `fields` overrides the common one."""
    return Request(
        call_id="",
        identity={},
        body=_plain(model, prompt, fields, extra_body),
        estimated_tokens=estimated_tokens(prompt, fields.get("max_tokens") or _PROBE_TOKENS),
        check_body=None,
    )


def _body(identity: Identity, capabilities: Capabilities) -> bytes:
    """Return the JSON of a request, with only those fields that the endpoint honours.

    The seed is a hash of everything except the model, so that two models draw with the same seed.
    """
    sampling = identity["sampling"]
    fields: dict[str, Any] = {
        "model": identity["model"],
        "messages": identity["messages"],
        **sampling_fields(sampling, capabilities),
    }
    if capabilities.seed:
        fields["seed"] = int(content_hash({**identity, "model": None})[:7], 16)
    if identity["schema"] is not None:
        json_schema = {"name": "answer", "schema": identity["schema"], "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    elif identity.get("json_object"):
        fields["response_format"] = {"type": "json_object"}
    if identity["messages"][-1]["role"] == "assistant":
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    fields |= identity["extra_body"]
    if sampling["repetition_penalty"] is not None and capabilities.repetition_penalty:
        fields[capabilities.repetition_penalty] = sampling["repetition_penalty"]
    return orjson.dumps(fields)


def sampling_fields(sampling: dict[str, Any], capabilities: Capabilities) -> dict[str, Any]:
    """Return the fields of a request that come from `sampling`, without seed and repetition penalty."""
    tokens_field = capabilities.tokens_field or "max_tokens"
    fields = {
        "temperature": None if capabilities.fixed_temperature else sampling["temperature"],
        tokens_field: sampling["max_tokens"],
        "top_p": sampling["top_p"],
        "stop": sampling["stop"] or None,
    }
    return {
        name: value
        for name, value in fields.items()
        if value is not None and name not in capabilities.left_out
    }


def estimated_tokens(prompt: str, max_tokens: int) -> int:
    """Return about how many tokens a request takes: 1 for 4 bytes of English or Chinese, plus the answer."""
    return len(prompt.encode("utf-8", "surrogatepass")) // 4 + 8 + max_tokens


def _plain(model: str, prompt: str, fields: dict[str, Any], extra_body: dict[str, Any]) -> bytes:
    values = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    own_extra_body = values.pop("extra_body", {})
    return orjson.dumps(values | extra_body | own_extra_body)
