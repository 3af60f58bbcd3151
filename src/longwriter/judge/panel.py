"""Asks each judge of a panel the same questions, and adds up their calls and usages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from longwriter.io import files
from longwriter.params import LLMParams
from longwriter.records import Unscored

NO_JUDGE = Unscored(reason="no_judge", detail="there is no judge")
Answer = TypeVar("Answer")
Usage = dict[str, float]


async def ask_all(
    judges: Sequence[LLMParams],
    calls: Path,
    ask: Callable[[LLMParams, Path], Awaitable[tuple[list[Answer], Usage]]],
) -> tuple[list[tuple[Answer, ...]], Usage]:
    """Return the answers of all judges to each question, and the sum of their usages.

    Args:
        judges: The panel; without a judge there are no answers.
        calls: The call log to write: the calls of all judges, one judge after the other.
        ask: Returns one judge's answers, in the order of the questions, and the usage of its calls; writes
            these calls to the path that it gets.
    """
    if not judges:
        with files.zstd_lines(calls):
            return [], {}
    logs = [calls, *(calls.with_name(f"{place}-{calls.name}") for place in range(1, len(judges)))]
    answers, usages = [], []
    for judge, log in zip(judges, logs, strict=True):
        results, usage = await ask(judge, log)
        answers.append(results)
        usages.append(usage)
    if len(judges) > 1:
        files.join_call_logs(logs, calls)
    return list(zip(*answers, strict=True)), total(usages)


def total(usages: Sequence[Usage]) -> Usage:
    """Return the sum of each number that all usages have: a judge without a price has no cost."""
    return {
        name: sum(usage[name] for usage in usages) for name in usages[0] if all(name in u for u in usages)
    }
