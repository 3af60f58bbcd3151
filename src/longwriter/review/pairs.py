"""Which pairs of answers a person sees, in which order, and which answer stands on the left. Pure.

Order and sides are hashes of seed, rater and texts. So they look random, differ between raters, and stay the same when
the server starts again. Nothing that the page gets names a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from longwriter.hashing import short_id
from longwriter.pairwise import pairs
from longwriter.records import Generation, Vote


class ReviewPair(NamedTuple):
    """Two answers to a prompt; `pair_id` is the same in either order."""

    pair_id: str
    prompt: str
    left: str
    right: str


def review_pairs(answers: Mapping[str, Sequence[Generation]]) -> list[ReviewPair]:
    """Return all pairs of answers of two models to the same prompt, without equal and empty answers."""
    unique = {}
    for _, pair in pairs.rows("", answers, list(combinations(answers, 2))):
        prompt, left, right = pair.instruction.strip(), pair.first.strip(), pair.second.strip()
        if left and right and left != right:
            pair_id = _pair_id(prompt, left, right)
            unique[pair_id] = ReviewPair(pair_id, prompt, left, right)
    return list(unique.values())


def for_rater(listed: Sequence[ReviewPair], rater: str, seed: int) -> list[ReviewPair]:
    """Return the pairs in the order and with the sides that a rater sees."""
    ordered = sorted(listed, key=lambda pair: short_id([seed, rater, pair.pair_id, "order"]))
    return [_with_sides(pair, short_id([seed, rater, pair.pair_id, "side"])) for pair in ordered]


def voted_pair_id(vote: Vote) -> str:
    """Return the id of the pair that a vote is about."""
    return _pair_id(vote.prompt, vote.first, vote.second)


def _pair_id(prompt: str, first: str, second: str) -> str:
    return short_id([prompt, *sorted((first, second))])


def _with_sides(pair: ReviewPair, key: str) -> ReviewPair:
    left, right = sorted((pair.left, pair.right))
    if int(key, 16) % 2:
        left, right = right, left
    return pair._replace(left=left, right=right)
