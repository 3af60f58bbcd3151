"""Scores of written texts."""

from __future__ import annotations


def length_score(required: int, written: int) -> float:
    """Score how near a text's length is to the length asked for.

    Falls from 100 at the asked length to 0 at four times it, or at a third of it.
    Source: LongWriter (arXiv:2408.07055), section 2.

    Args:
        required: Length asked for, in words; at least 1.
        written: Length of the text, in words as `text.count_words` counts them.

    Returns:
        Score in [0, 100]; an empty text scores 0.

    Raises:
        ValueError: `required` is below 1 or `written` below 0.
    """
    if required < 1 or written < 0:
        raise ValueError(f"required {required} must be >= 1 and written {written} >= 0")
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)
