"""One HTTP request to an OpenAI-compatible endpoint, and what its reply means.

Only a complete chat completion is returned as an answer. A failure that another try may cure raises `Fault`:
status 408, 409, 425, 429 and 5xx, lost connections, time-outs, broken JSON, and web pages or errors with
status 200. Any other failure raises an exception that is not retried.

Two shortcuts save CPU time in each call: the whole URL saves 5 to 10 %, and leaving out the `X-Stainless`
headers saves 10 % or more. Measured at 256 concurrent requests with `infra/bench/llm_throughput.py` (medians
on two busy cores, so only the order of magnitude is certain).
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import httpx2
import openai
import orjson
from openai import AsyncOpenAI, DefaultAioHttpClient

from longwriter.errors import EndpointUnavailable, LongWriterError, ModelUnusable, NoAnswer
from longwriter.params import LLMParams

_REFUSED = (400, 413, 422)  # the server refuses only this request
_MAY_PASS = (408, 409, 425, 429)
_LONGEST_WAIT_S = 900.0  # beyond it the stage ends, and may be started again when the server is ready
_CONNECT_S = 30.0
_IDLE_CONNECTION_S = 60.0
_SHOWN_CHARACTERS = 300  # of a server's message


class Endpoint(NamedTuple):
    """Where a model answers: URL ending in /v1, the model's name there, and the key.

    `model` identifies the weights: for an engine that this pipeline started (`is_local`) the name holds
    their hash, because the name is part of every request hash. The key never shows in a repr.
    """

    base_url: str | None
    model: str
    api_key: str
    is_local: bool = False

    def __repr__(self) -> str:
        """Return everything except the key."""
        return f"Endpoint(base_url={self.base_url!r}, model={self.model!r})"

    @property
    def where(self) -> str:
        """Return the URL; OpenAI's if the parameters have none."""
        return self.base_url or "https://api.openai.com/v1"

    def quote(self, message: str) -> str:
        """Return the beginning of a server's message, without the key if the server repeats it."""
        hidden = message.replace(self.api_key, "(key)") if len(self.api_key) > 5 else message
        return " ".join(hidden.split())[:_SHOWN_CHARACTERS]


class Fault(Exception):
    """A try that failed and may be repeated, after `wait_s` seconds if the server asked for that."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        """Keep the message and the time that the server asked to wait."""
        super().__init__(message)
        self.wait_s = wait_s


class Transport:
    """Sends request bodies to one endpoint; made by `open_transport`."""

    def __init__(self, endpoint: Endpoint, client: AsyncOpenAI, timeout_s: float) -> None:
        """Send through `client`; a whole reply may take `timeout_s`."""
        self.endpoint = endpoint
        self._client = client
        self._timeout_s = timeout_s
        self._url = f"{client.base_url}chat/completions"  # whole: a relative one costs a join each time
        self._options: Any = {"headers": _without("Retry-Count", "Read-Timeout")}

    async def post(self, body: bytes) -> dict[str, Any]:
        """Return the chat completion that answers the JSON `body`.

        Raises:
            Fault: this try failed; another one may succeed.
            EndpointUnavailable: the server asks to wait for more than a quarter of an hour.
            NoAnswer: the server refuses this request. The message has no URL, because it goes into data.
            ModelUnusable: the server refuses the key, the model, or every request.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._client.post(
                    self._url, cast_to=httpx2.Response, content=body, options=self._options
                )
        except openai.APIStatusError as error:
            reply = error.response
        except TimeoutError:
            raise Fault(f"did not answer within {self._timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            raise Fault(f"cannot be reached ({error.__cause__ or error})") from None
        except (aiohttp.ClientError, httpx2.HTTPError) as error:
            raise Fault(f"sent a reply that is not HTTP ({error})") from None
        return _completion(reply, self.endpoint)


@asynccontextmanager
async def open_transport(endpoint: Endpoint, params: LLMParams) -> AsyncIterator[Transport]:
    """Yield the transport to an endpoint, with room for `params.max_concurrency` connections."""
    limits = httpx2.Limits(max_connections=params.max_concurrency + 8, keepalive_expiry=_IDLE_CONNECTION_S)
    async with AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        timeout=httpx2.Timeout(params.timeout_s, connect=min(_CONNECT_S, params.timeout_s)),
        max_retries=0,
        default_headers=_without(
            "Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async"
        ),
        http_client=DefaultAioHttpClient(limits=limits),
    ) as client:
        yield Transport(endpoint, client, params.timeout_s)


def _without(*names: str) -> Any:
    """Return headers that make the library omit its headers about this machine; no endpoint needs them."""
    return {f"X-Stainless-{name}": openai.Omit() for name in names}


def _completion(reply: httpx2.Response, endpoint: Endpoint) -> dict[str, Any]:
    """Return a reply's chat completion, or raise the error that the reply means."""
    if reply.status_code != 200:
        raise _error(reply, endpoint)
    try:
        answer: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        kind = "a web page" if reply.content.lstrip()[:1] == b"<" else "broken JSON"
        raise Fault(f"answered 200 with {kind}: {_message(reply, endpoint)}") from None
    if not isinstance(answer, dict) or answer.get("error"):
        raise Fault(f"answered 200 without a chat completion: {_message(reply, endpoint)}")
    choices = answer.get("choices")
    if not choices or not isinstance(choices, list):
        raise Fault(f"answered 200 without a chat completion: {_message(reply, endpoint)}")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or choice.get("finish_reason") == "error":
        raise Fault(f"answered 200 with a failed completion: {_message(reply, endpoint)}")
    if not isinstance(message.get("content") or "", str):
        raise Fault(f"answered 200 with a message that is not text: {_message(reply, endpoint)}")
    return answer


def _error(reply: httpx2.Response, endpoint: Endpoint) -> Fault | LongWriterError:
    """Return what an HTTP status other than 200 means."""
    text = f"answered {reply.status_code}: {_message(reply, endpoint)}"
    if reply.status_code == 429 and b"insufficient_quota" in reply.content:
        return ModelUnusable(
            f"{endpoint.where} {text}. The account's credit is used up: waiting does not help"
        )
    if reply.status_code in _MAY_PASS or reply.status_code >= 500:
        requested_s = wait_s(reply.headers, time.time())
        if requested_s is not None and requested_s > _LONGEST_WAIT_S:
            return EndpointUnavailable(
                f"{endpoint.where} {text}. It asks to wait {requested_s:,.0f} s: run again after that. "
                "All answers so far are stored, and the next run continues from here"
            )
        return Fault(text, requested_s)
    if reply.status_code in _REFUSED:
        return NoAnswer(text, "request_refused")
    return ModelUnusable(f"{endpoint.where} {text}. Check llm.model, llm.base_url and the key")


def _message(reply: httpx2.Response, endpoint: Endpoint) -> str:
    """Return the error message in a reply's body if it has one, else the beginning of the body."""
    try:
        content = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        content = None
    error = content.get("error", content) if isinstance(content, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = message if isinstance(message, str) and message else reply.content[:2000].decode(errors="replace")
    return endpoint.quote(text)


def wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds a server asks to wait, or None if it does not say.

    Args:
        headers: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date.
        now: Unix time, for dates.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) / scale
        except ValueError:
            seconds = -1.0
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except ValueError:
        return None
