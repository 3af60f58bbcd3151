"""Measures of one answer: its words, the words that were asked for, and the length score.

Pure. The numbers are counted as the benchmark counts them.
"""

from __future__ import annotations

from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.evaluation import scores
from longwriter.lengths.stated import stated_length
from longwriter.text.basics.counting import count_words


class Measures(NamedTuple):
    """Words of an answer; `required_words` and `length_score` are None where the prompt states no length."""

    words: int
    required_words: int | None
    length_score: float | None


def measure(prompt: str, text: str) -> Measures:
    """Return the measures of an answer to a prompt."""
    words, required = count_words(text), stated_length(prompt)
    if not required:
        return Measures(words, None, None)
    return Measures(words, required, round(scores.length_score(required, words), 1))


def sentence(measures: Measures, seconds: float, finish_reason: str) -> str:
    """Return the measures as one line for a terminal."""
    words = amount(measures.words, "word")
    if measures.required_words is not None:
        words += f" of {measures.required_words:,} asked for, length score {measures.length_score:g}"
    ends = "ended by itself" if finish_reason == "stop" else f"cut off ({finish_reason})"
    return f"[{words}; {ends}; {seconds:.0f} s]"
