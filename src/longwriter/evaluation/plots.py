"""Figures of a report as PNG, the same bytes each time.

The only file that imports matplotlib. Colours are Okabe and Ito's, which the colour-blind can tell
apart; each model has a marker of its own as well. Whatever matplotlibrc a machine has is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from longwriter.evaluation.comparison import MODELS, Comparison, Curve
from longwriter.evaluation.statistics import Estimate

_COLOURS = {"base_model": "#595959", "sft": "#0072B2", "dpo": "#D55E00"}
_MARKERS = {"base_model": "s", "sft": "o", "dpo": "^"}
_STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
}
_GREY = "#8C8C8C"
_DPI = 120
_ASKED, _WRITTEN = "words asked for", "words written"


def draw(compared: Comparison, curves: Mapping[str, Curve], folder: Path) -> list[Path]:
    """Write every figure of a report.

    Args:
        compared: The numbers.
        curves: Training curves of `sft` and `dpo`: `step`, `loss`, for dpo also `reward_accuracy`.
        folder: Where to; made where it is missing.

    Returns:
        The files: length.png, buckets.png, ended.png, training.png, overview.png.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[], Figure]] = {
        "length.png": lambda: _length(compared),
        "buckets.png": lambda: _buckets(compared),
        "ended.png": lambda: _ended(compared),
        "training.png": lambda: _training(curves),
        "overview.png": lambda: _overview(compared),
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        for name, figure in figures.items():
            figure().savefig(folder / name, dpi=_DPI, metadata={"Software": None})
    return [folder / name for name in figures]


def _length(compared: Comparison) -> Figure:
    figure = Figure(figsize=(13, 5), layout="constrained")
    panels = figure.subplots(1, len(MODELS), sharex=True, sharey=True, squeeze=False)[0]
    for panel, model in zip(panels, MODELS, strict=True):
        _draw_length(panel, compared, [model])
        panel.set_title(f"{_title(model)}, n = {len(compared.rows[model])}")
        panel.set_xlabel(_ASKED)
    panels[0].set_ylabel(_WRITTEN)
    _legend(figure, models=False, answers=True)
    figure.suptitle(f"Length asked for and length written, benchmark {compared.benchmark}")
    return figure


def _buckets(compared: Comparison) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    panel = figure.subplots()
    _draw_buckets(panel, compared)
    panel.set_title(f"Length score by length asked for, benchmark {compared.benchmark}")
    _legend(figure, models=True, answers=False)
    return figure


def _ended(compared: Comparison) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    panel = figure.subplots()
    _draw_ended(panel, compared)
    panel.set_title(f"How answers end, benchmark {compared.benchmark}, {_counts(compared)}")
    _legend(figure, models=True, answers=False)
    return figure


def _training(curves: Mapping[str, Curve]) -> Figure:
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, model, column, title in (
        (panels[0], "sft", "loss", "SFT: loss"),
        (panels[1], "dpo", "loss", "DPO: loss"),
        (panels[2], "dpo", "reward_accuracy", "DPO: reward accuracy"),
    ):
        points = zip(curves[model]["step"], curves[model][column], strict=True)
        known = [(step, value) for step, value in points if math.isfinite(value)]
        dots = "o" if len(known) < 40 else ""
        steps, heights = [step for step, _ in known], [value for _, value in known]
        panel.plot(steps, heights, color=_COLOURS[model], marker=dots, markersize=4)
        panel.set_title(f"{title}, {len(known)} logged steps")
        panel.set_xlabel("optimizer step")
        if column == "reward_accuracy":
            panel.axhline(0.5, color="#595959", linestyle="--", linewidth=1)
            panel.set_ylim(0, 1.02)
    return figure


def _overview(compared: Comparison) -> Figure:
    figure = Figure(figsize=(18, 5.2), layout="constrained")
    length, buckets, ended = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1.15, 1]})
    _draw_length(length, compared, list(MODELS))
    length.set(title="Length asked for and length written", xlabel=_ASKED, ylabel=_WRITTEN)
    _draw_buckets(buckets, compared)
    buckets.set_title("Length score by length asked for")
    _draw_ended(ended, compared)
    ended.set_title("How answers end")
    figure.suptitle(f"Benchmark {compared.benchmark}, {_counts(compared)}")
    _legend(figure, models=True, answers=True)
    return figure


def _draw_length(panel: Axes, compared: Comparison, models: list[str]) -> None:
    """Draw written over asked words; a hollow marker is an answer that was cut at its cap."""
    rows = [row for scores in compared.rows.values() for row in scores]
    asked_max = max((row.required_words for row in rows), default=1)
    written_max = max([asked_max, *(row.words for row in rows)])
    panel.plot([0, asked_max], [0, asked_max], color="black", linewidth=1, linestyle="--")
    for place, model in enumerate(models):
        shift = (place - (len(models) - 1) / 2) * 0.013 * asked_max
        for ended in (True, False):
            chosen = [row for row in compared.rows[model] if row.ended is ended]
            panel.scatter(
                [row.required_words + shift for row in chosen],
                [row.words for row in chosen],
                s=38,
                marker=_MARKERS[model],
                facecolors=_COLOURS[model] if ended else "none",
                edgecolors=_COLOURS[model],
                linewidths=1.3,
                alpha=0.75,
                clip_on=False,
            )
    panel.set_xlim(0, asked_max * 1.07)
    panel.set_ylim(0, written_max * 1.07)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.yaxis.set_major_formatter("{x:,.0f}")


def _draw_buckets(panel: Axes, compared: Comparison) -> None:
    """Draw each model's mean score, over all rows and by bucket."""
    whole = {model: one.length_score for model, one in compared.standings.items() if one.length_score}
    groups = [("all", whole), *((bucket.label(), bucket.scores) for bucket in compared.buckets)]
    for place, model in enumerate(MODELS):
        found = [(at, scores[model]) for at, (_, scores) in enumerate(groups) if model in scores]
        _dots(panel, model, [at + (place - 1) * 0.22 for at, _ in found], [one for _, one in found], 1)
    labels = [f"{name}\nn = {max((one.n for one in scores.values()), default=0)}" for name, scores in groups]
    panel.axvline(0.5, color=_GREY, linewidth=1)
    panel.set_xticks(range(len(labels)), labels)
    panel.set_xlim(-0.5, len(labels) - 0.5)
    panel.set_ylim(-2, 105)
    panel.grid(visible=False, axis="x")
    panel.set_xlabel(_ASKED)
    panel.set_ylabel(f"length score $S_l$ ({_level(compared)})")


def _draw_ended(panel: Axes, compared: Comparison) -> None:
    """Draw each model's share of answers that ended by themselves, and that looped."""
    for place, (model, standing) in enumerate(compared.standings.items()):
        shares = [(at, share) for at, share in enumerate((standing.ended, standing.loop)) if share]
        places = [at + (place - 1) * 0.26 for at, _ in shares]
        _dots(panel, model, places, [share for _, share in shares], 100)
        for at, (_, share) in zip(places, shares, strict=True):
            panel.annotate(
                f"{share.value:.0%}",
                (at, 100 * share.value),
                (8, -4),
                textcoords="offset points",
                fontsize=11,
            )
    panel.set_xticks([0, 1], ["ended by itself", "looped"])
    panel.set_xlim(-0.5, 1.5)
    panel.set_ylim(-2, 105)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel(f"% of answers ({_level(compared)})")


def _dots(panel: Axes, model: str, places: list[float], estimates: list[Estimate], scale: float) -> None:
    """Draw one model's estimates as dots with their intervals."""
    values = [scale * one.value for one in estimates]
    below = [0.0 if one.low is None else max(0.0, scale * (one.value - one.low)) for one in estimates]
    above = [0.0 if one.high is None else max(0.0, scale * (one.high - one.value)) for one in estimates]
    panel.errorbar(
        places,
        values,
        yerr=[below, above],
        color=_COLOURS[model],
        marker=_MARKERS[model],
        markersize=7,
        linestyle="none",
        linewidth=2,
        capsize=4,
    )


def _legend(figure: Figure, *, models: bool, answers: bool) -> None:
    """Put one legend below all panels: the models, and what an answer's marker and the line mean."""
    handles = [_marker(_MARKERS[model], _COLOURS[model], _title(model)) for model in MODELS if models]
    if answers:
        handles += [
            _marker("o", _GREY, "ended by itself"),
            _marker("o", _GREY, "cut at its cap", fillstyle="none"),
            Line2D([], [], color="black", linewidth=1, linestyle="--", label="as asked"),
        ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _marker(marker: str, colour: str, label: str, fillstyle: Literal["full", "none"] = "full") -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=marker, markersize=8, color=colour, label=label, fillstyle=fillstyle
    )


def _counts(compared: Comparison) -> str:
    """Return n, once where all models have the same."""
    counts = {_title(model): len(rows) for model, rows in compared.rows.items()}
    if len(set(counts.values())) == 1:
        return f"n = {max(counts.values())} a model"
    return ", ".join(f"{name} n = {n}" for name, n in counts.items())


def _level(compared: Comparison) -> str:
    return f"{compared.method.confidence * 100:.3g} % CI"


def _title(model: str) -> str:
    return MODELS[model][0].upper() + MODELS[model][1:]
