"""Packs of token ids: several rows in one sequence; no row is cut, and no row is lost.

Pure. A micro-batch reads one pack: rows one after another, each with its own positions, so that rows
do not attend to each other. Packs are ragged: nothing is padded to `max_length` (the paper's code keeps
dense int64 arrays, 91 GiB for 186k rows, and never writes its last pack).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

IGNORE_INDEX = -100  # label of a token that is not a target, for torch's cross entropy


class Encoded(NamedTuple):
    """Token ids and labels of one row; a label is the token's id if the model is trained on it, else -100."""

    input_ids: list[int]
    labels: list[int]


def labelled(
    messages: Sequence[dict[str, str]],
    render: Callable[[Sequence[dict[str, str]], bool], str],
    tokenise: Callable[[str], list[int]],
    eos: tuple[str, int],
) -> Encoded:
    """Return the ids of a chat; targets are the assistant's text and the token that ends its turn.

    Prompt and answer are tokenised separately, as they are when the model answers.

    Args:
        messages: `role` and `content` of each turn; the last is the assistant's.
        render: Applies the chat template: (messages, whether to open an answer at the end) to text.
        tokenise: Text to ids, without added special tokens.
        eos: Text and id of the token that ends an answer.

    Raises:
        ValueError: the template does not render a longer chat as the continuation of a shorter one.
    """
    input_ids: list[int] = []
    labels: list[int] = []
    before = ""

    def add(ids: list[int], target: bool) -> None:
        input_ids.extend(ids)
        labels.extend(ids if target else [IGNORE_INDEX] * len(ids))

    for turn in (i for i, message in enumerate(messages) if message["role"] == "assistant"):
        prompt, whole = render(messages[:turn], True), render(messages[: turn + 1], False)
        if not (prompt.startswith(before) and whole.startswith(prompt)):
            raise ValueError(f"the chat template renders turn {turn + 1} differently when more follows")
        add(tokenise(prompt[len(before) :]), False)
        answer, end, _ = whole[len(prompt) :].partition(eos[0])
        add([*tokenise(answer), eos[1]], True)
        before = prompt + answer + end  # the rest of the turn, often a line end, belongs to the next prompt
    return Encoded(input_ids, labels)


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
