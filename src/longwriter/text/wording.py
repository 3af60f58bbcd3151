"""Wording that no text of ours may have: refusals, and identifiers such as "Paragraph 3:".

Pure.
"""

from __future__ import annotations

import re


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
