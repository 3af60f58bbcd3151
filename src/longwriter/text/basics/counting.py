"""Words, tokens, sentences and repeated n-grams of a text.

Words are counted as LongBench-Write counts them (Han characters plus runs of Latin letters; digits do
not count, "don't" is two), so that every length here can be compared with published ones.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from longwriter.records import Language

_CHINESE_FROM = 0.3  # LongBench-Write: English prompts have at most 0.02, Chinese ones at least 0.45
HAN = r"\u4e00-\u9fff"
"""The Han characters, as a range inside a character class."""
_HAN = re.compile(f"[{HAN}]")
_LATIN = re.compile(r"\b[a-zA-Z]+\b")
_TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？][”’」）]*")
_INVISIBLE = re.compile(  # direction marks, soft hyphens, fillers, signs without width; joiners of emoji and scripts stay
    "[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffc\U000e0000-\U000e00ff]"
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"  # one may choose the shape of a Han character
    "|(?<=[A-Za-z\\s.,;:!?'\"()\ufe00-\ufe0f])[\ufe00-\ufe0f]"  # one may follow an emoji, a digit or another script
    "|(?<![\u0600-\u07ff\u0900-\u0dff])\u200c"
    "|(?<![\u0600-\u07ff\u0900-\u0dff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d"
)
BLANK_LINE = re.compile(r"\n\s*\n")


def count_words(text: str) -> int:
    """Return the length of `text` in words: Han characters plus runs of Latin letters.

    Source: LongBench-Write's own counter, kept for comparability.
    """
    return count_han(text) + len(_LATIN.findall(text))


def count_han(text: str) -> int:
    """Return the number of Han characters in `text`."""
    return len(_HAN.findall(text))


def language_of(text: str, words: int | None = None) -> Language:
    """Return the language of `text` by the share of Han characters among its words.

    A Chinese text may hold many Latin names, an English one hardly any Han characters: the language is
    `zh` from a share of 0.3 on. `words` is the text's `count_words`, if the caller has it already.
    """
    words = count_words(text) if words is None else words
    return "zh" if words and count_han(text) / words >= _CHINESE_FROM else "en"


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case; each Han character is a word."""
    if text.isascii():  # whose lower case has the same words; one call is faster than one a word
        return _TOKEN.findall(text.lower())
    return [token.lower() for token in _TOKEN.findall(text)]


class EarlierText:
    """The n-grams of a text that grows: each part of it is read once."""

    def __init__(self, n: int = 5) -> None:
        """Start with no text."""
        self._n = n
        self._grams = set[tuple[str, ...]]()
        self._end = list[str]()

    def add(self, text: str) -> None:
        """Add the next part; n-grams may begin in the part before it."""
        words = self._end + tokens(text)
        self._grams.update(self._of(words))
        self._end = words[len(words) - self._n + 1 :] if len(words) >= self._n else words

    def repeated_share(self, text: str) -> float:
        """Return the share of the n-grams of `text` that occurred earlier, in the added parts or in `text`.

        Returns:
            Share in [0, 1]; 0 for a text of fewer than `n` tokens.
        """
        grams = list(self._of(tokens(text)))
        return (len(grams) - len(set(grams) - self._grams)) / len(grams) if grams else 0.0

    def _of(self, words: list[str]) -> Iterator[tuple[str, ...]]:
        """Return the runs of n neighbouring words, in order."""
        return zip(*(words[start:] for start in range(self._n)), strict=False)


def repeated_share(text: str) -> float:
    """Return the share of the text's 5-grams that occurred earlier in it, in [0, 1]."""
    return EarlierText().repeated_share(text)


def encodable(text: str) -> str:
    """Return `text` with question marks in place of lone surrogates, which JSON can express but UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def without_invisible(text: str) -> str:
    """Return `text` without characters that nobody sees, such as soft hyphens and marks that turn the direction."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def normalise(text: str) -> str:
    r"""Return `text` without invisible characters, with \\n line ends and no space at both ends.

    Lone surrogates become question marks: JSON can hold them, UTF-8 files cannot.
    """
    valid = encodable(text)
    return without_invisible(valid.replace("\r\n", "\n").replace("\r", "\n")).strip()


def first_paragraph(text: str) -> str:
    """Return the text before the first blank line."""
    return BLANK_LINE.split(text.strip(), maxsplit=1)[0]


def whole_sentences(text: str) -> str:
    """Return `text` up to the end of its last whole sentence; empty if no sentence ends."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""
