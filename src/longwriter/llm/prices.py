"""What tokens cost: the price table `infra/prices.yaml`, which people keep."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from longwriter.errors import BadParams
from longwriter.params.common import NotNegative

PRICES = Path("infra/prices.yaml")


class Price(BaseModel):
    """USD for a million tokens; `cached_input` null = the provider gives no discount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: NotNegative
    cached_input: NotNegative | None
    output: NotNegative
    read_on: date | None = None
    page: str | None = None


FREE = Price(input=0.0, cached_input=0.0, output=0.0)
"""Of a local engine."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # sources that prices share

    models: dict[str, Price]


def price(model: str, path: Path = PRICES) -> Price | None:
    """Return the price of the model that is named so, or None where the table has none.

    Raises:
        BadParams: the table is no YAML, or names the first key that is wrong.
    """
    if not path.is_file():
        return None
    try:
        table = _Table.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise BadParams(f"{path} is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadParams(f"{path}: {key}: {first['msg']}") from None
    return table.models.get(model)


def cost(at: Price, prompt_tokens: float, cached_tokens: float, completion_tokens: float) -> float:
    """Return what an answer cost, in USD.

    Args:
        at: The model's price.
        prompt_tokens: Tokens of the request, those from the provider's cache included.
        cached_tokens: Those of them that came from the provider's cache.
        completion_tokens: Tokens of the answer.
    """
    cached_price = at.input if at.cached_input is None else at.cached_input
    fresh = (prompt_tokens - cached_tokens) * at.input
    return (fresh + cached_tokens * cached_price + completion_tokens * at.output) / 1e6
