"""One style for all figures: colour-blind safe, legible in print, journal widths in millimetres.

Series differ in colour, marker and dash together, so that a grey print still tells them apart.
Fonts are embedded as TrueType; the font is the one that Matplotlib carries, so that a figure looks
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abm.errors import AnalysisError, require

__all__ = [
    "COLOURS",
    "INSTRUMENT_CHECK",
    "WIDTHS",
    "Look",
    "Width",
    "figure_style",
    "grid_figure",
    "looks",
    "new_figure",
]

INSTRUMENT_CHECK = "instrument check: synthetic answers, no evidence about people"

COLOURS = {
    "black": "#000000",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "grey": "#7F7F7F",
}
"""Okabe and Ito (2008), 'Color Universal Design'; yellow is left out because print loses it."""

Width = Literal["single", "middle", "double"]
WIDTHS: dict[str, float] = {"single": 89.0, "middle": 136.0, "double": 183.0}
"""Column widths of journals in mm: one column, one and a half, two."""

MM = 1 / 25.4

_ORDER = ("blue", "vermilion", "green", "purple", "orange", "sky", "black", "grey")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2)),
    (0, (2.5, 1)),
    (0, (5, 1.5, 1.2, 1.5, 1.2, 1.5)),
    (0, (1, 3)),
)

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "patch.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "agora",
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.wspace": 0.03,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of all figures, from Matplotlib's defaults and not from the user's own settings.

    Examples
    --------
    >>> with figure_style():
    ...     mpl.rcParams["pdf.fonttype"]
    42
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    colour: str
    marker: str
    dash: Any


def looks(names: Sequence[Any]) -> dict[Any, Look]:
    """A look for each series, distinct in colour, marker and dash.

    Examples
    --------
    >>> looks(["placebo", "ordinary"])["ordinary"].colour
    '#D55E00'
    """
    require(
        len(names) <= len(_ORDER),
        AnalysisError,
        f"{len(names)} series in one figure, expected at most {len(_ORDER)}: nobody can tell more "
        "apart. Split them into panels",
    )
    styles = zip(_ORDER, _MARKERS, _DASHES, strict=True)
    return {
        name: Look(COLOURS[colour], marker, dash)
        for name, (colour, marker, dash) in zip(names, styles, strict=False)
    }


def new_figure(width: Width | float, height: float) -> Figure:
    """An empty figure of a journal width (name, or mm) and a height in mm; no pyplot state."""
    mm = WIDTHS.get(width, 0.0) if isinstance(width, str) else float(width)
    require(
        mm > 0 and height > 0,
        AnalysisError,
        f"width = {width!r}, height = {height}: expected one of {list(WIDTHS)} or mm, and mm > 0",
    )
    return Figure(figsize=(mm * MM, height * MM), layout="constrained")


def grid_figure(
    rows: int, columns: int, *, width: Width | float, height: float, **subplots: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of axes; `axes[row][column]`."""
    figure = new_figure(width, height)
    axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    return figure, [list(row) for row in axes]
