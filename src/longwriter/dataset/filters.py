"""Filters that a long text must pass to become a training row, by name and in the order of the funnel.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.evaluation.scores import length_score
from longwriter.records import Language
from longwriter.talk import poison
from longwriter.talk.refusals import is_refusal
from longwriter.text import repetition
from longwriter.text.basics import counting as txt
from longwriter.text.basics import endings
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused
from longwriter.text.language import other_language


class Limits(NamedTuple):
    """Bounds of the filters; shares are in [0, 1].

    `repetition` holds the limit of each measure of `text.repetition.measures`, by name.
    `min_length_score` is the lowest S_l, 0 to 100, of a text whose prompt states a length.
    """

    min_words: int
    max_words: int
    max_repeated_share: float
    repetition: Mapping[str, float]
    max_section_overlap: float
    max_other_script_share: float
    require_ending: bool
    require_stated_length: bool
    min_length_score: float


class Text(NamedTuple):
    """A text to filter; `required_words` is the length that its prompt stated before relabelling, or None.

    `written_steps` are the sections if each of them is the answer to its own request, else empty. `prompt` is the
    request; if it asks for a letter of apology, an apology is no refusal. `earlier_turns` are the turns before it,
    which may ask for another language.
    """

    sections: Sequence[str]
    answer: str
    words: int
    language: Language
    required_words: int | None
    written_steps: Sequence[str] = ()
    prompt: str = ""
    earlier_turns: str = ""


@lru_cache(maxsize=8)
def _refused(sections: tuple[str, ...], answer: str, prompt: str) -> Refused | None:
    """Return why one of the sections, or the whole text, is not prose; cached, because six filters need it.

    The gate checks the whole text, so what it would stop is refused here.
    """
    refusals = (poison.check_text(part, prompt) for part in sections)
    refused = next((refused for refused in refusals if refused), None) or poison.check_markup(answer)
    if refused is None and is_refusal(answer, prompt):
        return Refused("refusal", answer[:EVIDENCE_CHARS])
    talk = None if refused else poison.talking_paragraph(answer, prompt)
    return Refused("meta_talk", talk) if talk else refused


def _poison_filter(reason: str) -> Callable[[Text, Limits], str | None]:
    """Return the filter for one reason of `poison.check_text`."""

    def check(text: Text, limits: Limits) -> str | None:
        refused = _refused(tuple(text.sections), text.answer, text.prompt)
        return refused.detail if refused and refused.reason == reason else None

    return check


def _wrong_language(text: Text, limits: Limits) -> str | None:
    found = other_language(text.answer, text.language, f"{text.earlier_turns}\n{text.prompt}")
    return f"{found[0]}, which nobody asked for: {found[1][:EVIDENCE_CHARS]}" if found else None


def _too_short(text: Text, limits: Limits) -> str | None:
    return (
        f"{amount(text.words, 'word')}, at least {limits.min_words}"
        if text.words < limits.min_words
        else None
    )


def _too_long(text: Text, limits: Limits) -> str | None:
    return (
        f"{amount(text.words, 'word')}, at most {limits.max_words:,}"
        if text.words > limits.max_words
        else None
    )


def _loop(text: Text, limits: Limits) -> str | None:
    share, most = txt.repeated_share(text.answer), limits.max_repeated_share
    return f"{share:.0%} of the 5-grams are repeats, at most {most:.0%}" if share > most else None


def _repetition(text: Text, limits: Limits) -> str | None:
    excess = repetition.excess(text.answer, limits.repetition)
    return f"{excess[0]}: {excess[1]:.1%}, at most {excess[2]:.1%}" if excess else None


def _sections_alike(text: Text, limits: Limits) -> str | None:
    share, most = repetition.redundancy(text.sections), limits.max_section_overlap
    return f"two sections share {share:.0%} of their 3-grams, at most {most:.0%}" if share > most else None


def _language_mix(text: Text, limits: Limits) -> str | None:
    share, most = other_script_share(text.answer, text.language), limits.max_other_script_share
    return f"{share:.0%} of the words are in another script, at most {most:.0%}" if share > most else None


def _cut_off(text: Text, limits: Limits) -> str | None:
    if not limits.require_ending:
        return None
    if not endings.ends(text.answer):
        return f"ends with {text.answer[-60:]!r}"
    cut = next((part for part in text.written_steps if endings.is_cut(part)), None)
    return None if cut is None else f"a paragraph ends with {cut[-60:]!r}"


def _no_stated_length(text: Text, limits: Limits) -> str | None:
    unstated = limits.require_stated_length and text.required_words is None
    return "the prompt states no length" if unstated else None


def _off_length(text: Text, limits: Limits) -> str | None:
    if text.required_words is None:
        return None
    score = length_score(text.required_words, text.words)
    detail = f"{text.words:,} words for {text.required_words:,}: S_l {score:.0f}, at least {limits.min_length_score:.0f}"
    return detail if score < limits.min_length_score else None


FILTERS: dict[str, Callable[[Text, Limits], str | None]] = {
    **{reason: _poison_filter(reason) for reason in poison.REASONS},
    "wrong_language": _wrong_language,
    "too_short": _too_short,
    "too_long": _too_long,
    "loop": _loop,
    "repetition": _repetition,
    "sections_alike": _sections_alike,
    "language_mix": _language_mix,
    "cut_off": _cut_off,
    "no_stated_length": _no_stated_length,
    "off_length": _off_length,
}
"""Each filter returns what is wrong with a text, or None."""


def trouble(text: Text, limits: Limits) -> tuple[str, str] | None:
    """Return (name, detail) of the first filter that refuses a text, or None if none does."""
    for name, check in FILTERS.items():
        if (detail := check(text, limits)) is not None:
            return name, detail
    return None


def other_script_share(text: str, language: Language) -> float:
    """Return the share of Latin words in a Chinese text, or of Han characters in an English text.

    Returns:
        Share of the words and characters together, in [0, 1]; 0 for a text without any.
    """
    words = txt.count_words(text)
    han = txt.count_han(text)
    other = words - han if language == "zh" else han
    return other / words if words else 0.0
