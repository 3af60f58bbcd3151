"""Counting and judging text by rule: words, stated lengths, repetition, refusals, identifiers.

Words are counted as LongBench-Write counts them (Han characters plus runs of Latin letters;
digits do not count, "don't" is two), so that every length here compares with published ones.
"""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u4e00-\u9fff]")
_LATIN = re.compile(r"\b[a-zA-Z]+\b")
_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+(?:['’][^\W_]+)*")
_STATED = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+|\d+)(?=(?:[\s-]*words?\b|\s*字))", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？][”’」）]*")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_IDENTIFIER = re.compile(
    r"^\W*(?:paragraph|section|step|part)\s*(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
    r"\b[^\w\n]*(?:[:.\-–—][^\w\n]*)?|^\W*第[\d一二三四五六七八九十]+[段节部分步]+[^\w\n]*[:：.、]?\s*",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:as an ai(?: language)? (?:model|assistant)|i(?:'|’)?m (?:sorry|unable)|i am (?:sorry|unable)"
    r"|i (?:can(?:no|')t|cannot|can’t|won(?:'|’)t) (?:assist|help|provide|write|fulfil|comply|create|do that)"
    r"|i apologi[sz]e)|(?:抱歉|对不起|很遗憾)[，,]?.{0,8}(?:无法|不能)|作为(?:一个)?(?:AI|人工智能)",
    re.IGNORECASE,
)
_REFUSAL_WINDOW = 200  # characters: a refusal opens an answer; later "I'm sorry" is dialogue


def count_words(text: str) -> int:
    """Return the length of `text` in words: Han characters plus runs of Latin letters.

    Source: LongBench-Write's own counter, kept for comparability.
    """
    return len(_HAN.findall(text)) + len(_LATIN.findall(text))


def stated_lengths(prompt: str) -> list[tuple[int, int, int]]:
    """Return (words, start, end) of each number in `prompt` that stands before "words" or 字."""
    return [
        (int(match["number"].replace(",", "")), *match.span("number")) for match in _STATED.finditer(prompt)
    ]


def tokens(text: str) -> list[str]:
    """Return lower-case words; each Han character is one."""
    return [token.lower() for token in _TOKEN.findall(text)]


def repeated_share(text: str, before: str = "", n: int = 5) -> float:
    """Return the share of the text's n-grams that stood earlier, in `before` or in itself.

    Returns:
        Share in [0, 1]; 0 for a text of fewer than `n` tokens.
    """
    earlier = tokens(before)
    seen = {tuple(earlier[i : i + n]) for i in range(len(earlier) - n + 1)}
    own = tokens(text)
    total = len(own) - n + 1
    if total < 1:
        return 0.0
    repeats = 0
    for i in range(total):
        gram = tuple(own[i : i + n])
        repeats += gram in seen
        seen.add(gram)
    return repeats / total


def is_refusal(text: str) -> bool:
    """Tell whether `text` opens with a refusal or with talk of being an AI, in English or Chinese."""
    return bool(_REFUSAL.search(text[:_REFUSAL_WINDOW]))


def strip_identifier(paragraph: str) -> str:
    """Return the paragraph without a leading "Paragraph 3:", "Step two -" or 第三段：."""
    return _IDENTIFIER.sub("", paragraph, count=1).lstrip()


def normalise(text: str) -> str:
    r"""Return `text` without zero-width characters, with \\n line ends and no outer space."""
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def first_paragraph(text: str) -> str:
    """Return what stands before the first blank line."""
    return re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]


def whole_sentences(text: str) -> str:
    """Return `text` up to its last sentence end; empty where no sentence ends."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""
