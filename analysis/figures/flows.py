"""Flows: who moved from which opinion to which, as bands between two columns (a Sankey diagram)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from abm.analysis.figures.layout import panel_titles, shared_legend, wrapped
from abm.analysis.figures.style import COLOURS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["opinion_flows"]

_TONES = ("vermilion", "orange", "grey", "sky", "blue", "purple", "green", "black")
_FEW = {
    1: ("grey",),
    2: ("vermilion", "blue"),
    3: ("vermilion", "grey", "blue"),
    4: ("vermilion", "orange", "sky", "blue"),
}
"""Tones of few opinions: from one end of the scale to the other, grey in the middle."""
_ENDS = (0.0, 0.06, 0.94, 1.0)
_GAP = 0.025


def opinion_flows(
    table: pl.DataFrame,
    *,
    before: str = "before",
    after: str = "after",
    share: str = "share",
    panel: str | None = None,
    titles: tuple[str, str] = ("before", "after"),
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float = 70,
) -> Figure:
    """Bands from opinions before to opinions after, as wide as the share of agents they hold.

    Parameters
    ----------
    table
        Tidy: one row per pair of opinions and panel with the share of agents, in [0, 1], such as
        `abm.analysis.opinions.flow_table` makes it. Shares of a panel sum to 1.
    titles
        What stands above the two columns.
    order
        `order[before]` gives the opinions from bottom to top, on both sides.
    others
        As in `trajectories`. Each opinion shows its name and its share in per cent where there is
        room; names too long for the bands stand in a legend.

    Raises
    ------
    AnalysisError
        The shares of a panel do not sum to 1 within 0.01, or there are more than eight opinions.

    Examples
    --------
    >>> table = pl.DataFrame({"before": ["no", "no", "yes"], "after": ["no", "yes", "yes"],
    ...                       "share": [0.3, 0.2, 0.5]})
    >>> len(opinion_flows(table).axes)
    1
    """
    need(table, before, after, share, panel)
    given = order or {}
    kinds = given.get(before) or sorted({*table[before].unique(), *table[after].unique()})
    require(len(kinds) <= len(_TONES), AnalysisError, f"{len(kinds)} opinions, expected at most 8")
    columns = ordered(table, panel, given.get(panel or ""))
    with figure_style():
        figure, axes = grid_figure(1, len(columns), width=width, height=height, sharey=True)
        room = 9.5 / (72 / 25.4 * height * 0.75)
        half = 0.43 * (72 * figure.get_figwidth() - 10) / len(columns) - 4  # points
        labels = [shown(kind, names) for kind in kinds]
        named = max(map(len, labels)) + len("  100 %") <= half / (6 * 0.58)
        for axis, name in zip(axes[0], columns, strict=True):
            here = table if panel is None else part(table, **{panel: name})
            matrix = _matrix(here, (before, after, share), list(kinds))
            _draw(axis, matrix, labels if named else [""] * len(labels), room)
            for x, title, side in ((0.0, titles[0], "left"), (1.0, titles[1], "right")):
                top, text = 1 + _GAP * (len(kinds) - 1), wrapped(title, half, 6.5)
                style: dict[str, Any] = {"ha": side, "va": "bottom", "fontsize": 6.5}
                axis.text(x, top + 0.02, text, in_layout=False, **style)
            lines = 1 + max(wrapped(title, half, 6.5).count("\n") for title in titles)
            axis.set_ylim(0, top * (1 + 0.03 + 8.5 * lines / (0.75 * 72 / 25.4 * height)))
        if not named:
            tones = [COLOURS[tone] for tone in _FEW.get(len(kinds), _TONES)]
            patches = [Patch(fc=tones[place]) for place in range(len(kinds))]
            shared_legend(figure, patches, labels)
        panel_titles(figure, axes[0], ["" if panel is None else shown(c, names) for c in columns])
    return figure


def _matrix(
    table: pl.DataFrame, columns: tuple[str, str, str], kinds: list[Any]
) -> NDArray[np.float64]:
    matrix = np.zeros((len(kinds), len(kinds)))
    unknown = [v for c in columns[:2] for v in table[c].unique() if v not in kinds]
    require(not unknown, AnalysisError, f"the order {kinds} lacks the opinions {unknown}")
    values = zip(table[columns[0]], table[columns[1]], column(table, columns[2]), strict=True)
    for one, other, share in values:
        matrix[kinds.index(one), kinds.index(other)] += share
    total = float(matrix.sum())
    require(
        abs(total - 1) <= 0.01, AnalysisError, f"shares of a panel sum to {total:.3f}, expected 1"
    )
    return matrix


def _draw(axis: Axes, matrix: NDArray[np.float64], labels: list[str], room: float) -> None:
    k = len(labels)
    tones = _FEW.get(k, _TONES)
    lefts, rights = (_stacked(matrix.sum(axis=side)) for side in (1, 0))
    out, into = lefts.copy(), rights.copy()
    for i in range(k):
        for j in range(k):
            if matrix[i, j] > 0:
                _band(axis, out[i], into[j], matrix[i, j], COLOURS[tones[i]])
                out[i] += matrix[i, j]
                into[j] += matrix[i, j]
    top = 1 + _GAP * (k - 1)
    for side, starts, sizes in ((0, lefts, matrix.sum(axis=1)), (1, rights, matrix.sum(axis=0))):
        for i in range(k):
            name = labels[i] if sizes[i] >= room * top else None
            _end(axis, side, starts[i], sizes[i], COLOURS[tones[i]], name)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, top + 0.09)
    axis.axis("off")


def _end(axis: Axes, side: int, start: float, size: float, colour: str, name: str | None) -> None:
    """A box at the left (side 0) or the right (side 1), with its name where it has room."""
    x = _ENDS[0] if side == 0 else _ENDS[2]
    axis.add_patch(Rectangle((x, start), 0.06, size, fc=colour, ec="white", lw=0.4))
    if name is not None:
        at, anchor = (_ENDS[1] + 0.015, "left") if side == 0 else (_ENDS[2] - 0.015, "right")
        text = f"{name}  {100 * size:.0f} %".strip()
        style: dict[str, Any] = {"ha": anchor, "va": "center", "fontsize": 6}
        axis.text(at, start + size / 2, text, in_layout=False, **style)


def _stacked(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower ends of boxes on top of each other with gaps between."""
    return np.concatenate([[0.0], np.cumsum(sizes[:-1] + _GAP)])


def _band(axis: Axes, low: float, end: float, size: float, colour: str) -> None:
    a, b = _ENDS[1], _ENDS[2]
    half = (a + b) / 2
    points = [
        (a, low),
        (half, low),
        (half, end),
        (b, end),
        (b, end + size),
        (half, end + size),
        (half, low + size),
        (a, low + size),
        (a, low),
    ]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    axis.add_patch(PathPatch(Path(points, codes), fc=colour, ec="none", alpha=0.45))
