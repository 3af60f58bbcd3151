"""What is decided of a row by itself: words, language, harm, stated length, benchmark.

`sift` is a pure function of a handful of rows and of rules that every machine has, so the rows of a
source can be sifted in any number of processes; what needs all rows (duplicates, the choice) comes
after, in `duplicates` and `select`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.hashing import content_hash
from longwriter.instructions.patterns import Rules, first_hits
from longwriter.instructions.rows import SourceRow
from longwriter.records import Instruction, Rejection
from longwriter.text import decontamination
from longwriter.text.counting import normalise, tokens
from longwriter.text.language import identify
from longwriter.text.stated_length import stated_length

_UNITS = ("word", "character", "字", "词")  # without one no length in words is stated

OTHER = "Other"
"""The type of a row that states none and meets no rule for types."""


class Bar(NamedTuple):
    """What a row is measured against.

    `languages`: codes that are kept. `max_chars`: longest prompt. `max_required_words`: longest stated
    length the writer can reach. `harm`: rules whose name is the reason (`toxic`, `scraping`), or begins
    with it and a dot. `types`: rules whose name is the type. `benchmarks`: what no row may repeat.
    `prompt_words`: fewest and most words of a prompt.
    """

    languages: Sequence[str]
    max_chars: int
    max_required_words: int
    harm: Rules
    types: Rules
    benchmarks: decontamination.Index
    prompt_words: tuple[int, int] = (1, 10**9)


class Candidate(NamedTuple):
    """A row that is fit by itself; `hit` is the benchmark prompt that it repeats, or None."""

    instruction: Instruction
    hit: str | None


def sift(rows: Sequence[tuple[str, SourceRow | str]], bar: Bar) -> tuple[list[Candidate], list[Rejection]]:
    """Return (candidates in the order of the rows, rejected); every row is in one of them.

    Args:
        rows: (`file:line`, row) or, for a malformed one, (`file:line`, why).
        bar: What they are measured against.
    """
    rejected: list[Rejection] = []
    fit: list[tuple[str, SourceRow, str]] = []
    for origin, row in rows:
        if isinstance(row, str):
            rejected.append(_rejection(origin, "malformed", row))
            continue
        row = row._replace(prompt=normalise(row.prompt))
        language = row.language or identify(row.prompt[: bar.max_chars])
        if trouble := _own_trouble(row, language, bar):
            rejected.append(_rejection(_id(row.prompt, language), trouble[0], f"{origin}: {trouble[1]}"))
        else:
            fit.append((origin, row, language))
    prompts = [row.prompt for _, row, _ in fit]
    harm = first_hits(prompts, bar.harm)
    types = first_hits(prompts, bar.types)
    candidates: list[Candidate] = []
    for (origin, row, language), harmful, kind in zip(fit, harm, types, strict=True):
        item = _instruction(origin, row, language, kind)
        if harmful:
            detail = f"{origin}: {harmful}: {row.prompt[:80]!r}"
            rejected.append(_rejection(item.instruction_id, harmful.partition(".")[0], detail))
        elif (item.required_words or 0) > bar.max_required_words:
            detail = f"{origin}: {item.required_words} words"
            rejected.append(_rejection(item.instruction_id, "too_long_for_writer", detail))
        else:
            candidates.append(Candidate(item, decontamination.hit(bar.benchmarks, item.prompt)))
    return candidates, rejected


def _own_trouble(row: SourceRow, language: str, bar: Bar) -> tuple[str, str] | None:
    """Return (reason, detail) of what is wrong with a row, asked in the funnel's order."""
    words = len(tokens(row.prompt[: bar.max_chars]))
    if not words:
        return "no_words", repr(row.prompt[:80])
    if len(row.prompt) > bar.max_chars:
        return "prompt_too_long", f"{len(row.prompt):,} characters"
    fewest, most = bar.prompt_words
    if not fewest <= words <= most:
        return "prompt_too_short" if words < fewest else "prompt_too_long", f"{words:,} words"
    if language not in bar.languages:
        return "language", language
    if row.toxic:
        return "flagged_toxic", "the source says so"
    if row.redacted:
        return "flagged_redacted", "the source took names out of it"
    return None


def _instruction(origin: str, row: SourceRow, language: str, kind: str | None) -> Instruction:
    """Return the instruction of a row; a length or type that the source states is believed."""
    return Instruction.model_validate(
        {
            "instruction_id": _id(row.prompt, language),
            "prompt": row.prompt,
            "type": row.type or kind or OTHER,
            "language": language,
            "required_words": row.length if row.length is not None else _stated(row.prompt),
            "origin": origin,
        }
    )


def _stated(prompt: str) -> int | None:
    """Return the stated length; most chats name no unit, and reading them is half of a sift's time."""
    lower = prompt.lower()
    return stated_length(prompt) if any(unit in lower for unit in _UNITS) else None


def _id(prompt: str, language: str) -> str:
    return content_hash([language, prompt])[:16]


def _rejection(row_id: str, reason: str, detail: str) -> Rejection:
    return Rejection(row_id=row_id, stage="instructions", reason=reason, detail=detail)
