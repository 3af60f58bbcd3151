"""AgentWrite, second half: a text written paragraph by paragraph after its plan, or in one answer.

Paragraphs are checked before they are kept, which the paper's code does not do (it stored error
strings). Each reason for which one is refused has a name of its own.
Source: LongWriter (arXiv:2408.07055), section 3.2.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from longwriter.agentwrite.plans.plan import plan_lines
from longwriter.records import Language, Plan
from longwriter.text import counting as txt
from longwriter.text import poison, prompts, wording
from longwriter.text.counting import BLANK_LINE, EarlierText
from longwriter.text.prompts import Refused

_FIELDS = re.compile(r"\{(\w+)\}")


class Limits(NamedTuple):
    """What a paragraph must keep to.

    Words at least; ratio of its words to those its step asks for, at most, either way (None = any);
    share of its 5-grams that repeat earlier ones, at most.
    """

    min_words: int
    max_length_ratio: float | None
    max_repeated_share: float


def write_prompt(template: str, plan: Plan, position: int, written: list[str]) -> str:
    """Return the writer's prompt for one step.

    What is constant (instruction, plan) and what only grows (text) should stand first in the template,
    so that each prompt of a chain begins as the one before did: providers charge less for that.

    Args:
        template: Text with {instruction} {plan} {text} {step} {steps} {main_point} {word_count}. A block
            between blank lines whose only field is {text} is left out while nothing is written.
        plan: A plan with steps.
        position: Of the step, from 0.
        written: The paragraphs to show, in order.
    """
    if not written:
        blocks = BLANK_LINE.split(template)
        template = "\n\n".join(block for block in blocks if set(_FIELDS.findall(block)) != {"text"})
    step = plan.steps[position]
    return prompts.fill(
        template,
        instruction=plan.instruction.prompt,
        plan=plan_lines(plan.steps),
        text="\n\n".join(written),
        step=position + 1,
        steps=len(plan.steps),
        main_point=step.main_point,
        word_count=step.word_count,
    )


def read_answer(answer: str, finish_reason: str, keep_first: bool) -> str | Refused:
    """Return the text that an answer holds, cleaned but not checked, or why it holds none.

    Args:
        answer: What the model said.
        finish_reason: The server's; at `length`, the answer ended at its token limit.
        keep_first: Keep only what stands before the first blank line.

    Returns:
        Text; or Refused with reason `empty_answer` or `content_filter`.
    """
    answer = txt.normalise(answer)
    refused = poison.check_answer(answer, finish_reason)
    return refused or clean_paragraph(answer, keep_first, cut_off=finish_reason == "length")


def clean_paragraph(answer: str, keep_first: bool, cut_off: bool) -> str:
    """Return the paragraph that an answer holds.

    Args:
        answer: What the model said.
        keep_first: Keep only what stands before the first blank line.
        cut_off: The answer ended at its token limit: keep whole sentences only.
    """
    paragraph = wording.strip_identifier(txt.normalise(answer))
    if keep_first:
        first = txt.first_paragraph(paragraph)
        paragraph, cut_off = first, cut_off and first == paragraph
    return (txt.whole_sentences(paragraph) if cut_off else paragraph).strip()


def paragraphs_of(answer: str) -> list[str]:
    """Return the parts of a text between its blank lines; none of them is empty."""
    return [part.strip() for part in BLANK_LINE.split(answer) if part.strip()]


def check_paragraph(
    paragraph: str, limits: Limits, language: Language, *, word_count: int | None, before: EarlierText
) -> Refused | None:
    """Return why a cleaned paragraph is not used, or None.

    Args:
        paragraph: Cleaned text of one step, or of a whole answer.
        limits: What it must keep to.
        language: Of the instruction.
        word_count: Words that its step asks for; None where there is no step.
        before: What stands before it in the text.

    Returns:
        Refused with reason `error_text`, `refusal`, `plan_line`, `meta_talk`, `too_short_paragraph`,
        `wrong_length`, `wrong_language`, `loop` (repeats itself) or `repeats` (repeats what stands before it).
    """
    if refused := poison.check_text(paragraph):
        return refused
    words, ratio = txt.count_words(paragraph), limits.max_length_ratio
    if words < limits.min_words:
        return Refused(
            "too_short_paragraph", f"{words} words, at least {limits.min_words}: {paragraph[:120]}"
        )
    if word_count and ratio and not word_count / ratio <= words <= word_count * ratio:
        return Refused("wrong_length", f"{words} words, {word_count} asked for: {paragraph[:120]}")
    if (found := txt.language_of(paragraph, words)) != language:
        return Refused("wrong_language", f"{found}, not {language}: {paragraph[:120]}")
    return check_repeats(paragraph, before, limits.max_repeated_share)


def check_repeats(paragraph: str, before: EarlierText, max_repeated_share: float) -> Refused | None:
    """Return `loop` where a paragraph repeats itself, `repeats` where it does with what stands before it."""
    share = before.repeated_share(paragraph)
    if share <= max_repeated_share:
        return None
    own = txt.repeated_share(paragraph)
    if own > max_repeated_share:
        return Refused("loop", f"{own:.0%} of its 5-grams stand in it before: {paragraph[:120]}")
    return Refused("repeats", f"{share:.0%} of its 5-grams stood before: {paragraph[:120]}")


def check_whole(text: str, limits: Limits, language: Language) -> Refused | None:
    """Return why a text that was written in one answer is not used, or None.

    What needs a plan (the length, what stands before) is not checked; each paragraph is looked at by
    itself for what is no prose.
    """
    for part in paragraphs_of(text):
        if refused := poison.check_text(part):
            return refused
    return check_paragraph(text, limits, language, word_count=None, before=EarlierText())
