"""Network snapshots: who is tied to whom and holds which opinion, at a size that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abm.analysis.figures.layout import panel_titles, stamp_note, wrapped
from abm.analysis.figures.style import WIDTHS, Width, figure_style, grid_figure
from abm.analysis.figures.tables import column, need, ordered, part, shown
from abm.errors import AnalysisError, require

__all__ = ["network_snapshot"]

_MOST = 600
_SIDES = LinearSegmentedColormap.from_list("sides", ["#0072B2", "#EDEDED", "#D55E00"])
"""Blue, light grey, vermilion: two sides and a middle, told apart without red or green."""


def network_snapshot(
    nodes: pl.DataFrame,
    edges: pl.DataFrame,
    *,
    value: str = "opinion",
    panel: str | None = None,
    low: float = 0.0,
    high: float = 1.0,
    scale_label: str = "opinion",
    note: str = "",
    order: Mapping[str, Sequence[Any]] | None = None,
    names: Mapping[Any, str] | None = None,
    width: Width | float = "single",
    height: float | None = None,
) -> Figure:
    """Nodes coloured by opinion, larger with more ties, and their ties in grey.

    Parameters
    ----------
    nodes
        Tidy: one row per node and panel with `node`, `x`, `y` and `value`, at most 600 per panel:
        more cannot be read. `abm.analysis.snapshots.snapshot` chooses and places them. nan is drawn
        white.
    edges
        Columns `source` and `target`, and `panel` if ties differ between panels.
    low, high
        Ends of the scale of opinions.
    note
        Printed at the foot, such as which part of the network is shown.
    others
        As in `trajectories`.

    Raises
    ------
    AnalysisError
        A panel has more than 600 nodes, or an edge names a node that is not there.

    Examples
    --------
    >>> nodes = pl.DataFrame({"node": [0, 1], "x": [0.0, 1.0], "y": [0.0, 0.0],
    ...                       "opinion": [0.1, 0.9]})
    >>> edges = pl.DataFrame({"source": [0], "target": [1]})
    >>> len(network_snapshot(nodes, edges).axes)
    2
    """
    need(nodes, "node", "x", "y", value, panel)
    missing = [name for name in ("source", "target") if name not in edges.columns]
    require(not missing, AnalysisError, f"the edges lack {missing}; they have {edges.columns}")
    columns = ordered(nodes, panel, (order or {}).get(panel or ""))
    norm = Normalize(low, high)
    with figure_style():
        wide = WIDTHS[width] if isinstance(width, str) else width
        square = (wide - 22) / len(columns)
        figure, axes = grid_figure(1, len(columns), width=width, height=height or square + 12)
        for axis, name in zip(axes[0], columns, strict=True):
            here = nodes if panel is None else part(nodes, **{panel: name})
            split = panel is not None and panel in edges.columns
            ties = part(edges, **{str(panel): name}) if split else edges
            _draw(axis, here, ties, value, norm, square)
        titles = ["" if panel is None else shown(c, names) for c in columns]
        panel_titles(figure, axes[0], titles, beside=65.0)  # of the colour bar
        label = wrapped(scale_label, 0.7 * 72 / 25.4 * square, 7)
        bar = ScalarMappable(norm, _SIDES)
        figure.colorbar(bar, ax=axes[0], label=label, pad=0.015, aspect=30, shrink=0.9)
        if note:
            stamp_note(figure, note)
    return figure


def _draw(
    axis: Axes,
    nodes: pl.DataFrame,
    edges: pl.DataFrame,
    value: str,
    norm: Normalize,
    square: float,
) -> None:
    require(
        nodes.height <= _MOST,
        AnalysisError,
        f"{nodes.height} nodes in one panel, expected at most {_MOST}: more cannot be read. "
        "abm.analysis.snapshots.snapshot chooses a part of the network",
    )
    ties = _placed(nodes, edges)
    at = np.stack([column(nodes, "x"), column(nodes, "y")], axis=1)
    faint = float(np.clip(150 / max(len(ties), 1), 0.25, 0.7))
    axis.add_collection(
        LineCollection(list(at[ties]), colors="#555555", lw=0.4, alpha=faint, zorder=1)
    )
    degree = np.bincount(ties.ravel(), minlength=nodes.height)
    size = (72 / 25.4 * square) ** 2 / nodes.height * 0.055
    opinions = column(nodes, value)
    colours = _SIDES(norm(np.nan_to_num(opinions, nan=norm.vmin or 0.0)))
    colours[np.isnan(opinions)] = 1.0
    axis.scatter(
        at[:, 0],
        at[:, 1],
        s=np.clip(size * np.sqrt(1 + degree / max(degree.mean(), 1)), 3, 40),
        c=colours,
        edgecolor="#333333",
        linewidth=0.3,
        zorder=2,
    )
    axis.set_aspect("equal")
    axis.margins(0.04)
    axis.axis("off")


def _placed(nodes: pl.DataFrame, edges: pl.DataFrame) -> NDArray[np.int64]:
    """Edges as pairs of rows of the table of nodes, shape (m, 2)."""
    order = {node: i for i, node in enumerate(nodes["node"])}
    ends = [(a, b) for a, b in zip(edges["source"], edges["target"], strict=True)]
    lost = next((e for e in ends if e[0] not in order or e[1] not in order), None)
    require(lost is None, AnalysisError, f"the edge {lost} names a node that is not in the table")
    return np.array([(order[a], order[b]) for a, b in ends], dtype=np.int64).reshape(-1, 2)
