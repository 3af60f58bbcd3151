"""Finds benchmark prompts in training prompts, even if case, spaces or a few words differ.

Pure. A prompt is compared as tokens: runs of letters, runs of digits, single Han characters, after NFKC and
case folding, so that spaces and punctuation do not matter. A benchmark prompt of 20 words or more is found by
the share of its 5-grams of words, without numbers. A shorter prompt has too few 5-grams: it is found by the
smallest distance, in tokens, between it and a window of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+|\d+")
_INSIDE = re.compile(r"(?<=[^\W\d])['’ʼ](?=[^\W\d])|(?<=\d)[,.](?=\d)")  # of don't, of 1,000
_SPACED_OUT = re.compile(r"(?<![0-9a-z])[0-9a-z](?: [0-9a-z])+(?![0-9a-z])")
_GRAM = 5
_SHORT_GRAM = 3
_SHORT = 20  # words: of the sixteen 5-grams of twenty words, eleven stay if one word changes
_WINDOW = 7  # tokens: a shorter prompt is a hit only if it is the whole text, unchanged
_TWO_CHANGES = (
    12  # tokens of a Chinese prompt in which two may differ: a Chinese word is often two characters
)
_COVERED = 0.5  # share of a benchmark prompt's 5-grams that makes a hit

Tokens = tuple[str, ...]


class Index(NamedTuple):
    """Benchmark prompts, prepared for the search; `prompts` and `tokens` are in the given order."""

    prompts: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    whole: dict[Tokens, int]
    grams: dict[Tokens, list[int]]
    gram_counts: dict[int, int]
    short_grams: dict[Tokens, list[int]]


def index(prompts: Sequence[str]) -> Index:
    """Return an index over benchmark prompts; one without letters or digits is left out."""
    tokens = tuple(_tokens(prompt) for prompt in prompts)
    whole: dict[Tokens, int] = {}
    grams: dict[Tokens, list[int]] = defaultdict(list)
    short_grams: dict[Tokens, list[int]] = defaultdict(list)
    gram_counts = {}
    for number, words in enumerate(tokens):
        if not words:
            continue
        whole.setdefault(words, number)
        letters = _without_numbers(words)
        if len(letters) >= _SHORT:
            different = set(_grams(letters, _GRAM))
            gram_counts[number] = len(different)
            for gram in different:
                grams[gram].append(number)
        elif len(words) >= _WINDOW:
            for gram in set(_grams(words, _SHORT_GRAM)):
                short_grams[gram].append(number)
    return Index(tuple(prompts), tokens, whole, dict(grams), gram_counts, dict(short_grams))


def hit(index: Index, prompt: str) -> str | None:
    """Return the benchmark prompt that `prompt` repeats, as it was given to `index`, or None.

    A benchmark prompt of 20 words or more is repeated if `prompt` holds half of its 5-grams. A shorter one is
    repeated if `prompt` holds its tokens with at most one change: a token that is added, missing or different. Two
    changes are allowed if the benchmark prompt is Chinese and has 12 tokens or more. One with fewer than 7 tokens
    must be the whole text, unchanged.
    """
    words = _tokens(prompt)
    if words in index.whole:
        return index.prompts[index.whole[words]]
    shared = _shared(_without_numbers(words), _GRAM, index.grams)
    covered = [(count / index.gram_counts[number], -number) for number, count in shared.items()]
    best, number = max(covered, default=(0.0, 0))
    if best >= _COVERED:
        return index.prompts[-number]
    for number, count in sorted(_shared(words, _SHORT_GRAM, index.short_grams).items()):
        target = index.tokens[number]
        changes = _most_changes(target)
        threshold = len(set(_grams(target, _SHORT_GRAM))) - _SHORT_GRAM * changes  # a change breaks three
        if count >= threshold and _distance(target, words) <= changes:
            return index.prompts[number]
    return None


def matches(prompts: Sequence[str], texts: Iterable[str]) -> list[str]:
    """Return the benchmark prompts that `hit` returns for the texts, each once and in the given order.

    An index of these alone gives each of the texts the same hit as an index of all.
    """
    full_index = index(prompts)
    hits = {prompt for text in texts if (prompt := hit(full_index, text)) is not None}
    return [prompt for prompt in dict.fromkeys(prompts) if prompt in hits]


def _tokens(text: str) -> Tokens:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    folded = _INSIDE.sub("", text.casefold())
    return tuple(_TOKEN.findall(_SPACED_OUT.sub(lambda letters: letters[0].replace(" ", ""), folded)))


def _without_numbers(words: Tokens) -> Tokens:
    return tuple(word for word in words if not word[0].isdigit())


def _grams(words: Tokens, n: int) -> Iterable[Tokens]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _shared(words: Tokens, n: int, grams: dict[Tokens, list[int]]) -> Counter[int]:
    """Return how many different n-grams `words` shares with each benchmark prompt; prompts without one are left out."""
    if grams.keys().isdisjoint(_grams(words, n)):
        return Counter()
    return Counter(number for gram in grams.keys() & set(_grams(words, n)) for number in grams[gram])


def _most_changes(target: Tokens) -> int:
    """Return how many tokens of a short benchmark prompt may differ."""
    han = sum(word[0] >= "\u3400" for word in target)
    return 2 if len(target) >= _TWO_CHANGES and 2 * han >= len(target) else 1


def _distance(target: Tokens, words: Tokens) -> int:
    """Return the fewest insertions, deletions and substitutions that turn a window of `words` into `target`."""
    column = list(range(len(target) + 1))
    best = column[-1]
    for word in words:
        before, column[0] = column[0], 0
        for i, token in enumerate(target, 1):
            before, column[i] = column[i], min(before + (token != word), column[i] + 1, column[i - 1] + 1)
        best = min(best, column[-1])
    return best
