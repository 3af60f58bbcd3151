"""Plans a text that is longer than one plan: first its chapters, then the paragraphs of each chapter.

A plan has at most `plan.max_steps` paragraphs of at most `plan.max_step_words` words. A small model does not find
more different points in one plan. A large model loses track in a very long plan.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from longwriter.agentwrite.plans import coverage, planning
from longwriter.hashing import short_id
from longwriter.io import progress
from longwriter.llm.client import LLM
from longwriter.params import PlanParams
from longwriter.records import Instruction, Plan, PlanStep, Rejection

_SPARE = 1.2
"""Largest number of chapters of a text, as a multiple of the smallest number that suffices."""
_PROMPTS = {
    "en": "{prompt}\n\nPlan only part {number} of {parts}, in about {words} words. It is about this: {point}",
    "zh": "{prompt}\n\n只规划第{number}部分(共{parts}部分),约{words}字。这一部分写:{point}",
}


def words_of_one_plan(params: PlanParams) -> int:
    """Return how many words the longest plan has."""
    return params.max_steps * params.max_step_words


def most_chapters(params: PlanParams, required_words: int) -> int:
    """Return how many chapters a text may have; 1 = one plan is enough for it."""
    fewest = math.ceil(required_words / words_of_one_plan(params))
    return 1 if fewest == 1 else max(params.max_steps, math.ceil(_SPARE * fewest))


async def plan_text(
    llm: LLM,
    params: PlanParams,
    row: Instruction,
    reasked: Counter[str],
    note: Callable[[], str],
) -> Plan | Rejection:
    """Return the plan of a text of any length, or why there is none.

    Args:
        llm: The planner.
        params: Section `plan`.
        row: The instruction; its `required_words` is known.
        reasked: Counts, by reason, the answers after which the planner was asked again.
        note: Text after the progress bars.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    templates = planning.read_templates(params)
    words = row.required_words or 1
    most = most_chapters(params, words)
    of_chapters = params
    if most > 1:
        bounds = {
            "min_steps": 2,
            "max_steps": most,
            "min_step_words": params.min_steps * params.min_step_words,
            "max_step_words": words_of_one_plan(params),
        }
        of_chapters = params.model_copy(update=bounds)
    [outline] = await progress.each(
        [row],
        lambda row: planning.plan_one(llm, None, of_chapters, templates, row, reasked),
        "plan",
        note,
    )
    if most == 1 or isinstance(outline, Rejection):
        return outline
    of_parts = params.model_copy(update={"min_coverage": 0.0})  # a part covers only a part of the instruction
    parts = await progress.each(
        instructions(row, fitted(outline.steps, words, words_of_one_plan(params))),
        lambda part: planning.plan_one(llm, None, of_parts, templates, part, reasked),
        "plan parts",
        note,
    )
    if refused := next((part for part in parts if isinstance(part, Rejection)), None):
        return refused
    plans = [part for part in parts if isinstance(part, Plan)]
    call_ids = [call_id for plan in (outline, *plans) for call_id in plan.call_ids]
    return Plan(
        instruction=row, steps=different([step for plan in plans for step in plan.steps]), call_ids=call_ids
    )


def fitted(chapters: list[PlanStep], required_words: int, max_words: int) -> list[PlanStep]:
    """Return chapters whose words add up to about the length asked for; none is longer than one plan."""
    total = sum(chapter.word_count for chapter in chapters)
    return [
        chapter.model_copy(
            update={"word_count": min(max_words, round(chapter.word_count * required_words / total))}
        )
        for chapter in chapters
    ]


def instructions(row: Instruction, chapters: list[PlanStep]) -> list[Instruction]:
    """Return the instruction of each chapter, for the planner."""
    prompts = [
        _PROMPTS[row.language].format(
            prompt=row.prompt,
            number=number,
            parts=len(chapters),
            words=chapter.word_count,
            point=chapter.main_point,
        )
        for number, chapter in enumerate(chapters, 1)
    ]
    return [
        row.model_copy(
            update={
                "instruction_id": short_id(prompt),
                "prompt": prompt,
                "required_words": chapter.word_count,
            }
        )
        for prompt, chapter in zip(prompts, chapters, strict=True)
    ]


def different(steps: list[PlanStep]) -> list[PlanStep]:
    """Return the steps without repeats of an earlier step; each chapter is planned by itself, so they occur."""
    kept: list[PlanStep] = []
    for step in steps:
        if not any(coverage.duplicates([other.main_point, step.main_point]) for other in kept):
            kept.append(step)
    return kept
