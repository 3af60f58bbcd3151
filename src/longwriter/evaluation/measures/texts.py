"""Measures of one answer: variety, repetition as Gopher measures it, and how repetition changes along the text.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from longwriter.records import Generation, TextMeasures
from longwriter.text import repetition
from longwriter.text.basics.counting import BLANK_LINE, tokens
from longwriter.text.repetition import GOPHER, Grams

CHUNKS = 10
"""Parts of a text that are measured one by one, each a tenth of its tokens."""
_DISTINCT = (1, 2, 3)
_GRAM = 5  # as in a score's repeated_share
_DIGITS = 6
_PARAGRAPH_END = re.compile(r"\n\s*\n")


def measure(generation: Generation, chunk_quality: Sequence[float | None] = ()) -> TextMeasures:
    """Return the measures of an answer.

    Args:
        generation: The answer.
        chunk_quality: The judge's score of each part of the text, where it was asked.
    """
    text = generation.text
    grams = Grams(tokens(text))
    shares = repetition.measures_of(text, grams, GOPHER)
    return TextMeasures(
        generation_id=generation.generation_id,
        prompt_id=generation.prompt_id,
        distinct={str(n): round(distinct(grams, n), _DIGITS) for n in _DISTINCT},
        gopher={name: round(share, _DIGITS) for name, share in shares.items()},
        beyond_gopher=sorted(name for name, share in shares.items() if share > GOPHER[name]),
        redundancy=round(repetition.redundancy(BLANK_LINE.split(text)), _DIGITS),
        chunk_repetition=chunk_repetition(grams),
        chunk_quality=list(chunk_quality),
        thinking_words=generation.thinking_words,
    )


def distinct(grams: Grams, n: int) -> float:
    """Return distinct-n, the share of n-grams that are different; 0 for a text without n-grams.

    It falls with the length of a text, so only texts of similar length can be compared by it.
    Source: Li et al. 2016 (arXiv:1510.03055).
    """
    numbers = grams.of(n)
    return len(np.unique(numbers)) / len(numbers) if len(numbers) else 0.0


def chunk_repetition(grams: Grams) -> list[float]:
    """Return for each tenth of a text the share of its 5-grams that occurred earlier in the text.

    Returns:
        `CHUNKS` shares in [0, 1]; none for a text with fewer 5-grams.
    """
    repeated = grams.is_repeated(_GRAM)
    if len(repeated) < CHUNKS:
        return []
    return [round(float(part.mean()), _DIGITS) for part in np.array_split(repeated, CHUNKS)]


def chunks(text: str, count: int) -> list[str]:
    """Return a text in at most `count` parts of nearly equal length, cut at the ends of paragraphs.

    A text with fewer paragraphs has fewer parts; if `count` is 0, there is none. No paragraph is lost.
    """
    paragraphs = [part for part in _PARAGRAPH_END.split(text.strip()) if part.strip()]
    chars = sum(map(len, paragraphs))
    parts: list[list[str]] = [[] for _ in range(count)]
    if not count:
        return []
    before = 0
    for paragraph in paragraphs:
        middle = before + len(paragraph) / 2
        parts[min(count - 1, int(middle * count / chars))].append(paragraph)
        before += len(paragraph)
    return ["\n\n".join(part) for part in parts if part]
