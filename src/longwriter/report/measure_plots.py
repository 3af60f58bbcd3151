"""Figures of the measures: the curve of a ruler in log-log, and how repetition and quality change along texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from longwriter.comparison.comparison import Comparison
from longwriter.evaluation.measures.summary import Measured
from longwriter.report import plots


def figures(compared: Comparison, measured: Mapping[str, Measured]) -> dict[str, Callable[[], Figure]]:
    """Return {file name: what draws it}; a figure without data is left out."""
    by_name: dict[str, Callable[[], Figure]] = {}
    if any(item.ruler for item in measured.values()):
        by_name["ruler.png"] = lambda: _ruler(compared, measured)
    if any(item.repetition_along or item.quality_along for item in measured.values()):
        by_name["along.png"] = lambda: _along(compared, measured)
    return by_name


def _ruler(compared: Comparison, measured: Mapping[str, Measured]) -> Figure:
    figure = Figure(figsize=(9, 6), layout="constrained")
    panel = figure.subplots()
    required: list[int] = []
    for model, item in measured.items():
        if item.ruler is None:
            continue
        look = plots.looks(compared)[model]
        levels = [level for level in item.ruler.levels if level.words.value > 0]
        required += [level.required for level in item.ruler.levels]
        x, y = [level.required for level in levels], [level.words.value for level in levels]
        low = [max(1.0, level.words.low or 1.0) for level in levels]
        below = [max(0.0, value - bound) for value, bound in zip(y, low, strict=True)]
        above = [max(0.0, (level.words.high or 0.0) - level.words.value) for level in levels]
        panel.errorbar(x, y, yerr=[below, above], color=look.colour, marker=look.marker, capsize=4)
        maximum = item.ruler.maximum
        if not maximum.value:  # a logarithmic axis has no 0
            continue
        panel.axhline(maximum.value, color=look.colour, linestyle=":", linewidth=1)
        panel.annotate(
            f"{maximum.value:,.0f}", (min(required), maximum.value), (0, 3), textcoords="offset points"
        )
    lengths = sorted(set(required))
    panel.plot(lengths, lengths, color="black", linestyle="--", linewidth=1)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(lengths)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("words asked for")
    panel.set_ylabel(f"mean words written ({compared.method.confidence * 100:.3g} % CI)")
    panel.set_title(
        f"Length written at each length asked for, benchmark {compared.benchmark}\n"
        "dotted: maximum output length; dashed: as asked"
    )
    plots.legend(figure, compared, models=True, answers=False)
    return figure


def _along(compared: Comparison, measured: Mapping[str, Measured]) -> Figure:
    has_quality = any(item.quality_along for item in measured.values())
    figure = Figure(figsize=(9, 4.5) if not has_quality else (13, 4.5), layout="constrained")
    panels = figure.subplots(1, 2 if has_quality else 1, squeeze=False)[0]
    repetition = {model: [100 * value for value in item.repetition_along] for model, item in measured.items()}
    _draw_parts(panels[0], compared, repetition, "5-grams that occurred earlier (%)")
    panels[0].set_title(f"Repetition along the text, benchmark {compared.benchmark}")
    if has_quality:
        quality = {model: item.quality_along for model, item in measured.items()}
        _draw_parts(panels[1], compared, quality, "quality score S_q of the part")
        panels[1].set_title("Quality along the text")
    plots.legend(figure, compared, models=True, answers=False)
    return figure


def _draw_parts(panel: Axes, compared: Comparison, values: Mapping[str, list[float]], label: str) -> None:
    for model, along in values.items():
        look = plots.looks(compared)[model]
        panel.plot(range(1, len(along) + 1), along, color=look.colour, marker=look.marker, markersize=5)
    longest = max(map(len, values.values()))
    panel.set_xticks(range(1, longest + 1))
    panel.set_xlabel("part of the text, from its beginning")
    panel.set_ylabel(label)
    panel.set_ylim(bottom=0)
