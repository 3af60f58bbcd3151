"""AgentWrite: plan a long text paragraph by paragraph, then write it step by step.

Source: LongWriter (arXiv:2408.07055), section 3; plans and paragraphs are checked before they are
kept, which the paper's code does not do (it stored error strings and endless plans).
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from pydantic_core import from_json

from longwriter.core import text as txt
from longwriter.records import Instruction, PlanStep

_FIELD = re.compile(r"\{(\w+)\}")
_LINE = re.compile(
    r"^\W*Paragraph\s+(?P<number>\d{1,4})\s*[-–—:]+\s*Main\s+Point\s*:\s*(?P<point>.+?)"
    r"\s*[-–—,;]+\s*Word\s+Count\s*:\s*(?P<count>\d{1,3}(?:,\d{3}){1,2}|\d{1,7})\s*(?:words?)?\W*$",
    re.IGNORECASE,
)
_META = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|absolutely|awesome|great)[!,.]"
    r"|^\W*here(?:'|’)?(?:s| is| are)\b.{0,80}:|^\W*(?:好的|当然)[，,!！]|main point\s*:|word count\s*:",
    re.IGNORECASE,
)


class Bounds(NamedTuple):
    """What a plan must keep to: number of steps and words of each, both inclusive."""

    min_steps: int
    max_steps: int
    min_words: int
    max_words: int


class Refused(NamedTuple):
    """Why an answer is not used: a reason from a fixed list, and the evidence."""

    reason: str
    detail: str


def fill(template: str, **fields: object) -> str:
    """Return `template` with each {name} replaced once; braces inside the values stay as they are.

    Raises:
        KeyError: the template names a field that is not given.
    """
    return _FIELD.sub(lambda match: str(fields[match[1]]), template).strip()


def step_bounds(bounds: Bounds, required_words: int | None) -> Bounds:
    """Return `bounds` with the number of steps narrowed to what can sum to `required_words`.

    A request beyond the bounds gets the nearest number of steps they allow.
    """
    if required_words is None:
        return bounds
    fewest = math.ceil(required_words / bounds.max_words)
    most = max(fewest, required_words // bounds.min_words)
    low = min(max(fewest, bounds.min_steps), bounds.max_steps)
    return bounds._replace(min_steps=low, max_steps=max(low, min(most, bounds.max_steps)))


def plan_schema(bounds: Bounds, max_point_chars: int) -> dict[str, Any]:
    """Return the JSON schema of a plan within `bounds`."""
    step = {
        "type": "object",
        "properties": {
            "main_point": {"type": "string", "minLength": 8, "maxLength": max_point_chars},
            "word_count": {
                "type": "integer",
                "minimum": bounds.min_words,
                "maximum": bounds.max_words,
            },
        },
        "required": ["main_point", "word_count"],
        "additionalProperties": False,
    }
    steps = {
        "type": "array",
        "items": step,
        "minItems": bounds.min_steps,
        "maxItems": bounds.max_steps,
    }
    return {
        "type": "object",
        "properties": {"steps": steps},
        "required": ["steps"],
        "additionalProperties": False,
    }


def parse_plan(answer: str, bounds: Bounds, as_json: bool) -> list[PlanStep] | Refused:
    """Return the steps of a planner's answer, or why it is no plan.

    Args:
        answer: What the model said, whole.
        bounds: Bounds of the plan; nothing is clipped into them.
        as_json: The answer was asked for by JSON schema; else by the line format
            `Paragraph k - Main Point: … - Word Count: … words`, one line a paragraph.
    """
    steps = _steps_of_json(answer) if as_json else _steps_of_lines(answer)
    if isinstance(steps, Refused):
        return steps
    return _check_steps(steps, bounds) or steps


def _steps_of_json(answer: str) -> list[PlanStep] | Refused:
    try:
        rows = from_json(answer)["steps"]  # refuses deep nesting and huge numbers by ValueError
        return [PlanStep(main_point=row["main_point"].strip(), word_count=row["word_count"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Refused("unparsable_plan", f"{type(error).__name__}: {answer[:200]}")


def _steps_of_lines(answer: str) -> list[PlanStep] | Refused:
    steps: list[PlanStep] = []
    for line in filter(None, (line.strip() for line in answer.splitlines())):
        match = _LINE.match(line)
        if not match or int(match["number"]) != len(steps) + 1:
            return Refused("refusal" if txt.is_refusal(answer) else "unparsable_plan", line[:200])
        count = int(match["count"].replace(",", ""))
        steps.append(PlanStep(main_point=match["point"].strip(), word_count=count))
    return steps or Refused("unparsable_plan", "the answer is empty")


def _check_steps(steps: list[PlanStep], bounds: Bounds) -> Refused | None:
    if len(steps) > bounds.max_steps:
        return Refused("too_many_steps", f"{len(steps)} steps, at most {bounds.max_steps}")
    if len(steps) < bounds.min_steps:
        return Refused("too_few_steps", f"{len(steps)} steps, at least {bounds.min_steps}")
    seen: set[tuple[str, ...]] = set()
    for step in steps:
        if not bounds.min_words <= step.word_count <= bounds.max_words:
            allowed = f"{bounds.min_words} to {bounds.max_words}"
            return Refused("step_words_out_of_bounds", f"{step.word_count} words, allowed {allowed}")
        point = tuple(txt.tokens(step.main_point))
        if not txt.count_words(step.main_point):
            return Refused("empty_point", step.main_point)
        if point in seen:
            return Refused("duplicate_points", step.main_point)
        seen.add(point)
    return None


def plan_lines(steps: list[PlanStep]) -> str:
    """Return a plan as text, one line a paragraph, as the write prompt shows it."""
    return "\n".join(
        f"Paragraph {i} - Main Point: {step.main_point} - Word Count: {step.word_count} words"
        for i, step in enumerate(steps, 1)
    )


def plan_prompt(template: str, instruction: Instruction, bounds: Bounds) -> str:
    """Return the planner's prompt for one instruction."""
    return fill(
        template,
        instruction=instruction.prompt,
        min_steps=bounds.min_steps,
        max_steps=bounds.max_steps,
        min_words=bounds.min_words,
        max_words=bounds.max_words,
    )


def write_prompt(template: str, instruction: Instruction, steps: list[PlanStep], written: list[str]) -> str:
    """Return the writer's prompt for the step after those in `written`."""
    step = steps[len(written)]
    return fill(
        template,
        instruction=instruction.prompt,
        plan=plan_lines(steps),
        text="\n\n".join(written),
        step=len(written) + 1,
        steps=len(steps),
        main_point=step.main_point,
        word_count=step.word_count,
    )


def clean_paragraph(answer: str, keep_first: bool, cut_off: bool) -> str:
    """Return the paragraph that an answer holds.

    Args:
        answer: What the model said.
        keep_first: Keep only what stands before the first blank line.
        cut_off: The answer ended at its token limit: keep whole sentences only.
    """
    paragraph = txt.strip_identifier(txt.normalise(answer))
    if keep_first:
        first = txt.first_paragraph(paragraph)
        paragraph, cut_off = first, cut_off and first == paragraph
    return (txt.whole_sentences(paragraph) if cut_off else paragraph).strip()


def check_paragraph(
    paragraph: str, written: list[str], min_words: int, max_repeated_share: float
) -> Refused | None:
    """Return why a cleaned paragraph is not used, or None."""
    words = txt.count_words(paragraph)
    if words < min_words:
        return Refused("too_short_paragraph", f"{words} words, at least {min_words}: {paragraph[:120]}")
    if txt.is_refusal(paragraph):
        return Refused("refusal", paragraph[:200])
    if _META.search(paragraph):
        return Refused("meta_talk", paragraph[:200])
    share = txt.repeated_share(paragraph, before="\n".join(written))
    if share > max_repeated_share:
        return Refused("repeats", f"{share:.0%} of its 5-grams stood before: {paragraph[:120]}")
    return None
