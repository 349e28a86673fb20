"""Effect forests: estimates with intervals by arm, answerers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from abm.analysis.figures.layout import (
    bottom_label,
    few_ticks,
    foot_lines,
    grow,
    name_uncertainty,
    panel_titles,
    rearranged,
    shared_legend,
    side_labels,
)
from abm.analysis.figures.style import (
    Look,
    Width,
    figure_style,
    grid_figure,
    looks,
)
from abm.analysis.figures.tables import column, need, ordered, part, shown

__all__ = ["OPEN", "effect_forest", "with_spread"]

OPEN = "open points: no spread or no interval"


def effect_forest(
    table: pl.DataFrame,
    *,
    y: str = "arm",
    series: str | None = None,
    panel: str | None = None,
    estimate: str = "estimate",
    low: str = "low",
    high: str = "high",
    xlabel: str = "difference",
    ylabel: str = "",
    margin: float | None = None,
    zero: float | None = 0.0,
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """Points with intervals: one line per value of `y`, series beside each other within it.

    Parameters
    ----------
    table
        Tidy, as `effects_table` returns it: one row per `y`, `series` and `panel`.
    margin
        Half width of an equivalence band drawn around `zero`, if one was fixed beforehand.
    zero
        Where the line of no effect stands; None for none.
    others
        As in `trajectories`. An undefined interval, or one without width (the same in all
        replications), is drawn as an open point without a bar, and the foot says so; an undefined
        estimate as the word "undefined".

    Examples
    --------
    >>> table = pl.DataFrame({"arm": ["a", "b"], "estimate": [0.1, 0.3], "low": [0.0, 0.2],
    ...                       "high": [0.2, 0.4]})
    >>> effect_forest(table, xlabel="share").axes[0].get_xlabel()
    'share'
    """
    need(table, y, series, panel, estimate, low, high)
    given = order or {}
    lines, columns = ordered(table, y, given.get(y)), ordered(table, panel, given.get(panel or ""))
    with figure_style():
        look = looks(ordered(table, series, given.get(series or "")))
        tall = height or 20 + max(len(lines) * (4.5 + 3.2 * len(look)), 12)
        figure, axes = grid_figure(1, len(columns), width=width, height=tall, sharey=True)
        for axis, value in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: value})
            _frame(axis, zero, margin)
            for place, (name, style) in enumerate(look.items()):
                mine = here if series is None else part(here, **{series: name})
                shift = (place - (len(look) - 1) / 2) * min(0.24, 0.8 / len(look))
                _points(axis, mine, [y, estimate, low, high], lines, shift, style)
        room = (4.5 + 3.2 * len(look)) * 72 / 25.4
        texts = [shown(value, names) for value in lines]
        beside = side_labels(figure, axes[0][0], texts, room)
        axes[0][0].set(ylim=(len(lines) - 0.5, -0.5), ylabel=ylabel)
        few_ticks(figure, axes[0], beside=beside)
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=beside)
        bottom_label(figure, axes[0], xlabel)
        bare = ~with_spread(*(column(table, name) for name in (low, high))) & np.isfinite(
            column(table, estimate)
        )
        notes = [OPEN] * bool(bare.any())
        if len(columns) > 1:
            notes.append("each panel has a scale of its own")
        if margin is not None and zero is not None:
            notes.append(f"grey: differences up to {margin:g}, which would not matter")
        name_uncertainty(figure, table, "bars", "paired replications", more="; ".join(notes))
        if series is not None:
            shared_legend(figure, _handles(look), [shown(v, names) for v in look])
        if height is None:
            _give_room(figure, legend=series is not None)
    return figure


def _give_room(figure: Figure, *, legend: bool) -> None:
    """Make up for long notes and a legend, so that the lines stay apart."""
    grow(figure, sum(foot_lines(figure)[1:]) + 12 * legend)
    rearranged(figure)


def _frame(axis: Axes, zero: float | None, margin: float | None) -> None:
    if zero is not None and margin is not None:
        axis.axvspan(zero - margin, zero + margin, color="#E8E8E8", lw=0, zorder=0)
        axis.plot([zero - 1.1 * margin, zero + 1.1 * margin], [0, 0], alpha=0)
    if zero is not None:
        axis.axvline(zero, color="#555555", lw=0.7, ls=(0, (2, 2)), zorder=1)
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _points(
    axis: Axes, table: pl.DataFrame, names: list[str], lines: list[Any], shift: float, look: Look
) -> None:
    y, estimate, low, high = names
    places = np.array([lines.index(value) for value in table[y]]) + shift
    middle, left, right = (column(table, name) for name in (estimate, low, high))
    sure = with_spread(left, right)
    axis.hlines(places[sure], left[sure], right[sure], color=look.colour, lw=1.3)
    for known, face in ((sure, look.colour), (~sure & np.isfinite(middle), "white")):
        axis.plot(middle[known], places[known], look.marker, color=look.colour, mfc=face, ms=4)
    for place in places[~np.isfinite(middle)]:
        axis.annotate(
            "undefined",
            (0.98, place),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=6,
            color=look.colour,
        )


def with_spread(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which intervals can be drawn: defined, and of some width."""
    size = np.maximum(abs(low), abs(high))
    return np.isfinite(low) & np.isfinite(high) & (high - low > 1e-12 * size)


def _handles(look: Mapping[Any, Look]) -> list[Line2D]:
    empty = np.array([])
    return [Line2D(empty, empty, color=s.colour, marker=s.marker, ms=4) for s in look.values()]
