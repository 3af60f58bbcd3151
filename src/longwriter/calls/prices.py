"""Prices of tokens: read from the table `infra/prices.yaml`, which users keep up to date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from longwriter.settings import problems, yaml_file
from longwriter.settings.numbers import TokenPrice
from longwriter.settings.texts import Line

PRICES = Path("infra/prices.yaml")


class Price(BaseModel):
    """USD per million tokens; `cached_input` null = the provider gives no discount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: TokenPrice
    """Tokens of the prompt."""
    cached_input: TokenPrice | None
    """Tokens of the prompt that the provider had in its cache."""
    output: TokenPrice
    """Tokens of the answer."""
    read_on: date | None = None
    """Day on which the price was read."""
    page: Line | None = None
    """Where it was read."""


FREE = Price(input=0.0, cached_input=0.0, output=0.0)
"""The price of a local engine."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # other keys hold YAML anchors

    models: dict[str, Price]


def price(model: str, path: Path = PRICES) -> Price | None:
    """Return the price of a model by its name, or None if the table does not have it.

    Raises:
        BadParams: the table is not YAML or has wrong keys; the message has one line for each wrong key.
    """
    if not path.is_file():
        return None
    table = problems.checked(_Table, yaml_file.read(path, with_dates=True))
    return table.models.get(model)


def cost(price: Price, prompt_tokens: float, cached_tokens: float, completion_tokens: float) -> float:
    """Return the cost of an answer, in USD.

    Args:
        price: The model's price.
        prompt_tokens: Tokens of the prompt, including those from the provider's cache.
        cached_tokens: Those tokens of the prompt that came from the provider's cache.
        completion_tokens: Tokens of the answer.
    """
    cached_price = price.input if price.cached_input is None else price.cached_input
    fresh = (prompt_tokens - cached_tokens) * price.input
    return (fresh + cached_tokens * cached_price + completion_tokens * price.output) / 1e6
