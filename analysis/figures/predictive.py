"""Predictive checks: what the fitted model produces beside what was observed, target by target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abm.analysis.figures.layout import grow, shared_legend, stamp, wrapped
from abm.analysis.figures.style import COLOURS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["predictive_intervals"]


def predictive_intervals(
    table: pl.DataFrame,
    *,
    panel: str = "target",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    units: Mapping[str, str] | None = None,
    xlabels: Mapping[str, str] | None = None,
    n_columns: int = 3,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """One panel per target: predictive intervals as bars or a band, observations as points.

    Parameters
    ----------
    table
        Tidy: one row per statistic, with `target`, `index` (its place in the target, from 0),
        `observed`, `estimate`, `low`, `high`, `level` and `held_out`. Targets that the fit did not
        see have open points and say so in their title. Targets of more than 12 statistics are drawn
        as a band, others as bars.
    units, xlabels
        Target -> unit of its values, and label of its index (`"day"`, `"category"`).

    Examples
    --------
    >>> table = pl.DataFrame({"target": ["answer"] * 2, "index": [0, 1], "observed": [0.4, 0.6],
    ...                       "estimate": [0.45, 0.55], "low": [0.4, 0.5], "high": [0.5, 0.6],
    ...                       "level": [0.9] * 2, "held_out": [False] * 2})
    >>> len(predictive_intervals(table).axes)
    1
    """
    need(table, panel, "index", "observed", "estimate", "low", "high", "level", "held_out")
    require(n_columns >= 1, AnalysisError, f"n_columns = {n_columns}, expected >= 1")
    panels = ordered(table, panel, (order or {}).get(panel))
    across = min(n_columns, len(panels))
    down = -(-len(panels) // across)
    with figure_style():
        figure, axes = grid_figure(down, across, width=width, height=height or 14 + 42 * down)
        points = (72 * figure.get_figwidth() - 50) / across - 12
        flat = [axis for row in axes for axis in row]
        for axis, name in zip(flat, panels, strict=False):
            rows = part(table, **{panel: name}).sort("index")
            _panel(axis, rows, points)
            title = shown(name, names) + (", held out" if rows["held_out"][0] else "")
            axis.set_title(wrapped(title, points - 16, 7.5, bold=True), loc="left", y=1.0)
            label = (xlabels or {}).get(name, "place" if rows.height > 1 else "")
            axis.set_xlabel(wrapped(label, points, 7))
            axis.set_ylabel(wrapped((units or {}).get(name, "value"), 80, 7))
        titles = [[axis.get_title(loc="left").count("\n") for axis in row] for row in axes]
        grow(figure, 9.5 * sum(map(max, titles)))
        for axis in flat[len(panels) :]:
            axis.remove()
        _legend(figure, table)
    return figure


def _panel(axis: Axes, table: pl.DataFrame, points: float) -> None:
    x = column(table, "index")
    low, high = column(table, "low"), column(table, "high")
    if table.height > 12:
        axis.fill_between(x, low, high, color=COLOURS["sky"], alpha=0.6, lw=0)
        axis.plot(x, column(table, "estimate"), color=COLOURS["blue"], lw=1.0)
    else:
        axis.vlines(x, low, high, color=COLOURS["sky"], lw=5)
        axis.plot(x, column(table, "estimate"), "_", color=COLOURS["blue"], ms=8, mew=1.4)
        every = math.ceil(12 * table.height / max(points - 30, 12))
        places = x[::every] if table.height > 1 else x[:0]
        axis.set_xticks(places, [f"{v:g}" for v in places])
        axis.set_xlim(x.min() - 0.6, x.max() + 0.6)
    hidden = table["held_out"].to_numpy()
    for mask, face in ((~hidden, COLOURS["black"]), (hidden, "white")):
        axis.plot(
            x[mask],
            column(table, "observed")[mask],
            "o",
            color=COLOURS["black"],
            mfc=face,
            ms=3.2,
            mew=0.8,
            zorder=5,
        )
    axis.grid(axis="y")


def _legend(figure: Figure, table: pl.DataFrame) -> None:
    empty = np.array([])
    level = 100 * float(table["level"][0])
    handles: list[Any] = [
        Line2D(empty, empty, color=COLOURS["sky"], lw=5),
        Line2D(empty, empty, color=COLOURS["blue"], lw=1.4),
    ]
    labels = [f"{level:g} % predictive interval", "predictive mean"]
    dot = {"color": COLOURS["black"], "marker": "o", "ls": "", "ms": 3.2}
    if not table["held_out"].all():
        handles.append(Line2D(empty, empty, **dot))  # type: ignore[arg-type]
        labels.append("observed, fitted")
    if table["held_out"].any():
        handles.append(Line2D(empty, empty, mfc="white", **dot))  # type: ignore[arg-type]
        labels.append("observed, held out")
    shared_legend(figure, handles, labels)
    stamp(figure)
