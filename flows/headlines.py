"""The benchmark's headline numbers over the nights: those of the checkout, and those that nightly branches hold.

A number is below its band if it is lower than the mean less two standard deviations of the last nights. Only numbers
of which more is better have a band. A night that did not score a model again has the numbers of the night before; it
counts once.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from longwriter.tracking import git

_MORE_IS_BETTER = ("S_l", "S_q", "ended")  # names in headline.json, see longwriter/execution/summary.py
_NIGHTS = 10  # that make a band
_FEWEST = 5  # fewer nights make no band
_WIDTH = 2.0  # standard deviations


def now() -> dict[str, float]:
    """Return the numbers of the checkout, such as `{"sft-small S_l": 58.3}`."""
    paths = sorted(Path("data/score").glob("*/headline.json"))
    return _numbers((path.parent.name, path.read_text(encoding="utf-8")) for path in paths)


def of(ref: str) -> dict[str, float]:
    """Return the numbers that a branch holds."""
    names = git.run("ls-tree", "-r", "--name-only", ref, "data/score").splitlines()
    paths = [Path(name) for name in names if Path(name).name == "headline.json"]
    return _numbers((path.parent.name, git.run("show", f"{ref}:{path}")) for path in paths)


def _numbers(texts: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Return the numbers of which more is better, from (item of stage `score`, content of its headline.json)."""
    tables: list[tuple[str, dict[str, Any]]] = [(item, json.loads(text)) for item, text in texts]
    return {
        f"{item} {key}": float(table[key])
        for item, table in tables
        for key in _MORE_IS_BETTER
        if table.get(key) is not None
    }


def below_band(today: Mapping[str, float], nights: Sequence[Mapping[str, float]]) -> list[str]:
    """Return a sentence for each number that is below its band.

    Args:
        today: The numbers now.
        nights: Those of earlier nights, the newest first.
    """
    sentences = []
    for name, value in today.items():
        earlier = [number for number, _ in groupby(night[name] for night in nights if name in night)]
        if len(earlier := earlier[:_NIGHTS]) < _FEWEST:
            continue
        mean = statistics.mean(earlier)
        bound = mean - _WIDTH * statistics.stdev(earlier)
        if value < bound:
            sentences.append(
                f"{name} is {value:g}, below {bound:.4g}: the last {len(earlier)} nights that scored it have a mean of "
                f"{mean:.4g}, less two standard deviations"
            )
    return sentences
