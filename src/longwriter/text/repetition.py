"""How much a text repeats itself: shares of duplicate lines, paragraphs and n-grams, and n-grams that sections share.

The measures are Gopher's (Rae et al. 2021, arXiv:2112.11446, table A1), and so are the thresholds in
params.yaml and in `GOPHER`. N-grams are made of the tokens that `counting.tokens` returns, so each Chinese
character counts as a token. Shares are computed over the characters of the tokens. N-grams are compared as numbers,
which takes a tenth of the time of tuples of words.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from longwriter.text.basics.counting import BLANK_LINE, tokens

GOPHER: Mapping[str, float] = {
    "lines": 0.30, "paragraphs": 0.30, "line_chars": 0.20, "paragraph_chars": 0.20,
    "top_2": 0.20, "top_3": 0.18, "top_4": 0.16,
    "duplicate_5": 0.15, "duplicate_6": 0.14, "duplicate_7": 0.13,
    "duplicate_8": 0.12, "duplicate_9": 0.11, "duplicate_10": 0.10,
}  # fmt: skip
"""The thresholds of table A1, by the names of `measures`."""

_SECTION = 20  # tokens: a shorter section is a heading or a line of talk, and may occur again
_SECTION_N = 3  # length of the n-grams that sections share
_ROWS = 256  # sections that are compared with all others at once

Numbers = NDArray[np.int64]


class Grams:
    """The n-grams of a text as numbers: equal n-grams have equal numbers."""

    def __init__(self, words: Sequence[str]) -> None:
        """Number the words; `words` are the tokens of the text."""
        self.words = words
        self.chars = np.fromiter(map(len, words), np.int64, len(words))
        numbers: dict[str, int] = {}
        single = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.int64, len(words))
        self._by_n: list[Numbers] = [single]

    def of(self, n: int) -> Numbers:
        """Return the number of each n-gram, in the order of the text; none if the text has fewer words."""
        while len(self._by_n) < n:
            shorter, single = self._by_n[-1], self._by_n[0]
            ends = single[len(self._by_n) :]
            pairs = shorter[: len(ends)] * np.int64(max(1, len(self.words))) + ends
            self._by_n.append(np.unique(pairs, return_inverse=True)[1].astype(np.int64))
        return self._by_n[n - 1]

    def is_repeated(self, n: int) -> NDArray[np.bool_]:
        """Return for each n-gram whether it occurred earlier in the text."""
        numbers = self.of(n)
        repeated = np.ones(len(numbers), bool)
        repeated[np.unique(numbers, return_index=True)[1]] = False
        return repeated


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


def top_share(grams: Grams, n: int) -> float:
    """Return the share of characters that the most frequent n-gram covers; 0 if no n-gram occurs twice."""
    numbers = grams.of(n)
    if not len(numbers):
        return 0.0
    _, first, times = np.unique(numbers, return_index=True, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(grams.chars)])
    sizes = ends[first + n] - ends[first]
    largest = np.flatnonzero(times * sizes == (times * sizes).max())
    place = max(largest, key=lambda item: tuple(grams.words[int(first[item]) : int(first[item]) + n]))
    if times[place] < 2:
        return 0.0
    return min(1.0, int(times[place] * sizes[place]) / int(grams.chars.sum()))


def repeated_chars_share(grams: Grams, n: int) -> float:
    """Return the share of characters that lie in an n-gram that occurred before; each character counts once."""
    places = np.flatnonzero(grams.is_repeated(n))
    if not len(places):
        return 0.0
    steps = np.zeros(len(grams.words) + 1, np.int64)
    np.add.at(steps, places, 1)
    np.add.at(steps, places + n, -1)
    is_covered = np.cumsum(steps)[:-1] > 0
    return int(grams.chars[is_covered].sum()) / int(grams.chars.sum())


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
    return measures_of(text, Grams(tokens(text)), names)


def measures_of(text: str, grams: Grams, names: Iterable[str]) -> dict[str, float]:
    """Return what `measures` returns, for a text whose n-grams are numbered already."""
    shares = {}
    for name in names:
        kind, _, n = name.partition("_")
        if kind in ("lines", "line"):
            shares[name] = duplicate_share(text.splitlines(), by_chars=n == "chars")
        elif kind in ("paragraphs", "paragraph"):
            shares[name] = duplicate_share(BLANK_LINE.split(text), by_chars=n == "chars")
        else:
            measure = {"top": top_share, "duplicate": repeated_chars_share}[kind]
            shares[name] = measure(grams, int(n))
    return shares


def excess(text: str, limits: Mapping[str, float]) -> tuple[str, float, float] | None:
    """Return (measure, share, limit) of the first measure above its limit, or None."""
    for name, share in measures(text, limits).items():
        if share > limits[name]:
            return name, share, limits[name]
    return None


def redundancy(sections: Sequence[str]) -> float:
    """Return the largest share of a section's 3-grams that another section holds too.

    Of two sections the shorter one is measured, so that a short copy of a part of a long section counts
    in full. Sections of fewer than 20 tokens are left out.

    Returns:
        Share in [0, 1]; 0 for fewer than two sections.
    """
    long = [words for words in map(tokens, sections) if len(words) >= _SECTION]
    numbers: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    sizes = []
    for words in long:
        grams = dict.fromkeys(zip(*(words[start:] for start in range(_SECTION_N)), strict=False))
        columns += [numbers.setdefault(gram, len(numbers)) for gram in grams]
        sizes.append(len(grams))
    if len(sizes) < 2:
        return 0.0
    rows = np.concatenate([[0], np.cumsum(sizes)])
    grams_of = sparse.csr_array((np.ones(len(columns), np.int32), columns, rows), (len(sizes), len(numbers)))
    largest, all_sizes = 0.0, np.asarray(sizes)
    for start in range(0, len(sizes), _ROWS):
        shared = (grams_of[start : start + _ROWS] @ grams_of.T).tocoo()
        first, second = shared.row + start, shared.col
        differ = first != second
        if differ.any():
            shares = shared.data[differ] / np.minimum(all_sizes[first[differ]], all_sizes[second[differ]])
            largest = max(largest, float(shares.max()))
    return largest
