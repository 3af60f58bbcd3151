"""Counting and judging text by rule: words, repetition, refusals, identifiers.

Words are counted as LongBench-Write counts them (Han characters plus runs of Latin letters;
digits do not count, "don't" is two), so that every length here compares with published ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from longwriter.errors import BadParams
from longwriter.hashing import content_hash
from longwriter.records import Language

_FIELD = re.compile(r"\{(\w+)\}")
_TURN = re.compile(r"<(?=\||/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")
_CHINESE_FROM = 0.3  # LongBench-Write: English prompts have at most 0.02, Chinese ones at least 0.45
_HAN = re.compile(r"[\u4e00-\u9fff]")
_LATIN = re.compile(r"\b[a-zA-Z]+\b")
_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？][”’」）]*")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")


def _identifiers(english: str, chinese: str) -> str:
    """Return the pattern of one or more identifiers; prose goes on without one of the marks that end them."""
    return (
        r"(?:[\s*_#>•(（\[【-]*+"
        rf"(?:(?:{english})\s*+(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b"
        rf"|第[\d一二三四五六七八九十百]+(?:{chinese})(?=\W|$))"
        r"[ 　\t*_]*+(?:[:：、)）\]】–—]|[.-](?!\w)|(?<=[ 　])(?=[一-鿿])|#*+[ \t]*+(?=\n|$))[ 　\t*_]*+)+"
    )


_IDENTIFIER = re.compile(
    f"^{_identifiers('paragraph|section|step|part', '自然段|段落?|小?节|部分|步骤?')}", re.IGNORECASE
)
_INNER_IDENTIFIER = re.compile(
    rf"(\n[ 　\t]*+\n){_identifiers('paragraph', '自然段|段落?')}\s*+", re.IGNORECASE
)  # a heading "Step 1" inside a section is the text's own
_SPOKEN = re.compile(
    r"[“\"][^“”\"]*[”\"]|「[^」]*」|『[^』]*』"
    r"|(?<!\w)['‘](?=\w)(?:(?![,.!?…]['’](?!\w))[^\n])*[,.!?…]['’](?!\w)"  # 'single', with its apostrophes
)
_SPEECH_WINDOW = 2000  # characters: a speech that goes on longer is none
_REFUSAL = re.compile(
    r"\b(?:as an ai(?: language)? (?:model|assistant)"
    r"|i(?:(?:'|’)?m| am) (?:unable|sorry(?! to hear| for your loss| that you))"
    r"|i (?:can(?:no|')t|cannot|can’t|won(?:'|’)t) (?:assist|help|provide|write|fulfil|comply|create|do that)"
    r"|i apologi[sz]e)|(?:抱歉|对不起|很遗憾)[，,]?.{0,8}(?:无法|不能)|作为(?:一个)?(?:AI|人工智能)",
    re.IGNORECASE,
)
_REFUSAL_WINDOW = 200  # characters: a refusal opens an answer; later "I'm sorry" is dialogue


class Refused(NamedTuple):
    """Why an answer is not used: a reason from a fixed list, and the evidence."""

    reason: str
    detail: str


def read_object(answer: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, alone or inside a code fence; None for anything else.

    An object with a key that stands there twice is none: nobody knows which one counts.
    """
    bare = normalise(answer).removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(bare, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def fill(template: str, **fields: object) -> str:
    """Return `template` with each {name} replaced once; braces inside the values stay as they are.

    Raises:
        KeyError: the template names a field that is not given.
    """
    return _FIELD.sub(lambda match: str(fields[match[1]]), template).strip()


def framed(template: str, key: str, **values: str) -> str:
    """Return `template`, filled so that no value can step out of its place and speak to the reader.

    Each value stands between two lines with a code that none can hold (a hash of all), and marks that
    servers read as the end of a chat turn are broken up.

    Args:
        template: A text with {name} for each value; other braces stay as they are.
        key: The parameter that names the template, for the error.
        values: What strangers wrote, by field.

    Raises:
        BadParams: the template lacks a field.
    """
    if missing := set(values) - set(_FIELD.findall(template)):
        names = ", ".join(f"{{{name}}}" for name in sorted(missing))
        raise BadParams(f"{key}: the template has no {names}, so the judge would not see it")
    code = content_hash(list(values.values()))[:12]

    def fenced(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        inside = _TURN.sub(lambda mark: f"{mark[0]} ", values[match[1]])
        return f"[[{match[1]} {code}]]\n{inside}\n[[end of {match[1]} {code}]]"

    return _FIELD.sub(fenced, template).strip()


def count_words(text: str) -> int:
    """Return the length of `text` in words: Han characters plus runs of Latin letters.

    Source: LongBench-Write's own counter, kept for comparability.
    """
    return len(_HAN.findall(text)) + len(_LATIN.findall(text))


def language_of(text: str, words: int | None = None) -> Language:
    """Return the language of `text` by the share of Han characters among its words.

    A Chinese text may hold many Latin names, an English one hardly any Han: `zh` from 0.3 on. `words` is
    its `count_words`, where that is known.
    """
    words = count_words(text) if words is None else words
    return "zh" if words and len(_HAN.findall(text)) / words >= _CHINESE_FROM else "en"


def tokens(text: str) -> list[str]:
    """Return lower-case words; each Han character is one."""
    return [token.lower() for token in _TOKEN.findall(text)]


class Said:
    """The n-grams of a text that grows: each part of it is read once."""

    def __init__(self, n: int = 5) -> None:
        """Begin with no text."""
        self._n, self._grams, self._end = n, set[tuple[str, ...]](), list[str]()

    def add(self, text: str) -> None:
        """Go on with a further part; n-grams reach over from the part before."""
        words = self._end + tokens(text)
        self._grams.update(self._of(words))
        self._end = words[len(words) - self._n + 1 :] if len(words) >= self._n else words

    def repeated_share(self, text: str) -> float:
        """Return the share of the n-grams of `text` that stood earlier, in what was added or in itself.

        Returns:
            Share in [0, 1]; 0 for a text of fewer than `n` tokens.
        """
        grams = list(self._of(tokens(text)))
        return (len(grams) - len(set(grams) - self._grams)) / len(grams) if grams else 0.0

    def _of(self, words: list[str]) -> Iterator[tuple[str, ...]]:
        """Return the runs of n neighbouring words, in order."""
        return zip(*(words[start:] for start in range(self._n)), strict=False)


def repeated_share(text: str, before: str = "") -> float:
    """Return the share of the text's 5-grams that stood earlier, in `before` or in itself, in [0, 1]."""
    said = Said()
    said.add(before)
    return said.repeated_share(text)


def is_refusal(text: str) -> bool:
    """Tell whether `text` opens with a refusal or with talk of being an AI, in English or Chinese.

    What somebody says in quotation marks is dialogue, unless the whole text stands in them.
    """
    if not _REFUSAL.search(text[:_REFUSAL_WINDOW]):
        return False  # as nearly always; to find what is spoken takes longer
    return bool(_REFUSAL.search(unspoken(text[:_SPEECH_WINDOW])[:_REFUSAL_WINDOW]))


def unspoken(text: str) -> str:
    """Return `text` with blanks in place of what stands in quotation marks, unless all of it does.

    Its length stays.
    """
    if _SPOKEN.fullmatch(text.strip()):
        return text
    return _SPOKEN.sub(lambda speech: " " * len(speech[0]), text)


def strip_identifier(paragraph: str) -> str:
    """Return the paragraph without a leading "Paragraph 3:", "Step two -" or 第三段：.

    "Step one is to breathe." goes on without a mark or a line end: that is prose, and stays.
    """
    return _IDENTIFIER.sub("", paragraph, count=1).lstrip()


def strip_identifiers(section: str) -> str:
    """Return a section without the identifiers that AgentWrite leaves, as it starts and inside it.

    At its start that is what `strip_identifier` takes; after a blank line only "Paragraph 3:" or 第三段：,
    as "Step 1: Gather" may be a heading there. What was stripped once stays as it is.
    """
    return _INNER_IDENTIFIER.sub(r"\1", strip_identifier(section)).strip()


def normalise(text: str) -> str:
    r"""Return `text` without zero-width characters, with \\n line ends and no outer space.

    Lone surrogates, which JSON can spell and no file can hold, become question marks.
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return _INVISIBLE.sub("", whole.replace("\r\n", "\n").replace("\r", "\n")).strip()


def first_paragraph(text: str) -> str:
    """Return what stands before the first blank line."""
    return re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]


def whole_sentences(text: str) -> str:
    """Return `text` up to its last sentence end; empty where no sentence ends."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""
