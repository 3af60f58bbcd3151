"""How much a text repeats itself: shares of duplicate lines, paragraphs and n-grams, and between sections.

The measures are Gopher's (Rae et al. 2021, arXiv:2112.11446, table A1), and so are the thresholds in
params.yaml. N-grams are of `counting.tokens`, so that Chinese counts by characters; shares are of the
tokens' characters.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from longwriter.text.basics.counting import BLANK_LINE, tokens

_SECTION = 20  # tokens: a shorter section is a heading or a line of talk, and may occur again


def duplicate_share(parts: Iterable[str], by_chars: bool = False) -> float:
    """Return the share of non-empty parts (lines, paragraphs) that occurred before; 0 where there are none.

    Args:
        parts: In their order.
        by_chars: Count their characters, not the parts.
    """
    texts = [part.strip() for part in parts if part.strip()]
    size = len if by_chars else lambda _: 1
    all_size = sum(map(size, texts))
    unique_size = sum(map(size, set(texts)))
    return 1 - unique_size / all_size if all_size else 0.0


def top_share(words: Sequence[str], n: int) -> float:
    """Return the share of characters that the most frequent n-gram covers; 0 where none comes twice."""
    grams = Counter(zip(*(words[start:] for start in range(n)), strict=False))
    if not grams:
        return 0.0
    gram, times = max(grams.items(), key=lambda item: (item[1] * _chars(item[0]), item[0]))
    return min(1.0, times * _chars(gram) / _chars(words)) if times > 1 else 0.0


def repeated_chars_share(words: Sequence[str], n: int) -> float:
    """Return the share of characters that lie in an n-gram which occurred before; each counts once."""
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


def measures(text: str, names: Iterable[str]) -> dict[str, float]:
    """Return the named measures of a text.

    Args:
        text: The text.
        names: `lines`, `paragraphs` (shares of their number), `line_chars`, `paragraph_chars` (shares of
            their characters), `top_2` … (characters in the most frequent n-gram) and `duplicate_5` …
            (characters in n-grams that occurred before).

    Raises:
        KeyError: a name is none of these.
    """
    words = tokens(text)
    shares = {}
    for name in names:
        kind, _, n = name.partition("_")
        if kind in ("lines", "line"):
            shares[name] = duplicate_share(text.splitlines(), by_chars=n == "chars")
        elif kind in ("paragraphs", "paragraph"):
            shares[name] = duplicate_share(BLANK_LINE.split(text), by_chars=n == "chars")
        else:
            measure = {"top": top_share, "duplicate": repeated_chars_share}[kind]
            shares[name] = measure(words, int(n))
    return shares


def excess(text: str, limits: Mapping[str, float]) -> tuple[str, float, float] | None:
    """Return (measure, share, limit) of the first measure above its limit; None where all are within."""
    for name, share in measures(text, limits).items():
        if share > limits[name]:
            return name, share, limits[name]
    return None


def redundancy(sections: Sequence[str], n: int = 3) -> float:
    """Return the largest share of a section's n-grams that another section holds too.

    Of two sections the shorter one is measured, so that a short copy of a part of a long section counts
    in full. Sections of fewer than 20 tokens are left out.

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
