"""The gate of the instructions, before a plan is paid for.

Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

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
from longwriter.params.data import InstructionsParams
from longwriter.records import Instruction
from longwriter.text import decontamination
from longwriter.text.counting import count_han, tokens
from longwriter.text.language import identify
from longwriter.text.lengths.stated import stated_length

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
    """Return the gate of instructions; `benchmark` holds the prompts that none may repeat."""
    tables = {"instructions": pd.DataFrame(instruction_table(rows, benchmark), columns=list(COLUMNS))}
    return Gate(suite(len(rows), params), tables, "instruction_id", params.gate.warn)


def instruction_table(rows: list[Instruction], benchmark: Sequence[str]) -> list[dict[str, Any]]:
    """Return one line an instruction, with the keys of `COLUMNS`.

    `other_script` is True where the prompt's main script (Han or not) is not that of its language, and
    the language detector does not find that language either. `other_length` is True where the prompt
    states another length than the recorded one.
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
    same_but = "no prompt twice, but for case, space and punctuation"
    return [
        at_least(table, "enough_rows", gate.min_rows, "rows"),
        unique(table, "unique_ids", "instruction_id", "no id twice"),
        unique(table, "unique_prompts", "words", same_but),
        among(table, "known_language", "language", list(params.languages)),
        never(table, "language_is_true", "other_script", "written in its language"),
        between(
            table, "prompt_in_bounds", "prompt_words", gate.min_prompt_words, gate.max_prompt_words, "words"
        ),
        between(table, "length_in_reach", "required_words", 1, params.max_required_words, "words asked for"),
        never(table, "stated_length_is_true", "other_length", "the length that the prompt states"),
        never(table, "no_benchmark_prompt", "on_benchmark", "none"),
        matches(table, "traceable", "origin", r"^.+:\d+$", "file:line"),
        Expectation(
            table,
            "types_balanced",
            f"at most {most} of one type",
            "ExpectColumnMaxToBeBetween",
            {"column": "of_its_type", "max_value": most},
        ),
    ]
