"""The benchmark's headline numbers over the nights: numbers of the checkout, and numbers in nightly branches.

A number is below its band if it is lower than the mean less two standard deviations of the last nights. Only
numbers that should be high have a band. If a night did not score a model again, it has the numbers of the night
before, and both nights count as one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, FiniteFloat, ValidationError

from longwriter.text import inert
from longwriter.tracking import git

_NIGHTS = 10  # that make a band
_FEWEST = 5  # fewer nights make no band
_WIDTH = 2.0  # standard deviations


class _Headline(BaseModel):
    """The numbers of headline.json of which more is better, see longwriter/execution/summary.py."""

    S_l: FiniteFloat | None = None
    S_q: FiniteFloat | None = None
    ended: FiniteFloat | None = None


def now(warn: Callable[[str], None]) -> dict[str, float]:
    """Return the numbers of the checkout, such as `{"sft-small S_l": 58.3}`.

    Args:
        warn: Gets a sentence for each broken file, which is left out.
    """
    names = sorted(path.as_posix() for path in Path("data/score").glob("*/headline.json"))
    return _numbers(names, lambda name: Path(name).read_text(encoding="utf-8"), "", warn)


def of(ref: str, warn: Callable[[str], None]) -> dict[str, float]:
    """Return the numbers that a branch holds; see `now`."""
    names = git.paths("ls-tree", "-r", "-z", "--name-only", ref, "data/score")
    ours = [name for name in names if PurePosixPath(name).name == "headline.json"]
    return _numbers(ours, lambda name: git.run("show", f"{ref}:{name}"), f"{ref}:", warn)


def _numbers(
    names: Iterable[str], read: Callable[[str], str], place: str, warn: Callable[[str], None]
) -> dict[str, float]:
    """Return the numbers of which more is better.

    Args:
        names: Files `data/score/ITEM/headline.json`.
        read: Returns the text of a file.
        place: What stands before its name in a warning.
        warn: Gets the warnings.
    """
    numbers: dict[str, float] = {}
    for name in names:
        try:
            table = _Headline.model_validate_json(read(name), strict=True)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            reason = " ".join([*map(str, first["loc"]), first["msg"]])
        except UnicodeError as error:
            reason = str(error)
        else:
            item = PurePosixPath(name).parent.name
            numbers |= {f"{item} {key}": value for key, value in table if value is not None}
            continue
        warn(f"{inert.terminal(f'{place}{name}')} is left out: {reason}")
    return numbers


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
