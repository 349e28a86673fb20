"""Maps: the density of opinions in time, and own opinions against those of the neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from abm.analysis.figures.layout import bottom_label, few_ticks, panel_titles, wrapped
from abm.analysis.figures.style import WIDTHS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, defined, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["echo_chambers", "space_time"]

BESIDE = 90.0
"""What the labels of the y axis and a colour bar take of the width, in points."""

_COLOURS = "cividis"
"""Even in lightness, made for colour-blind readers: Nunez et al. (2018), PLOS ONE 13, e0199239."""


def space_time(
    table: pl.DataFrame,
    *,
    x: str = "time",
    y: str = "opinion",
    density: str = "density",
    panel: str | None = None,
    xlabel: str = "time",
    ylabel: str = "opinion",
    scale_label: str = "density",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float = 62,
) -> Figure:
    """Density of opinions in time, on one colour scale by the square root of the density.

    Parameters
    ----------
    table
        Tidy: one row per time, opinion and panel, times and opinions evenly spaced and the same in
        all panels, as `density_table(..., by=["arm", "time"])` makes it.
    others
        As in `trajectories`.

    Raises
    ------
    AnalysisError
        A cell of the map is missing or given twice, or times or opinions are unevenly spaced.

    Examples
    --------
    >>> table = pl.DataFrame({"time": [0, 0, 1, 1], "opinion": [0.25, 0.75] * 2,
    ...                       "density": [1.0, 1.0, 0.5, 1.5]})
    >>> space_time(table).axes[0].get_ylabel()
    'opinion'
    """
    need(table, x, y, density, panel)
    columns = ordered(table, panel, (order or {}).get(panel or ""))
    times, opinions = _grid(table, x), _grid(table, y)
    norm = PowerNorm(0.5, 0, float(defined(table, density).max()))
    with figure_style():
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height, sharex=True, sharey=True
        )
        for axis, value in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: value})
            cells = _cells(here, [x, y, density], times, opinions)
            image = _image(axis, cells, times, opinions, norm)
        axes[0][0].set_ylabel(wrapped(ylabel, 110, 7))
        few_ticks(figure, axes[0])
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=BESIDE)
        bottom_label(figure, axes[0], xlabel)
        figure.colorbar(image, ax=axes[0], label=scale_label, pad=0.015, aspect=30)
    return figure


def echo_chambers(
    table: pl.DataFrame,
    *,
    x: str = "own",
    y: str = "neighbours",
    panel: str | None = None,
    low: float = 0.0,
    high: float = 1.0,
    bins: int = 30,
    xlabel: str = "own opinion",
    ylabel: str = "mean opinion of neighbours",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "double",
    height: float | None = None,
) -> Figure:
    """How many agents hold which opinion among which neighbours, on a logarithmic colour scale.

    Mass along the diagonal is an echo chamber, a horizontal band a society that mixes.

    Parameters
    ----------
    table
        Tidy: one row per agent and panel; `abm.analysis.networks.neighbour_mean` gives the column
        `neighbours`. Agents without neighbours (nan) are left out.
    low, high
        Ends of the scale.
    others
        As in `trajectories`.

    Examples
    --------
    >>> table = pl.DataFrame({"own": [0.1, 0.9, 0.5], "neighbours": [0.2, 0.8, 0.5]})
    >>> echo_chambers(table).axes[0].get_xlabel()
    'own opinion'
    """
    need(table, x, y, panel)
    columns = ordered(table, panel, (order or {}).get(panel or ""))
    edges = np.linspace(low, high, bins + 1)
    parts = [table if panel is None else part(table, **{panel: value}) for value in columns]
    counts = [_count(here, x, y, edges) for here in parts]
    norm = LogNorm(1, max(2.0, float(max(c.max() for c in counts))))
    middles = (edges[:-1] + edges[1:]) / 2
    with figure_style():
        square = (_millimetres(width) - 26) / len(columns)
        figure, axes = grid_figure(
            1, len(columns), width=width, height=height or square + 18, sharex=True, sharey=True
        )
        for axis, cells in zip(axes[0], counts, strict=True):
            image = _image(axis, np.where(cells > 0, cells, np.nan), middles, middles, norm)
            axis.plot([low, high], [low, high], color="#888888", lw=0.6, ls=(0, (2, 2)))
            axis.set_aspect("equal")
        axes[0][0].set_ylabel(wrapped(ylabel, 72 / 25.4 * square, 7))
        few_ticks(figure, axes[0])
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=BESIDE)
        bottom_label(figure, axes[0], xlabel)
        bar = figure.colorbar(image, ax=axes[0], label="agents", pad=0.015, aspect=30, format="%g")
        whole = [m * 10**k for k in range(9) for m in (1, 2, 5) if m * 10**k <= norm.vmax]
        bar.set_ticks(whole if len(whole) <= 6 else [t for t in whole if str(t)[0] == "1"])
        bar.minorticks_off()
    return figure


def _millimetres(width: Width | float) -> float:
    return WIDTHS[width] if isinstance(width, str) else width


def _image(
    axis: Axes,
    cells: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    norm: Normalize,
) -> AxesImage:
    """Cells of shape (n_x, n_y) around their mid-points."""
    half = [(v[1] - v[0]) / 2 if v.size > 1 else 0.5 for v in (x, y)]
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    return axis.imshow(
        cells.T,
        origin="lower",
        extent=extent,
        aspect="auto",
        norm=norm,
        cmap=_COLOURS,
        interpolation="nearest",
    )


def _grid(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values = np.unique(column(table, name))
    steps = np.diff(values)
    even = steps.size == 0 or np.allclose(steps, steps[0], rtol=1e-6)
    require(bool(even), AnalysisError, f"column {name!r} is unevenly spaced, expected a grid")
    return values


def _cells(
    table: pl.DataFrame,
    names: list[str],
    times: NDArray[np.float64],
    opinions: NDArray[np.float64],
) -> NDArray[np.float64]:
    i, j = (
        np.searchsorted(grid, column(table, name))
        for grid, name in zip((times, opinions), names[:2], strict=True)
    )
    once = np.bincount(i * opinions.size + j, minlength=times.size * opinions.size)
    require(
        bool(np.all(once == 1)),
        AnalysisError,
        f"{int(np.sum(once == 0))} cells of the map are missing and {int(np.sum(once > 1))} given "
        "twice; name the factor that tells them apart as panel",
    )
    cells = np.empty((times.size, opinions.size))
    cells[i, j] = column(table, names[2])
    return cells


def _count(table: pl.DataFrame, x: str, y: str, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    own, theirs = column(table, x), column(table, y)
    known = ~(np.isnan(own) | np.isnan(theirs))
    cells, _, _ = np.histogram2d(own[known], theirs[known], bins=(edges, edges))
    require(
        int(cells.sum()) == int(known.sum()),
        AnalysisError,
        f"opinions outside {edges[0]} to {edges[-1]}; give low and high of the scale",
    )
    return cells
