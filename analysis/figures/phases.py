"""Phases: an outcome over two parameters, and what one parameter makes of the opinions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abm.analysis.figures.layout import (
    bottom_label,
    few_ticks,
    panel_titles,
    stamp_note,
    vertical_marks,
    wrapped,
)
from abm.analysis.figures.style import COLOURS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, defined, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["bifurcation_diagram", "phase_diagram"]

_COLOURS = "cividis"


def phase_diagram(
    table: pl.DataFrame,
    *,
    x: str,
    y: str,
    value: str = "estimate",
    panel: str | None = None,
    levels: Sequence[float] = (),
    limits: tuple[float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    scale_label: str = "",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 70,
) -> Figure:
    """An outcome over two parameters as a map of cells, with lines where it crosses given levels.

    Parameters
    ----------
    table
        Tidy: one row per pair of parameters and panel, such as `means_table(..., by=[x, y])`. Pairs
        that were not simulated, and undefined outcomes, are hatched.
    levels
        Outcomes at which a phase is said to end; drawn as labelled lines between cell centres.
    limits
        Ends of the colour scale; by default those of the table.
    others
        As in `trajectories`.

    Raises
    ------
    AnalysisError
        A pair of parameters is given twice.

    Examples
    --------
    >>> table = pl.DataFrame({"bound": [0.1, 0.1, 0.3, 0.3], "share": [0.0, 0.5] * 2,
    ...                       "estimate": [4.0, 3.0, 1.0, 1.0]})
    >>> phase_diagram(table, x="bound", y="share", scale_label="clusters").axes[0].get_xlabel()
    'bound'
    """
    need(table, x, y, value, panel)
    columns = ordered(table, panel, (order or {}).get(panel or ""))
    xs, ys = (np.unique(column(table, name)) for name in (x, y))
    norm = _norm(defined(table, value), limits)
    with figure_style():
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height, sharex=True, sharey=True
        )
        for axis, name in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: name})
            cells = _cells(here, (x, y, value), xs, ys)
            image = axis.pcolormesh(
                _edges(xs), _edges(ys), cells.T, norm=norm, cmap=_COLOURS, lw=0, rasterized=True
            )
            axis.patch.set(hatch="////", edgecolor="#BBBBBB", facecolor="white")
            _lines(axis, xs, ys, cells, levels)
        axes[0][0].set_ylabel(wrapped(ylabel or shown(y, names), 0.7 * 72 / 25.4 * height, 7))
        few_ticks(figure, axes[0])
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=90.0)  # labels and colour bar
        bottom_label(figure, axes[0], xlabel or shown(x, names))
        label = wrapped(scale_label or shown(value, names), 0.7 * 72 / 25.4 * height, 7)
        figure.colorbar(image, ax=axes[0], label=label, pad=0.015, aspect=30)
        parts = (_cells(_of(table, panel, c), (x, y, value), xs, ys) for c in columns)
        if any(np.isnan(cells).any() for cells in parts):
            stamp_note(figure, "hatched: not simulated, or undefined")
    return figure


def _norm(known: NDArray[np.float64], limits: tuple[float, float] | None) -> Normalize:
    """The colour scale, of some width even where all outcomes are equal."""
    low, high = limits if limits is not None else (float(known.min()), float(known.max()))
    return Normalize(low, high if high > low else low + 1)


def bifurcation_diagram(
    table: pl.DataFrame,
    *,
    x: str,
    y: str = "opinion",
    weight: str | None = "share",
    panel: str | None = None,
    major: float = 0.05,
    marks: Mapping[float, str] | None = None,
    xlabel: str = "",
    ylabel: str = "opinion",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 66,
) -> Figure:
    """Where opinions end up, over a parameter: one point per final cluster, its area by its share.

    Parameters
    ----------
    table
        Tidy: one row per final cluster of each run, such as the `centres` and shares of
        `abm.analysis.opinions.clusters`.
    weight
        Column of the share of agents in the cluster, in [0, 1]; None draws equal points.
    major
        Share from which a cluster is a major one and drawn full; minor ones are drawn open.
    marks
        Parameter -> label of a threshold, drawn as a vertical line in every panel.
    others
        As in `trajectories`.

    Examples
    --------
    >>> table = pl.DataFrame({"bound": [0.1, 0.1, 0.3], "opinion": [0.2, 0.8, 0.5],
    ...                       "share": [0.5, 0.5, 1.0]})
    >>> bifurcation_diagram(table, x="bound").axes[0].get_ylabel()
    'opinion'
    """
    need(table, x, y, weight, panel)
    columns = ordered(table, panel, (order or {}).get(panel or ""))
    with figure_style():
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height, sharex=True, sharey=True
        )
        for axis, name in zip(axes[0], columns, strict=True):
            _clusters(axis, _of(table, panel, name), x, y, weight, major)
            points = (72 * figure.get_figwidth() - 50) / len(columns) - 10
            vertical_marks(axis, marks or {}, label=axis is axes[0][0], points=points)
            axis.grid(axis="y")
        axes[0][0].set_ylabel(wrapped(ylabel, 0.7 * 72 / 25.4 * height, 7))
        few_ticks(figure, axes[0])
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
        bottom_label(figure, axes[0], xlabel or shown(x, names))
        if weight is not None:
            percent = f"{100 * major:g} %"
            stamp_note(
                figure, f"full: clusters of at least {percent} of agents, area by share; open: less"
            )
    return figure


def _clusters(
    axis: Axes, table: pl.DataFrame, x: str, y: str, weight: str | None, major: float
) -> None:
    """Clusters as points: full where they hold a share of `major` or more, open otherwise."""
    shares = np.ones(table.height) if weight is None else column(table, weight)
    places, opinions = column(table, x), column(table, y)
    for big in (True, False):
        mine = (shares >= major) == big
        axis.scatter(
            places[mine],
            opinions[mine],
            s=1.5 + 14 * shares[mine],
            facecolor=COLOURS["blue"] if big else "none",
            edgecolor="none" if big else COLOURS["vermilion"],
            linewidth=0.5,
            alpha=0.35 if big else 0.8,
            rasterized=table.height > 5_000,
        )


def _of(table: pl.DataFrame, panel: str | None, name: Any) -> pl.DataFrame:
    return table if panel is None else part(table, **{panel: name})


def _cells(
    table: pl.DataFrame,
    names: tuple[str, str, str],
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Outcome of shape (n_x, n_y); nan where there is none."""
    i, j = (
        np.searchsorted(grid, column(table, name))
        for grid, name in zip((xs, ys), names[:2], strict=True)
    )
    once = np.bincount(i * ys.size + j, minlength=xs.size * ys.size)
    require(
        bool(np.all(once <= 1)),
        AnalysisError,
        f"{int(np.sum(once > 1))} pairs of {names[0]} and {names[1]} are given twice: average over "
        "replications first, or name the factor that tells them apart as panel",
    )
    cells = np.full((xs.size, ys.size), np.nan)
    cells[i, j] = column(table, names[2])
    return cells


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ends of cells around values, half way to the neighbours."""
    if values.size == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middle = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _lines(
    axis: Axes,
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    cells: NDArray[np.float64],
    levels: Sequence[float],
) -> None:
    known = cells[np.isfinite(cells)]
    crossed = [v for v in sorted(levels) if known.size and known.min() < v < known.max()]
    if crossed and xs.size > 1 and ys.size > 1:
        lines = axis.contour(xs, ys, cells.T, levels=crossed, colors="white", linewidths=1.0)
        axis.clabel(lines, fmt="%g", fontsize=6)
