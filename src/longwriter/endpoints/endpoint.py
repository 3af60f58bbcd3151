"""Where a model answers, and how a try there fails.

This module is separate from `transport`, so a stage that asks no model does not import openai and aiohttp. That
saves 0.5 CPU seconds.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_SHOWN_CHARACTERS = 300  # of a server's message


class Endpoint(NamedTuple):
    """Where a model answers: URL ending in /v1, the model's name there, and the key.

    `model` identifies the weights: for an engine that this pipeline started (`is_local`) the name holds
    their hash, because the name is part of every request hash. The key never shows in a repr. `socket` is
    the path of the Unix socket where such an engine listens; None = TCP, to the host of the URL.
    """

    base_url: str | None
    model: str
    api_key: str
    is_local: bool = False
    socket: str | None = None

    def __repr__(self) -> str:
        """Return everything except the key."""
        return f"Endpoint(base_url={self.base_url!r}, model={self.model!r})"

    @property
    def name(self) -> str:
        """Return the model's name, and its URL if this pipeline did not start it."""
        return self.model if self.is_local else f"{self.model} at {self.where}"

    @property
    def where(self) -> str:
        """Return the URL; OpenAI's if the parameters have none."""
        return self.base_url or "https://api.openai.com/v1"

    @property
    def origin(self) -> str:
        """Return scheme, host and port of the URL; two URLs with the same origin count as one endpoint."""
        return origin(self.where)

    def quote(self, message: str) -> str:
        """Return the beginning of a server's message, without the key if the server repeats it."""
        safe = message.replace(self.api_key, "(key)") if len(self.api_key) > 5 else message
        return " ".join(safe.split())[:_SHOWN_CHARACTERS]


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, such as `https://api.openai.com:443`; a name without `://` as it is."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port or {"http": 80, "https": 443}.get(scheme, 0)
    return f"{scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


class Fault(Exception):
    """A try that failed and may be repeated, after `wait_s` seconds if the server asked for that."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        """Keep the message and the time that the server asked to wait."""
        super().__init__(message)
        self.wait_s = wait_s
