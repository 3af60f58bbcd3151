"""Choosing instructions: what fits the writer, no prompt twice, evenly over the types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from longwriter.core.text import normalise, tokens
from longwriter.records import Instruction, Rejection, SeedRow, content_hash


def instruction_of(row: SeedRow, origin: str) -> Instruction:
    """Return the instruction of a source row; its id is a hash of prompt and language."""
    prompt = normalise(row.prompt)
    return Instruction(
        instruction_id=content_hash([row.language, prompt])[:16],
        prompt=prompt,
        type=row.type,
        language=row.language,
        required_words=row.length,
        origin=origin,
    )


def select_instructions(
    rows: Iterable[tuple[str, SeedRow | str]],
    *,
    languages: Sequence[str],
    max_required_words: int,
    limit: int,
) -> tuple[list[Instruction], list[Rejection]]:
    """Return (kept, rejected) in a stable order; every row is in exactly one of them.

    Args:
        rows: (`file:line`, row) or, for a malformed line, (`file:line`, why).
        languages: Languages that are kept.
        max_required_words: Longest stated length the writer can reach.
        limit: At most so many; each type gives its next one in turn, by hash order, so that a
            growing source changes as few as possible.
    """
    by_type: dict[str, list[Instruction]] = defaultdict(list)
    rejected: list[Rejection] = []
    seen: set[str] = set()

    def reject(row_id: str, reason: str, detail: str) -> None:
        rejected.append(Rejection(row_id=row_id, stage="instructions", reason=reason, detail=detail))

    for origin, row in rows:
        if isinstance(row, str):
            reject(origin, "malformed", row)
            continue
        item = instruction_of(row, origin)
        if not tokens(item.prompt):
            reject(item.instruction_id, "no_words", f"{origin}: {row.prompt[:80]!r}")
        elif item.language not in languages:
            reject(item.instruction_id, "language", f"{origin}: {item.language}")
        elif (item.required_words or 0) > max_required_words:
            reject(item.instruction_id, "too_long_for_writer", f"{origin}: {item.required_words} words")
        elif item.instruction_id in seen:
            reject(item.instruction_id, "duplicate", origin)
        else:
            seen.add(item.instruction_id)
            by_type[item.type].append(item)

    ranked = [sorted(group, key=lambda i: i.instruction_id) for _, group in sorted(by_type.items())]
    turns = [item for item in chain.from_iterable(zip_longest(*ranked)) if item is not None]
    for item in turns[limit:]:
        reject(item.instruction_id, "over_limit", item.origin)
    return sorted(turns[:limit], key=lambda i: i.instruction_id), rejected
