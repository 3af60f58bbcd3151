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
    found = {}
    for _, pair in pairs.rows("", answers, list(combinations(answers, 2))):
        prompt, left, right = pair.instruction.strip(), pair.first.strip(), pair.second.strip()
        if left and right and left != right:
            made = ReviewPair(_pair_id(prompt, left, right), prompt, left, right)
            found[made.pair_id] = made
    return list(found.values())


def for_rater(listed: Sequence[ReviewPair], rater: str, seed: int) -> list[ReviewPair]:
    """Return the pairs in the order, and with the sides, of a rater."""
    ordered = sorted(listed, key=lambda pair: short_id([seed, rater, pair.pair_id, "order"]))
    return [_sided(pair, short_id([seed, rater, pair.pair_id, "side"])) for pair in ordered]


def vote_id(vote: Vote) -> str:
    """Return the id of the pair on which a vote is."""
    return _pair_id(vote.prompt, vote.first, vote.second)


def _pair_id(prompt: str, one: str, other: str) -> str:
    return short_id([prompt, *sorted((one, other))])


def _sided(pair: ReviewPair, key: str) -> ReviewPair:
    left, right = sorted((pair.left, pair.right))
    if int(key, 16) % 2:
        left, right = right, left
    return pair._replace(left=left, right=right)
