"""Sections of AgentWrite: how texts are planned and written, and by which model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.common import Count, NotNegative, Number, Section, Share
from longwriter.params.models import LLMParams, Sampling

PlanRule = Literal[
    "enough_rows", "enough_kept", "unique_ids", "steps_in_bounds", "step_words_in_bounds",
    "points_say_something", "points_differ", "no_refusal", "sum_is_near", "traceable",
]  # fmt: skip


class PlanGate(Section):
    """Bounds of the gate behind `plan`: it stops before a text is paid for."""

    min_rows: Count
    """Fewest plans."""
    min_kept_share: Share
    """Fewest plans as a share of the instructions."""
    max_length_error: NotNegative
    """Largest |sum of the steps - required| / required of a plan whose prompt states a length."""
    warn: list[PlanRule]
    """Expectations that only warn; every other one stops."""


class PlanParams(Section):
    """AgentWrite, first half: from an instruction to a list of paragraphs."""

    llm: LLMParams | None
    """The planner; null = the section `llm`."""
    prompt: str
    """Template file; fields {instruction} {min_steps} {max_steps} {min_words} {max_words} {format}. Without
    {format}, what the answer must look like follows the template, unless a JSON schema says it already."""
    answer_format: Literal["auto", "json_schema", "json_object", "lines"]
    """`auto` = the first of JSON schema, JSON mode, line format that the server honours."""
    min_steps: Count
    max_steps: Count
    """Plans with more steps are rejected (50 in the paper's code)."""
    min_step_words: Count
    max_step_words: Count
    """Word count of one paragraph (200 and 1,000 in the paper)."""
    max_point_chars: Annotated[int, Field(ge=20)]
    """Longest main point, in characters, in answers by JSON schema."""
    max_length_error: NotNegative | None
    """Largest |sum of the plan's word counts - required| / required; null = not checked."""
    min_coverage: Share
    """Share of the instruction's content words that the main points must touch; 0 = not checked."""
    coverage_judge: bool
    """Ask `judge.llm` whether the plan covers all that the instruction asks for."""
    coverage_prompt: str
    """Template of that question; fields {instruction} {plan}."""
    max_attempts: Count
    """Tries to get a valid plan before the instruction is rejected."""
    sampling: Sampling
    gate: PlanGate


class WriteParams(Section):
    """AgentWrite, second half: the paragraphs."""

    llm: LLMParams | None
    """The writer; null = the section `llm`."""
    mode: Literal["serial", "parallel", "direct"]
    """`serial` = each paragraph after the text so far (the paper's), `parallel` = each from the plan
    alone (the paper's +Parallel), `direct` = no plan, one call (the baseline)."""
    prompt: str
    """Template; fields {instruction} {plan} {text} {step} {steps} {main_point} {word_count}. A block between
    blank lines whose only field is {text} is left out while nothing is written."""
    keep: Literal["first_paragraph", "whole_answer"]
    """What of an answer becomes the paragraph; small models run on after it."""
    min_paragraph_words: Count
    """Shorter paragraphs are asked again."""
    max_length_ratio: Annotated[Number, Field(gt=1)] | None
    """Largest ratio, either way, of a paragraph's words to those its step asks for; null = not checked."""
    max_repeated_share: Share
    """Share of a paragraph's 5-grams that repeat earlier ones, itself or the text before it. In mode
    `parallel` the text before it is looked at when all paragraphs are there."""
    max_attempts: Count
    """Tries for one paragraph before the draft is rejected."""
    sampling: Sampling
    direct_sampling: Sampling
    """How the one answer of mode `direct` is drawn."""
