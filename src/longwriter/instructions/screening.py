"""Checks that need only one row: words, language, harm, stated length, overlap with a benchmark.

The result for a row depends only on the row and the limits, so any number of processes can share the rows
of a source. The checks that need all rows are in `selection`.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.exclusions import decontamination
from longwriter.hashing import short_id
from longwriter.instructions.patterns import Patterns, first_matches
from longwriter.lengths.stated import stated_length
from longwriter.records import Instruction, RejectedInstruction
from longwriter.schemas.contents import Unusable
from longwriter.schemas.rows import SourceRow
from longwriter.text.basics.counting import normalise, tokens
from longwriter.text.language import identify

OTHER = "Other"
"""Type of a row that states no type and matches no pattern of a type."""
_SHOWN_CHARS = 200  # of the prompt of a rejected row


class ScreeningLimits(NamedTuple):
    """Limits that each row has to keep.

    `languages`: codes of the languages that are kept. `max_chars`: longest prompt, in characters.
    `max_required_words`: longest stated length, in words, that the writer can reach. `harm`: patterns of
    harmful prompts; a name is a reason (`toxic`, `scraping`), or a reason, a dot and a detail. `types`:
    patterns of the types; a name is a type. `benchmarks`: prompts that no row may repeat. `prompt_words`:
    smallest and largest number of words in a prompt. `withdrawn`: ids of rows whose prompts are shown nowhere.
    """

    languages: Sequence[str]
    max_chars: int
    max_required_words: int
    harm: Patterns
    types: Patterns
    benchmarks: decontamination.Index
    prompt_words: tuple[int, int] = (1, 10**9)
    withdrawn: Set[str] = frozenset()


class Candidate(NamedTuple):
    """A row that passed the checks; `benchmark_hit` is the benchmark prompt that it repeats, or None."""

    instruction: Instruction
    benchmark_hit: str | None


def screen(
    rows: Sequence[tuple[str, SourceRow | Unusable]], limits: ScreeningLimits
) -> tuple[list[Candidate], list[RejectedInstruction]]:
    """Return (candidates in the order of the rows, rejections); each row is in exactly one of the two lists.

    Args:
        rows: Pairs of `file:line` and a row, or the reason why the row gives no instruction.
        limits: The limits of the checks.
    """
    rejected: list[RejectedInstruction] = []
    passed: list[tuple[str, SourceRow, str]] = []
    for origin, row in rows:
        if isinstance(row, Unusable):
            rejected.append(rejection(origin, row.reason, row.detail, ""))
            continue
        row = row._replace(prompt=normalise(row.prompt))
        language = row.language or identify(row.prompt[: limits.max_chars])
        if (problem := _problem(row, language, limits)) is not None:
            reason, detail = problem
            row_id = _instruction_id(row.prompt, language)
            shown = "" if row_id in limits.withdrawn else row.prompt
            rejected.append(rejection(row_id, reason, f"{origin}: {detail}", shown))
        else:
            passed.append((origin, row, language))
    prompts = [row.prompt for _, row, _ in passed]
    harm = first_matches(prompts, limits.harm)
    types = first_matches(prompts, limits.types)
    candidates: list[Candidate] = []
    for (origin, row, language), harm_name, type_name in zip(passed, harm, types, strict=True):
        item = _instruction(origin, row, language, type_name)
        shown = "" if item.instruction_id in limits.withdrawn else row.prompt
        if harm_name:
            reason = harm_name.partition(".")[0]
            rejected.append(rejection(item.instruction_id, reason, f"{origin}: {harm_name}", shown))
        elif (required := item.required_words or 0) > limits.max_required_words:
            detail = f"{origin}: {amount(required, 'word')}"
            rejected.append(rejection(item.instruction_id, "too_long_for_writer", detail, shown))
        else:
            candidates.append(Candidate(item, decontamination.hit(limits.benchmarks, item.prompt)))
    return candidates, rejected


def _problem(row: SourceRow, language: str, limits: ScreeningLimits) -> tuple[str, str] | None:
    """Return (reason, detail) of the first check that a row fails, or None; the order is that of the funnel."""
    words = len(tokens(row.prompt[: limits.max_chars]))
    if not words:
        return "no_words", repr(row.prompt[:80])
    if len(row.prompt) > limits.max_chars:
        return "prompt_too_long", amount(len(row.prompt), "character")
    fewest, most = limits.prompt_words
    if not fewest <= words <= most:
        return "prompt_too_short" if words < fewest else "prompt_too_long", amount(words, "word")
    if language not in limits.languages:
        return "language", language
    if row.toxic:
        return "flagged_toxic", "the source says so"
    if row.redacted:
        return "flagged_redacted", "the source took names out of it"
    return None


def _instruction(origin: str, row: SourceRow, language: str, type_name: str | None) -> Instruction:
    """Return the instruction of a row; a length or type that the source states is used as it is."""
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


def rejection(
    row_id: str, reason: str, detail: str, prompt: str, call_ids: Sequence[str] = ()
) -> RejectedInstruction:
    """Return the record of a rejected row, with the beginning of its prompt."""
    return RejectedInstruction(
        row_id=row_id, stage="instructions", reason=reason, detail=detail, call_ids=list(call_ids),
        prompt=prompt[:_SHOWN_CHARS],
    )  # fmt: skip
