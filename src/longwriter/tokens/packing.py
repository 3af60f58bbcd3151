"""Packs of token ids: several rows in one sequence; no row is cut, and no row is lost.

Pure. A micro-batch reads one pack: rows one after another, each with its own positions, so that rows
do not attend to each other. Packs are ragged: nothing is padded to `max_length` (the paper's code keeps
dense int64 arrays, 91 GiB for 186k rows, and never writes its last pack).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple

IGNORE_INDEX = -100  # label of a token that is not a target, for torch's cross entropy


class Encoded(NamedTuple):
    """Token ids and labels of one row; a label is the token's id if the model is trained on it, else -100."""

    input_ids: list[int]
    labels: list[int]


class Turn(NamedTuple):
    """Token ids of one answer: the prompt that a model sees before it, and what it has to write."""

    prompt_ids: list[int]
    completion_ids: list[int]
    """Ends with the token that ends an answer."""


def turn(
    messages: Sequence[dict[str, str]],
    render: Callable[[Sequence[dict[str, str]], bool], str],
    tokenise: Callable[[str], list[int]],
    end: tuple[str, int],
) -> Turn:
    """Return the ids of the last message, an answer, and of the prompt in front of it.

    The prompt has exactly the ids that an engine makes of the messages before the answer.

    Args:
        messages: `role` and `content` of each message; the last is the assistant's.
        render: Applies the chat template: (messages, whether to open an answer at the end) to text.
        tokenise: Text to ids, without added special tokens.
        end: Text and id of the token that ends an answer.

    Raises:
        ValueError: in the finished chat, the text with which the template opens an answer does not stand before the
            answer.
    """
    prompt, chat = render(messages[:-1], True), render(messages, False)
    if not chat.startswith(prompt):
        raise ValueError(
            f"the chat template opens message {len(messages)} with a text that is not before it in the finished chat"
        )
    answer = chat[len(prompt) :].partition(end[0])[0]
    prompt_ids, all_ids = tokenise(prompt), tokenise(prompt + answer)
    is_prefix = all_ids[: len(prompt_ids)] == prompt_ids
    completion_ids = all_ids[len(prompt_ids) :] if is_prefix else tokenise(answer)
    return Turn(prompt_ids, [*completion_ids, end[1]])


def continuations(beginning: Turn, answers: Sequence[Turn]) -> list[Turn]:
    """Return the ids of answers that begin with the same text; the ids of that text are part of the prompt.

    No id changes. A token that holds the end of the beginning and more, such as a full stop with two line ends, is
    part of the completion.

    Args:
        beginning: The common text, as if it were a whole answer.
        answers: The answers; all have the same prompt.
    """
    text = beginning.completion_ids[:-1]
    length = min(_common_length(text, answer.completion_ids) for answer in answers)
    return [
        Turn([*prompt_ids, *completion_ids[:length]], completion_ids[length:])
        for prompt_ids, completion_ids in answers
    ]


def _common_length(ids: list[int], others: list[int]) -> int:
    """Return how many ids at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, others, strict=False)))


def encode_chat(
    messages: Sequence[dict[str, str]],
    render: Callable[[Sequence[dict[str, str]], bool], str],
    tokenise: Callable[[str], list[int]],
    end: tuple[str, int],
) -> list[Encoded]:
    """Return the ids of a chat; targets are the assistant's texts, each with the token that ends it.

    One sequence holds the whole chat, if the template renders earlier messages as it did before. Otherwise a
    new sequence starts at each message whose prompt differs (Qwen3 leaves the reasoning of earlier answers
    out). In both cases each answer is a target once, after the ids that an engine would put before it.

    Args:
        messages: `role` and `content` of each message; at least one is the assistant's.
        render: See `turn`.
        tokenise: See `turn`.
        end: See `turn`.

    Raises:
        ValueError: See `turn`.
    """
    sequences: list[Encoded] = []
    for place in (i for i, message in enumerate(messages) if message["role"] == "assistant"):
        prompt_ids, completion_ids = turn(messages[: place + 1], render, tokenise, end)
        if not sequences or prompt_ids[: len(sequences[-1].input_ids)] != sequences[-1].input_ids:
            sequences.append(Encoded([], []))
        input_ids, labels = sequences[-1]
        new = prompt_ids[len(input_ids) :]
        input_ids += [*new, *completion_ids]
        labels += [*[IGNORE_INDEX] * len(new), *completion_ids]
    return sequences


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return packs as lists of row indices; each row is in exactly one.

    Best-fit decreasing: the longest row first, each into the fullest pack with room; O(n log n) searches.

    Args:
        lengths: Tokens of each row, each from 1 to `capacity`.
        capacity: Tokens of a pack.

    Raises:
        ValueError: a row is empty or longer than a pack.
    """
    packs: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (tokens free, pack), sorted
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not 1 <= lengths[row] <= capacity:
            raise ValueError(f"row {row} has {lengths[row]} tokens, a pack takes 1 to {capacity}")
        at = bisect_left(rooms, (lengths[row], -1))
        room, pack = rooms.pop(at) if at < len(rooms) else (capacity, len(packs))
        if pack == len(packs):
            packs.append([])
        packs[pack].append(row)
        if room > lengths[row]:
            insort(rooms, (room - lengths[row], pack))
    return packs


def fill_share(lengths: Iterable[int], packs: int, capacity: int) -> float:
    """Return the share of the packs' capacity that is used, in [0, 1]; 0 without packs."""
    return sum(lengths) / (packs * capacity) if packs else 0.0
