"""Dose and response: an outcome over doses, with intervals and the runs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abm.analysis.figures.effects import OPEN, with_spread
from abm.analysis.figures.layout import (
    bottom_label,
    few_ticks,
    name_uncertainty,
    panel_titles,
    shared_legend,
    wrapped,
)
from abm.analysis.figures.style import Look, Width, figure_style, grid_figure, looks
from abm.analysis.figures.tables import column, need, ordered, part, shown

__all__ = ["dose_response"]


def dose_response(
    table: pl.DataFrame,
    *,
    x: str = "dose",
    y: str = "estimate",
    low: str = "low",
    high: str = "high",
    series: str | None = None,
    panel: str | None = None,
    runs: pl.DataFrame | None = None,
    run_value: str = "",
    logarithmic: bool = False,
    xlabel: str = "dose",
    ylabel: str = "",
    zero: float | None = None,
    own_scales: bool = False,
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 64,
) -> Figure:
    """Means over doses with their intervals, joined by lines, over the single runs in grey.

    Parameters
    ----------
    table
        Tidy: one row per dose, series and panel; `means_table(..., by=[dose, ...])` makes it.
    runs
        Table of the single runs with the same columns of dose, series and panel, and `run_value`.
        Runs of different series are set a little apart.
    logarithmic
        Doses on a logarithmic scale.
    zero
        Where a line of no effect stands; None for none.
    own_scales
        Whether each panel has a y axis of its own, as panels of different units need it.
    others
        As in `trajectories`. A mean without interval, or whose interval has no width, is an open
        point, and the foot says so.

    Examples
    --------
    >>> table = pl.DataFrame({"dose": [0.0, 1.0], "estimate": [0.1, 0.3], "low": [0.0, 0.2],
    ...                       "high": [0.2, 0.4]})
    >>> dose_response(table, ylabel="share").axes[0].get_ylabel()
    'share'
    """
    need(table, x, y, low, high, series, panel)
    if runs is not None:
        need(runs, x, run_value, series, panel)
    columns = ordered(table, panel, (order or {}).get(panel or ""))
    with figure_style():
        look = looks(ordered(table, series, (order or {}).get(series or "")))
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height, sharex=True, sharey=not own_scales
        )
        for axis, name in zip(axes[0], columns, strict=True):
            if logarithmic:
                axis.set_xscale("log")
            if zero is not None:
                axis.axhline(zero, color="#555555", lw=0.7, ls=(0, (2, 2)))
            for place, (value, style) in enumerate(look.items()):
                where = {panel: name, series: value}
                if runs is not None:
                    _runs(axis, _of(runs, where), (x, run_value), place - (len(look) - 1) / 2)
                _curve(axis, _of(table, where).sort(x), (x, y, low, high), style)
            axis.grid(axis="y")
        axes[0][0].set_ylabel(wrapped(ylabel, 0.7 * 72 / 25.4 * height, 7))
        if not logarithmic:
            few_ticks(figure, axes[0])
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
        bottom_label(figure, axes[0], xlabel)
        bare = ~with_spread(column(table, low), column(table, high))
        notes = ["grey points: single runs"] * (runs is not None)
        notes += [OPEN] * bool((bare & np.isfinite(column(table, y))).any())
        notes += ["each panel has a scale of its own"] * (own_scales and len(columns) > 1)
        name_uncertainty(figure, table, "bars", "replications", more="; ".join(notes))
        if series is not None:
            _legend(figure, look, names)
    return figure


def _legend(figure: Figure, look: Mapping[Any, Look], names: Mapping[Any, str] | None) -> None:
    no = np.array([])
    handles = [
        Line2D(no, no, color=s.colour, ls=s.dash, marker=s.marker, ms=3) for s in look.values()
    ]
    shared_legend(figure, handles, [shown(v, names) for v in look])


def _of(table: pl.DataFrame, where: Mapping[str | None, Any]) -> pl.DataFrame:
    return part(table, **{name: value for name, value in where.items() if name is not None})


def _runs(axis: Axes, table: pl.DataFrame, names: tuple[str, str], shift: float) -> None:
    """Single runs; the shift is in points, so that it works on any scale."""
    offset = axis.transData + _points(axis, 3.0 * shift)
    axis.plot(
        *(column(table, name) for name in names),
        "o",
        color="#AAAAAA",
        ms=1.6,
        mew=0,
        transform=offset,
        zorder=1.5,
    )


def _points(axis: Axes, shift: float) -> Any:
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(shift / 72, 0, axis.figure.dpi_scale_trans)


def _curve(axis: Axes, table: pl.DataFrame, names: tuple[str, str, str, str], look: Look) -> None:
    dose, middle, left, right = (column(table, name) for name in names)
    axis.plot(dose, middle, color=look.colour, ls=look.dash, marker=look.marker, ms=3, zorder=3)
    sure = with_spread(left, right)
    open_ones: dict[str, Any] = {
        "ls": "",
        "marker": look.marker,
        "color": look.colour,
        "mfc": "white",
        "ms": 3,
    }
    axis.plot(dose[~sure], middle[~sure], zorder=3.5, **open_ones)
    axis.vlines(dose[sure], left[sure], right[sure], color=look.colour, lw=1.0, zorder=2.5)
