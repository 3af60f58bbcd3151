"""Where the base model comes from: source, revision and licence, as the cards of the trained models name them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FILE = "origin.json"
"""File of the stage base_model, beside its weights."""
_FRONT = re.compile(r"\A---\s*\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^license:[ \t]*['\"]?([A-Za-z0-9][\w.+-]{0,60})['\"]?[ \t]*$", re.MULTILINE)
_LONGEST = 1 << 20  # bytes of a card that are read


class Origin(NamedTuple):
    """The source of a base model."""

    source: str
    """`hub:OWNER/NAME`, `pypi:PACKAGE==VERSION`, or `a local folder`: a path would differ between machines."""
    revision: str | None
    """Commit on the hub, or sha256 of the package; None = unknown."""
    licence: str | None
    """Identifier, such as apache-2.0; None = the source does not say."""


def licence_of(folder: Path) -> str | None:
    """Return the licence that the card of a model (README.md) or else its GGUF names; None if neither does."""
    card = folder / "README.md"
    if card.is_file():
        with card.open("rb") as content:
            text = content.read(_LONGEST).decode("utf-8", errors="replace")
        if licence := _named(text):
            return licence
    gguf = folder / "model.gguf"
    if not gguf.is_file():
        return None
    from longwriter.models.base.gguf_file import GGUFFile

    field = GGUFFile(gguf).fields.get("general.license")
    return _named(f"---\nlicense: {field.contents()}\n---\n") if field else None


def _named(card: str) -> str | None:
    """Return the licence in the front matter of a card."""
    front = _FRONT.match(card)
    licence = _LICENCE.search(front[1]) if front else None
    return licence[1].lower() if licence else None
