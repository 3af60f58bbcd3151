"""AgentWrite, first half: the plan of a long text, one step a paragraph.

Plans are checked before they are kept, which the paper's code does not do (endless plans were its
largest loss). Each reason for which one is refused has a name of its own.
Source: LongWriter (arXiv:2408.07055), section 3.1.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, NamedTuple

from pydantic_core import from_json

from longwriter.agentwrite.plans import coverage
from longwriter.records import Instruction, PlanStep
from longwriter.text import counting as txt
from longwriter.text import poison, prompts, wording
from longwriter.text.prompts import Refused

AnswerFormat = Literal["json_schema", "json_object", "lines"]

_LINE = re.compile(
    r"^\W*Paragraph\s+(?P<number>\d{1,4})\s*[-–—:：]+\s*Main\s+Point\s*[:：]\s*(?P<point>.+?)"
    r"\s*[-–—,;，；]+\s*Word\s+Count\s*[:：]\s*(?P<count>\d{1,3}(?:,\d{3}){1,2}|\d{1,7})\s*(?:words?|字)?\W*$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(?P<inside>.*?)\n?\s*```\s*", re.IGNORECASE | re.DOTALL)


class Bounds(NamedTuple):
    """What a plan must keep to: number of steps and words of each, both inclusive."""

    min_steps: int
    max_steps: int
    min_words: int
    max_words: int


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


def plan_prompt(
    template: str,
    formats: dict[str, str],
    answer_format: AnswerFormat,
    instruction: Instruction,
    bounds: Bounds,
) -> str:
    """Return the planner's prompt for one instruction.

    Args:
        template: Text with {instruction} {min_steps} {max_steps} {min_words} {max_words} {format}. Where
            it has no {format}, the format follows it, unless a JSON schema says it already.
        formats: What `lines` and `json` look like, in words.
        answer_format: How the plan is to be written down.
        instruction: What is planned.
        bounds: Bounds of the plan.
    """
    how = formats["lines" if answer_format == "lines" else "json"]
    if "{format}" not in template and answer_format != "json_schema":
        template = f"{template}\n\n{{format}}"
    return prompts.fill(
        template,
        instruction=instruction.prompt,
        min_steps=bounds.min_steps,
        max_steps=bounds.max_steps,
        min_words=bounds.min_words,
        max_words=bounds.max_words,
        format=how,
    )


def parse_plan(
    answer: str, answer_format: AnswerFormat, finish_reason: str = "stop"
) -> list[PlanStep] | Refused:
    """Return the steps of a planner's answer, or why it is no plan; never raises.

    Args:
        answer: What the model said, whole.
        answer_format: How it was asked for. `lines` is `Paragraph k - Main Point: … - Word Count: … words`,
            one line a paragraph; a code fence around the JSON is accepted for `json_object` only.
        finish_reason: The server's; a plan that ended at the token limit is not whole.

    Returns:
        Steps; or Refused with reason `empty_answer`, `content_filter`, `cut_off`, `error_text`, `refusal`,
        `plan_line` (inside a main point), `meta_talk` or `unparsable_plan`.
    """
    answer = txt.normalise(answer)
    if refused := poison.check_answer(answer, finish_reason):
        return refused
    if finish_reason == "length":
        return Refused("cut_off", f"the plan ends at the token limit: {answer[-200:]}")
    read = _steps_of_lines(answer) if answer_format == "lines" else _steps_of_json(answer, answer_format)
    if isinstance(read, Refused):
        found = poison.error_text(answer)
        refusal = Refused("refusal", answer[:200]) if wording.is_refusal(answer) else read
        return Refused("error_text", found) if found else refusal
    for step in read:
        if refused := poison.check_point(step.main_point):
            return refused
    if read and wording.is_refusal(read[0].main_point):
        return Refused("refusal", read[0].main_point[:200])
    return read


def _steps_of_json(answer: str, answer_format: AnswerFormat) -> list[PlanStep] | Refused:
    fenced = _FENCE.fullmatch(answer) if answer_format == "json_object" else None
    try:
        rows = from_json(fenced["inside"] if fenced else answer)["steps"]  # no deep nesting, no huge numbers
        return [PlanStep(main_point=row["main_point"].strip(), word_count=row["word_count"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Refused("unparsable_plan", f"{type(error).__name__}: {answer[:200]}")


def _steps_of_lines(answer: str) -> list[PlanStep] | Refused:
    steps: list[PlanStep] = []
    for line in filter(None, (line.strip() for line in answer.splitlines())):
        match = _LINE.match(line)
        if not match or int(match["number"]) != len(steps) + 1:
            return Refused("unparsable_plan", line[:200])
        count = int(match["count"].replace(",", ""))
        steps.append(PlanStep(main_point=match["point"].strip(), word_count=count))
    return steps


def check_plan(
    steps: list[PlanStep],
    instruction: Instruction,
    bounds: Bounds,
    *,
    max_length_error: float | None,
    min_coverage: float,
) -> Refused | None:
    """Return why a plan is not used, or None.

    Args:
        steps: The plan.
        instruction: What it is for.
        bounds: Bounds of the plan; nothing is clipped into them.
        max_length_error: Largest |sum of the word counts - required| / required; None = not checked.
        min_coverage: Share of the instruction's content words that the points must touch; 0 = not computed.

    Returns:
        Refused with reason `too_many_steps`, `too_few_steps`, `step_words_out_of_bounds`, `empty_point`,
        `duplicate_points`, `wrong_total`, `wrong_language` or `low_coverage`.
    """
    points = [step.main_point for step in steps]
    required, total = instruction.required_words, sum(step.word_count for step in steps)
    if refused := _check_steps(steps, bounds):
        return refused
    if pair := coverage.duplicates(points):
        return Refused("duplicate_points", " / ".join(pair)[:400])
    if required and max_length_error is not None and abs(total - required) > max_length_error * required:
        return Refused(
            "wrong_total", f"{total} words for {required} asked for, {max_length_error:.0%} off at most"
        )
    if (language := txt.language_of("\n".join(points))) != instruction.language:
        return Refused("wrong_language", f"{language}, not {instruction.language}: {points[0][:200]}")
    if min_coverage and (share := coverage.coverage(instruction.prompt, points)) < min_coverage:
        missing = coverage.terms(instruction.prompt).difference(*map(coverage.terms, points))
        return Refused(
            "low_coverage", f"{share:.0%} of the content words; missing: {', '.join(sorted(missing))}"[:400]
        )
    return None


def _check_steps(steps: list[PlanStep], bounds: Bounds) -> Refused | None:
    if len(steps) > bounds.max_steps:
        return Refused("too_many_steps", f"{len(steps)} steps, at most {bounds.max_steps}")
    if len(steps) < bounds.min_steps:
        return Refused("too_few_steps", f"{len(steps)} steps, at least {bounds.min_steps}")
    for step in steps:
        if not bounds.min_words <= step.word_count <= bounds.max_words:
            allowed = f"{bounds.min_words} to {bounds.max_words}"
            return Refused("step_words_out_of_bounds", f"{step.word_count} words, allowed {allowed}")
        if not txt.count_words(step.main_point):
            return Refused("empty_point", step.main_point)
    return None


def plan_lines(steps: list[PlanStep]) -> str:
    """Return a plan as text, one line a paragraph, as the write prompt shows it."""
    return "\n".join(
        f"Paragraph {i} - Main Point: {step.main_point} - Word Count: {step.word_count} words"
        for i, step in enumerate(steps, 1)
    )
