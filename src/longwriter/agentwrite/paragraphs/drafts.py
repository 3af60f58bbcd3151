"""Prompts for the paragraphs of a text, and the rules that an answer must pass to become a paragraph.

Pure. Paragraphs are checked before they are kept. The paper's code did not check them, so it stored error messages
as text. Every reason for a refusal has a name.
Source: LongWriter (arXiv:2408.07055), section 3.2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.records import Language, Plan
from longwriter.talk import classifier, poison
from longwriter.text import language as languages
from longwriter.text.basics import counting as txt
from longwriter.text.basics import endings, prompts, wording
from longwriter.text.basics.counting import BLANK_LINE, EarlierText
from longwriter.text.basics.prompts import Refused

_FIELDS = re.compile(r"\{(\w+)\}")


class Limits(NamedTuple):
    """Limits of a paragraph.

    `min_words`: smallest number of words. `max_length_ratio`: largest ratio between its words and the words
    that its step asks for, in either direction; None = any length. `max_repeated_share`: largest share of its
    5-grams that repeat earlier ones, in [0, 1].
    """

    min_words: int
    max_length_ratio: float | None
    max_repeated_share: float


def write_prompt(template: str, plan: Plan, position: int, visible_text: list[str]) -> str:
    """Return the writer's prompt for one step.

    A template should begin with the constant fields (instruction, plan), and then have the field that only
    grows (text). Each prompt then starts like the previous prompt of the same text, and providers charge
    less for that start.

    Args:
        template: Text with {instruction} {plan} {text} {step} {steps} {main_point} {word_count}. A block
            between blank lines whose only field is {text} is left out if `visible_text` is empty.
        plan: A plan with steps.
        position: Position of the step, from 0.
        visible_text: The paragraphs to show, in order.
    """
    if not visible_text:
        template = _without_text(template)
    step = plan.steps[position]
    return prompts.fill(
        template,
        instruction=plan.instruction.prompt,
        plan=prompts.plan_lines(plan.steps),
        text="\n\n".join(visible_text),
        step=position + 1,
        steps=len(plan.steps),
        main_point=step.main_point,
        word_count=step.word_count,
    )


@lru_cache(maxsize=4)
def _without_text(template: str) -> str:
    """Return a template without the blocks whose only field is {text}."""
    blocks = BLANK_LINE.split(template)
    return "\n\n".join(block for block in blocks if set(_FIELDS.findall(block)) != {"text"})


def read_answer(answer: str, finish_reason: str, keep_first: bool) -> str | Refused:
    """Return the text of an answer, cleaned but not checked, or why it has none.

    Args:
        answer: The model's answer.
        finish_reason: Reason given by the server; `length` means that the answer ended at its token limit.
        keep_first: Keep only the text before the first blank line.

    Returns:
        Text; or Refused with reason `empty_answer` or `content_filter`.
    """
    answer = txt.normalise(answer)
    refused = poison.check_answer(answer, finish_reason)
    return refused or clean_paragraph(answer, keep_first, cut_off=finish_reason == "length")


def clean_paragraph(answer: str, keep_first: bool, cut_off: bool) -> str:
    """Return the paragraph of an answer, without an identifier such as "Paragraph 3:".

    Args:
        answer: The model's answer.
        keep_first: Keep only the text before the first blank line.
        cut_off: The answer ended at its token limit: keep whole sentences only.
    """
    paragraph = wording.strip_identifier(txt.normalise(answer))
    if keep_first:
        first = txt.first_paragraph(paragraph)
        cut_off = cut_off and first == paragraph
        paragraph = first
    return (txt.whole_sentences(paragraph) if cut_off else paragraph).strip()


def paragraphs_of(answer: str) -> list[str]:
    """Return the parts of a text between its blank lines; none of them is empty."""
    return [part.strip() for part in BLANK_LINE.split(answer) if part.strip()]


def check_paragraph(
    paragraph: str,
    limits: Limits,
    language: Language,
    *,
    word_count: int | None,
    before: EarlierText,
    instruction: str = "",
) -> Refused | None:
    """Return why a cleaned paragraph is not used, or None.

    Args:
        paragraph: Cleaned text of one step, or of a whole answer.
        limits: Its limits.
        language: Language of the instruction.
        word_count: Words that its step asks for; None if there is no step.
        before: The text before it.
        instruction: The request. If it asks for a letter of apology, an apology is no refusal.

    Returns:
        Refused with one of the reasons of `poison.check_text`, `wrong_language` (also for a part of the paragraph
        in a language that nobody asked for), or one of the reasons of `check_prose`.
    """
    if refused := poison.check_text(paragraph, instruction):
        return refused
    if other := languages.other_language(paragraph, language, instruction):
        return Refused(
            "wrong_language", f"{other[0]}, which the instruction does not ask for: {other[1][:120]}"
        )
    return check_prose(paragraph, limits, language, word_count, before)


def check_prose(
    paragraph: str, limits: Limits, language: Language, word_count: int | None, before: EarlierText
) -> Refused | None:
    """Return why a paragraph that passed `poison.check_text` is not used, or None; arguments as in `check_paragraph`.

    The reasons are `cut_off` (stops in mid-sentence), `too_short_paragraph`, `wrong_length`, `wrong_language`,
    `loop` (repeats itself) and `repeats` (repeats the text before it).
    """
    if word_count is not None and endings.is_cut(paragraph):
        return Refused("cut_off", f"stops in mid-sentence: {paragraph[-120:]}")
    words = txt.count_words(paragraph)
    ratio = limits.max_length_ratio
    if words < limits.min_words:
        return Refused(
            "too_short_paragraph", f"{amount(words, 'word')}, at least {limits.min_words}: {paragraph[:120]}"
        )
    if word_count and ratio and not word_count / ratio <= words <= word_count * ratio:
        return Refused("wrong_length", f"{amount(words, 'word')}, {word_count} asked for: {paragraph[:120]}")
    if (written_in := txt.language_of(paragraph, words)) != language:
        return Refused("wrong_language", f"{written_in}, not {language}: {paragraph[:120]}")
    return check_repeats(paragraph, before, limits.max_repeated_share)


def check_repeats(paragraph: str, before: EarlierText, max_repeated_share: float) -> Refused | None:
    """Return `loop` for a paragraph that repeats itself, `repeats` for one that repeats `before`, or None."""
    share = before.repeated_share(paragraph)
    if share <= max_repeated_share:
        return None
    own = txt.repeated_share(paragraph)
    if own > max_repeated_share:
        return Refused("loop", f"{own:.0%} of its 5-grams repeat earlier ones in it: {paragraph[:120]}")
    return Refused("repeats", f"{share:.0%} of its 5-grams repeat earlier text: {paragraph[:120]}")


def prepare() -> None:
    """Load the models that `check_paragraph` asks, which takes a second."""
    classifier.prepare()


def check_whole(text: str, limits: Limits, language: Language, instruction: str = "") -> Refused | None:
    """Return why a text that was written in one answer is not used, or None.

    Checks that need a plan (length of a step, text before it) are left out. Each paragraph is also checked by
    itself for text that is not prose, such as error messages.
    """
    for part in paragraphs_of(text):
        if part != text and (refused := poison.check_text(part, instruction)):
            return refused
    return check_paragraph(
        text, limits, language, word_count=None, before=EarlierText(), instruction=instruction
    )
