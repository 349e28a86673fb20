"""Posteriors: what is believed of each parameter after the data, and what was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from abm.analysis.figures.layout import few_ticks, shared_legend, stamp, wrapped
from abm.analysis.figures.style import COLOURS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["posterior_densities"]


def posterior_densities(
    table: pl.DataFrame,
    *,
    intervals: pl.DataFrame | None = None,
    truths: Mapping[str, float] | None = None,
    panel: str = "parameter",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    units: Mapping[str, str] | None = None,
    n_columns: int = 3,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """One panel per parameter: prior as a grey outline, posterior filled, interval below.

    Parameters
    ----------
    table
        Tidy: one row per bin, with `parameter`, `kind` (`"prior"` or `"posterior"`), `left`,
        `right` and `density` (per unit of the parameter). `abm.calibration.report.density_table`
        makes it. Densities below zero, which signed weights can give, are drawn as they are.
    intervals
        One row per parameter: `parameter`, `estimate`, `low`, `high`, `level`.
    truths
        Planted values, drawn as dashed lines.
    units
        Parameter -> unit, written at its axis.

    Examples
    --------
    >>> table = pl.DataFrame({"parameter": ["a"] * 2, "kind": ["posterior"] * 2,
    ...                       "left": [0.0, 0.5], "right": [0.5, 1.0], "density": [0.5, 1.5]})
    >>> len(posterior_densities(table).axes)
    1
    """
    need(table, panel, "kind", "left", "right", "density")
    require(n_columns >= 1, AnalysisError, f"n_columns = {n_columns}, expected >= 1")
    panels = ordered(table, panel, (order or {}).get(panel))
    across = min(n_columns, len(panels))
    down = -(-len(panels) // across)
    with figure_style():
        figure, axes = grid_figure(down, across, width=width, height=height or 14 + 34 * down)
        flat = [axis for row in axes for axis in row]
        points = (72 * figure.get_figwidth() - 50) / across - 6
        for axis, name in zip(flat, panels, strict=False):
            _panel(axis, part(table, **{panel: name}), panel, name, intervals, truths or {})
            unit = (units or {}).get(name, "")
            label = shown(name, names) + (f" ({unit})" if unit else "")
            axis.set_xlabel(wrapped(label, points, 7))
        for axis in flat[len(panels) :]:
            axis.remove()
        for row in axes:
            few_ticks(figure, row)
            row[0].set_ylabel("density")
        _legend(figure, table, intervals, bool(truths))
    return figure


def _panel(
    axis: Axes,
    table: pl.DataFrame,
    panel: str,
    name: Any,
    intervals: pl.DataFrame | None,
    truths: Mapping[str, float],
) -> None:
    for kind in ("prior", "posterior"):
        rows = part(table, kind=kind).sort("left")
        if rows.height == 0:
            continue
        edges = np.append(column(rows, "left"), column(rows, "right")[-1])
        fill = kind == "posterior"
        axis.stairs(
            column(rows, "density"),
            edges,
            fill=fill,
            color=COLOURS["sky" if fill else "grey"],
            lw=0 if fill else 1.0,
            zorder=2 if fill else 3,
        )
    known = column(table, "density")
    known = known[np.isfinite(known)]
    if not known.size:
        axis.text(0.5, 0.5, "undefined", ha="center", va="center", transform=axis.transAxes)
    top, low = max([1e-12, *known]), min([0.0, *known])
    room = 0.12 * (top - low)
    if intervals is not None:
        for row in part(intervals, **{panel: name}).iter_rows(named=True):
            y = low - 0.5 * room
            axis.plot([row["low"], row["high"]], [y, y], color=COLOURS["blue"], lw=1.8)
            axis.plot([row["estimate"]], [y], "o", color=COLOURS["blue"], ms=3.5)
    if name in truths:
        axis.axvline(truths[name], color=COLOURS["vermilion"], ls=(0, (4, 2)), lw=1.0, zorder=4)
    axis.set_ylim(low - (room if intervals is not None else 0.0), 1.06 * top)
    axis.spines["left"].set_visible(False)
    axis.set_yticks([])


def _legend(
    figure: Figure, table: pl.DataFrame, intervals: pl.DataFrame | None, truths: bool
) -> None:
    empty = np.array([])
    kinds = table["kind"].unique().to_list()
    entries: list[tuple[Any, str]] = []
    if "prior" in kinds:
        entries.append((Line2D(empty, empty, color=COLOURS["grey"], lw=1.0), "prior"))
    entries.append((Patch(fc=COLOURS["sky"]), "posterior"))
    if intervals is not None and intervals.height:
        level = 100 * float(intervals["level"][0])
        mark = Line2D(empty, empty, color=COLOURS["blue"], marker="o", lw=1.8)
        entries.append((mark, f"mean and {level:g} % credible interval"))
    if truths:
        line = Line2D(empty, empty, color=COLOURS["vermilion"], ls=(0, (4, 2)), lw=1.0)
        entries.append((line, "planted truth"))
    shared_legend(figure, [e[0] for e in entries], [e[1] for e in entries])
    stamp(figure)
