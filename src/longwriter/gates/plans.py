"""The gate of the plans. It stops bad plans before their texts are paid for.

Pure.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from longwriter.gates.suite.expectations import Expectation, Gate, at_least, between, never, unique
from longwriter.params import PlanParams
from longwriter.records import Plan
from longwriter.talk.refusals import refused_by_rules
from longwriter.text.basics.counting import tokens

PLAN_COLUMNS = ("instruction_id", "steps", "length_error", "kept_share", "calls")
STEP_COLUMNS = ("instruction_id", "word_count", "empty", "seen", "refusal")
_COUNTS = ("enough_rows", "enough_kept", "unique_ids")  # these also apply to plans without steps


def gate(rows: list[Plan], instructions: int, params: PlanParams, without_steps: bool = False) -> Gate:
    """Return the gate of plans.

    Args:
        rows: The plans.
        instructions: Number of instructions that plans were made for.
        params: The bounds, and the names of the expectations that only warn.
        without_steps: The texts are written in one answer, so the plans have no steps and are only counted.
    """
    plans, steps = plan_tables(rows, instructions)
    tables = {
        "plans": pd.DataFrame(plans, columns=list(PLAN_COLUMNS)),
        "steps": pd.DataFrame(steps, columns=list(STEP_COLUMNS)),
    }
    expectations = [item for item in suite(params) if not without_steps or item.name in _COUNTS]
    return Gate(expectations, tables, "instruction_id", params.gate.warn)


def plan_tables(rows: list[Plan], instructions: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a line for each plan and a line for each step, with the keys of `PLAN_COLUMNS` and `STEP_COLUMNS`.

    `kept_share` is the number of plans divided by the number of instructions, the same in each line.
    """
    plans = []
    steps = []
    for row in rows:
        key = row.instruction.instruction_id
        required_words = row.instruction.required_words
        planned_words = sum(step.word_count for step in row.steps)
        error = abs(planned_words - required_words) / required_words if required_words else 0.0
        plans.append(
            {
                "instruction_id": key,
                "steps": len(row.steps),
                "length_error": error,
                "kept_share": len(rows) / instructions,
                "calls": len(row.call_ids),
            }
        )
        points: set[str] = set()
        for step in row.steps:
            point = " ".join(tokens(step.main_point))
            steps.append(
                {
                    "instruction_id": key,
                    "word_count": step.word_count,
                    "empty": not point,
                    "seen": point in points,
                    "refusal": refused_by_rules(step.main_point),
                }
            )
            points |= {point} - {""}
    return plans, steps


def suite(params: PlanParams) -> list[Expectation]:
    """Return the expectations of plans with steps."""
    gate = params.gate
    return [
        at_least("plans", "enough_rows", gate.min_rows, "plans"),
        Expectation(
            "plans",
            "enough_kept",
            f">= {gate.min_kept_share} of the instructions have a plan",
            "ExpectColumnMinToBeBetween",
            {"column": "kept_share", "min_value": gate.min_kept_share},
        ),
        unique("plans", "unique_ids", "instruction_id", "one plan for each instruction"),
        between("plans", "steps_in_bounds", "steps", params.min_steps, params.max_steps, "steps"),
        between(
            "steps",
            "step_words_in_bounds",
            "word_count",
            params.min_step_words,
            params.max_step_words,
            "words in a step",
        ),
        never("steps", "points_say_something", "empty", "each main point has a word"),
        never("steps", "points_differ", "seen", "each main point once in a plan"),
        never("steps", "no_refusal", "refusal", "no main point that refuses"),
        between(
            "plans",
            "sum_is_near",
            "length_error",
            None,
            gate.max_length_error,
            "relative error of the sum of the steps",
        ),
        between("plans", "traceable", "calls", 1, None, "LLM calls"),
    ]
