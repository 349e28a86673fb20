"""Trajectories: how outcomes move in time, with their intervals, in small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abm.analysis.figures.layout import (
    bottom_label,
    name_uncertainty,
    panel_titles,
    shared_legend,
    vertical_marks,
    wrapped,
)
from abm.analysis.figures.style import (
    Look,
    Width,
    figure_style,
    grid_figure,
    looks,
)
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["trajectories"]


def trajectories(
    table: pl.DataFrame,
    *,
    x: str = "time",
    y: str = "estimate",
    low: str | None = "low",
    high: str | None = "high",
    series: str | None = "arm",
    panel: str | None = None,
    row: str | None = None,
    xlabel: str = "time",
    ylabel: str = "",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    marks: Mapping[float, str] | None = None,
    within: tuple[float, float] | Mapping[Any, tuple[float, float]] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """Lines with interval bands, one panel per value of `panel` and row per value of `row`.

    Parameters
    ----------
    table
        Tidy: one row per time, series, panel and row; `means_table` makes it.
    x, y, low, high
        Columns of time, estimate and interval; `low` and `high` None for lines alone.
    series, panel, row
        Columns that are told apart by colour, marker and dash, by panels side by side, and by rows.
    xlabel, ylabel
        Quantity and unit. In a figure with rows, `names` gives each row its own label.
    order
        Column -> order of its values; the order of appearance otherwise.
    names
        Value -> how it is written.
    marks
        Time -> label of an intervention, drawn as a vertical line in every panel.
    within
        Range that the quantity cannot leave, such as (0, 100) for a share in per cent, or row ->
        range. Bands that reach beyond are cut there, and the foot says so; estimates never are.
    width, height
        Journal width or mm, and mm.

    Examples
    --------
    >>> table = pl.DataFrame({"time": [0, 1, 0, 1], "arm": ["a", "a", "b", "b"],
    ...     "estimate": [0.0, 0.1, 0.0, 0.3], "low": [0.0, 0.0, 0.0, 0.2],
    ...     "high": [0.0, 0.2, 0.0, 0.4]})
    >>> len(trajectories(table, ylabel="share").axes)
    1
    """
    need(table, x, y, low, high, series, panel, row)
    given = order or {}
    columns, rows = (ordered(table, name, given.get(name or "")) for name in (panel, row))
    table, cut = _cut(table, (low, high, row), within)
    with figure_style():
        look = looks(ordered(table, series, given.get(series or "")))
        tall = height or 12 + 46 * len(rows)
        figure, axes = grid_figure(
            len(rows), len(columns), width=width, height=tall, sharex=True, sharey="row"
        )
        for i, r in enumerate(rows):
            for j, c in enumerate(columns):
                axis, here = axes[i][j], _where(table, {row: r, panel: c})
                for value, style in look.items():
                    _line(axis, _where(here, {series: value}).sort(x), x, y, low, high, style)
                points = (72 * figure.get_figwidth() - 50) / len(columns) - 10
                vertical_marks(axis, marks or {}, label=i == 0, points=points)
                axis.grid(axis="y")
            axes[i][0].set_ylabel(wrapped(ylabel if row is None else shown(r, names), 110, 7))
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
        bottom_label(figure, axes[-1], xlabel)
        figure.align_ylabels([row_axes[0] for row_axes in axes])
        if low is not None:
            name_uncertainty(figure, table, "bands", "replications", more=cut)
        if series is not None:
            shared_legend(figure, _handles(look), [shown(v, names) for v in look])
    return figure


def _cut(
    table: pl.DataFrame,
    names: tuple[str | None, str | None, str | None],
    within: tuple[float, float] | Mapping[Any, tuple[float, float]] | None,
) -> tuple[pl.DataFrame, str]:
    """Intervals cut to the ranges they cannot leave, and how to say so; nothing where none does."""
    low, high, row = names
    if within is None or low is None or high is None:
        return table, ""
    ranges = within if isinstance(within, Mapping) else {None: within}
    texts = []
    for name, (least, most) in ranges.items():
        require(least < most, AnalysisError, f"within = {(least, most)}, expected low < high")
        mine = pl.lit(True) if name is None or row is None else pl.col(row) == name
        over = mine & ((pl.col(low) < least) | (pl.col(high) > most))
        if table.select(over.any()).item():
            texts.append(f"{least:g} to {most:g}" if most < np.inf else f"{least:g} and above")
        table = table.with_columns(
            pl.when(mine).then(pl.col(c).clip(least, most)).otherwise(pl.col(c)).alias(c)
            for c in (low, high)
        )
    if not texts:
        return table, ""
    return table, f"bands cut to the possible range, {' and '.join(dict.fromkeys(texts))}"


def _where(table: pl.DataFrame, values: Mapping[str | None, Any]) -> pl.DataFrame:
    return part(table, **{name: value for name, value in values.items() if name is not None})


def _line(
    axis: Axes, table: pl.DataFrame, x: str, y: str, low: str | None, high: str | None, look: Look
) -> None:
    times, values = column(table, x), column(table, y)
    every = max(1, times.size // 8)
    axis.plot(
        times, values, color=look.colour, ls=look.dash, marker=look.marker, markevery=every, ms=2.8
    )
    if low is not None and high is not None:
        edges = column(table, low), column(table, high)
        axis.fill_between(times, *edges, color=look.colour, alpha=0.18, lw=0)


def _handles(look: Mapping[Any, Look]) -> list[Line2D]:
    empty = np.array([])
    return [
        Line2D(empty, empty, color=s.colour, ls=s.dash, marker=s.marker, ms=2.8)
        for s in look.values()
    ]
