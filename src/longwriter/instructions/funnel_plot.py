"""The funnel of a selection as PNG, the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from longwriter.instructions.funnel import Step

_STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
_KEPT, _LOST, _DPI = "#0072B2", "#D5D5D5", 120  # Okabe and Ito's blue


def draw(steps: Sequence[Step], title: str, file: Path) -> None:
    """Write one bar for the rows that came, and one a step: what goes on, what is rejected there, and why.

    Args:
        steps: In their order.
        title: Of the figure.
        file: The PNG to write.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(13, 2 + 0.55 * len(steps)), layout="constrained")
        panel = figure.subplots()
        came = steps[0].rows_in if steps else 0
        bars = [Step("read", came, came, {}), *steps]
        rows = max(1, came)
        for place, step in enumerate(bars):
            panel.barh(place, step.rows_out, color=_KEPT)
            panel.barh(place, step.rows_in - step.rows_out, left=step.rows_out, color=_LOST)
            why = ", ".join(f"{reason} {count:,}" for reason, count in step.rejected.items())
            told = f"{step.rows_out:,}" + (f"   (- {why})" if why else "")
            panel.annotate(told, (step.rows_in, place), (6, -4), textcoords="offset points", fontsize=11)
        panel.set_yticks(range(len(bars)), [step.name for step in bars])
        panel.invert_yaxis()
        panel.set_xlim(0, 1.55 * rows)  # the bars' legends stand to their right
        panel.set_xticks([])
        panel.spines["bottom"].set_visible(False)
        panel.set_title(f"{title}: {came:,} rows", loc="left")
        figure.savefig(file, dpi=_DPI, metadata={"Software": None})
