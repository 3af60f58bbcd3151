"""Draws the funnel of the selection as a PNG; equal numbers give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from longwriter.amounts import amount
from longwriter.instructions.funnel import Step

_STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
_KEPT, _LOST, _DPI = "#0072B2", "#D5D5D5", 120  # Okabe and Ito's blue


def draw(steps: Sequence[Step], title: str, file: Path) -> None:
    """Write a figure with one bar for all rows and one bar for each step.

    A bar shows how many rows pass the step and how many it rejects; the reasons are written beside it.

    Args:
        steps: The steps, in order.
        title: Title of the figure.
        file: The PNG to write.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(13, 2 + 0.55 * len(steps)), layout="constrained")
        panel = figure.subplots()
        rows = steps[0].rows_in if steps else 0
        bars = [Step("read", rows, rows, {}), *steps]
        for place, step in enumerate(bars):
            panel.barh(place, step.rows_out, color=_KEPT)
            panel.barh(place, step.rows_in - step.rows_out, left=step.rows_out, color=_LOST)
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in step.rejected.items())
            label = f"{step.rows_out:,}" + (f"   (- {reasons})" if reasons else "")
            panel.annotate(label, (step.rows_in, place), (6, -4), textcoords="offset points", fontsize=11)
        panel.set_yticks(range(len(bars)), [step.name for step in bars])
        panel.invert_yaxis()
        panel.set_xlim(0, 1.55 * max(1, rows))  # leaves room for the labels at the right of the bars
        panel.set_xticks([])
        panel.spines["bottom"].set_visible(False)
        panel.set_title(f"{title}: {amount(rows, 'row')}", loc="left")
        figure.savefig(file, dpi=_DPI, metadata={"Software": None})
