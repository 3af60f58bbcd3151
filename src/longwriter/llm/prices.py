"""Prices of tokens: read from the table `infra/prices.yaml`, which users keep up to date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from longwriter.errors import BadParams
from longwriter.params.common import NotNegative

PRICES = Path("infra/prices.yaml")


class Price(BaseModel):
    """USD per million tokens; `cached_input` null = the provider gives no discount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: NotNegative
    cached_input: NotNegative | None
    output: NotNegative
    read_on: date | None = None
    page: str | None = None


FREE = Price(input=0.0, cached_input=0.0, output=0.0)
"""The price of a local engine."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # other keys hold YAML anchors

    models: dict[str, Price]


def price(model: str, path: Path = PRICES) -> Price | None:
    """Return the price of a model by its name, or None if the table does not have it.

    Raises:
        BadParams: the table is not YAML, or does not fit; the message names the first wrong key.
    """
    if not path.is_file():
        return None
    try:
        table = _Table.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise BadParams(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadParams(f"{path}: {key}: {first['msg']}") from None
    return table.models.get(model)


def cost(price: Price, prompt_tokens: float, cached_tokens: float, completion_tokens: float) -> float:
    """Return the cost of an answer, in USD.

    Args:
        price: The model's price.
        prompt_tokens: Tokens of the request, including those from the provider's cache.
        cached_tokens: The part of them that came from the provider's cache.
        completion_tokens: Tokens of the answer.
    """
    cached_price = price.input if price.cached_input is None else price.cached_input
    fresh = (prompt_tokens - cached_tokens) * price.input
    return (fresh + cached_tokens * cached_price + completion_tokens * price.output) / 1e6
