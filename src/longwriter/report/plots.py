"""Figures of a report as PNG files; equal numbers give equal bytes.

This file, measure_plots.py and instructions/funnel_plot.py are the only ones that import matplotlib. Colours are Okabe and
Ito's, which colour-blind readers can tell apart; each model also has a marker. A matplotlibrc of the machine
is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from longwriter.amounts import amount
from longwriter.comparison.comparison import Comparison, Curve
from longwriter.records import Score
from longwriter.statistics.intervals import Estimate

# The n-th model has the n-th colour and marker; with eight colours and seven markers, 56 models differ.
_COLOURS = ("#595959", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("s", "o", "^", "D", "v", "P", "X")
_STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "text.parse_math": False,  # a label may hold `$`
}
_GREY = "#8C8C8C"
_DPI = 120
_PANELS_IN_ROW = 4
_HANDLES_IN_ROW = 8
_ROOM = 0.07  # of the span of the values, left free at both ends of an axis
_DECADE = 10  # lengths asked for that differ by this factor or more are drawn on logarithmic axes
_LONG_LABEL = 12  # characters
_FEW_MODELS = 3  # up to this many models have room for dots and labels; more are drawn closer together
_REQUIRED_LABEL = "words asked for"
_WRITTEN_LABEL = "words written"
_CURVE_TITLES = {"loss": "loss in training", "reward_accuracy": "reward accuracy in training"}


class Look(NamedTuple):
    """Colour and marker of a model in every figure."""

    colour: str
    marker: str


def draw(
    compared: Comparison,
    curves: Mapping[str, Curve],
    folder: Path,
    more: Mapping[str, Callable[[], Figure]] = MappingProxyType({}),
) -> list[Path]:
    """Write every figure of a report.

    Args:
        compared: The comparison.
        curves: Training curves by stage, each with the columns `step` and `loss`, those of DPO also with
            `reward_accuracy`.
        folder: Folder of the figures; it is created if it is missing.
        more: {file name: what draws it} of other figures, put before overview.png.

    Returns:
        The files: length.png, buckets.png, ended.png, training.png, overview.png and those of `more`. A figure without
        data is left out: no answer, no prompt that asks for a length, no step of a training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = {stage: curve for stage, curve in curves.items() if any(curve.values())}
    figures: dict[str, Callable[[], Figure]] = {}
    if _has_lengths(compared):
        figures |= {"length.png": lambda: _length(compared), "buckets.png": lambda: _buckets(compared)}
    if any(compared.rows.values()):
        figures["ended.png"] = lambda: _ended(compared)
    if curves:
        figures["training.png"] = lambda: _training(compared, curves)
    figures |= more
    if any(compared.rows.values()):
        figures["overview.png"] = lambda: _overview(compared)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        for name, figure in figures.items():
            figure().savefig(folder / name, dpi=_DPI, metadata={"Software": None})
    return [folder / name for name in figures]


def _has_lengths(compared: Comparison) -> bool:
    return any(row.required_words is not None for rows in compared.rows.values() for row in rows)


def _length(compared: Comparison) -> Figure:
    """Draw one panel for each model that has answers, at most four in a row."""
    models = [model for model in compared.labels if compared.rows[model]]
    columns = min(len(models), _PANELS_IN_ROW)
    rows = math.ceil(len(models) / columns)
    figure = Figure(figsize=(13 / 3 * columns, 5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for panel, model in zip(panels, models, strict=False):
        _draw_length(panel, compared, [model])
        panel.set_title(f"{compared.title(model)}, {_count(compared.rows[model])}")
        panel.set_xlabel(_REQUIRED_LABEL)
        panel.tick_params(axis="x", labelbottom=True)
    for panel in panels[::columns]:
        panel.set_ylabel(_WRITTEN_LABEL)
    for panel in panels[len(models) :]:
        panel.set_visible(False)
    legend(figure, compared, models=False, answers=True)
    figure.suptitle(f"Length asked for and length written, benchmark {compared.benchmark}")
    return figure


def _buckets(compared: Comparison) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    panel = figure.subplots()
    _draw_buckets(panel, compared)
    panel.set_title(f"Length score by length asked for, benchmark {compared.benchmark}")
    legend(figure, compared, models=True, answers=False)
    return figure


def _ended(compared: Comparison) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    panel = figure.subplots()
    _draw_ended(panel, compared)
    panel.set_title(f"How answers end, benchmark {compared.benchmark}, {_counts(compared)}")
    legend(figure, compared, models=True, answers=False)
    return figure


def _training(compared: Comparison, curves: Mapping[str, Curve]) -> Figure:
    """Draw loss and, if there is one, reward accuracy of each stage that was trained."""
    charts = [
        (stage, column) for stage, curve in curves.items() for column in _CURVE_TITLES if column in curve
    ]
    own = looks(compared)
    figure = Figure(figsize=(13 / 3 * len(charts), 4.5), layout="constrained")
    panels = figure.subplots(1, len(charts), squeeze=False)[0]
    for panel, (stage, column) in zip(panels, charts, strict=True):
        points = zip(curves[stage]["step"], curves[stage][column], strict=True)
        finite = [(step, value) for step, value in points if math.isfinite(value)]
        steps = [step for step, _ in finite]
        values = [value for _, value in finite]
        colour = own[stage].colour if stage in own else _GREY
        panel.plot(steps, values, color=colour, marker="o" if len(finite) < 40 else "", markersize=4)
        if column == "loss":
            _draw_held_out(panel, curves[stage], colour)
        title = compared.title(stage) if stage in own else stage
        panel.set_title(f"{title}: {_CURVE_TITLES[column]},\n{amount(len(finite), 'logged step')}")
        panel.set_xlabel("optimizer step")
        panel.locator_params(axis="x", integer=True)
        panel.set_ylabel(column.replace("_", " "))
        if column == "reward_accuracy":
            panel.axhline(0.5, color="#595959", linestyle="--", linewidth=1)
            panel.set_ylim(limits([0.5, *values], (0, 1.02)))
    return figure


def _draw_held_out(panel: Axes, curve: Curve, colour: str) -> None:
    """Draw the held-out loss, where it was measured, as hollow diamonds."""
    points = zip(curve["step"], curve.get("test_loss", []), strict=False)
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if finite:
        steps, values = zip(*finite, strict=True)
        panel.plot(
            steps, values, color=colour, marker="D", fillstyle="none", linestyle="--", label="held-out loss"
        )
        panel.legend()


def _overview(compared: Comparison) -> Figure:
    figure = Figure(figsize=(18, 5.2), layout="constrained")
    if has_lengths := _has_lengths(compared):
        length, buckets, ended = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1.15, 1]})
        _draw_length(length, compared, list(compared.labels))
        length.set(title="Length asked for and length written", xlabel=_REQUIRED_LABEL, ylabel=_WRITTEN_LABEL)
        _draw_buckets(buckets, compared)
        buckets.set_title("Length score by length asked for")
    else:
        ended = figure.subplots()
    _draw_ended(ended, compared)
    ended.set_title("How answers end")
    figure.suptitle(f"Benchmark {compared.benchmark}, {_counts(compared)}")
    legend(figure, compared, models=True, answers=has_lengths)
    return figure


def _draw_length(panel: Axes, compared: Comparison, models: list[str]) -> None:
    """Draw written over required words; a hollow marker is an answer that was cut at its cap."""
    rows = [row for scores in compared.rows.values() for row in scores]
    required = [row.required_words for row in rows if row.required_words is not None]
    lengths = [*required, *(row.words for row in rows)]
    is_log = min(required) > 0 and max(required) >= _DECADE * min(required)
    panel.plot(
        [min(required), max(required)],
        [min(required), max(required)],
        color="black",
        linewidth=1,
        linestyle="--",
    )
    own = looks(compared)
    x_values = [float(words) for words in required]
    for model, offset in zip(models, _offsets(len(models), 0.013), strict=True):
        colour, marker = own[model]
        for ended in (True, False):
            scores = [
                (row.required_words, row.words)
                for row in compared.rows[model]
                if row.ended is ended and row.required_words is not None
            ]
            places = [
                words * (1 + 2 * offset) if is_log else words + offset * max(required) for words, _ in scores
            ]
            x_values += places
            panel.scatter(
                places,
                [max(words, 1) if is_log else words for _, words in scores],
                s=38,
                marker=marker,
                facecolors=colour if ended else "none",
                edgecolors=colour,
                linewidths=1.3,
                alpha=0.75,
                clip_on=False,
            )
    if is_log:
        panel.set_xscale("log")
        panel.set_yscale("log")
    else:
        panel.set_xlim(limits(x_values, (0, math.inf)))
        panel.set_ylim(limits(lengths, (0, math.inf)))
        panel.locator_params(integer=True)  # else two neighbours may have the same label
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.yaxis.set_major_formatter("{x:,.0f}")


def _draw_buckets(panel: Axes, compared: Comparison) -> None:
    """Draw each model's mean score, over all rows and by bucket."""
    overall = {
        model: standing.length_score
        for model, standing in compared.standings.items()
        if standing.length_score
    }
    groups = [("all", overall), *((bucket.label(), bucket.scores) for bucket in compared.buckets)]
    models = list(compared.labels)
    for model, offset in zip(models, _offsets(len(models), 0.22), strict=True):
        scores = [(place, group[model]) for place, (_, group) in enumerate(groups) if model in group]
        places = [place + offset for place, _ in scores]
        _draw_estimates(panel, looks(compared)[model], places, [score for _, score in scores], 1)
    labels = [
        f"{_broken(name)}\nn = {max((score.n for score in group.values()), default=0)}"
        for name, group in groups
    ]
    panel.axvline(0.5, color=_GREY, linewidth=1)
    panel.set_xticks(range(len(labels)), labels)
    panel.set_xlim(-0.5, len(labels) - 0.5)
    panel.set_ylim(limits(_ends([score for _, group in groups for score in group.values()], 1), (-2, 105)))
    panel.grid(visible=False, axis="x")
    panel.set_xlabel(_REQUIRED_LABEL)
    panel.set_ylabel(f"length score S_l ({_level(compared)})")


def _draw_ended(panel: Axes, compared: Comparison) -> None:
    """Draw each model's share of answers that ended by themselves, and of those that looped."""
    offsets = _offsets(len(compared.labels), 0.26)
    is_crowded = len(compared.labels) > _FEW_MODELS
    for (model, standing), offset in zip(compared.standings.items(), offsets, strict=True):
        shares = [(place, share) for place, share in enumerate((standing.ended, standing.loop)) if share]
        places = [place + offset for place, _ in shares]
        _draw_estimates(panel, looks(compared)[model], places, [share for _, share in shares], 100)
        for place, (_, share) in zip(places, shares, strict=True):
            height = share.high if is_crowded and share.high is not None else share.value
            panel.annotate(
                f"{share.value:.0%}",
                (place, 100 * height),
                (-11, 4) if is_crowded else (8, -4),  # above the interval, or beside the dot
                textcoords="offset points",
                fontsize=9 if is_crowded else 11,
            )
    shares_of_all = [
        share for item in compared.standings.values() for share in (item.ended, item.loop) if share
    ]
    panel.set_xticks([0, 1], ["ended by itself", "looped"])
    panel.set_xlim(-0.5, 1.5)
    panel.set_ylim(limits(_ends(shares_of_all, 100), (-2, 105)))
    panel.grid(visible=False, axis="x")
    panel.set_ylabel(f"% of answers ({_level(compared)})")


def limits(values: Sequence[float], bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of an axis: a little beyond the values, but inside `bounds`; without values, `bounds`."""
    if not values:
        return bounds
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 1.0
    return max(bounds[0], low - room), min(bounds[1], high + room)


def _ends(estimates: Sequence[Estimate], scale: float) -> list[float]:
    """Return the values of estimates and the ends of their intervals."""
    ends = [(estimate.value, estimate.low, estimate.high) for estimate in estimates]
    return [scale * end for item in ends for end in item if end is not None]


def _draw_estimates(
    panel: Axes, look: Look, places: list[float], estimates: list[Estimate], scale: float
) -> None:
    """Draw one model's estimates as dots with their intervals."""
    values = [scale * estimate.value for estimate in estimates]
    below = [
        0.0 if estimate.low is None else max(0.0, scale * (estimate.value - estimate.low))
        for estimate in estimates
    ]
    above = [
        0.0 if estimate.high is None else max(0.0, scale * (estimate.high - estimate.value))
        for estimate in estimates
    ]
    panel.errorbar(
        places,
        values,
        yerr=[below, above],
        color=look.colour,
        marker=look.marker,
        markersize=7,
        linestyle="none",
        linewidth=2,
        capsize=4,
    )


def looks(compared: Comparison) -> dict[str, Look]:
    """Return each model's colour and marker, by its place in the comparison."""
    return {
        model: Look(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)])
        for place, model in enumerate(compared.labels)
    }


def _offsets(count: int, step: float) -> list[float]:
    """Return positions of `count` models around 0, `step` apart; closer if there are many."""
    if count > _FEW_MODELS:
        step = step * _FEW_MODELS / count
    return [(place - (count - 1) / 2) * step for place in range(count)]


def legend(figure: Figure, compared: Comparison, *, models: bool, answers: bool) -> None:
    """Put one legend below all panels: the models, and what an answer's marker and the line mean."""
    own = looks(compared).items() if models else ()
    handles = [_handle(look.marker, look.colour, compared.title(model)) for model, look in own]
    if answers:
        handles += [
            _handle("o", _GREY, "ended by itself"),
            _handle("o", _GREY, "cut at its cap", fillstyle="none"),
            Line2D([], [], color="black", linewidth=1, linestyle="--", label="as asked"),
        ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), _HANDLES_IN_ROW))


def _handle(marker: str, colour: str, label: str, fillstyle: Literal["full", "none"] = "full") -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=marker, markersize=8, color=colour, label=label, fillstyle=fillstyle
    )


def _broken(label: str) -> str:
    """Return the label of a bucket on two lines if it is long, so that it does not touch its neighbours."""
    if len(label) < _LONG_LABEL:
        return label
    return label.replace("-", "-\n").replace(" and more", "\nand more")


def _counts(compared: Comparison) -> str:
    """Return n, once if all models have the same."""
    counts = [_count(rows) for rows in compared.rows.values()]
    if len(set(counts)) == 1:
        return f"{counts[0]} a model"
    titles = [compared.title(model) for model in compared.rows]
    return ", ".join(f"{title} {count}" for title, count in zip(titles, counts, strict=True))


def _count(rows: Sequence[Score]) -> str:
    """Return the number of prompts, and of answers where a prompt has several."""
    prompts = len({row.prompt_id for row in rows})
    return f"n = {prompts}" + (f" ({len(rows)} answers)" if len(rows) > prompts else "")


def _level(compared: Comparison) -> str:
    return f"{compared.method.confidence * 100:.3g} % CI"
