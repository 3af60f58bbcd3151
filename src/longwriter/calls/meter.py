"""Counts the calls, tokens and USD of one client, and stops it when the budget is spent. Does no I/O itself."""

from __future__ import annotations

from longwriter.amounts import amount
from longwriter.calls import prices
from longwriter.calls.call_log import Call
from longwriter.calls.prices import PRICES, Price
from longwriter.errors import BudgetReached, ModelUnusable


class Meter:
    """Counts the answers that a client used, both new and replayed ones."""

    def __init__(self, model: str, price: Price | None, max_cost_usd: float | None) -> None:
        """Start at zero.

        Args:
            model: Name of the model, for messages.
            price: The price of the model; None = unknown.
            max_cost_usd: The budget; None = unlimited.

        Raises:
            ModelUnusable: there is a budget, but no price.
        """
        if max_cost_usd is not None and price is None:
            raise ModelUnusable(
                f"llm.max_cost_usd is {max_cost_usd:g}, and {PRICES} has no price for {model}: "
                "add it there, or set max_cost_usd to null"
            )
        self._model = model
        self._price = price
        self._max_cost_usd = max_cost_usd
        self.sent = 0
        self.replayed = 0
        self.uncounted = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.cost_usd = 0.0

    def add(self, call: Call) -> None:
        """Count an answer that is used.

        Raises:
            ModelUnusable: there is a budget, but the answer has no usable token counts.
        """
        usage = call.completion.usage
        if usage is None and self._max_cost_usd is not None and self._price != prices.FREE:
            raise ModelUnusable(
                f"an answer of {self._model} has no usable token counts, so its cost is unknown: "
                "set llm.max_cost_usd to null"
            )
        self.replayed += call.replayed
        self.sent += not call.replayed
        if usage is None:
            self.uncounted += 1
            return
        prompt, cached, completion = usage
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        self.completion_tokens += completion
        if self._price:
            self.cost_usd += prices.cost(self._price, prompt, cached, completion)

    def raise_if_spent(self) -> None:
        """Check the budget.

        Raises:
            BudgetReached: the used answers cost `max_cost_usd` or more.
        """
        if self._max_cost_usd is not None and self.cost_usd >= self._max_cost_usd:
            raise BudgetReached(
                f"the budget is spent: the used answers cost ${self.cost_usd:.2f}, and llm.max_cost_usd is "
                f"{self._max_cost_usd:g}. All paid answers are stored: raise the limit and run again to continue"
            )

    def usage(self) -> dict[str, float]:
        """Return the counts by name; `cost_usd` only if the price is known.

        `calls_uncounted` are the answers without usable token counts; tokens and cost leave them out.
        """
        counts: dict[str, float] = {
            "calls_sent": self.sent,
            "calls_replayed": self.replayed,
            "calls_uncounted": self.uncounted,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }
        return counts if self._price is None else {**counts, "cost_usd": round(self.cost_usd, 6)}

    def note(self) -> str:
        """Return the counts in one line."""
        unknown = f", tokens of {amount(self.uncounted, 'call')} unknown" if self.uncounted else ""
        cost = f", ${self.cost_usd:,.2f}" if self._price and self._price != prices.FREE else ""
        return (
            f"{amount(self.sent, 'call')}, {self.replayed:,} replayed, {amount(self.prompt_tokens, 'token')} in "
            f"({self.cached_tokens:,} cached), {self.completion_tokens:,} out{cost}{unknown}"
        )
