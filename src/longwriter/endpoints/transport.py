"""One HTTP request to an OpenAI-compatible endpoint, and what its reply means.

Only a complete chat completion is returned as an answer. A failure that another try may cure raises `Fault`:
status 408, 409, 425, 429 and 5xx, lost connections, time-outs, broken JSON, too large bodies, and web pages
or errors with status 200. Any other failure raises an exception that is not retried. A message about the
account (`error_bodies`) counts before the status.

Requests hold the key and the user's texts, so a redirect is followed only on the same host and port.

Two shortcuts save CPU time in each call: passing the complete URL saves 5 to 10 %, and leaving out the
`X-Stainless` headers saves 10 % or more. Measured at 256 concurrent requests with `infra/bench/llm_throughput.py` (medians
on two busy cores, so only the order of magnitude is certain).
"""

from __future__ import annotations

import asyncio
import email.utils
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
import orjson
from openai import AsyncOpenAI, DefaultAioHttpClient

from longwriter.calls import answers, error_bodies
from longwriter.calls.answers import Completion, NoCompletion
from longwriter.endpoints import reading
from longwriter.endpoints.endpoint import Endpoint, Fault
from longwriter.errors import (
    EndpointUnavailable,
    LongWriterError,
    ModelUnusable,
    NoAnswer,
    without_password,
)
from longwriter.params import LLMParams

_REFUSED = (400, 413, 422)  # the server refuses only this request
_TEMPORARY = (408, 409, 425, 429)
_LONGEST_WAIT_S = 900.0  # if a server asks for a longer wait, the stage ends
_CONNECT_S = 30.0
_IDLE_CONNECTION_S = 60.0
_LARGEST_BODY = 32 * 2**20  # bytes after decompression; an answer of 100,000 words has 0.6 MB
_REDIRECTS = (301, 302, 307, 308)  # followed with the same method and body
_MOST_REDIRECTS = 3


class Transport:
    """Sends request bodies to one endpoint; made by `open_transport`."""

    def __init__(self, endpoint: Endpoint, client: AsyncOpenAI, timeout_s: float) -> None:
        """Send through `client`; a whole reply may take `timeout_s`."""
        self.endpoint = endpoint
        self._client = client
        self._timeout_s = timeout_s
        base = str(client.base_url).rstrip("/")  # a URL without a path has no slash at its end
        self._url = f"{base}/chat/completions"  # complete: a relative one would be joined in each call
        self._options: Any = {"headers": _without("Retry-Count", "Read-Timeout")}

    async def post(self, body: bytes) -> Completion:
        """Return the chat completion that answers the JSON `body`.

        Raises:
            Fault: this try failed; another one may succeed.
            EndpointUnavailable: the server asks to wait for more than a quarter of an hour.
            NoAnswer: the server refuses this request. The message has no URL, because it goes into data.
            ModelUnusable: the server refuses the key, the model, or every request.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._reply(body)
        except _BodyTooLarge:
            raise Fault(f"sent a reply of more than {_LARGEST_BODY / 1e6:.0f} MB: it is not read") from None
        except _BrokenOff as error:
            raise Fault(f"broke off its reply ({self.endpoint.quote(str(error))})") from None
        except TimeoutError:
            raise Fault(f"did not answer within {self._timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            if certificate := _bad_certificate(error):
                raise ModelUnusable(
                    f"the certificate of {self.endpoint.where} is not valid ({certificate}), so neither key nor texts "
                    "are sent there: check llm.base_url, renew the certificate, or name the file of your own "
                    "authority in the environment variable SSL_CERT_FILE"
                ) from None
            reason = self.endpoint.quote(str(error.__cause__ or error))
            raise Fault(f"cannot be reached ({reason})") from None
        except (aiohttp.ClientError, httpx2.HTTPError) as error:
            reason = self.endpoint.quote(str(error))
            raise Fault(f"sent a reply that is not HTTP ({reason})") from None
        if not 200 <= reply.status_code < 300:  # frameworks such as NestJS answer a POST with 201
            raise _error(reply, self.endpoint, body)
        try:
            return await reading.run_by_size(len(reply.content), answers.read, reply.content)
        except NoCompletion as error:
            _raise_if_account(reply, self.endpoint, body)
            raise Fault(
                f"answered {reply.status_code} with {error}: {_message(reply, self.endpoint)}"
            ) from None

    async def tokens_under_way(self) -> int | None:
        """Return how many tokens a llama.cpp server has written of the answers under way; None if it does not say."""
        try:
            reply = await self._client.get(
                f"{self.endpoint.origin}/slots", cast_to=httpx2.Response, options=self._options
            )
            slots = [slot for slot in orjson.loads(reply.content) if slot["is_processing"]]
            return sum(int(token["n_decoded"]) for slot in slots for token in slot.get("next_token", ()))
        except (openai.OpenAIError, aiohttp.ClientError, httpx2.HTTPError, ValueError, TypeError, KeyError):
            return None  # only the progress bar shows it; other servers have no such page

    async def _reply(self, body: bytes) -> httpx2.Response:
        """Return the reply to `body`, after at most `_MOST_REDIRECTS` redirects on the same host and port."""
        url = self._url
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                return await self._client.post(
                    url, cast_to=httpx2.Response, content=body, options=self._options
                )
            except openai.APIStatusError as error:
                reply = error.response
            if not 300 <= reply.status_code < 400:
                return reply
            url = self._target(reply)
        raise ModelUnusable(
            f"{self.endpoint.where} redirects in a circle: set llm.base_url to its real address"
        )

    def _target(self, reply: httpx2.Response) -> str:
        """Return where a reply redirects to.

        Raises:
            ModelUnusable: it leads to another host or nowhere, or does not keep method and body.
        """
        if reply.status_code not in _REDIRECTS or "location" not in reply.headers:
            raise ModelUnusable(
                f"{self.endpoint.where} answered {reply.status_code}, which is no chat completion and names no other address: "
                "set llm.base_url to the right server"
            )
        try:
            target = reply.url.join(reply.headers.get("location", ""))
        except httpx2.InvalidURL as error:
            raise ModelUnusable(
                f"{self.endpoint.where} answered {reply.status_code}: it redirects to an address that is no URL "
                f"({self.endpoint.quote(str(error))}): set llm.base_url to the right server"
            ) from None
        is_same = (target.scheme, target.host, target.port) == (
            reply.url.scheme,
            reply.url.host,
            reply.url.port,
        )
        is_upgrade = (reply.url.scheme, target.scheme) == ("http", "https") and (
            (target.host, target.port, reply.url.port) == (reply.url.host, None, None)
        )
        if not (is_same or is_upgrade):
            address = f"{target.scheme}://{target.netloc.decode()}"
            raise ModelUnusable(
                f"{self.endpoint.where} answered {reply.status_code}: it redirects to {without_password(address)}. "
                "Neither key nor texts are sent there. If that is the right server, set llm.base_url to it"
            )
        return str(target)


def _bad_certificate(error: BaseException | None) -> str | None:
    """Return what is wrong with a server's certificate if that caused an error, else None."""
    while error is not None:
        message = getattr(error, "verify_message", None)  # aiohttp's error around it has none
        if isinstance(error, ssl.SSLCertVerificationError) and message:
            return str(message).rstrip(".")
        error = error.__cause__ or error.__context__
    return None


class _BodyTooLarge(Exception):
    """A reply has more bytes than `_LARGEST_BODY`."""


class _BrokenOff(Exception):
    """A server closed the connection before the end of its reply."""


class _LimitedClient(DefaultAioHttpClient):
    """Reads at most `_LARGEST_BODY` bytes of a reply; counts them after decompression."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Return the reply with its whole body; if that cannot be decompressed, with a sentence that says so.

        Raises:
            _BodyTooLarge: the body is larger.
            _BrokenOff: the connection ended before the body did.
        """
        reply = await super().send(request, stream=True, **options)
        encoding = reply.headers.get("content-encoding", "identity")
        parts: list[bytes] = []
        try:
            size = int(reply.headers.get("content-length", "-1"))
            if size > _LARGEST_BODY:
                raise _BodyTooLarge
            if size >= 0 and "content-encoding" not in reply.headers:  # no more than `size` bytes are read
                await reply.aread()
                return reply
            size = 0
            async for part in reply.aiter_bytes():
                size += len(part)
                if size > _LARGEST_BODY:
                    raise _BodyTooLarge
                parts.append(part)
        except httpx2.DecodingError:
            parts = [f"a body that cannot be decompressed as {encoding}".encode()]
        except (httpx2.NetworkError, httpx2.ProtocolError) as error:
            raise _BrokenOff(error) from error
        finally:
            await reply.aclose()
        if not _is_known(encoding, request) and not _is_text(b"".join(parts)):
            parts = [f"a body that is compressed as {encoding}, which was not asked for".encode()]
        headers = [
            (name, value)
            for name, value in reply.headers.multi_items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx2.Response(reply.status_code, headers=headers, content=b"".join(parts), request=request)


def _is_known(encoding: str, request: httpx2.Request) -> bool:
    """Tell whether a reply is compressed in a way that its request asked for, or not at all."""
    known = {"identity", *request.headers.get("accept-encoding", "").replace(" ", "").split(",")}
    return known >= set(encoding.lower().replace(" ", "").split(","))


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


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
        http_client=_LimitedClient(
            limits=limits, follow_redirects=False, transport=_unix_socket(endpoint, limits)
        ),
    ) as client:
        yield Transport(endpoint, client, params.timeout_s)


def _unix_socket(endpoint: Endpoint, limits: httpx2.Limits) -> httpx2.AsyncHTTPTransport | None:
    """Return the connections to an engine that listens on a Unix socket; None for other endpoints."""
    if endpoint.socket is None:
        return None
    return httpx2.AsyncHTTPTransport(uds=endpoint.socket, limits=limits)


def _without(*names: str) -> Any:
    """Return headers that make the library omit its headers about this machine; no endpoint needs them."""
    return {f"X-Stainless-{name}": openai.Omit() for name in names}


def _error(reply: httpx2.Response, endpoint: Endpoint, request: bytes) -> Fault | LongWriterError:
    """Return what an HTTP status other than 200 to 299 means."""
    text = f"answered {reply.status_code}: {_message(reply, endpoint)}"
    _raise_if_account(reply, endpoint, request)
    if reply.status_code in _REFUSED or error_bodies.refuses_request(reply.status_code, reply.content):
        return NoAnswer(text, "request_refused")
    if reply.status_code in _TEMPORARY or reply.status_code >= 500:
        requested_s = wait_s(reply.headers, time.time())
        if requested_s is not None and requested_s > _LONGEST_WAIT_S:
            return EndpointUnavailable(
                f"{endpoint.where} {text}. It asks to wait {requested_s:,.0f} s: run again after that. "
                "All answers so far are stored, and the next run continues from here"
            )
        return Fault(text, requested_s)
    if reply.status_code == 404 and not urlsplit(endpoint.where).path.strip("/"):
        text += ". The URL has no path: most endpoints need /v1 at its end"
    return ModelUnusable(
        f"{endpoint.where} {text}. Check llm.model, llm.base_url and the key, or "
        "--model, --base-url and --api-key-env"
    )


def _raise_if_account(reply: httpx2.Response, endpoint: Endpoint, request: bytes) -> None:
    """Check that a reply without an answer does not concern the account.

    Raises:
        ModelUnusable: it concerns the account.
    """
    prompt = orjson.loads(request)["messages"][0]["content"]
    if error_bodies.concerns_account(reply.status_code, reply.content, prompt):
        raise ModelUnusable(
            f"{endpoint.where} answered {reply.status_code}: {_message(reply, endpoint)}. This concerns the "
            "account (key, credit, budget or quota), so no more requests are sent and no row is rejected: check the "
            "key and the account, and run again. All answers so far are stored"
        )


def _message(reply: httpx2.Response, endpoint: Endpoint) -> str:
    return endpoint.quote(error_bodies.message(reply.content))


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
