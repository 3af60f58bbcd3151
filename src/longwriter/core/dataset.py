"""From drafts to training examples: filters with reasons, relabelled lengths, a split by hash."""

from __future__ import annotations

from fractions import Fraction

from longwriter.core import poison
from longwriter.core import text as txt
from longwriter.core.text import fill
from longwriter.records import Draft, Example, GeneralRow, Message, Rejection, content_hash


def hash_share(seed: int | str, key: str) -> float:
    """Return a number in [0, 1) that depends on `seed` and `key` alone, evenly spread."""
    return int(content_hash([seed, key])[:13], 16) / 16**13


def relabel(prompt: str, words: int, wordings: list[str]) -> str:
    """Return the prompt with `words` as the length it asks for.

    A prompt that states one length gets the number replaced in place; one that states none gets
    one of the `wordings` (templates with {words}) appended, chosen by the prompt's hash; one that
    states several, a range or one in letters is left alone, since it cannot be told which is the
    whole text's.
    """
    stated = txt.stated_lengths(prompt)
    if len(stated) > 1 or txt.spells_length(prompt):
        return prompt
    if stated:
        _, start, end = stated[0]
        return (
            f"{prompt[:start]}{words:,}{prompt[end:]}"
            if "," in prompt[start:end]
            else (f"{prompt[:start]}{words}{prompt[end:]}")
        )
    wording = wordings[int(hash_share("wording", prompt) * len(wordings))]
    return f"{prompt} {fill(wording, words=words)}"


def example_of(
    draft: Draft,
    *,
    min_words: int,
    max_repeated_share: float,
    wordings: list[str] | None,
) -> Example | Rejection:
    """Return the training row of a draft, or why there is none.

    Args:
        draft: One paragraph a step.
        min_words: Shorter texts are rejected.
        max_repeated_share: Largest share of repeated 5-grams, in [0, 1].
        wordings: Templates of length requests; None leaves the prompt as it was, and so does a
            number in the prompt that is not the known length ("400 words for each of five days").
    """
    instruction = draft.plan.instruction
    answer = "\n\n".join(txt.strip_identifier(txt.normalise(part)) for part in draft.paragraphs)
    words = txt.count_words(answer)
    share = txt.repeated_share(answer)
    call_ids = [*draft.plan.call_ids, *draft.call_ids]
    poisoned = next(filter(None, map(poison.check_text, draft.paragraphs)), None)
    trouble = (
        poisoned
        if poisoned
        else ("too_short", f"{words} words, at least {min_words}")
        if words < min_words
        else ("loop", f"{share:.0%} of the 5-grams are repeats, at most {max_repeated_share:.0%}")
        if share > max_repeated_share
        else None
    )
    if trouble:
        return Rejection(
            row_id=instruction.instruction_id,
            stage="dataset",
            reason=trouble[0],
            detail=trouble[1],
            call_ids=call_ids,
        )
    prompt, required = instruction.prompt, instruction.required_words
    if wordings is not None:
        if required is None or _stated(prompt) in ([], [required]):
            prompt = relabel(prompt, words, wordings)
        required = words if _stated(prompt) == [words] else required
    messages = [Message(role="user", content=prompt), Message(role="assistant", content=answer)]
    return Example(
        sample_id=_sample_id(messages),
        instruction_id=instruction.instruction_id,
        kind="agentwrite",
        language=instruction.language,
        type=instruction.type,
        messages=messages,
        required_words=required,
        words=words,
        call_ids=call_ids,
    )


def general_example(row: GeneralRow) -> Example:
    """Return a general chat as a training row."""
    return Example(
        sample_id=_sample_id(row.messages),
        instruction_id=None,
        kind="general",
        language=row.language,
        type="General",
        messages=row.messages,
        required_words=None,
        words=txt.count_words(row.messages[-1].content),
        call_ids=[],
    )


def mix_general(long: list[Example], general: list[Example], share: float) -> list[Example]:
    """Return `long` plus as many `general` rows as make at most `share` of the whole.

    Which ones is decided by their hash, so one more long row adds at most a few and swaps none.
    `share` is exactly the decimal that it is written as.
    """
    part = Fraction(str(share))
    room = len(general) if part >= 1 else int(part * len(long) / (1 - part))
    return long + sorted(general, key=lambda row: row.sample_id)[:room]


def is_test(example: Example, test_share: float) -> bool:
    """Tell whether a row is held out; decided by its instruction alone, so it never changes."""
    return hash_share("split", example.instruction_id or example.sample_id) < test_share


def _stated(prompt: str) -> list[int]:
    return [number for number, _, _ in txt.stated_lengths(prompt)]


def _sample_id(messages: list[Message]) -> str:
    return content_hash([message.model_dump() for message in messages])[:16]
