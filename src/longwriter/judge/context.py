"""Fits texts into a judge's context, so that no server cuts a text silently. Pure."""

from __future__ import annotations

import math

_CHARS_PER_TOKEN = 4  # of ASCII; English prose has about 4.5. Other characters count as a token each.
_ANSWER_TOKENS = 250  # six marks and an analysis of at most five sentences, as the judge's prompt asks
_CHAT_TOKENS = 16  # around the message
_LEAST_TOKENS = 64  # a smaller chunk shows nothing of a text


def tokens(text: str) -> int:
    """Return an estimate of the tokens of a text; for most tokenizers it is too high rather than too low."""
    ascii_chars = sum(char.isascii() for char in text)
    return math.ceil(ascii_chars / _CHARS_PER_TOKEN) + len(text) - ascii_chars


def free_tokens(prompt_without_text: str, context_tokens: int, max_tokens: int) -> int:
    """Return how many tokens a text may have.

    Args:
        prompt_without_text: The judge's prompt with its instruction and an empty text.
        context_tokens: Context of one request.
        max_tokens: Longest answer; the tokens kept free for it are this number, or what a judgement needs if that
            is less.
    """
    return context_tokens - tokens(prompt_without_text) - min(max_tokens, _ANSWER_TOKENS) - _CHAT_TOKENS


def chunks(text: str, most: int) -> list[str] | None:
    """Return a text in chunks of at most `most` tokens, cut between lines where possible.

    Returns:
        One or more chunks, which together are the text without the line ends between them; None if `most` is
        too small for any text.
    """
    if tokens(text) <= most:
        return [text]
    if most < _LEAST_TOKENS:
        return None
    parts: list[str] = []
    lines: list[str] = []
    size = 0
    for line in (piece for full_line in text.split("\n") for piece in _pieces(full_line, most)):
        needs = tokens(line) + 1
        if lines and size + needs > most:
            parts.append("\n".join(lines))
            lines, size = [], 0
        lines.append(line)
        size += needs
    return [chunk for chunk in (*parts, "\n".join(lines)) if chunk.strip()]


def _pieces(line: str, most: int) -> list[str]:
    """Return a line in pieces that fit, one piece if it fits as it is."""
    if tokens(line) < most:
        return [line]
    size = most - 1  # characters: no character is more than one token in `tokens`
    return [line[start : start + size] for start in range(0, len(line), size)]
