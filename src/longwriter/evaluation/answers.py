"""Prompts that ask for a length, and a model's answers to them: for the benchmark and for preference pairs.

The token cap of an answer follows the length that its prompt asks for. So an answer below the cap ended by
itself, and a model that never stops costs a few times the requested length, not the whole context.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from longwriter.errors import BadRecord
from longwriter.hashing import short_id
from longwriter.records import JOINT, BenchmarkRow, Example, Generation, Language, Rejection
from longwriter.text.basics.counting import count_words, language_of
from longwriter.text.basics.prompts import break_marks

if TYPE_CHECKING:
    from longwriter.llm.client import LLM
    from longwriter.params import Sampling


class Prompt(NamedTuple):
    """A prompt for a model; `required_words` is the length that it asks for, None if it asks for none."""

    prompt_id: str
    text: str
    type: str
    language: Language
    required_words: int | None


class Start(NamedTuple):
    """The beginning of a text that a model continues."""

    prefix: str
    """Whole paragraphs, without space at the ends."""
    line_ends: str
    """Line ends that the model sees after the prefix: JOINT, or the part of it that the tokenizer does not merge
    with what follows.
    """
    call_ids: list[str]
    """Requests that wrote the prefix."""


def token_cap(required_words: int, max_tokens_per_word: float, hard_cap: int) -> int:
    """Return the largest number of tokens that an answer may have.

    Args:
        required_words: Length that the prompt asks for, in words; at least 1.
        max_tokens_per_word: Tokens allowed for each of these words.
        hard_cap: Upper limit, whatever the length.

    Returns:
        Tokens in [1, hard_cap].

    Raises:
        ValueError: an argument is not above zero.
    """
    if required_words < 1 or max_tokens_per_word <= 0 or hard_cap < 1:
        raise ValueError(
            f"required_words {required_words}, max_tokens_per_word {max_tokens_per_word} and "
            f"hard_cap {hard_cap} must be above zero"
        )
    return min(hard_cap, math.ceil(required_words * max_tokens_per_word))


def benchmark_prompts(rows: Sequence[BenchmarkRow], source: str) -> list[Prompt]:
    """Return the prompts of a benchmark, in its order; the id of a prompt is a hash of its text.

    Args:
        rows: The rows of the benchmark.
        source: Name of its file, for the error.

    Raises:
        BadRecord: there is no row, or a prompt occurs twice, so that its answers would be mixed up.
    """
    if not rows:
        raise BadRecord(f"{source} has no prompt: a benchmark needs one row or more")
    prompt, count = Counter(row.prompt for row in rows).most_common(1)[0]
    if count > 1:
        raise BadRecord(
            f"{source} has the same prompt {count} times, but each prompt may occur once: {prompt[:120]!r}"
        )
    return [
        Prompt(short_id(row.prompt), row.prompt, row.type, language_of(row.prompt), row.length)
        for row in rows
    ]


def sample_prompts(examples: Iterable[Example], limit: int) -> tuple[list[Prompt], dict[str, int]]:
    """Return the training instructions that the model answers for preference pairs.

    Args:
        examples: Rows of the training split.
        limit: Largest number of prompts; those with the lowest ids are taken. Ids are hashes, so the choice
            is even over types and lengths, and a growing data set changes few of them.

    Returns:
        (prompts in the order of their ids, number of rows left out by reason); each row counts once.
    """
    prompts: list[Prompt] = []
    left_out: Counter[str] = Counter()
    for row in examples:
        if row.kind == "general" or row.instruction_id is None:
            left_out["general"] += 1
        elif row.required_words is None:
            left_out["no_length"] += 1
        elif [message.role for message in row.messages] != ["user", "assistant"]:
            left_out["several_turns"] += 1
        else:
            text = row.messages[0].content
            prompts.append(Prompt(row.instruction_id, text, row.type, row.language, row.required_words))
    prompts.sort()
    if len(prompts) > limit:
        left_out["over_limit"] = len(prompts) - limit
    return prompts[:limit], dict(left_out)


async def ask(
    llm: LLM,
    prompt: Prompt,
    max_tokens_per_word: float,
    sampling: Sampling,
    *,
    attempt: int = 0,
    start: Start | None = None,
) -> Generation:
    """Return a model's answer to a prompt, capped by the length that the prompt asks for, if it asks for one.

    Args:
        llm: The model.
        prompt: The prompt.
        max_tokens_per_word: Tokens allowed for each word that the prompt asks for.
        sampling: How to draw; its `max_tokens` is the hard cap.
        attempt: Number of the draw; another number gives another answer.
        start: Text that the model continues, instead of beginning one; only for our own servers.

    Raises:
        NoAnswer, EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    max_tokens = sampling.max_tokens
    if prompt.required_words is not None:
        max_tokens = token_cap(prompt.required_words, max_tokens_per_word, max_tokens)
    if start is not None:  # a word has a token at least
        max_tokens = max(1, max_tokens - count_words(start.prefix))
    answer = await llm.ask(
        break_marks(prompt.text),
        sampling.model_copy(update={"max_tokens": max_tokens}),
        attempt=attempt,
        opening=start.prefix + start.line_ends if start else "",
    )
    return generation_of(
        prompt,
        _join(start.prefix, answer.text) if start else answer.text,
        finish_reason=answer.refused.reason if answer.refused else answer.finish_reason,
        max_tokens=max_tokens,
        call_ids=[answer.call_id, *(start.call_ids if start else [])],
        thinking=answer.thinking,
        prefix=start.prefix if start else "",
    )


def _join(prefix: str, answer: str) -> str:
    """Return prefix and continuation; the answer of an engine may repeat the prefix."""
    return (prefix + JOINT + answer.removeprefix(prefix).strip()).rstrip()


def generation_of(
    prompt: Prompt,
    text: str,
    *,
    finish_reason: str,
    max_tokens: int,
    call_ids: list[str],
    thinking: str = "",
    prefix: str = "",
) -> Generation:
    """Return one answer as a record; its id is a hash of the other fields, except the length of the thinking.

    Args:
        prompt: The prompt.
        text: The answer without thinking; it may be empty.
        finish_reason: Why the answer ended, or why it is unusable; `stop` = the model ended by itself.
        max_tokens: Cap of this answer, in tokens.
        call_ids: Hashes of the requests; with them, equal texts of two draws have different ids.
        thinking: What the model thought before the answer; only its length is kept.
        prefix: Beginning of the text that was given to the model; empty if it wrote the whole text.
    """
    content = {
        "prompt_id": prompt.prompt_id,
        "prompt": prompt.text,
        "type": prompt.type,
        "language": prompt.language,
        "required_words": prompt.required_words,
        "text": text,
        "words": count_words(text),
        "finish_reason": finish_reason,
        "max_tokens": max_tokens,
        "call_ids": call_ids,
        **({"prefix": prefix} if prefix else {}),
    }
    thinking_words = count_words(thinking)
    return Generation.model_validate(
        {"generation_id": short_id(content), **content, "thinking_words": thinking_words}
    )


def drop_refused_prompts(
    draws: Iterable[Generation | Rejection],
) -> tuple[list[Generation], list[Rejection]]:
    """Return the answers to prompts without a refused draw, so that all prompts have equally many answers.

    Args:
        draws: The result of each draw; the `row_id` of a rejection is the prompt's id.

    Returns:
        (answers in their order, the last rejection of each prompt that has one).
    """
    rows = list(draws)
    rejections = {row.row_id: row for row in rows if isinstance(row, Rejection)}
    answers = [row for row in rows if isinstance(row, Generation) and row.prompt_id not in rejections]
    return answers, list(rejections.values())


def generation_numbers(rows: Sequence[Generation]) -> dict[str, float]:
    """Return the metrics of answers: number, mean and largest length in words, share that ended by itself.

    Where models thought before they answered, also the mean length of the thinking in words.
    """
    count = max(1, len(rows))
    thinking_words = sum(row.thinking_words for row in rows)
    thinking = {"thinking_words_mean": round(thinking_words / count, 3)} if thinking_words else {}
    return {
        "generations": float(len(rows)),
        "words_mean": round(sum(row.words for row in rows) / count, 3),
        "words_max": float(max((row.words for row in rows), default=0)),
        "ended_share": round(sum(row.finish_reason == "stop" for row in rows) / count, 4),
        **thinking,
    }
