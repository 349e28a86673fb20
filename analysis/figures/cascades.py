"""Cascade sizes: their complementary distribution on double logarithmic axes, with fitted tails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abm.analysis.figures.layout import bottom_label, panel_titles, shared_legend, wrapped
from abm.analysis.figures.style import COLOURS, Look, Width, figure_style, grid_figure, looks
from abm.analysis.figures.tables import column, defined, need, ordered, part, shown

__all__ = ["cascade_ccdf"]

_FITS = {
    "power law": ("black", "solid"),
    "lognormal": ("green", (0, (5, 1.5))),
    "exponential": ("purple", (0, (1.2, 1.2))),
}


def cascade_ccdf(
    table: pl.DataFrame,
    *,
    x: str = "size",
    y: str = "share",
    kind: str = "kind",
    series: str | None = None,
    panel: str | None = None,
    xlabel: str = "cascade size (messages)",
    ylabel: str = "share of cascades at least as large",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 68,
) -> Figure:
    """Share of cascades at least as large as each size, with the tails fitted to it.

    Parameters
    ----------
    table
        Tidy, as `abm.analysis.tail_tables.tail_table` makes it: one row per size, `kind`
        (`observed`, or the name of a fit), series and panel.
    others
        As in `trajectories`.

    Examples
    --------
    >>> table = pl.DataFrame({"size": [1.0, 2.0, 1.0, 2.0], "share": [1.0, 0.25, 1.0, 0.3],
    ...                       "kind": ["observed"] * 2 + ["power law"] * 2})
    >>> cascade_ccdf(table).axes[0].get_yscale()
    'log'
    """
    need(table, x, y, kind, series, panel)
    given = order or {}
    columns = ordered(table, panel, given.get(panel or ""))
    kinds = [name for name in _FITS if name in set(table[kind])]
    least = float(defined(part(table, **{kind: "observed"}), y).min())
    with figure_style():
        look = looks(ordered(table, series, given.get(series or "")))
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height, sharex=True, sharey=True
        )
        for axis, value in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: value})
            for name, style in look.items():
                mine = here if series is None else part(here, **{series: name})
                _observed(axis, part(mine, **{kind: "observed"}), x, y, style)
                for fit in kinds:
                    _fit(axis, part(mine, **{kind: fit}).sort(x), x, y, fit)
            axis.set_ylim(0.5 * least, 1.5)
        axes[0][0].set_ylabel(wrapped(ylabel, 0.75 * 72 / 25.4 * height, 7))
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
        bottom_label(figure, axes[0], xlabel)
        labels = ["observed"] if series is None else [shown(v, names) for v in look]
        shared_legend(figure, _handles(list(look.values()), kinds), labels + kinds)
    return figure


def _observed(axis: Axes, table: pl.DataFrame, x: str, y: str, look: Look) -> None:
    axis.loglog(
        column(table, x),
        column(table, y),
        look.marker,
        color=look.colour,
        ms=2.6,
        mfc="none",
        mew=0.6,
        zorder=2,
    )


def _fit(axis: Axes, table: pl.DataFrame, x: str, y: str, name: str) -> None:
    colour, dash = _FITS[name]
    values = column(table, x), column(table, y)
    axis.loglog(*values, color=COLOURS[colour], ls=dash, lw=1.0, zorder=3)


def _handles(look: Sequence[Look], kinds: Sequence[str]) -> list[Line2D]:
    empty = np.array([])
    points = [
        Line2D(empty, empty, color=s.colour, marker=s.marker, ls="none", ms=2.6, mfc="none")
        for s in look
    ]
    lines = [Line2D(empty, empty, color=COLOURS[_FITS[k][0]], ls=_FITS[k][1]) for k in kinds]
    return points + lines
