"""The gate of the training examples. It stops bad rows before the training.

Pure.
"""

from __future__ import annotations

import math
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
from longwriter.params import ValidateParams
from longwriter.records import Example, roles
from longwriter.talk import poison
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics import markup, thinking, wording
from longwriter.text.basics.counting import count_words, repeated_share, tokens
from longwriter.text.language import other_language

COLUMNS = (
    "sample_id",
    "kind",
    "language",
    "roles",
    "words",
    "words_recorded",
    "length_error",
    "repeated_share",
    "refusal",
    "reasoning",
    "control_token",
    "meta_talk",
    "other_language",
    "identifier",
    "answer",
    "opening_seen",
    "origins",
    "on_benchmark",
)
_OPENING = 12  # words; answers that begin with the same words are probably alike


def gate(rows: list[Example], params: ValidateParams, benchmark: Sequence[str]) -> Gate:
    """Return the gate of examples.

    Args:
        rows: The rows of train and test.
        params: The bounds, and the names of the expectations that only warn.
        benchmark: Prompts of the benchmarks; no row may be trained on them.
    """
    examples = pd.DataFrame(example_table(rows, benchmark), columns=list(COLUMNS))
    long = examples[examples["kind"] != "general"].reset_index(drop=True)
    tables = {"all": examples, "long": long}
    return Gate(suite(len(long), params), tables, "sample_id", params.warn)


def example_table(rows: list[Example], benchmark: Sequence[str]) -> list[dict[str, Any]]:
    """Return a line for each example, with the keys of `COLUMNS`.

    `identifier` is True if a row that this pipeline wrote still has an identifier such as "Paragraph 1:".
    In an imported row such words are a heading, so it is False. `origins` is the number of LLM calls that
    wrote the row, or 1 for an imported row that names its source.
    """
    index = decontamination.index(benchmark)
    table = []
    openings: set[tuple[str, ...]] = set()
    for row in rows:
        answer = row.messages[-1].content
        opening = tuple(tokens(answer)[:_OPENING])
        error = abs(row.words - row.required_words) / row.required_words if row.required_words else 0.0
        questions = [turn.content for turn in row.messages if turn.role == "user"]
        answers = [turn.content for turn in row.messages if turn.role == "assistant"]
        table.append(
            {
                "sample_id": row.sample_id,
                "kind": row.kind,
                "language": row.language,
                "roles": roles(row.messages),
                "words": count_words(answer),
                "words_recorded": row.words,
                "length_error": error,
                "repeated_share": round(repeated_share(answer), 6),
                "refusal": is_refusal(answer, questions[-1]),
                "reasoning": any(thinking.reasoning_text(text) for text in answers),
                "control_token": any(markup.control_token(text) for text in answers),
                "meta_talk": row.kind != "general"
                and poison.talking_paragraph(answer, questions[-1]) is not None,
                "other_language": row.kind != "general"
                and other_language(
                    answer, row.language, "\n".join(turn.content for turn in row.messages[:-1])
                )
                is not None,
                "identifier": row.kind == "agentwrite"
                and wording.strip_identifiers(answer) != answer.strip(),
                "answer": answer,
                "opening_seen": opening in openings,
                "origins": len(row.call_ids) or int(row.origin is not None),
                "on_benchmark": any(decontamination.hit(index, text) for text in questions),
            }
        )
        openings.add(opening)
    return table


def suite(long_rows: int, params: ValidateParams) -> list[Expectation]:
    """Return the expectations of examples; the table "long" holds all rows except the general chats."""
    distinct = math.ceil(round(long_rows * params.min_distinct_share, 6))
    turns = r"^(system-)?user-assistant(-user-assistant)*$"
    return [
        at_least("long", "enough_rows", params.min_rows, "rows"),
        unique("all", "unique_ids", "sample_id", "each id once"),
        unique("all", "unique_answers", "answer", "each answer once"),
        matches("all", "roles_in_turn", "roles", turns, "(system-)user-assistant(-…)"),
        among("all", "known_language", "language", ["en", "zh"]),
        never("all", "no_refusal", "refusal", "no answer that refuses"),
        never("all", "no_reasoning_text", "reasoning", "no thinking of a model in an answer"),
        never("all", "no_control_tokens", "control_token", "no control token or character in an answer"),
        never("long", "no_meta_talk", "meta_talk", "no paragraph that talks about the text or the task"),
        never(
            "long", "no_other_language", "other_language", "no paragraph in a language that nobody asked for"
        ),
        never("all", "no_benchmark_prompt", "on_benchmark", "no prompt of a benchmark"),
        between("long", "length_in_bounds", "words", params.min_words, params.max_words, "words"),
        between(
            "long", "no_loop", "repeated_share", None, params.max_repeated_share, "of the 5-grams are repeats"
        ),
        never("long", "no_identifier", "identifier", "no identifier such as 'Paragraph 1'"),
        between(
            "long",
            "asked_length_is_written",
            "length_error",
            None,
            params.max_length_error,
            "relative error of the length",
        ),
        Expectation(
            "all",
            "recorded_length_is_true",
            "the recorded words are those of the answer",
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "words", "column_B": "words_recorded"},
        ),
        between("long", "traceable", "origins", 1, None, "LLM calls, or a source row"),
        Expectation(
            "long",
            "distinct_openings",
            f">= {params.min_distinct_share} of the openings are distinct",
            "ExpectColumnValuesToBeInSet",
            {"column": "opening_seen", "value_set": [False], "mostly": distinct / max(1, long_rows)},
        ),
    ]
