"""Selection steps that need all candidates at once: duplicates, benchmark overlap, quotas.

A reason code is an index into `REASONS`, one byte for each candidate; 0 = not rejected so far.

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
    "withdrawn",
)
REASON_CODE = {reason: code for code, reason in enumerate(REASONS)}

Ids = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint8]
Cell = tuple[str, ...]
"""Group of an instruction for the balance: (language, type, bucket of the length)."""

UNSTATED = "unstated"
_LEVELS = {"language": 0, "type": 1, "length": 2}
_BOUNDS = (500, 2000, 4000)  # words; LongBench-Write's buckets
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: its multiples stay far from each other


class Repeats(NamedTuple):
    """Which candidates repeat another candidate or a benchmark; each array has shape (n,).

    `codes`: reason codes. `nearest`: index of the candidate that is nearly repeated, or -1.
    `similarity`: estimated Jaccard similarity of the two, or 0.
    """

    codes: Codes
    nearest: Places
    similarity: npt.NDArray[np.float64]


def reject_repeats(
    ids: Ids, signatures: Signatures, benchmark_hits: Iterable[int], min_similarity: float
) -> Repeats:
    """Return which candidates repeat another candidate or a benchmark.

    Of exact duplicates, the first in the source is kept; of near-duplicates, the one with the lowest id.

    Args:
        ids: Hash of language and prompt of each candidate, shape (n,).
        signatures: Results of `duplicates.signatures`, shape (n, 128).
        benchmark_hits: Indexes of the candidates that repeat a prompt of a benchmark.
        min_similarity: Smallest similarity of near-duplicates, in (0, 1].
    """
    codes = np.zeros(len(ids), np.uint8)
    codes[exact_duplicates(ids)] = REASON_CODE["duplicate"]
    remaining = np.flatnonzero(codes == 0)
    order = remaining[np.argsort(ids[remaining], kind="stable")]
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
    """Return the selected candidates, in the order of their ids; only those with code 0 can be selected.

    Args:
        ids: Hash of each candidate, shape (n,).
        cells: Index of each candidate's cell in `cell_names`, shape (n,).
        cell_names: The cells: (language, type, bucket of the length).
        codes: Reason code of each candidate so far.
        balance: The properties to balance, the most important first: `language`, `type`, `length`.
        limit: Largest number of candidates.
        seed: Changes which candidates of a cell are selected, see `select_evenly`.
    """
    group_names = [tuple(name[_LEVELS[level]] for level in balance) for name in cell_names]
    groups = {name: place for place, name in enumerate(dict.fromkeys(group_names))}
    group_of_cell = np.array([groups[name] for name in group_names], np.int64)
    remaining = np.flatnonzero(codes == 0)
    return remaining[
        select_evenly(ids[remaining], group_of_cell[cells[remaining]], list(groups), limit, seed)
    ]


def select_evenly(
    ids: Ids, cells: npt.NDArray[np.int64], cell_names: Sequence[Cell], limit: int, seed: int
) -> Places:
    """Return the indexes of the selected rows, in the order of their ids.

    The ids are hashes. In each cell the rows form a ring in the order of their ids, and the selection takes
    the first rows of the ring. The seed says where the ring starts; seed 0 starts at the lowest id. When the
    source grows by one row, at most one selected row is replaced.

    Args:
        ids: Hash of each row, all different, shape (n,).
        cells: Index of each row's cell in `cell_names`, shape (n,).
        cell_names: The cells.
        limit: Largest number of rows.
        seed: Any whole number.
    """
    ring_places = ids + np.uint64(seed * _GOLDEN % 2**64)
    sizes = np.bincount(cells, minlength=len(cell_names)) if len(cells) else np.zeros(len(cell_names), int)
    counts = {name: int(size) for name, size in zip(cell_names, sizes, strict=True) if size}
    quota_of = quotas(counts, limit)
    selected = []
    for place, name in enumerate(cell_names):
        rows = np.flatnonzero(cells == place)
        selected.append(rows[np.argsort(ring_places[rows], kind="stable")[: quota_of.get(name, 0)]])
    places = np.concatenate(selected) if selected else np.empty(0, np.int64)
    return places[np.argsort(ids[places], kind="stable")]


def quotas(counts: Mapping[Cell, int], limit: int) -> dict[Cell, int]:
    """Return how many rows of each cell are selected: `limit` in total, or all if there are fewer.

    The first names of the cells (the languages, for example) take turns in alphabetical order until the limit
    is reached; a name that has no more rows is skipped. Among the cells of one first name, the second names take
    turns in the same way, and so on. So one more row changes the quota of at most one other cell, by one.

    Args:
        counts: Number of rows in each cell; all cells have equally many names.
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
    """Return how many rows each name gets when the names take turns until `limit` or the last row is reached."""
    shares = dict.fromkeys(counts, 0)
    while limit and (open_names := [name for name in counts if shares[name] < counts[name]]):
        rounds = min(limit // len(open_names), min(counts[name] - shares[name] for name in open_names))
        for name in open_names if rounds else open_names[:limit]:
            shares[name] += max(1, rounds)
            limit -= max(1, rounds)
    return shares


def bucket(required_words: int | None) -> str:
    """Return the bucket of a stated length, such as "500-1999" (words)."""
    if required_words is None:
        return UNSTATED
    lower = [bound for bound in _BOUNDS if bound <= required_words]
    low = lower[-1] if lower else 0
    return f"{low}-{_BOUNDS[len(lower)] - 1}" if len(lower) < len(_BOUNDS) else f"{low}+"
