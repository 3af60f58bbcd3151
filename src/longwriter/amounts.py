"""A number with its noun, for messages, reports and tables. Pure."""

from __future__ import annotations


def amount(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"
