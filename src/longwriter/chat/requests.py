"""Sends requests to a served model, with the benchmark's defaults, and yields the answer while it is written.

If a request names no sampling or no largest number of tokens, it gets the benchmark's values (`generate`). So an
answer here is one that the model could have given in the benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from longwriter.errors import EndpointUnavailable, ModelUnusable, UserError
from longwriter.evaluation import answers
from longwriter.lengths.stated import stated_length
from longwriter.llm.client import Endpoint
from longwriter.params import Params

ROUTE = "/v1/chat/completions"


def with_defaults(body: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Return the body of a chat request; sampling fields that it lacks, or that are null, become the benchmark's.

    Args:
        body: The request; `messages` is a list of {"role", "content"}.
        params: The section `generate` has the sampling and the cap of tokens for each word asked for.

    Raises:
        UserError: `messages` has another form.
    """
    messages = body.get("messages")
    is_valid = isinstance(messages, list) and messages and all(isinstance(item, dict) for item in messages)
    if not isinstance(messages, list) or not is_valid:
        raise UserError('messages: a list of {"role": …, "content": …} is needed')
    sampling = params.generate.sampling
    defaults: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    fields = {name: value for name, value in body.items() if value is not None}
    if not {"max_tokens", "max_completion_tokens"} & set(fields):
        prompt = messages[-1].get("content")
        required = stated_length(prompt) if isinstance(prompt, str) else None
        cap = sampling.max_tokens
        if required:
            cap = answers.token_cap(required, params.generate.max_tokens_per_word, cap)
        defaults["max_tokens"] = cap
    return {name: value for name, value in defaults.items() if value is not None} | fields


def stream(
    endpoint: Endpoint, messages: list[dict[str, str]], params: Params, timeout_s: float
) -> Iterator[tuple[str, str | None]]:
    """Yield (text, None) for each piece of an answer, and at its end ("", why it ended).

    Raises:
        ModelUnusable: the server refuses the request, or breaks off its answer with an error.
        EndpointUnavailable: the server has ended, or does not answer.
    """
    body = with_defaults({"messages": messages}, params) | {"model": endpoint.model, "stream": True}
    transport = httpx2.HTTPTransport(uds=endpoint.socket, verify=False)
    try:
        with (
            httpx2.Client(transport=transport, timeout=timeout_s) as client,
            client.stream("POST", f"http://localhost{ROUTE}", json=body) as reply,
        ):
            if reply.status_code != 200:
                raise ModelUnusable(f"the model refuses the request: {endpoint.quote(reply.read().decode())}")
            yield from _pieces(reply.iter_lines())
    except httpx2.HTTPError as error:
        raise EndpointUnavailable(f"the server of {endpoint.model} does not answer ({error})") from None


def _pieces(lines: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    """Yield what `stream` does, from the lines of server-sent events."""
    reason = "no_end"
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise ModelUnusable(f"the model stopped its answer with an error: {str(event['error'])[:300]}")
        choice = (event.get("choices") or [{}])[0]
        if text := (choice.get("delta") or {}).get("content"):
            yield text, None
        reason = choice.get("finish_reason") or reason
    yield "", reason
