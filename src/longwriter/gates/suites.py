"""What each gate expects of its rows, as data; `edges/quality.py` hands it to Great Expectations.

A suite is a list of rules over the columns that `core/gate.py` computes. Its thresholds come from
params.yaml, and so does which of its rules only warn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """One expectation over one of a suite's tables; `bound` says in words what it allows."""

    table: str
    name: str
    bound: str
    expectation: str
    arguments: dict[str, Any]


def instruction_suite(
    *, rows: int, min_rows: int, languages: Sequence[str], max_required_words: int, min_prompt_words: int,
    max_prompt_words: int, max_type_share: float,
) -> list[Rule]:  # fmt: skip
    """Return every rule for instructions, before a plan is paid for."""
    most = max(1, math.floor(round(rows * max_type_share, 6)))
    return [
        _at_least("instructions", "enough_rows", min_rows, "rows"),
        _unique("instructions", "unique_ids", "instruction_id", "no id twice"),
        _unique("instructions", "unique_prompts", "words", "no prompt twice, but for case, space and punctuation"),
        _among("instructions", "known_language", "language", list(languages)),
        _never("instructions", "language_is_true", "other_script", "written in its language"),
        _between("instructions", "prompt_in_bounds", "prompt_words", min_prompt_words, max_prompt_words, "words"),
        _between("instructions", "length_in_reach", "required_words", 1, max_required_words, "words asked for"),
        _never("instructions", "stated_length_is_true", "other_length", "the length that the prompt states"),
        _never("instructions", "no_benchmark_prompt", "on_benchmark", "none"),
        Rule("instructions", "traceable", "file:line", "ExpectColumnValuesToMatchRegex",
             {"column": "origin", "regex": r"^.+:\d+$"}),
        Rule("instructions", "types_balanced", f"at most {most} of one type", "ExpectColumnMaxToBeBetween",
             {"column": "of_its_type", "max_value": most}),
    ]  # fmt: skip


def plan_suite(
    *, min_rows: int, min_kept_share: float, min_steps: int, max_steps: int, min_step_words: int,
    max_step_words: int, max_length_error: float,
) -> list[Rule]:  # fmt: skip
    """Return every rule for plans, before their texts are paid for."""
    return [
        _at_least("plans", "enough_rows", min_rows, "plans"),
        Rule("plans", "enough_kept", f">= {min_kept_share} of the instructions planned",
             "ExpectColumnMinToBeBetween", {"column": "kept_share", "min_value": min_kept_share}),
        _unique("plans", "unique_ids", "instruction_id", "one plan an instruction"),
        _between("plans", "steps_in_bounds", "steps", min_steps, max_steps, "steps"),
        _between("steps", "step_words_in_bounds", "word_count", min_step_words, max_step_words, "words a step"),
        _never("steps", "points_say_something", "empty", "a word in each main point"),
        _never("steps", "points_differ", "seen", "no main point twice in a plan"),
        _never("steps", "no_refusal", "refusal", "none"),
        _between("plans", "sum_is_near", "length_error", None, max_length_error, "relative error of the sum"),
        _between("plans", "traceable", "calls", 1, None, "LLM calls"),
    ]  # fmt: skip


def example_suite(
    *, long_rows: int, min_rows: int, min_words: int, max_words: int, max_repeated_share: float,
    min_distinct_share: float, max_length_error: float,
) -> list[Rule]:  # fmt: skip
    """Return every rule for training examples; "long" are those that are no general chats."""
    alike = long_rows - math.ceil(round(long_rows * min_distinct_share, 6))
    return [
        _at_least("long", "enough_rows", min_rows, "rows"),
        _unique("all", "unique_ids", "sample_id", "no id twice"),
        _unique("all", "unique_answers", "answer", "no answer twice"),
        Rule("all", "roles_in_turn", "(system-)user-assistant(-…)", "ExpectColumnValuesToMatchRegex",
             {"column": "roles", "regex": r"^(system-)?user-assistant(-user-assistant)*$"}),
        _among("all", "known_language", "language", ["en", "zh"]),
        _never("all", "no_refusal", "refusal", "none"),
        _never("all", "no_benchmark_prompt", "on_benchmark", "none"),
        _between("long", "length_in_bounds", "words", min_words, max_words, "words"),
        _between("long", "no_loop", "repeated_share", None, max_repeated_share, "of 5-grams repeated"),
        _never("long", "no_identifier", "identifier", "no 'Paragraph 1' left"),
        _between("long", "asked_length_is_written", "length_error", None, max_length_error, "relative error"),
        Rule("all", "recorded_length_is_true", "words = count of the answer", "ExpectColumnPairValuesToBeEqual",
             {"column_A": "words", "column_B": "words_recorded"}),
        _between("long", "traceable", "origins", 1, None, "LLM calls, or a source row"),
        Rule("long", "distinct_openings", f">= {min_distinct_share} distinct", "ExpectColumnSumToBeBetween",
             {"column": "opening_seen", "max_value": alike}),
    ]  # fmt: skip


def pair_suite(
    *, min_pairs: int, min_gap: float, max_words_ratio: float, max_repeated_share: float
) -> list[Rule]:
    """Return every rule for preference pairs."""
    low, high = sorted((max_words_ratio, 1 / max_words_ratio))
    return [
        _at_least("pairs", "enough_pairs", min_pairs, "pairs"),
        Rule("pairs", "both_sides_have_pairs", "train and test", "ExpectColumnDistinctValuesToContainSet",
             {"column": "side", "value_set": ["test", "train"]}),
        _never("pairs", "sides_apart", "on_both_sides", "no instruction on both sides"),
        _unique("pairs", "unique_ids", "pair_id", "no id twice"),
        _among("pairs", "roles_in_turn", "roles", ["user/assistant/assistant"]),
        _never("pairs", "chosen_differs", "same", "chosen is not rejected"),
        _between("pairs", "chosen_is_ahead", "gap", min_gap, None, "points"),
        _never("pairs", "no_refusal", "refusal", "none in chosen"),
        _between("pairs", "no_loop", "repeated_share", None, max_repeated_share, "of 5-grams of chosen repeated"),
        _between("pairs", "traceable", "calls", 1, None, "LLM calls"),
        Rule("pairs", "lengths_alike", f"{low:.3g} to {high:.3g} words of chosen for one of rejected",
             "ExpectColumnMeanToBeBetween", {"column": "words_ratio", "min_value": low, "max_value": high}),
    ]  # fmt: skip


def _at_least(table: str, name: str, rows: int, what: str) -> Rule:
    return Rule(table, name, f">= {rows} {what}", "ExpectTableRowCountToBeBetween", {"min_value": rows})


def _unique(table: str, name: str, column: str, bound: str) -> Rule:
    return Rule(table, name, bound, "ExpectColumnValuesToBeUnique", {"column": column})


def _among(table: str, name: str, column: str, values: list[str]) -> Rule:
    return Rule(
        table, name, " or ".join(values), "ExpectColumnValuesToBeInSet",
        {"column": column, "value_set": values},
    )  # fmt: skip


def _never(table: str, name: str, column: str, bound: str) -> Rule:
    return Rule(table, name, bound, "ExpectColumnValuesToBeInSet", {"column": column, "value_set": [False]})


def _between(table: str, name: str, column: str, low: float | None, high: float | None, what: str) -> Rule:
    bound = f">= {low}" if high is None else f"<= {high}" if low is None else f"{low} to {high}"
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Rule(table, name, f"{bound} {what}", "ExpectColumnValuesToBeBetween", arguments)
