"""What a request is: its identity, which the replay cache knows it by, and its JSON on the wire."""

from __future__ import annotations

from typing import Any

import orjson

from longwriter.hashing import content_hash
from longwriter.llm.probing import Capabilities
from longwriter.params import Sampling

Identity = dict[str, Any]


def identity(
    model: str,
    prompt: str,
    sampling: Sampling,
    extra_body: dict[str, Any],
    *,
    schema: dict[str, Any] | None,
    json_object: bool,
    attempt: int,
) -> Identity:
    """Return all that decides an answer; equal identities share one stored answer.

    `json_object` is named only where it is asked for: requests from before it was known keep their hash.
    """
    named = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "sampling": sampling.model_dump(),
        "extra_body": extra_body,
        "schema": schema,
        "attempt": attempt,
    }
    return {**named, "json_object": True} if json_object else named


def body(request: Identity, there: Capabilities) -> bytes:
    """Return the JSON of a request, with what the endpoint honours.

    The seed comes from all but the model, so that two models draw with the same.
    """
    sampling = request["sampling"]
    sent: dict[str, Any] = {
        "model": request["model"],
        "messages": request["messages"],
        "temperature": sampling["temperature"],
        there.tokens_field or "max_tokens": sampling["max_tokens"],
    }
    if sampling["top_p"] is not None:
        sent["top_p"] = sampling["top_p"]
    if sampling["stop"]:
        sent["stop"] = sampling["stop"]
    if there.seed:
        sent["seed"] = int(content_hash({**request, "model": None})[:7], 16)
    if request["schema"] is not None:
        wanted = {"name": "answer", "schema": request["schema"], "strict": True}
        sent["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif request.get("json_object"):
        sent["response_format"] = {"type": "json_object"}
    sent |= request["extra_body"]
    if sampling["repetition_penalty"] is not None and there.repetition_penalty:
        sent[there.repetition_penalty] = sampling["repetition_penalty"]
    return orjson.dumps(sent)


def plain(model: str, prompt: str, fields: dict[str, Any], extra_body: dict[str, Any]) -> bytes:
    """Return the JSON of a request with these fields alone; its own `extra_body` adds to that of all."""
    sent = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    own = sent.pop("extra_body", {})
    return orjson.dumps(sent | extra_body | own)
