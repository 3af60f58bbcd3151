"""The list of withdrawn rows: ids that no data set may hold, for example because an author withdrew a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from longwriter.errors import BadRecord

FILE = Path("src/longwriter/seeds/withdrawn.txt")
_ID = re.compile("[0-9a-f]{16}")


def read() -> frozenset[str]:
    """Return the withdrawn ids: of instructions, and of general chats.

    Raises:
        BadRecord: a line is neither an id, nor empty, nor a comment.
    """
    ids = set()
    for number, line in enumerate(FILE.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word and not _ID.fullmatch(word):
            raise BadRecord(
                f"{FILE}:{number}: found {word[:80]!r}; allowed: an id of 16 hex digits, or a # comment"
            )
        ids |= {word} - {""}
    return frozenset(ids)


def add(ids: Iterable[str]) -> list[str]:
    """Append ids to the list; return those that were not in it."""
    new = sorted(set(ids) - read())
    text = FILE.read_text(encoding="utf-8", errors="surrogateescape")
    if text and not text.endswith("\n"):
        text += "\n"
    FILE.write_text(text + "".join(f"{name}\n" for name in new), encoding="utf-8", errors="surrogateescape")
    return new
