"""Selection steps that need all candidates at once: duplicates, benchmark overlap, quotas.

A reason code is a place in `REASONS`, one byte a candidate; 0 = not rejected so far.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longwriter.instructions.duplicates import Places, Signatures, exact_duplicates, near_duplicates

REASONS = (
    "",
    "duplicate",
    "near_duplicate",
    "contaminated",
    "not_stated",
    "not_long",
    "unjudged",
    "over_limit",
)
REASON_CODE = {reason: code for code, reason in enumerate(REASONS)}

Ids = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint8]
Cell = tuple[str, ...]
"""What an instruction counts as, outermost first: its language, its type, its length's bucket."""

UNSTATED = "unstated"
_LEVELS = {"language": 0, "type": 1, "length": 2}
_BOUNDS = (500, 2000, 4000)  # words; LongBench-Write's buckets
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: its multiples never come close


class Repeats(NamedTuple):
    """Candidates that repeat another one or a benchmark; each array has shape (n,).

    `codes`: reason codes. `nearest`: the candidate that each one nearly repeats, or -1.
    `similarity`: estimated Jaccard similarity to it, 0 where there is none.
    """

    codes: Codes
    nearest: Places
    similarity: npt.NDArray[np.float64]


def reject_repeats(
    ids: Ids, signatures: Signatures, benchmark_hits: Iterable[int], min_similarity: float
) -> Repeats:
    """Return the candidates that repeat another one or a benchmark.

    Of exact duplicates the first in the source stays; of near-duplicates the one with the lowest id stays.

    Args:
        ids: One a candidate; a hash of language and prompt.
        signatures: As `duplicates.signatures` makes them, shape (n, 128).
        benchmark_hits: The candidates that repeat a benchmark's prompt.
        min_similarity: Similarity from which on a candidate nearly repeats another, in (0, 1].
    """
    codes = np.zeros(len(ids), np.uint8)
    codes[exact_duplicates(ids)] = REASON_CODE["duplicate"]
    kept = np.flatnonzero(codes == 0)
    order = kept[np.argsort(ids[kept], kind="stable")]
    nearest, similarity = near_duplicates(signatures, order, min_similarity)
    codes[nearest >= 0] = REASON_CODE["near_duplicate"]
    hits = np.fromiter(benchmark_hits, np.int64)
    codes[hits[codes[hits] == 0]] = REASON_CODE["contaminated"]
    return Repeats(codes, nearest, similarity)


def select(
    ids: Ids,
    cells: npt.NDArray[np.int64],
    cell_names: Sequence[Cell],
    codes: Codes,
    balance: Sequence[str],
    limit: int,
    seed: int,
) -> Places:
    """Return the candidates that are selected among those with code 0, in the order of their ids.

    Args:
        ids: One a candidate.
        cells: For each candidate the place of its cell in `cell_names`.
        cell_names: Cells: (language, type, bucket of the length).
        codes: Reason code of each candidate so far.
        balance: The levels that take turns, outermost first: `language`, `type`, `length`.
        limit: Largest number of candidates.
        seed: Where on the ring of ids the selection begins.
    """
    group_names = [tuple(name[_LEVELS[level]] for level in balance) for name in cell_names]
    groups = {name: place for place, name in enumerate(dict.fromkeys(group_names))}
    group_of_cell = np.array([groups[name] for name in group_names], np.int64)
    kept = np.flatnonzero(codes == 0)
    return kept[select_evenly(ids[kept], group_of_cell[cells[kept]], list(groups), limit, seed)]


def select_evenly(
    ids: Ids, cells: npt.NDArray[np.int64], cell_names: Sequence[Cell], limit: int, seed: int
) -> Places:
    """Return the places of the selected rows, in the order of their ids.

    In each cell the rows stand in a ring by their ids, which are hashes. The seed says where on the
    ring the selection begins, seed 0 at its start. A growing source changes little: one more row
    replaces at most one selected row.

    Args:
        ids: One a row, no two alike.
        cells: For each row the place of its cell in `cell_names`.
        cell_names: The cells.
        limit: Largest number of rows.
        seed: Any whole number.
    """
    turned = ids + np.uint64(seed * _GOLDEN % 2**64)
    sizes = np.bincount(cells, minlength=len(cell_names)) if len(cells) else np.zeros(len(cell_names), int)
    counts = {name: int(size) for name, size in zip(cell_names, sizes, strict=True) if size}
    quota_of = quotas(counts, limit)
    selected = []
    for place, name in enumerate(cell_names):
        rows = np.flatnonzero(cells == place)
        selected.append(rows[np.argsort(turned[rows], kind="stable")[: quota_of.get(name, 0)]])
    places = np.concatenate(selected) if selected else np.empty(0, np.int64)
    return places[np.argsort(ids[places], kind="stable")]


def quotas(counts: Mapping[Cell, int], limit: int) -> dict[Cell, int]:
    """Return how many rows of each cell are selected: `limit` in all, where there are as many.

    On each level of the cells the parts take turns, in the order of their names. A part that is empty
    is passed over. So one more row changes the quota of at most one other cell, by one.

    Args:
        counts: Rows in each cell, all cells of the same depth.
        limit: Largest number of rows.
    """
    if not counts or not next(iter(counts)):
        return {cell: min(limit, count) for cell, count in counts.items()}
    parts = {
        name: {cell[1:]: counts[cell] for cell in cells}
        for name, cells in groupby(sorted(counts), key=lambda cell: cell[0])
    }
    shares = _take_turns({name: sum(part.values()) for name, part in parts.items()}, limit)
    return {
        (name, *cell): quota
        for name, part in parts.items()
        for cell, quota in quotas(part, shares[name]).items()
    }


def _take_turns(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Return how many each name gets when all take turns until `limit` are given or all are empty."""
    given = dict.fromkeys(counts, 0)
    while limit and (open_names := [name for name in counts if given[name] < counts[name]]):
        rounds = min(limit // len(open_names), min(counts[name] - given[name] for name in open_names))
        for name in open_names if rounds else open_names[:limit]:
            given[name] += max(1, rounds)
            limit -= max(1, rounds)
    return given


def bucket(required_words: int | None) -> str:
    """Return the bucket of a stated length, such as "500-1999" (words)."""
    if required_words is None:
        return UNSTATED
    reached = [bound for bound in _BOUNDS if bound <= required_words]
    low = reached[-1] if reached else 0
    return f"{low}-{_BOUNDS[len(reached)] - 1}" if len(reached) < len(_BOUNDS) else f"{low}+"
