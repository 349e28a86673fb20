"""Distributions of opinions: ridgelines of densities, and categories before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from abm.analysis.figures.layout import (
    bottom_label,
    few_ticks,
    grow,
    name_uncertainty,
    panel_titles,
    shared_legend,
    side_labels,
    stamp_note,
    wrapped,
)
from abm.analysis.figures.style import (
    COLOURS,
    Width,
    figure_style,
    grid_figure,
)
from abm.analysis.figures.tables import column, defined, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["before_after", "ridgelines"]

_TONES = ("sky", "vermilion", "green", "purple")


def ridgelines(
    table: pl.DataFrame,
    *,
    x: str = "opinion",
    density: str = "density",
    ridge: str = "time",
    panel: str | None = None,
    xlabel: str = "opinion",
    ylabel: str = "",
    overlap: float = 1.6,
    step: bool = False,
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """Densities above one another, the first ridge at the top, all on one scale.

    Parameters
    ----------
    table
        Tidy: one row per `x`, `ridge` and `panel`, as `abm.analysis.opinions.density_table` makes.
    overlap
        Height of the highest ridge in units of the distance between ridges, > 0.
    step
        Draw bars for opinions on a scale of few points, instead of a curve; they never overlap.
    others
        As in `trajectories`.

    Examples
    --------
    >>> table = pl.DataFrame({"time": [0, 0, 1, 1], "opinion": [0.0, 1.0, 0.0, 1.0],
    ...                       "density": [0.5, 0.5, 0.9, 0.1]})
    >>> len(ridgelines(table).axes)
    1
    """
    need(table, x, density, ridge, panel)
    require(overlap > 0, AnalysisError, f"overlap = {overlap}, expected > 0")
    given = order or {}
    ridges = ordered(table, ridge, given.get(ridge))
    columns = ordered(table, panel, given.get(panel or ""))
    overlap = min(overlap, 0.85) if step else overlap
    scale = overlap / max(float(defined(table, density).max()), 1e-12)
    with figure_style():
        tall = height or 18 + 7 * (len(ridges) + overlap)
        figure, axes = grid_figure(
            1, len(columns), width=width, height=tall, sharey=True, sharex=True
        )
        for axis, value in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: value})
            for place, name in enumerate(ridges):
                _ridge(axis, part(here, **{ridge: name}).sort(x), [x, density], place, scale, step)
            axis.set_ylim(len(ridges) - 0.8, -overlap - 0.1)
            axis.spines["left"].set_visible(False)
            axis.tick_params(axis="y", length=0)
            if step:
                axis.set_xticks(sorted(table[x].unique()))
        labels = [shown(name, names) for name in ridges]
        beside = side_labels(figure, axes[0][0], labels, 7 * 72 / 25.4)
        axes[0][0].set_ylabel(ylabel or shown(ridge, names))
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=beside)
        if not step:
            few_ticks(figure, axes[0], beside=beside)
        bottom_label(figure, axes[0], xlabel)
        stamp_note(figure, "height: density, on one scale throughout")
    return figure


def before_after(
    table: pl.DataFrame,
    *,
    x: str = "category",
    share: str = "estimate",
    low: str | None = "low",
    high: str | None = "high",
    when: str = "when",
    panel: str | None = None,
    row: str | None = None,
    xlabel: str = "opinion",
    ylabel: str = "share of agents (%)",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """Shares of categories side by side, before and after, with their intervals.

    Parameters
    ----------
    table
        Tidy: one row per category, `when`, `panel` and `row`; shares in [0, 1].
    others
        As in `trajectories`.

    Examples
    --------
    >>> table = pl.DataFrame({"category": [1, 2, 1, 2], "when": ["before"] * 2 + ["after"] * 2,
    ...                       "estimate": [0.5, 0.5, 0.2, 0.8]})
    >>> len(before_after(table, low=None, high=None).axes)
    1
    """
    need(table, x, share, low, high, when, panel, row)
    given = order or {}
    kinds = ordered(table, x, given.get(x))
    moments = ordered(table, when, given.get(when))
    rows, columns = (ordered(table, name, given.get(name or "")) for name in (row, panel))
    require(len(moments) <= len(_TONES), AnalysisError, f"{len(moments)} moments, expected <= 4")
    with figure_style():
        tall = height or 16 + 38 * len(rows)
        figure, axes = grid_figure(
            len(rows), len(columns), width=width, height=tall, sharex=True, sharey=True
        )
        upright = 0
        for i, r in enumerate(rows):
            for j, c in enumerate(columns):
                here = table if row is None else part(table, **{row: r})
                here = here if panel is None else part(here, **{panel: c})
                parts = [part(here, **{when: moment}) for moment in moments]
                for place, held in enumerate(parts):
                    at = (place, len(moments))
                    _columns(axes[i][j], held, [x, share, low, high], kinds, at)
                named = [shown(k, names) for k in kinds]
                upright = _categories(figure, axes[i][j], named, len(columns))
                axes[i][j].grid(axis="y")
            axes[i][0].set_ylabel(
                wrapped(("" if row is None else shown(r, names) + "\n") + ylabel, 90, 7)
            )
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
        grow(figure, 6.5 * 0.58 * upright)
        if low is not None:
            name_uncertainty(figure, table, "bars", "replications")
        bottom_label(figure, axes[-1], xlabel)
        figure.align_ylabels([row_axes[0] for row_axes in axes])
        handles = [Patch(fc=COLOURS[tone], ec="white") for tone in _TONES[: len(moments)]]
        shared_legend(figure, handles, [shown(m, names) for m in moments])
    return figure


def _categories(figure: Figure, axis: Axes, labels: list[str], n_panels: int) -> int:
    """Names of categories: broken to the room of one, upright where a word does not fit.

    Of numbers too many to stand beside each other some are shown.

    Returns
    -------
    Letters of the longest upright line, for which the figure must make room; 0 where none is.
    """
    room = (72 * figure.get_figwidth() - 50) / n_panels / len(labels) - 3
    numbers = all(label.lstrip("-").replace(".", "", 1).isdigit() for label in labels)
    longest = max((len(word) for label in labels for word in label.split()), default=0)
    wide = longest * 6.5 * 0.64
    if numbers and wide > room:
        every = math.ceil((wide + 3) / (room + 3))
        axis.set_xticks(range(0, len(labels), every), labels[::every])
        return 0
    upright = wide > room
    require(
        not upright or room > 5.5,
        AnalysisError,
        f"{len(labels)} categories in each of {n_panels} panels have no room for their names in a "
        f"figure of {25.4 * figure.get_figwidth():.0f} mm: draw fewer panels, or a wider figure",
    )
    lines = max(1, int((room + 3) / 8.5))  # that an upright name may take
    size = max(90.0, max(map(len, labels)) * 6.5 * 0.58 / lines + 12)
    texts = [wrapped(label, size if upright else room, 6.5) for label in labels]
    axis.set_xticks(range(len(labels)), texts, rotation=90 if upright else 0)
    tall = max(len(line) for text in texts for line in text.split("\n"))
    return tall if upright else 0


def _ridge(
    axis: Axes, table: pl.DataFrame, names: list[str], place: int, scale: float, step: bool
) -> None:
    x, height = column(table, names[0]), scale * column(table, names[1])
    if step:
        wide = 0.85 * (np.diff(x).min() if x.size > 1 else 1.0)
        axis.bar(
            x,
            -height,
            width=wide,
            bottom=place,
            color=COLOURS["blue"],
            alpha=0.85,
            zorder=2 + place,
        )
    else:
        axis.fill_between(
            x, place - height, place, color=COLOURS["sky"], alpha=0.9, lw=0, zorder=2 + place
        )
        axis.plot(x, place - height, color=COLOURS["blue"], lw=0.9, zorder=2 + place)
    axis.axhline(place, color="#BBBBBB", lw=0.4, zorder=1.5)


def _columns(
    axis: Axes,
    table: pl.DataFrame,
    names: list[str | None],
    kinds: list[Any],
    at: tuple[int, int],
) -> None:
    x, share, low, high = names
    place, number = at
    if x is None or share is None:
        return
    wide = 0.84 / number
    places = np.array([kinds.index(value) for value in table[x]], dtype=np.float64)
    places += (place - (number - 1) / 2) * wide
    heights = 100 * column(table, share)
    axis.bar(places, heights, width=wide, color=COLOURS[_TONES[place]], edgecolor="white")
    if low is not None and high is not None:
        ends = 100 * column(table, low), 100 * column(table, high)
        axis.vlines(places, *ends, color="black", lw=0.7)
