"""The sections `plan` and `write`: how AgentWrite plans and writes texts, and with which model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from longwriter.params.models import JudgeParams, LLMParams, Sampling
from longwriter.settings.named_files import template
from longwriter.settings.numbers import (
    Attempts,
    PlanSteps,
    PointChars,
    Ratio,
    RelativeError,
    Rows,
    Share,
    Words,
)
from longwriter.settings.section import Conflict, Section, ordered
from longwriter.settings.texts import DISTINCT, Template

PlanRule = Literal[
    "enough_rows", "enough_kept", "unique_ids", "steps_in_bounds", "step_words_in_bounds",
    "points_say_something", "points_differ", "no_refusal", "sum_is_near", "traceable",
]  # fmt: skip


_PLAN_FIELDS = ("min_steps", "max_steps", "min_words", "max_words", "format")
_WRITE_FIELDS = ("instruction", "plan", "text", "step", "steps", "word_count")


class PlanGate(Section):
    """Bounds of the gate after `plan`; it stops bad plans before any text is paid for."""

    min_rows: Rows
    """Smallest number of plans."""
    min_kept_share: Share
    """Smallest share of the instructions that must have a plan."""
    max_length_error: RelativeError
    """Largest relative error of a plan's length, |sum of the steps - required| / required, where the prompt
    states a length."""
    warn: Annotated[list[PlanRule], DISTINCT]
    """Expectations that only warn; every other one stops the pipeline."""


class CoverageJudgeParams(JudgeParams):
    """The judge of plans; without one, no judge checks what a plan covers."""

    prompt: Annotated[Template, template("instruction", "plan")]
    """Template of the question; fields {instruction} {plan}."""


class PlanParams(Section):
    """First half of AgentWrite: from an instruction to the steps of a plan."""

    llm: LLMParams | None
    """Model that plans; null = the one of the section `llm`."""
    prompt: Annotated[Template, template("instruction", others=_PLAN_FIELDS)]
    """Template file; fields {instruction} {min_steps} {max_steps} {min_words} {max_words} {format}. If the
    template has no {format}, the description of the answer format is added at its end, except under a JSON
    schema."""
    answer_format: Literal["auto", "json_schema", "json_object", "lines"]
    """`auto` = JSON schema if the server follows it, else JSON mode, else the line format."""
    min_steps: PlanSteps
    """Plans with fewer steps are rejected."""
    max_steps: PlanSteps
    """Plans with more steps are rejected (50 in the paper's code)."""
    min_step_words: Words
    """Shortest paragraph that a plan may ask for, in words (200 in the paper)."""
    max_step_words: Words
    """Longest paragraph that a plan may ask for, in words (1,000 in the paper)."""
    max_point_chars: PointChars
    """Longest main point in characters; used in the JSON schema only."""
    max_length_error: RelativeError | None
    """Largest relative error of a plan's length, |sum of the steps - required| / required; null = not
    checked."""
    min_coverage: Share
    """Smallest share of the instruction's content words that must occur in the main points; 0 = not
    checked."""
    judge: CoverageJudgeParams
    """The judge that is asked whether the plan covers everything that the instruction asks for."""
    max_attempts: Attempts
    """Largest number of attempts to get a valid plan; after the last one the instruction is rejected."""
    sampling: Sampling
    """Sampling of the plans."""
    gate: PlanGate
    """Bounds of the gate after `plan`."""

    moved: ClassVar = {
        "coverage_judge": "plan.judge.llm (null = no judge)",
        "coverage_prompt": "plan.judge.prompt",
    }

    def conflicts(self) -> Iterator[Conflict]:
        """Yield swapped bounds."""
        yield from ordered(("min_steps", self.min_steps), ("max_steps", self.max_steps))
        yield from ordered(("min_step_words", self.min_step_words), ("max_step_words", self.max_step_words))


class WriteParams(Section):
    """Second half of AgentWrite: the paragraphs."""

    llm: LLMParams | None
    """Model that writes; null = the one of the section `llm`."""
    mode: Literal["serial", "parallel", "direct"]
    """`serial` = each paragraph is written with the text so far (the paper), so the template needs {text};
    `parallel` = all paragraphs at once, without the text so far (+Parallel in the paper); `direct` = one call
    without a plan (the baseline)."""
    prompt: Annotated[Template, template("main_point", others=_WRITE_FIELDS)]
    """Template; fields {instruction} {plan} {text} {step} {steps} {main_point} {word_count}. For the
    first paragraph, a block between blank lines whose only field is {text} is left out."""
    keep: Literal["first_paragraph", "whole_answer"]
    """Part of an answer that becomes the paragraph; small models often write further paragraphs after it."""
    min_paragraph_words: Words
    """Shortest paragraph in words; a shorter paragraph is requested again."""
    min_kept_share: Share
    """Smallest share of the plans that must become drafts; with less, the stage stops with exit code 3."""
    max_length_ratio: Ratio | None
    """Largest ratio between a paragraph's words and the words its step asks for, in either direction;
    null = not checked."""
    max_repeated_share: Share
    """Largest share of a paragraph's 5-grams that repeat an earlier 5-gram of the paragraph or of the text
    before it. In mode `parallel` the text before it is compared once all paragraphs are written."""
    max_attempts: Attempts
    """Largest number of attempts for one paragraph; after the last one the draft is rejected."""
    sampling: Sampling
    """Sampling of the paragraphs."""
    direct_sampling: Sampling
    """Sampling of the one answer of mode `direct`."""
