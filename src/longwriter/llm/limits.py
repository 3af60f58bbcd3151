"""A provider's limits: requests and tokens a minute, kept together by all processes of a checkout.

What was sent in the last minute lies in SQLite files that every process asking the same endpoint
shares. Tokens are counted as providers count them: the prompt, and all that the answer may take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from pyrate_limiter import Limiter, Rate, SQLiteBucket

from longwriter.errors import ModelUnusable
from longwriter.hashing import short_id
from longwriter.params import LLMParams

_MINUTE_MS = 60_000
_MOST_ROWS = 10_000  # a minute's tokens are counted in so many pieces at most: a piece is a row


def tokens_of(prompt: str, max_tokens: int) -> int:
    """Return about how many tokens a request takes: 4 bytes each, in English as in Chinese."""
    return len(prompt.encode("utf-8", "surrogatepass")) // 4 + 8 + max_tokens


class Throttle:
    """The limits of one endpoint; made by `opened`."""

    def __init__(self, params: LLMParams, requests: Limiter | None, tokens: Limiter | None) -> None:
        """Hold the limiters; None = no limit."""
        self._params, self._requests, self._tokens = params, requests, tokens

    async def reserve(self, count: Callable[[], int]) -> None:
        """Wait until a request of so many tokens may be sent; requests go in the order they came.

        Args:
            count: Counts the tokens, where there is a limit of them.

        Raises:
            ModelUnusable: it has more tokens than a whole minute allows.
        """
        limit = self._params.tokens_per_minute
        if self._tokens and limit:
            tokens = count()
            if tokens > limit:
                raise ModelUnusable(
                    f"a request of about {tokens:,} tokens (prompt and max_tokens) is larger than "
                    f"llm.tokens_per_minute {limit:,}: lower max_tokens, or raise the limit"
                )
            piece = _piece(limit)
            await self._tokens.try_acquire_async("tokens", weight=min(-(-tokens // piece), limit // piece))
        if self._requests:
            await self._requests.try_acquire_async("requests")


def _piece(limit: int) -> int:
    """Return the size of a piece, in tokens: the smallest power of ten that keeps the rows few."""
    piece = 1
    while limit / piece > _MOST_ROWS:
        piece *= 10
    return piece


@asynccontextmanager
async def opened(params: LLMParams, endpoint: str, folder: Path) -> AsyncIterator[Throttle]:
    """Yield the limits of an endpoint.

    Args:
        params: Its limits.
        endpoint: What the provider counts together: URL and model.
        folder: Where the files lie that processes share.
    """
    name = short_id(endpoint)
    piece = _piece(params.tokens_per_minute or 1)
    with ExitStack() as stack:

        def limiter(limit: int | None, what: str) -> Limiter | None:
            if limit is None:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            bucket = SQLiteBucket.init_from_file(
                [Rate(limit, _MINUTE_MS)], db_path=str(folder / f"{name}-{what}.sqlite"), use_file_lock=True
            )  # fmt: skip
            made: Limiter = stack.enter_context(Limiter(bucket))
            return made

        per_minute = params.tokens_per_minute
        pieces = None if per_minute is None else per_minute // piece
        yield Throttle(
            params, limiter(params.requests_per_minute, "requests"), limiter(pieces, f"tokens-by-{piece}")
        )
