"""What a client used: calls, tokens and money, and the limit of the money."""

from __future__ import annotations

from longwriter.errors import BudgetReached, ModelUnusable
from longwriter.llm import prices
from longwriter.llm.call_log import Call, tokens
from longwriter.llm.prices import PRICES, Price


class Meter:
    """Counts the answers that one client used, whether sent or replayed."""

    def __init__(self, model: str, price: Price | None, max_cost_usd: float | None) -> None:
        """Begin at zero.

        Raises:
            ModelUnusable: there is a limit, and no price to keep it by.
        """
        if max_cost_usd is not None and price is None:
            raise ModelUnusable(
                f"llm.max_cost_usd is {max_cost_usd:g}, and {PRICES} has no price for {model}: "
                "add it there, or set max_cost_usd to null"
            )
        self._model, self._price, self._limit = model, price, max_cost_usd
        self.sent = self.replayed = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.cost_usd = 0.0

    def add(self, call: Call) -> None:
        """Count an answer that is used.

        Raises:
            ModelUnusable: there is a limit, and the answer does not say what it took.
        """
        prompt, cached, completion = tokens(call.answer)
        if self._limit is not None and self._price != prices.FREE and not (prompt or completion):
            raise ModelUnusable(
                f"answers of {self._model} have no token counts: llm.max_cost_usd cannot be kept, set it to null"
            )
        self.replayed += call.replayed
        self.sent += not call.replayed
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        self.completion_tokens += completion
        if self._price:
            self.cost_usd += prices.cost(self._price, prompt, cached, completion)

    def check(self) -> None:
        """Let a further request pass, while there is money for it.

        Raises:
            BudgetReached: what was used cost the limit.
        """
        if self._limit is not None and self.cost_usd >= self._limit:
            raise BudgetReached(
                f"the answers used cost ${self.cost_usd:.2f}, llm.max_cost_usd is {self._limit:g}. "
                "All that was paid for is stored: raise the limit and run again, and it goes on from here"
            )

    def usage(self) -> dict[str, float]:
        """Return the numbers by name; `cost_usd` only where the price is known."""
        counts: dict[str, float] = {
            "calls_sent": self.sent,
            "calls_replayed": self.replayed,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }
        return counts if self._price is None else {**counts, "cost_usd": round(self.cost_usd, 6)}

    def note(self) -> str:
        """Return it in one line."""
        money = f", ${self.cost_usd:,.2f}" if self._price and self._price != prices.FREE else ""
        return (
            f"{self.sent:,} calls, {self.replayed:,} replayed, {self.prompt_tokens:,} tokens in "
            f"({self.cached_tokens:,} cached), {self.completion_tokens:,} out{money}"
        )
