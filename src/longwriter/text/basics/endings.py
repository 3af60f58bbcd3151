"""Whether a text is complete, or stops in the middle of a sentence.

Pure.
"""

from __future__ import annotations

import re

from longwriter.text.basics import counting as txt

_ENDING = re.compile(r"[.!?…。！？][\"'”’»」』)\]）】*_~`\s]*$|(?:```|\||:\)|[\"”」』])\s*$")
_SIGNATURE = (
    6  # words: if the line before is complete, such a short last line is a signature, not a cut sentence
)
_HAN_WORD = 2  # characters of a Chinese word, roughly
_MID_SENTENCE = re.compile(r"[^\W_][*_]*\Z|[,，、;；–—-]\Z")


def ends(text: str) -> bool:
    """Tell whether a text is complete: its last line ends a sentence, or is a signature below such a line.

    Closing quotes, brackets and Markdown marks may follow; a table or a code block ends by itself.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return False
    if _ends_sentence(lines[-1]):
        return True
    return (
        _is_short(lines[-1]) and len(lines) > 1 and bool(lines[-2][-1] in ",，" or _ends_sentence(lines[-2]))
    )


def is_cut(paragraph: str) -> bool:
    """Tell whether a paragraph of prose stops in the middle of a sentence.

    Less strict than `ends`: a text that stops with a heading, a signature or a colon is not cut. Neither is a
    poem or a list: its other lines do not end a sentence either.
    """
    lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
    if not lines or not _MID_SENTENCE.search(lines[-1][-40:]) or _is_short(lines[-1]):
        return False
    return not lines[-1].startswith(("#", "-", "*", "•", "|", ">")) and all(map(_ends_sentence, lines[:-1]))


def _ends_sentence(line: str) -> bool:
    return bool(_ENDING.search(line))


def _is_short(line: str) -> bool:
    words = txt.count_words(line)
    return words <= (_SIGNATURE * _HAN_WORD if txt.language_of(line, words) == "zh" else _SIGNATURE)
