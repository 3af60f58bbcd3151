"""What is decided of a candidate by the others: duplicates, benchmarks, unstated lengths, the choice.

A fate is a place in `REASONS`, one byte a candidate; 0 = not rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from longwriter.instructions import quotas as select
from longwriter.instructions.duplicates import Places, Signatures, exact_duplicates, near_duplicates

REASONS = (
    "", "duplicate", "near_duplicate", "contaminated", "not_stated", "not_long", "unjudged", "over_limit",
)  # fmt: skip
FATE = {reason: place for place, reason in enumerate(REASONS)}
_LEVELS = {"language": 0, "type": 1, "length": 2}

Fates = npt.NDArray[np.uint8]


def repeated(
    ids: npt.NDArray[np.uint64], signatures: Signatures, hits: Iterable[int], similarity: float
) -> tuple[Fates, Places, npt.NDArray[np.float64]]:
    """Return the fates of candidates that repeat another one or a benchmark.

    Of exact duplicates the first in the source stays, of near ones that with the lowest id.

    Args:
        ids: One a candidate; a hash of language and prompt.
        signatures: As `duplicates.signatures` makes them.
        hits: The candidates that repeat a benchmark's prompt.
        similarity: From which on a candidate nearly repeats another, in (0, 1].

    Returns:
        (fates, the candidate that each nearly repeats or -1, how nearly), each of shape (n,).
    """
    fates = np.zeros(len(ids), np.uint8)
    fates[exact_duplicates(ids)] = FATE["duplicate"]
    left = np.flatnonzero(fates == 0)
    order = left[np.argsort(ids[left], kind="stable")]
    repeats, shares = near_duplicates(signatures, order, similarity)
    fates[repeats >= 0] = FATE["near_duplicate"]
    places = np.fromiter(hits, np.int64)
    fates[places[fates[places] == 0]] = FATE["contaminated"]
    return fates, repeats, shares


def choice(
    ids: npt.NDArray[np.uint64],
    cells: npt.NDArray[np.int64],
    names: Sequence[select.Cell],
    fates: Fates,
    balance: Sequence[str],
    limit: int,
    seed: int,
) -> Places:
    """Return the candidates that are chosen among those with fate 0, in the order of their ids.

    Args:
        ids: One a candidate.
        cells: For each candidate the place of its cell in `names`.
        names: Cells: (language, type, bucket of the length).
        fates: Of each candidate so far.
        balance: What takes turns, outermost first: `language`, `type`, `length`.
        limit: Candidates wanted.
        seed: Where on the ring of ids the choice begins.
    """
    wanted = [tuple(name[_LEVELS[level]] for level in balance) for name in names]
    groups = {group: place for place, group in enumerate(dict.fromkeys(wanted))}
    group_of = np.array([groups[group] for group in wanted], np.int64)
    left = np.flatnonzero(fates == 0)
    return left[select.choose(ids[left], group_of[cells[left]], list(groups), limit, seed)]
