"""How much a text repeats itself: shares of duplicate lines, paragraphs and n-grams, and between sections.

The measures and thresholds of the n-grams are Gopher's (Rae et al. 2021, arXiv:2112.11446, table A1); n-grams
are of `text.tokens`, so that Chinese counts by characters, and shares are of the tokens' characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from longwriter.text.counting import tokens

GOPHER = {
    "lines": 0.30, "paragraphs": 0.30, "line_chars": 0.20, "paragraph_chars": 0.20,
    "top_2": 0.20, "top_3": 0.18, "top_4": 0.16,
    "duplicate_5": 0.15, "duplicate_6": 0.14, "duplicate_7": 0.13, "duplicate_8": 0.12, "duplicate_9": 0.11,
    "duplicate_10": 0.10,
}  # fmt: skip
"""The published thresholds: shares of duplicate lines and paragraphs, of the characters in them, in the
most frequent n-gram (`top_n`), and in n-grams that stood before (`duplicate_n`)."""

_SECTION = 20  # tokens: a shorter section is a heading or a line of talk, and may come again
_BLANK_LINE = re.compile(r"\n\s*\n")


def duplicate_share(parts: Iterable[str], by_chars: bool = False) -> float:
    """Return the share of non-empty parts (lines, paragraphs) that stood before; 0 where there are none.

    Args:
        parts: In their order.
        by_chars: Count their characters, not the parts.
    """
    kept = [part.strip() for part in parts if part.strip()]
    whole, once = (sum(len(part) if by_chars else 1 for part in some) for some in (kept, set(kept)))
    return 1 - once / whole if whole else 0.0


def top_share(words: Sequence[str], n: int) -> float:
    """Return the share of characters that the most frequent n-gram covers; 0 where none comes twice."""
    grams = Counter(zip(*(words[start:] for start in range(n)), strict=False))
    if not grams:
        return 0.0
    gram, times = max(grams.items(), key=lambda item: (item[1] * _chars(item[0]), item[0]))
    return min(1.0, times * _chars(gram) / _chars(words)) if times > 1 else 0.0


def repeated_chars_share(words: Sequence[str], n: int) -> float:
    """Return the share of characters that lie in an n-gram which stood before; each counts once."""
    seen: set[tuple[str, ...]] = set()
    covered = chars = 0
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if gram in seen:
            start = max(i, covered)
            chars += _chars(words[start : i + n])
            covered = i + n
        seen.add(gram)
    return chars / _chars(words) if words else 0.0


def measures(text: str, orders: Iterable[str]) -> dict[str, float]:
    """Return the measures that are named in `orders`.

    Args:
        text: What is measured.
        orders: `lines`, `paragraphs` (shares of their number), `line_chars`, `paragraph_chars` (of
            their characters), `top_2` … and `duplicate_5` …

    Raises:
        KeyError: a name is none of these.
    """
    words = tokens(text)
    found = {}
    for name in orders:
        kind, _, n = name.partition("_")
        if kind in ("lines", "line"):
            found[name] = duplicate_share(text.splitlines(), by_chars=n == "chars")
        elif kind in ("paragraphs", "paragraph"):
            found[name] = duplicate_share(_BLANK_LINE.split(text), by_chars=n == "chars")
        else:
            share = {"top": top_share, "duplicate": repeated_chars_share}[kind]
            found[name] = share(words, int(n))
    return found


def excess(text: str, limits: Mapping[str, float]) -> tuple[str, float, float] | None:
    """Return (measure, share, limit) of the first measure above its limit; None where all are within."""
    for name, share in measures(text, limits).items():
        if share > limits[name]:
            return name, share, limits[name]
    return None


def redundancy(sections: Sequence[str], n: int = 3) -> float:
    """Return the largest share of a section's n-grams that another section holds too.

    The shorter of two sections is the one that is measured, so that a short copy of a part of a long
    one counts in full. Sections of fewer than 20 tokens are left out.

    Returns:
        Share in [0, 1]; 0 for fewer than two sections.
    """
    long = [words for words in map(tokens, sections) if len(words) >= max(n, _SECTION)]
    grams = [set(zip(*(words[start:] for start in range(n)), strict=False)) for words in long]
    shares = (
        len(one & other) / min(len(one), len(other)) for i, one in enumerate(grams) for other in grams[:i]
    )
    return max(shares, default=0.0)


def _chars(words: Sequence[str]) -> int:
    return sum(map(len, words))
