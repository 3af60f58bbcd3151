"""Rate limits of a provider: requests and tokens a minute, shared by all processes of a checkout.

SQLite files record what was sent in the last minute; all processes that use the same endpoint share them.
Tokens are counted as providers count them: the prompt plus the longest answer that is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from pyrate_limiter import Limiter, Rate, RateItem, SQLiteBucket

from longwriter.errors import ModelUnusable
from longwriter.hashing import short_id
from longwriter.io import databases
from longwriter.io.process import file_lock
from longwriter.params import LLMParams

log = logging.getLogger(__name__)

_MINUTE_MS = 60_000
_COUNT_LATER = "SELECT count(*) FROM rate_bucket WHERE item_timestamp > ?"
_FORGET_LATER = "DELETE FROM rate_bucket WHERE item_timestamp > ?"
_MOST_ROWS = 10_000  # a minute; tokens are counted in pieces, and each piece is a row


class _Bucket(SQLiteBucket):
    """A bucket that drops records of more than a minute ahead; they are left over when the clock is set back."""

    def put(self, item: RateItem) -> bool:
        """Add an item if the limit allows it now; tell whether it was added."""
        with self.lock:
            future = (item.timestamp + _MINUTE_MS,)
            (count,) = self.conn.execute(_COUNT_LATER, future).fetchone()
            if count:
                self.conn.execute(_FORGET_LATER, future)
                self.conn.commit()
        return bool(super().put(item))


class RateLimits:
    """The rate limits of one endpoint; made by `open_limits`."""

    def __init__(
        self, requests: Limiter | None, pieces: Limiter | None, tokens_per_minute: int | None
    ) -> None:
        """Keep a limiter of requests, and a limiter that counts tokens in pieces; None = no limit."""
        self._requests = requests
        self._pieces = pieces
        self._tokens_per_minute = tokens_per_minute

    async def reserve(self, tokens: int) -> None:
        """Wait until a request of `tokens` tokens may be sent; requests are sent in the order of their calls.

        Raises:
            ModelUnusable: the request has more tokens than the limit of a whole minute.
        """
        limit = self._tokens_per_minute
        if self._pieces and limit:
            if tokens > limit:
                raise ModelUnusable(
                    f"a request of about {tokens:,} tokens (prompt and max_tokens) is larger than "
                    f"llm.tokens_per_minute {limit:,}: lower max_tokens, or raise the limit"
                )
            piece = _tokens_per_piece(limit)
            pieces = -(-tokens // piece)  # rounded up
            await self._pieces.try_acquire_async("tokens", weight=min(pieces, limit // piece))
        if self._requests:
            await self._requests.try_acquire_async("requests")


def _tokens_per_piece(limit: int) -> int:
    """Return the smallest power of ten that splits `limit` tokens into at most `_MOST_ROWS` pieces."""
    piece = 1
    while limit / piece > _MOST_ROWS:
        piece *= 10
    return piece


@asynccontextmanager
async def open_limits(params: LLMParams, endpoint: str, folder: Path) -> AsyncIterator[RateLimits]:
    """Yield the rate limits of an endpoint.

    Args:
        params: Has the limits.
        endpoint: URL and model; the provider has one limit for both together.
        folder: Folder of the files that processes share.
    """
    name = short_id(endpoint)
    tokens = params.tokens_per_minute
    piece = _tokens_per_piece(tokens or 1)
    with ExitStack() as stack:

        def limiter(limit: int | None, unit: str) -> Limiter | None:
            if limit is None:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            bucket = _open_bucket(folder / f"{name}-{unit}.sqlite", limit)
            limiter: Limiter = stack.enter_context(Limiter(bucket))
            return limiter

        yield RateLimits(
            requests=limiter(params.requests_per_minute, "requests"),
            pieces=limiter(None if tokens is None else tokens // piece, f"tokens-by-{piece}"),
            tokens_per_minute=tokens,
        )


def _open_bucket(file: Path, limit: int) -> _Bucket:
    """Open the record of one limit; a damaged file, which holds one minute only, and folders in its way are set aside."""
    with file_lock(file.with_name(f"{file.name}.open.lock")):
        databases.clear(file.with_name(f"{file.name}.lock"))  # the lock of the bucket
        for moved in databases.clear_beside(file):
            log.warning("a folder stood where %s needs a file: kept as %s", file.name, moved.name)
        if damage := databases.damage(file):
            log.warning("%s is damaged (%s): kept as %s", file, damage, databases.set_aside(file).name)
        rates = [Rate(limit, _MINUTE_MS)]
        bucket = _Bucket.init_from_file(rates, db_path=str(file), use_file_lock=True)
    assert isinstance(bucket, _Bucket)
    return bucket
