"""Prompts that ask for a length, and the answers to them.

Both halves of the measurement use it: the samples that become preference pairs, and the benchmark.
A cap follows the length asked for, so that an answer that ends below it ended by itself, and a model
that never stops costs a few times its task and not the whole context.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longwriter.errors import BadRecord
from longwriter.hashing import short_id
from longwriter.records import BenchmarkRow, Example, Generation, Language, Rejection
from longwriter.text.counting import count_words, language_of


class Prompt(NamedTuple):
    """What a model is asked, and how long the answer should be, in words."""

    prompt_id: str
    text: str
    type: str
    language: Language
    required_words: int


def token_cap(required_words: int, max_tokens_per_word: float, hard_cap: int) -> int:
    """Return how many tokens an answer may have.

    Args:
        required_words: Length asked for, in words; at least 1.
        max_tokens_per_word: Tokens allowed for each word asked for.
        hard_cap: Never more than this.

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
    """Return the prompts of a benchmark, in its order; an id is the hash of the prompt.

    Args:
        rows: The rows of the benchmark.
        source: Its name, for the error.

    Raises:
        BadRecord: there is no row, or a prompt stands there twice (its answers could not be told apart).
    """
    if not rows:
        raise BadRecord(f"{source} has no prompt: a benchmark needs one row or more")
    prompt, count = Counter(row.prompt for row in rows).most_common(1)[0]
    if count > 1:
        raise BadRecord(f"{source} has a prompt {count} times, it may stand there once: {prompt[:120]!r}")
    return [
        Prompt(short_id(row.prompt), row.prompt, row.type, language_of(row.prompt), row.length)
        for row in rows
    ]


def sample_prompts(examples: Iterable[Example], limit: int) -> tuple[list[Prompt], dict[str, int]]:
    """Return the training instructions to be sampled, and how many rows were left out for what reason.

    Args:
        examples: Rows of the training split.
        limit: At most so many, those with the lowest ids: ids are hashes, so the choice is even over
            types and lengths, and a growing data set changes few of them.

    Returns:
        (prompts by id, counts by reason); every row is in exactly one of them.
    """
    fit: list[Prompt] = []
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
            fit.append(Prompt(row.instruction_id, text, row.type, row.language, row.required_words))
    fit.sort()
    if len(fit) > limit:
        left_out["over_limit"] = len(fit) - limit
    return fit[:limit], dict(left_out)


def generation_of(
    prompt: Prompt, text: str, *, finish_reason: str, max_tokens: int, call_ids: list[str]
) -> Generation:
    """Return one answer as a record; its id is a hash of all the rest.

    Args:
        prompt: What was asked.
        text: The answer as it came, also an empty one.
        finish_reason: The server's; `stop` = the model ended by itself.
        max_tokens: Cap of this answer, in tokens.
        call_ids: Request hashes; they make equal texts of two draws two generations.
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
    }
    return Generation.model_validate({"generation_id": short_id(content), **content})


def of_answered(drawn: Iterable[Generation | Rejection]) -> tuple[list[Generation], dict[str, int]]:
    """Return the answers to prompts of which every draw was answered, and how many prompts were not.

    A prompt with fewer answers than the others would be compared on another footing: all go together.

    Args:
        drawn: What came of each draw; the `row_id` of a rejection is the prompt's id.

    Returns:
        (answers in their order, counts of prompts left out by reason).
    """
    rows = list(drawn)
    refused = {row.row_id: row.reason for row in rows if isinstance(row, Rejection)}
    kept = [row for row in rows if isinstance(row, Generation) and row.prompt_id not in refused]
    return kept, dict(Counter(refused.values()))


def generation_numbers(rows: Sequence[Generation]) -> dict[str, float]:
    """Return mean and largest length in words, and the share of answers that ended by themselves."""
    n = max(1, len(rows))
    return {
        "generations": float(len(rows)),
        "words_mean": round(sum(row.words for row in rows) / n, 3),
        "words_max": float(max((row.words for row in rows), default=0)),
        "ended_share": round(sum(row.finish_reason == "stop" for row in rows) / n, 4),
    }
