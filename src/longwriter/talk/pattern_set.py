"""Searches a sentence for many patterns: a quick test first finds the patterns that can match at all.

A sentence of prose matches none of the hundred patterns of refusals and of talk about the task, and trying each
of them takes a millisecond for a paragraph. RE2 finds in one pass which words of the patterns occur in a text (its
`FilteredRE2`). About one pattern is left for each sentence, and only that one is tried.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import re2

_GROUP = r"\\.|\[(?:\\.|[^\]\\])*\]|[^()\[\\]"  # a character, or a class of characters
_LOOK_AROUND = re.compile(rf"(?<!\\)\(\?<?[=!](?:{_GROUP}|\((?:{_GROUP}|\((?:{_GROUP})*\))*\))*\)")
_FLAGS = re.UNICODE | re.IGNORECASE | re.MULTILINE
_CODE = re.compile(r"\\u([0-9a-f]{4})")


class PatternSet:
    """Patterns in a fixed order."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        """Read the words that each pattern needs.

        Raises:
            ValueError: a pattern has other flags than IGNORECASE and MULTILINE.
            re2.error: RE2 cannot read a pattern.
        """
        self._patterns = tuple(patterns)
        self._filter = re2.Filter()
        for pattern in patterns:
            if pattern.flags & ~_FLAGS:
                raise ValueError(f"{pattern.pattern} has flags that RE2 reads in another way")
            case = "(?i)" if pattern.flags & re.IGNORECASE else ""
            self._filter.Add(case + _without_look_around(pattern.pattern))
        self._filter.Compile()

    def candidates(self, text: str) -> list[int]:
        """Return the positions of the patterns that may match in a text, in order; no other pattern does."""
        return sorted(self._filter.Match(text.encode("utf-8", "replace"), potential=True) or ())

    def matches(self, text: str) -> bool:
        """Tell whether one of the patterns matches somewhere in a text."""
        return any(self._patterns[position].search(text) for position in self.candidates(text))


def _without_look_around(pattern: str) -> str:
    """Return a pattern that RE2 can read and that matches at least where `pattern` does."""
    plain = _CODE.sub(lambda code: chr(int(code[1], 16)), pattern)
    return _LOOK_AROUND.sub("", plain).replace(r"\Z", r"\z")
