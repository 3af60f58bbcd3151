"""How long the rest of a flow takes, from the seconds that its stages took before.

For a stage that has not run here yet, the mean of its other items is used, else the seconds of the demo on two
cores. Stages of one kind become slower together: a slow endpoint makes `plan` and `write` slow, but no training.
`.lw/seconds.json` keeps the seconds of stages that ran.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE = Path(".lw/seconds.json")
_LONGEST_S = 1e8  # three years
_DEMO_S = {
    "base_model": 35, "benchmarks": 4, "instructions": 9, "plan": 59, "write": 60, "dataset": 6, "validate": 7, "pack": 5,
    "sft": 257, "sample": 137, "preferences": 8, "dpo": 151, "fitness": 6, "generate": 92, "short_prompts": 8, "score": 5, "pairwise": 4, "report": 7, "register": 5,
}  # fmt: skip


_KINDS = {
    "plan": "endpoint", "write": "endpoint", "sft": "training", "dpo": "training",
    "sample": "serving", "generate": "serving", "short_prompts": "serving",
}  # fmt: skip
_MACHINE_PACES = (0.25, 4.0)
"""Smallest and largest pace of this machine that is believed. A stage that takes even longer has more work, which
says nothing about stages of other kinds.
"""


def seconds_left(
    names: Sequence[str], position: int, spent: Mapping[str, float], earlier: Mapping[str, float]
) -> float:
    """Return the seconds that the stages from `position` on need.

    Args:
        names: All stages of the flow, in order.
        position: The stage that begins now, from 0.
        spent: Seconds of the stages that were executed in this flow.
        earlier: Seconds of stages that ran here before.
    """
    return sum(_pace(name, spent, earlier) * _expected(name, earlier) for name in names[position:])


def _pace(name: str, spent: Mapping[str, float], earlier: Mapping[str, float]) -> float:
    """Return how many times longer than expected a stage takes, by the stages of its kind in this flow.

    If no stage of its kind has run in this flow, a stage that ran here before takes as long as it did then. For a
    stage that never ran here, the stages without a kind say how fast this machine is.
    """
    kind = _kind(name)
    if kind and (pace := _mean_pace(kind, spent, earlier)) is not None:
        return pace
    pace = _mean_pace("", spent, earlier)
    if pace is None or (kind and _measured(name, earlier) is not None):
        return 1.0
    least, most = _MACHINE_PACES
    return min(max(pace, least), most)


def _mean_pace(kind: str, spent: Mapping[str, float], earlier: Mapping[str, float]) -> float | None:
    names = [name for name in spent if _kind(name) == kind]
    expected = sum(_expected(name, earlier) for name in names)
    return sum(spent[name] for name in names) / expected if expected else None


def _kind(name: str) -> str:
    return _KINDS.get(name.partition("@")[0], "")


def _expected(name: str, earlier: Mapping[str, float]) -> float:
    measured = _measured(name, earlier)
    return float(_DEMO_S.get(name.partition("@")[0], 10)) if measured is None else measured


def _measured(name: str, earlier: Mapping[str, float]) -> float | None:
    """Return the seconds that a stage took here, or else the mean of its other items."""
    if name in earlier:
        return float(earlier[name])
    stage, _, item = name.partition("@")
    items = [seconds for other, seconds in earlier.items() if item and other.startswith(f"{stage}@")]
    return sum(items) / len(items) if items else None


def sentence(names: Sequence[str], position: int, seconds: float) -> str:
    """Return the line that announces a stage, such as `stage 7 of 19 (sft), about 12 minutes left`."""
    minutes = round(seconds / 60)
    time_left = (
        "about a minute" if minutes == 1 else f"about {minutes} minutes" if minutes else "less than a minute"
    )
    return f"stage {position + 1} of {len(names)} ({names[position]}), {time_left} left"


def read() -> dict[str, float]:
    """Return {stage: seconds} of stages that ran here before, without values that are not seconds."""
    try:
        values = json.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {name: float(value) for name, value in values.items() if _is_time(value)}
        if isinstance(values, dict)
        else {}
    )


def _is_time(value: object) -> bool:
    """Tell whether a value is a number of seconds; Python's reader of JSON also accepts NaN, infinity, and 10**400."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LONGEST_S


def keep(spent: Mapping[str, float]) -> None:
    """Add the seconds of stages to the file."""
    part = FILE.with_suffix(".part")
    part.write_text(json.dumps(read() | dict(spent), indent=2) + "\n", encoding="utf-8")
    part.replace(FILE)
