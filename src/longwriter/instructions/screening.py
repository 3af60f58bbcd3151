"""Checks of one row alone: words, language, harm, stated length, overlap with a benchmark.

A row's result depends on nothing but the row and the limits, so the rows of a source can be screened in
any number of processes. Steps that need all rows follow in `selection`.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longwriter.hashing import short_id
from longwriter.instructions.patterns import Patterns, first_matches
from longwriter.instructions.sources.rows import SourceRow
from longwriter.instructions.sources.turns import Unusable
from longwriter.records import Instruction, Rejection
from longwriter.text import decontamination
from longwriter.text.counting import normalise, tokens
from longwriter.text.language import identify
from longwriter.text.lengths.stated import stated_length

OTHER = "Other"
"""The type of a row that states none and matches no pattern for types."""


class ScreeningLimits(NamedTuple):
    """What each row is checked against.

    `languages`: codes that are kept. `max_chars`: longest prompt. `max_required_words`: longest stated
    length that the writer can reach. `harm`: patterns whose name is the reason (`toxic`, `scraping`), or
    begins with it and a dot. `types`: patterns whose name is the type. `benchmarks`: prompts that no row
    may repeat. `prompt_words`: fewest and most words of a prompt.
    """

    languages: Sequence[str]
    max_chars: int
    max_required_words: int
    harm: Patterns
    types: Patterns
    benchmarks: decontamination.Index
    prompt_words: tuple[int, int] = (1, 10**9)


class Candidate(NamedTuple):
    """A row that passed; `benchmark_hit` is the benchmark prompt that it repeats, or None."""

    instruction: Instruction
    benchmark_hit: str | None


def screen(
    rows: Sequence[tuple[str, SourceRow | Unusable]], limits: ScreeningLimits
) -> tuple[list[Candidate], list[Rejection]]:
    """Return (candidates in the order of the rows, rejections); every row is in one of them.

    Args:
        rows: (`file:line`, row or why it gives no instruction).
        limits: What they are checked against.
    """
    rejected: list[Rejection] = []
    passed: list[tuple[str, SourceRow, str]] = []
    for origin, row in rows:
        if isinstance(row, Unusable):
            rejected.append(_rejection(origin, row.reason, row.detail))
            continue
        row = row._replace(prompt=normalise(row.prompt))
        language = row.language or identify(row.prompt[: limits.max_chars])
        if (trouble := _trouble(row, language, limits)) is not None:
            reason, detail = trouble
            rejected.append(_rejection(_instruction_id(row.prompt, language), reason, f"{origin}: {detail}"))
        else:
            passed.append((origin, row, language))
    prompts = [row.prompt for _, row, _ in passed]
    harm = first_matches(prompts, limits.harm)
    types = first_matches(prompts, limits.types)
    candidates: list[Candidate] = []
    for (origin, row, language), harm_name, type_name in zip(passed, harm, types, strict=True):
        item = _instruction(origin, row, language, type_name)
        if harm_name:
            reason = harm_name.partition(".")[0]
            detail = f"{origin}: {harm_name}: {row.prompt[:80]!r}"
            rejected.append(_rejection(item.instruction_id, reason, detail))
        elif (item.required_words or 0) > limits.max_required_words:
            detail = f"{origin}: {item.required_words} words"
            rejected.append(_rejection(item.instruction_id, "too_long_for_writer", detail))
        else:
            candidates.append(Candidate(item, decontamination.hit(limits.benchmarks, item.prompt)))
    return candidates, rejected


def _trouble(row: SourceRow, language: str, limits: ScreeningLimits) -> tuple[str, str] | None:
    """Return (reason, detail) of the first check that a row fails, in the funnel's order, or None."""
    words = len(tokens(row.prompt[: limits.max_chars]))
    if not words:
        return "no_words", repr(row.prompt[:80])
    if len(row.prompt) > limits.max_chars:
        return "prompt_too_long", f"{len(row.prompt):,} characters"
    fewest, most = limits.prompt_words
    if not fewest <= words <= most:
        return "prompt_too_short" if words < fewest else "prompt_too_long", f"{words:,} words"
    if language not in limits.languages:
        return "language", language
    if row.toxic:
        return "flagged_toxic", "the source says so"
    if row.redacted:
        return "flagged_redacted", "the source took names out of it"
    return None


def _instruction(origin: str, row: SourceRow, language: str, type_name: str | None) -> Instruction:
    """Return the instruction of a row; a length or type that the source states is believed."""
    return Instruction.model_validate(
        {
            "instruction_id": _instruction_id(row.prompt, language),
            "prompt": row.prompt,
            "type": row.type or type_name or OTHER,
            "language": language,
            "required_words": row.length if row.length is not None else stated_length(row.prompt),
            "origin": origin,
        }
    )


def _instruction_id(prompt: str, language: str) -> str:
    return short_id([language, prompt])


def _rejection(row_id: str, reason: str, detail: str) -> Rejection:
    return Rejection(row_id=row_id, stage="instructions", reason=reason, detail=detail)
