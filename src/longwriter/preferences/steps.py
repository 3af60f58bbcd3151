"""The step of a text at which a model is weak, and the text before it, which the model then continues.

Pure. Source: LongDPO (arXiv:2502.02095): a pair of whole texts does not say where the worse one went wrong. A pair
of continuations of one text does. LongDPO finds the step by a search, in which a judge scores each step. Here a
step is a paragraph, and rules find it in the model's own answers. A continuation goes on to the end of the text, so
it gets the same kinds of scores as a whole answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from longwriter.records import JOINT, Generation
from longwriter.text.basics import markup, thinking
from longwriter.text.basics.counting import BLANK_LINE, EarlierText, count_words

_REPEATED = 0.5  # of the 5-grams of a paragraph: a loop, not a phrase that returns


class TrainingText(NamedTuple):
    """The text of a training row, and the requests that wrote it."""

    text: str
    call_ids: list[str]


class Beginning(NamedTuple):
    """The paragraphs of a text before a step, and the requests that wrote the text."""

    text: str
    call_ids: list[str]


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, without the space around them."""
    return [part.strip() for part in BLANK_LINE.split(text) if part.strip()]


def weak_paragraph(parts: Sequence[str], required_words: int) -> int:
    """Return the position, from 0, of the paragraph in which an answer becomes weak.

    It is the first paragraph that mostly repeats the text before it, or with which the text is longer than the prompt
    asks for. If there is none, it is the last paragraph.

    Args:
        parts: Paragraphs of the answer; at least one.
        required_words: Length that the prompt asks for.
    """
    words, earlier = 0, EarlierText()
    for place, part in enumerate(parts):
        words += count_words(part)
        if words > required_words or earlier.repeated_share(part) > _REPEATED:
            return place
        earlier.add(part)
    return len(parts) - 1


def beginning(
    answers: Sequence[Generation], training_text: TrainingText, source: Literal["own", "written"]
) -> Beginning | None:
    """Return the text that the model continues from its weak step, or None if there is no text before this step.

    The weak step is searched in the answer whose length is farthest from the required one. If this answer has no
    text before the step, the next answer is searched.

    Args:
        answers: The model's whole answers to one prompt, which asks for a length.
        training_text: The text of the training row with this prompt.
        source: `own`: the answer's paragraphs before the weak one. `written`: the first paragraphs of the training
            text, with at most as many words as `own` would have; at least one paragraph, and never all.
    """
    for answer in sorted(answers, key=_farthest_first):
        parts = paragraphs(answer.text)
        if not parts or answer.required_words is None:
            continue
        before = parts[: weak_paragraph(parts, answer.required_words)]
        call_ids = answer.call_ids
        if source == "written":
            before = _first_words(paragraphs(training_text.text), sum(map(count_words, before)))
            call_ids = training_text.call_ids
        text = JOINT.join(before)
        if text and not markup.control_token(text) and not thinking.reasoning_text(text):
            return Beginning(text, list(call_ids))
    return None


def _farthest_first(answer: Generation) -> tuple[float, str]:
    """Return a sort key that puts the answer first whose length is farthest from the required one."""
    words = (answer.required_words or 1, answer.words)
    return -max(words) / max(1, min(words)), answer.generation_id


def _first_words(parts: Sequence[str], words: int) -> list[str]:
    """Return the first paragraphs with at most `words` words: at least one and never all; none if there is only one."""
    first: list[str] = []
    for part in parts[:-1]:
        if first and sum(map(count_words, [*first, part])) > words:
            break
        first.append(part)
    return first
