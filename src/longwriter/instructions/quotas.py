"""Choosing among instructions: evenly over languages, types and lengths, in an order that a seed turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

Cell = tuple[str, ...]
"""What an instruction counts as, outermost first: its language, its type, its length's bucket."""

UNSTATED = "unstated"
_BOUNDS = (500, 2000, 4000)  # words; LongBench-Write's buckets
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: turns that never come close


def bucket(required_words: int | None) -> str:
    """Return the bucket of a stated length, such as "500-1999" (words)."""
    if required_words is None:
        return UNSTATED
    above = [bound for bound in _BOUNDS if bound <= required_words]
    low = above[-1] if above else 0
    return f"{low}-{_BOUNDS[len(above)] - 1}" if len(above) < len(_BOUNDS) else f"{low}+"


def quotas(counts: Mapping[Cell, int], limit: int) -> dict[Cell, int]:
    """Return how many rows of each cell are chosen, `limit` in all where there are as many.

    On each level of the cells the parts take turns, in the order of their names, until one is empty;
    then the others go on. So one more row changes the quota of at most one other cell, by one.

    Args:
        counts: Rows in each cell, all cells of the same depth.
        limit: Rows wanted.
    """
    if not counts or not next(iter(counts)):
        return {cell: min(limit, count) for cell, count in counts.items()}
    parts = {
        name: {cell[1:]: counts[cell] for cell in cells}
        for name, cells in groupby(sorted(counts), key=lambda cell: cell[0])
    }
    shares = _turns({name: sum(part.values()) for name, part in parts.items()}, limit)
    return {
        (name, *cell): quota
        for name, part in parts.items()
        for cell, quota in quotas(part, shares[name]).items()
    }


def _turns(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Return how many each name gets when all take turns until `limit` are given or all are empty."""
    given = dict.fromkeys(counts, 0)
    while limit and (left := [name for name in counts if given[name] < counts[name]]):
        rounds = min(limit // len(left), min(counts[name] - given[name] for name in left))
        for name in left if rounds else left[:limit]:
            given[name] += max(1, rounds)
            limit -= max(1, rounds)
    return given


def choose(
    ids: npt.NDArray[np.uint64],
    cells: npt.NDArray[np.int64],
    names: Sequence[Cell],
    limit: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Return the places of the chosen rows, in the order of their ids.

    In each cell the rows stand in a ring by their ids, which are hashes; the seed says where on the ring
    the choice begins, seed 0 at its start. A growing source changes few of the chosen: one more row
    changes at most one.

    Args:
        ids: One a row, no two alike.
        cells: For each row the place of its cell in `names`.
        names: The cells.
        limit: Rows wanted.
        seed: Any whole number.
    """
    turned = ids + np.uint64(seed * _GOLDEN % 2**64)
    sizes = np.bincount(cells, minlength=len(names)) if len(cells) else np.zeros(len(names), int)
    wanted = quotas({name: int(size) for name, size in zip(names, sizes, strict=True) if size}, limit)
    chosen = []
    for place, name in enumerate(names):
        rows = np.flatnonzero(cells == place)
        chosen.append(rows[np.argsort(turned[rows], kind="stable")[: wanted.get(name, 0)]])
    places = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    return places[np.argsort(ids[places], kind="stable")]
