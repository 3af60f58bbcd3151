"""The result of a check, and a table of results.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from tabulate import tabulate

from longwriter.amounts import amount

State = Literal["ok", "warning", "error"]


class Finding(NamedTuple):
    """The result of one check; `cure` says what to do if something is wrong."""

    topic: str
    state: State
    text: str
    cure: str = ""


def table(findings: Iterable[Finding]) -> str:
    """Return findings as lines of text: a table, then each cure, then the number of errors and warnings."""
    rows = list(findings)
    blocks = [str(tabulate([(row.state, row.topic, row.text) for row in rows], tablefmt="plain"))]
    cures = [f"{row.topic}: {row.cure}" for row in rows if row.cure]
    if cures:
        blocks.append("\n".join(cures))
    errors, warnings = (sum(row.state == state for row in rows) for state in ("error", "warning"))
    blocks.append(f"{amount(len(rows), 'check')}, {amount(errors, 'error')}, {amount(warnings, 'warning')}")
    return "\n\n".join(blocks)
