"""The gate of the instructions. It stops bad rows before plans are paid for.

Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from longwriter.exclusions import decontamination
from longwriter.gates.suite.expectations import (
    Expectation,
    Gate,
    among,
    at_least,
    between,
    matches,
    never,
    unique,
)
from longwriter.lengths.stated import stated_length
from longwriter.params.data import InstructionsParams
from longwriter.records import Instruction
from longwriter.text.basics.counting import count_han, tokens
from longwriter.text.language import identify

COLUMNS = (
    "instruction_id",
    "words",
    "prompt_words",
    "language",
    "other_script",
    "required_words",
    "other_length",
    "on_benchmark",
    "origin",
    "of_its_type",
)


def gate(rows: list[Instruction], params: InstructionsParams, benchmark: Sequence[str]) -> Gate:
    """Return the gate of instructions; `benchmark` holds prompts that no instruction may repeat."""
    tables = {"instructions": pd.DataFrame(instruction_table(rows, benchmark), columns=list(COLUMNS))}
    return Gate(suite(len(rows), params), tables, "instruction_id", params.gate.warn)


def instruction_table(rows: list[Instruction], benchmark: Sequence[str]) -> list[dict[str, Any]]:
    """Return a line for each instruction, with the keys of `COLUMNS`.

    `other_script` is True if the main script of the prompt (Han or not) does not fit its language, and the
    language detector finds another language too. `other_length` is True if the prompt states a length that
    is not the recorded one.
    """
    index = decontamination.index(benchmark)
    types = Counter(row.type for row in rows)
    table = []
    for row in rows:
        words = tokens(row.prompt)
        mainly_han = 2 * sum(count_han(word[0]) for word in words) > len(words)
        stated = stated_length(row.prompt)
        table.append(
            {
                "instruction_id": row.instruction_id,
                "words": " ".join(words),
                "prompt_words": len(words),
                "language": row.language,
                "other_script": (row.language == "zh") != mainly_han and identify(row.prompt) != row.language,
                "required_words": row.required_words,
                "other_length": stated is not None and stated != row.required_words,
                "on_benchmark": decontamination.hit(index, row.prompt) is not None,
                "origin": row.origin,
                "of_its_type": types[row.type],
            }
        )
    return table


def suite(rows: int, params: InstructionsParams) -> list[Expectation]:
    """Return the expectations of `rows` instructions."""
    gate = params.gate
    table = "instructions"
    most = max(1, math.floor(round(rows * gate.max_type_share, 6)))
    same_but = "each prompt once (case, space and punctuation make no difference)"
    return [
        at_least(table, "enough_rows", gate.min_rows, "rows"),
        unique(table, "unique_ids", "instruction_id", "each id once"),
        unique(table, "unique_prompts", "words", same_but),
        among(table, "known_language", "language", list(params.languages)),
        never(table, "language_is_true", "other_script", "the prompt is in its language"),
        between(
            table, "prompt_in_bounds", "prompt_words", gate.min_prompt_words, gate.max_prompt_words, "words"
        ),
        between(table, "length_in_reach", "required_words", 1, params.max_required_words, "words requested"),
        never(
            table,
            "stated_length_is_true",
            "other_length",
            "the recorded length is the one that the prompt states",
        ),
        never(table, "no_benchmark_prompt", "on_benchmark", "no prompt of a benchmark"),
        matches(table, "traceable", "origin", r"^.+:\d+$", "file:line"),
        between(table, "types_balanced", "of_its_type", None, most, "rows of one type"),
    ]
