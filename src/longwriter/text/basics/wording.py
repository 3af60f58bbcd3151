"""Identifiers such as "Paragraph 3:", which no training text may have, and quoted text.

Pure.
"""

from __future__ import annotations

import re

from longwriter.text.basics.counting import HAN
from longwriter.text.basics.quotations import Kind, Quotations

_MARKS = r"[\s*_#>•(（\[【-]*+"


def _identifiers(english: str, chinese: str) -> str:
    """Return the pattern of one or more identifiers; a mark or a line end must follow, so prose stays."""
    return (
        rf"(?:{_MARKS}"
        rf"(?:(?:{english})\s*+(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b"
        rf"|第[\d一二三四五六七八九十百]+(?:{chinese})(?=\W|$))"
        rf"[ 　\t*_]*+(?:[:：、)）\]】–—]|[.-](?!\w)|(?<=[ 　])(?=[{HAN}])|#*+[ \t]*+(?=\n|$))[ 　\t*_]*+)+"
    )


_IDENTIFIER = re.compile(
    f"^{_identifiers('paragraph|section|step|part', '自然段|段落?|小?节|部分|步骤?')}", re.IGNORECASE
)
_AFTER_BLANK_LINE = re.compile(  # a heading "Step 1" inside a section is the text's own
    rf"(?P<blank>\n[ 　\t]*+\n)(?:(?P<identifier>{_identifiers('paragraph', '自然段|段落?')})\s*+|{_MARKS})",
    re.IGNORECASE,
)
_SPOKEN = Quotations(
    [
        Kind('[“"](?!“)', re.compile('(?P<end>[”"])|“')),
        Kind("「", re.compile("(?P<end>」)")),
        Kind("『", re.compile("(?P<end>』)")),
        Kind(r"(?<!\w)['‘](?=\w)", re.compile(r"(?P<end>[,.!?…]['’](?!\w))|\n")),  # it may hold apostrophes
    ],
    signs="\"“「『'‘",
)
_CHARACTER = re.compile(r"[\s\S]")


def unspoken(text: str) -> str:
    """Return `text` with blanks in place of quoted text, unless the whole text is quoted.

    The length stays the same.
    """
    return text if _SPOKEN.is_one(text.strip()) else _SPOKEN.replaced(text, _CHARACTER, " ")


def strip_identifier(paragraph: str) -> str:
    """Return the paragraph without a leading "Paragraph 3:", "Step two -" or 第三段：.

    "Step one is to breathe." has no mark or line end after the number: it is prose, and stays.
    """
    return _IDENTIFIER.sub("", paragraph, count=1).lstrip()


def strip_identifiers(section: str) -> str:
    """Return a section without the identifiers that AgentWrite leaves at its start and inside it.

    At the start `strip_identifier` removes them; after a blank line only "Paragraph 3:" or 第三段： is
    removed, because "Step 1: Gather" may be a heading there. A second call changes nothing.
    """
    # Marks without an identifier are matched too, so that a run of line ends is read once.
    return _AFTER_BLANK_LINE.sub(
        lambda match: match["blank"] if match["identifier"] else match[0], strip_identifier(section)
    ).strip()
