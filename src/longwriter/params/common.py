"""The base of every section of params.yaml, and types that the sections share."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

_NUMERAL = re.compile(
    r"(?P<whole>[-+]?\d+)(?P<part>\.\d*)?(?:e(?P<sign>[-+]?)(?P<power>\d+))?", re.IGNORECASE
)


def _no_numeral_as_text(value: Any) -> Any:
    """Return `value`; an error if it is a number that YAML reads as text, such as 5e-5."""
    match = _NUMERAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    power = f"e{match['sign'] or '+'}{match['power']}" if match["power"] else ""
    number = f"{match['whole']}{match['part'] or '.0'}{power}"
    raise PydanticCustomError("text_number", f"YAML reads this as text: write {number}, without quotes")


Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_numeral_as_text)]
"""A finite number: an int or a float; neither a boolean nor a text."""
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Seconds = Positive
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: frozen, strict types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def keys(section: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of a section as the file spells them, each with its annotation."""
    return {field.alias or name: field.annotation for name, field in section.model_fields.items()}
