"""What a flow would run, how long it would take and what it would cost: the dry run. Nothing is run or requested."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tabulate import tabulate

from flows import remaining
from longwriter import params as parameters
from longwriter.estimate import run as estimate
from longwriter.tracking import versioning

_PAID = {"instructions", "plan", "write", "preferences", "fitness", "score", "pairwise"}
"""Stages of which `longwriter estimate` knows the cost."""
_TOKENS_PER_SECOND = 50.0  # of a model that was not timed here, as in `longwriter estimate`


class Row(NamedTuple):
    """A stage that would run: why, and the seconds that it took before (else those of the demo)."""

    stage: str
    why: str
    seconds: float


def rows(
    names: Sequence[str], stale: Collection[str], behind: Collection[str], earlier: Mapping[str, float]
) -> list[Row]:
    """Return the stages that would run, in order.

    Args:
        names: Stages of the flow, in order.
        stale: Stages whose own files or parameters have changed.
        behind: Stages that read what a stale stage writes; DVC skips those whose input did not change.
        earlier: Seconds of stages that ran here before.
    """
    why = dict.fromkeys(behind, "reads the output of a stage that runs")
    why |= dict.fromkeys(stale, "its files or parameters have changed")
    return [
        Row(name, why[name], remaining.seconds_left([name], 0, {}, earlier)) for name in names if name in why
    ]


def cost(estimates: Sequence[Mapping[str, Any]], names: Collection[str]) -> float | None:
    """Return the dollars of those stages, by the rows of `longwriter estimate`; None if a price is not known.

    A row is of a stage (`plan`), of its judge (`plan.judge`), or of another judge of a panel (`score 2`).
    """
    stages = {name.partition("@")[0] for name in names}
    costs = [row["cost_usd"] for row in estimates if re.split(r"[. ]", row["stage"])[0] in stages]
    return None if None in costs else float(sum(costs))


def make(names: Sequence[str]) -> tuple[str, str]:
    """Return a sentence, and a Markdown table of the stages that would run.

    Args:
        names: Stages of the flow, in order.
    """
    stale = versioning.stale_stages() & set(names)
    stages = rows(names, stale, versioning.stages_behind(stale), remaining.read())
    selected = {row.stage for row in stages}
    dollars: float | None = 0.0
    table = tabulate(stages, ("stage", "why", "seconds"), tablefmt="pipe", floatfmt=".0f")
    if {name.partition("@")[0] for name in selected} & _PAID:
        report = estimate.estimate_run(parameters.load(), _TOKENS_PER_SECOND)
        dollars = cost(report["stages"], selected)
        table += "\n\n" + estimate.table(report)
    hours = sum(row.seconds for row in stages) / 3600
    price = (
        "a cost that is not known (add the price to infra/prices.yaml)"
        if dollars is None
        else f"${dollars:,.2f}"
    )
    sentence = (
        f"{len(stages)} of {len(names)} stages would run, about {hours:,.2f} hours by the last runs here, {price} for "
        "LLM calls; nothing was run"
    )
    return sentence, str(table)
