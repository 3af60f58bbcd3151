"""Prompts for plans, and the rules that an answer must pass to become a plan (one step per paragraph).

Pure. Plans are checked before they are kept. The paper's code does not check plans: most of the texts that it lost
had plans without an end. Every reason for a refusal has a name.
Source: LongWriter (arXiv:2408.07055), section 3.1.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, NamedTuple

from pydantic_core import from_json

from longwriter.agentwrite.plans import coverage
from longwriter.amounts import amount
from longwriter.records import Instruction, PlanStep
from longwriter.talk import poison
from longwriter.talk.refusals import refused_by_rules
from longwriter.text.basics import counting as txt
from longwriter.text.basics import prompts
from longwriter.text.basics.prompts import EVIDENCE_CHARS, Refused

AnswerFormat = Literal["json_schema", "json_object", "lines"]

_HEAD = re.compile(r"\W*Paragraph\s+(?P<number>\d{1,4})\s*[-–—:：]+\s*Main\s+Point\s*[:：]", re.IGNORECASE)
_TAIL = re.compile(
    r"Word\s+Count\s*[:：]\s*(?P<count>\d{1,3}(?:,\d{3}){1,2}|\d{1,7})\s*+(?:words?|字)?+\W*+\Z",
    re.IGNORECASE,
)
_JSON_REST = re.compile(r"\W*[\]}]|.*\"(?:main_point|word_count)\"", re.DOTALL)
"""A point that begins by closing what it did not open, or names a key: the rest of a plan in JSON."""
_SEPARATORS = "-–—,;，；"


class Bounds(NamedTuple):
    """Bounds of a plan, all inclusive: its number of steps, and the words of each step."""

    min_steps: int
    max_steps: int
    min_words: int
    max_words: int


def step_bounds(bounds: Bounds, required_words: int | None) -> Bounds:
    """Return `bounds` with only those numbers of steps whose words can sum to `required_words`.

    If no number of steps makes that possible, the result has the nearest number that `bounds` allow.
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
        template: Text with {instruction} {min_steps} {max_steps} {min_words} {max_words} {format}. Without
            {format}, the description of the format follows it, unless a JSON schema is sent.
        formats: Descriptions of the formats `lines` and `json`.
        answer_format: Format of the answer.
        instruction: The instruction to plan.
        bounds: Bounds of the plan.
    """
    description = formats["lines" if answer_format == "lines" else "json"]
    if "{format}" not in template and answer_format != "json_schema":
        template = f"{template}\n\n{{format}}"
    return prompts.fill(
        template,
        instruction=instruction.prompt,
        min_steps=bounds.min_steps,
        max_steps=bounds.max_steps,
        min_words=bounds.min_words,
        max_words=bounds.max_words,
        format=description,
    )


def parse_plan(
    answer: str, answer_format: AnswerFormat, finish_reason: str = "stop"
) -> list[PlanStep] | Refused:
    """Return the steps of a planner's answer, or why it is not a plan; never raises.

    Args:
        answer: The model's whole answer.
        answer_format: Requested format. `lines` is `Paragraph k - Main Point: … - Word Count: … words`, one
            line per paragraph; a code fence around the JSON is accepted for `json_object` only.
        finish_reason: Reason given by the server; `length` means that the plan was cut off.

    Returns:
        Steps; or Refused with reason `empty_answer`, `content_filter`, `cut_off`, `error_text`, `refusal`,
        `plan_line` (inside a main point), `meta_talk` or `unparsable_plan`.
    """
    answer = txt.normalise(answer)
    if refused := poison.check_answer(answer, finish_reason):
        return refused
    if finish_reason == "length":
        return Refused("cut_off", f"the plan ends at the token limit: {answer[-EVIDENCE_CHARS:]}")
    steps = _steps_of_lines(answer) if answer_format == "lines" else _steps_of_json(answer, answer_format)
    if isinstance(steps, Refused):
        if error := poison.error_text(answer):
            return Refused("error_text", error)
        return Refused("refusal", answer[:EVIDENCE_CHARS]) if refused_by_rules(answer) else steps
    for step in steps:
        if refused := poison.check_point(step.main_point):
            return refused
    if steps and refused_by_rules(steps[0].main_point):
        return Refused("refusal", steps[0].main_point[:EVIDENCE_CHARS])
    return steps


def _steps_of_json(answer: str, answer_format: AnswerFormat) -> list[PlanStep] | Refused:
    """Return the steps of an answer in JSON, or why it has none."""
    text = _unfenced(answer) if answer_format == "json_object" else answer
    try:
        rows = from_json(text)["steps"]  # from_json refuses deep nesting and huge numbers
        return [PlanStep(main_point=row["main_point"].strip(), word_count=row["word_count"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Refused("unparsable_plan", f"{type(error).__name__}: {answer[:EVIDENCE_CHARS]}")


def _unfenced(answer: str) -> str:
    """Return the text inside a code fence around the whole answer; without a fence, return the answer."""
    opening, _, rest = answer.strip().partition("\n")
    is_fenced = opening.rstrip().lower() in ("```", "```json") and rest.endswith("```")
    return rest.removesuffix("```") if is_fenced else answer


def _steps_of_lines(answer: str) -> list[PlanStep] | Refused:
    """Return the steps of an answer in the line format, or why it has none."""
    steps: list[PlanStep] = []
    for line in filter(None, (line.strip() for line in answer.splitlines())):
        step = _step_of_line(line, len(steps) + 1)
        if step is None:
            return Refused("unparsable_plan", line[:EVIDENCE_CHARS])
        steps.append(step)
    return steps


def _step_of_line(line: str, number: int) -> PlanStep | None:
    """Return the step in the line of paragraph `number`, or None.

    Head and tail of the line have a pattern each: one pattern for both is slow for long runs of spaces.
    """
    head, tail = _HEAD.match(line), _TAIL.search(line)
    if head is None or tail is None or int(head["number"]) != number:
        return None
    between = line[head.end() : tail.start()].rstrip()
    point = between.rstrip(_SEPARATORS)
    if point == between or not point:
        return None
    return PlanStep(main_point=point.strip(), word_count=int(tail["count"].replace(",", "")))


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
        instruction: The instruction of the plan.
        bounds: Bounds of the plan; a plan beyond them is refused, not clipped.
        max_length_error: Largest |sum of the word counts - required| / required; None = not checked.
        min_coverage: Smallest share of the instruction's content words in the main points; 0 = not checked.

    Returns:
        Refused with reason `too_many_steps`, `too_few_steps`, `step_words_out_of_bounds`, `empty_point`,
        `duplicate_points`, `wrong_total`, `wrong_language` or `low_coverage`.
    """
    points = [step.main_point for step in steps]
    required = instruction.required_words
    total = sum(step.word_count for step in steps)
    if refused := _check_steps(steps, bounds):
        return refused
    if pair := coverage.duplicates(points):
        return Refused("duplicate_points", " / ".join(pair)[:400])
    if required and max_length_error is not None and abs(total - required) > max_length_error * required:
        return Refused(
            "wrong_total",
            f"{amount(total, 'word')}, {required} asked for; at most {max_length_error:.0%} off",
        )
    if (language := txt.language_of("\n".join(points))) != instruction.language:
        return Refused(
            "wrong_language", f"{language}, not {instruction.language}: {points[0][:EVIDENCE_CHARS]}"
        )
    if min_coverage and (share := coverage.coverage(instruction.prompt, points)) < min_coverage:
        terms = coverage.terms(instruction.prompt).difference(*map(coverage.terms, points))
        return Refused(
            "low_coverage", f"{share:.0%} of the content words; missing: {', '.join(sorted(terms))}"[:400]
        )
    return None


def _check_steps(steps: list[PlanStep], bounds: Bounds) -> Refused | None:
    """Return why the number of steps, or one of the steps, is not allowed; None if all are allowed."""
    if len(steps) > bounds.max_steps:
        return Refused("too_many_steps", f"{amount(len(steps), 'step')}, at most {bounds.max_steps}")
    if len(steps) < bounds.min_steps:
        return Refused("too_few_steps", f"{amount(len(steps), 'step')}, at least {bounds.min_steps}")
    for step in steps:
        if not bounds.min_words <= step.word_count <= bounds.max_words:
            bounds_text = f"{bounds.min_words} to {bounds.max_words}"
            return Refused(
                "step_words_out_of_bounds", f"{amount(step.word_count, 'word')}, allowed {bounds_text}"
            )
        if not txt.count_words(step.main_point):
            return Refused("empty_point", step.main_point)
        if _JSON_REST.match(step.main_point):
            return Refused("unparsable_plan", f"JSON in a main point: {step.main_point[:EVIDENCE_CHARS]}")
    return None
