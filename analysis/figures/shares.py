"""Stacked shares: who moved where, as parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from abm.analysis.figures.layout import (
    bottom_label,
    foot_lines,
    grow,
    panel_titles,
    rearranged,
    shared_legend,
    side_labels,
    stamp_note,
)
from abm.analysis.figures.style import COLOURS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["stacked_shares"]

_FILLS = ("vermilion", "sky", "purple", "pale", "blue", "orange", "green", "grey")
_HATCHES = ("", "////", "xxxx", "", "\\\\\\\\", "....", "----", "")
_PALE = "#E6E6E6"


def stacked_shares(
    table: pl.DataFrame,
    *,
    category: str = "outcome",
    share: str = "estimate",
    y: str = "arm",
    panel: str | None = None,
    xlabel: str = "share of agents (%)",
    ylabel: str = "",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """Horizontal bars of shares that add up to one, with the percentage in parts that hold it.

    Parameters
    ----------
    table
        Tidy: one row per `category`, `y` and `panel`; shares in [0, 1] that sum to 1 in each bar
        (mean shares over replications do). A missing category is a share of 0; a bar of which a
        share is undefined is left empty and says so.
    others
        As in `trajectories`. `order["outcome"]` gives the order along the bar.

    Raises
    ------
    AnalysisError
        The shares of a bar do not sum to 1 within 0.01.

    Examples
    --------
    >>> table = pl.DataFrame({"arm": ["a", "a"], "outcome": ["moved", "stayed"],
    ...                       "estimate": [0.25, 0.75]})
    >>> len(stacked_shares(table).axes)
    1
    """
    need(table, category, share, y, panel)
    given = order or {}
    kinds, bars = (ordered(table, name, given.get(name)) for name in (category, y))
    columns = ordered(table, panel, given.get(panel or ""))
    require(len(kinds) <= len(_FILLS), AnalysisError, f"{len(kinds)} parts, expected at most 8")
    with figure_style():
        tall = height or 22 + max(7.5 * len(bars), 12)
        figure, axes = grid_figure(
            1, len(columns), width=width, height=tall, sharey=True, sharex=True
        )
        labels = [shown(bar, names) for bar in bars]
        beside = side_labels(figure, axes[0][0], labels, 7.5 * 72 / 25.4)
        room = 1200 / ((72 * figure.get_figwidth() - beside - 10) / len(columns))
        for axis, value in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: value})
            _bars(axis, _matrix(here, [category, share, y], kinds, bars), room)
        axes[0][0].set_ylabel(ylabel)
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=beside)
        bottom_label(figure, axes[0], xlabel)
        shared_legend(
            figure, [_patch(i) for i in range(len(kinds))], [shown(k, names) for k in kinds]
        )
        if "n" in table.columns:
            stamp_note(figure, _averaged(table))
            grow(figure, sum(foot_lines(figure)))
            rearranged(figure)
    return figure


def _averaged(table: pl.DataFrame) -> str:
    """Over how many replications the shares are means."""
    few, many = (int(v) for v in (table["n"].to_numpy().min(), table["n"].to_numpy().max()))
    if many < 2:
        return "one replication"
    return f"means over {few if few == many else f'{few} to {many}'} replications; no intervals"


def _matrix(
    table: pl.DataFrame, names: list[str], kinds: list[Any], bars: list[Any]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    category, share, y = names
    matrix = np.zeros((len(bars), len(kinds)))
    found = np.zeros(len(bars), dtype=bool)
    for kind, bar, value in zip(table[category], table[y], column(table, share), strict=True):
        matrix[bars.index(bar), kinds.index(kind)] += value
        found[bars.index(bar)] = True
    matrix[~found] = np.nan
    sums = matrix.sum(axis=1)
    wrong = [f"{bars[i]}: {sums[i]:.3f}" for i in np.flatnonzero(abs(sums - 1) > 0.01)]
    require(not wrong, AnalysisError, f"shares of a bar must sum to 1; these do not: {wrong}")
    return matrix


def _bars(axis: Axes, matrix: np.ndarray[Any, np.dtype[np.float64]], room: float) -> None:
    """Draw the parts; those of at least `room` per cent hold their percentage."""
    starts = np.zeros(matrix.shape[0])
    places = np.arange(matrix.shape[0])
    for i in range(matrix.shape[1]):
        widths = 100 * np.nan_to_num(matrix[:, i])
        axis.barh(places, widths, left=starts, height=0.72, **_fill(i))
        for place, start, wide in zip(places, starts, widths, strict=True):
            if wide >= room:
                _percentage(axis, start + wide / 2, float(place), wide, i)
        starts = starts + widths
    for place in np.flatnonzero(np.isnan(matrix).any(axis=1)):
        axis.text(50, float(place), "undefined", ha="center", va="center", fontsize=6)
    axis.set_xlim(0, 100)
    axis.set_ylim(matrix.shape[0] - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def _percentage(axis: Axes, x: float, y: float, value: float, part_number: int) -> None:
    colour = _colour(part_number)
    box = {"boxstyle": "round,pad=0.15", "fc": colour, "ec": "none"}
    axis.text(
        x,
        y,
        f"{value:.0f}",
        ha="center",
        va="center",
        fontsize=6,
        color="white" if _luminance(colour) < 0.4 else "black",
        bbox=box if _HATCHES[part_number] else None,
    )


def _colour(number: int) -> str:
    return _PALE if _FILLS[number] == "pale" else COLOURS[_FILLS[number]]


def _fill(number: int) -> dict[str, Any]:
    return {
        "facecolor": _colour(number),
        "edgecolor": "white",
        "linewidth": 0.6,
        "hatch": _HATCHES[number],
    }


def _patch(number: int) -> Patch:
    return Patch(**_fill(number))


def _luminance(colour: str) -> float:
    """Relative luminance of a colour, WCAG 2: 0 black, 1 white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
