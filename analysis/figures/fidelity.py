"""Cost against fidelity: how much posterior a notional cost buys, by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abm.analysis.figures.layout import bottom_label, name_uncertainty, shared_legend
from abm.analysis.figures.style import Width, figure_style, grid_figure, looks
from abm.analysis.figures.tables import column, defined, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["cost_against_fidelity"]


def cost_against_fidelity(
    table: pl.DataFrame,
    *,
    x: str = "cost",
    y: str = "ess",
    series: str = "method",
    low: str | None = "low",
    high: str | None = "high",
    xlabel: str = "notional cost",
    ylabel: str = "effective sample size",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 66.0,
) -> Figure:
    """Effective sample size against notional cost, both on logarithmic axes.

    On these axes a method that is k times as efficient as another lies a constant height above it.

    Parameters
    ----------
    table
        Tidy: one row per method and cost, with `cost`, `ess` (both > 0) and, if there are repeats,
        `low`, `high`, `level` and `n`.

    Raises
    ------
    AnalysisError
        A cost or an effective sample size that is not positive.

    Examples
    --------
    >>> table = pl.DataFrame({"method": ["plain", "plain"], "cost": [1e3, 1e4], "ess": [10., 100.]})
    >>> cost_against_fidelity(table, low=None, high=None).axes[0].get_xscale()
    'log'
    """
    need(table, x, y, series, low, high)
    smallest = min(float(defined(table, name).min()) for name in (x, y))
    require(
        smallest > 0,
        AnalysisError,
        f"{x} and {y} must be positive on logarithmic axes; the smallest is {smallest:g}",
    )
    with figure_style():
        look = looks(ordered(table, series, (order or {}).get(series)))
        figure, axes = grid_figure(1, 1, width=width, height=height)
        axis = axes[0][0]
        for name, style in look.items():
            rows = part(table, **{series: name}).sort(x)
            cost, ess = column(rows, x), column(rows, y)
            axis.plot(cost, ess, color=style.colour, ls=style.dash, marker=style.marker)
            if low is not None and high is not None:
                ends = column(rows, low), column(rows, high)
                axis.vlines(cost, *ends, color=style.colour, lw=0.9)
        axis.set(xscale="log", yscale="log", ylabel=ylabel)
        axis.grid(True)
        bottom_label(figure, axes[0], xlabel)
        if low is not None:
            name_uncertainty(figure, table, "bars", "repeats")
        no = np.array([])
        handles = [
            Line2D(no, no, color=s.colour, ls=s.dash, marker=s.marker) for s in look.values()
        ]
        shared_legend(figure, handles, [shown(name, names) for name in look])
    return figure
