"""Room for words: legends, titles, shared axis labels and lines at the foot that never collide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from abm.analysis.redraws import scope_of

__all__ = [
    "bottom_label",
    "few_ticks",
    "foot_lines",
    "grow",
    "name_uncertainty",
    "panel_titles",
    "rearranged",
    "settled",
    "shared_legend",
    "side_labels",
    "stamp",
    "stamp_note",
    "vertical_marks",
    "wrapped",
]

_STAMP, _NOTE, _LABEL = "agora-stamp", "agora-note", "agora-label"
_SIZES = {_STAMP: 6.0, _NOTE: 6.0, _LABEL: 7.0}
_LETTER = 0.58
"""Mean width of a letter in units of the font size, a little generous."""


def wrapped(text: str, points: float, size: float, *, bold: bool = False) -> str:
    """Break a text into lines that fit a width, both in points; words that do not fit are split.

    Examples
    --------
    >>> wrapped("share of agents", 60, 7)
    'share of\\nagents'
    >>> wrapped("counterattitudinal", 60, 7)
    'counterattitud\\ninal'
    """
    letters = max(6, int(points / (size * _LETTER * (1.12 if bold else 1.0))))
    broken = (textwrap.wrap(own, letters, break_on_hyphens=False) for own in text.split("\n"))
    return "\n".join(line for lines in broken for line in lines) or text


def side_labels(figure: Figure, axis: Axes, labels: Sequence[str], room: float) -> float:
    """Names of lines left of an axis, at 0, 1, ..., broken to a third of the width.

    The figure becomes taller where a name takes more lines than fit into `room`, in points.

    Returns
    -------
    About how wide the names are, in points, and at least 50: what `panel_titles` takes as `beside`.
    """
    texts = [wrapped(label, 0.33 * 72 * figure.get_figwidth(), 6.5) for label in labels]
    axis.set_yticks(range(len(texts)), texts)
    tallest = max(1 + text.count("\n") for text in texts)
    grow(figure, len(texts) * max(1.3 * 6.5 * tallest + 6 - room, 0.0))
    letters = max((len(line) for text in texts for line in text.split("\n")), default=0)
    return max(50.0, 6.5 * _LETTER * letters + 16)


def panel_titles(
    figure: Figure, axes: Sequence[Axes], titles: Sequence[str], *, beside: float = 50.0
) -> None:
    """Titles above the panels of a row, broken to the width of a panel.

    The figure becomes taller by their lines beyond the first. `beside` is what labels and colour
    bars take of the width, in points.
    """
    wide = (72 * figure.get_figwidth() - beside) / len(axes) - 6
    texts = [wrapped(title, wide, 7.5, bold=True) for title in titles]
    for axis, text in zip(axes, texts, strict=True):
        if text:
            axis.set_title(text, loc="left", y=1.0)
    grow(figure, 9.5 * max(text.count("\n") for text in texts))


def few_ticks(figure: Figure, axes: Sequence[Axes], *, beside: float = 50.0) -> None:
    """As many ticks on the x axes of a row as numbers such as -0.025 leave room for."""
    wide = (72 * figure.get_figwidth() - beside) / len(axes)
    for axis in axes:
        axis.locator_params(axis="x", nbins=min(max(int(wide / 34), 2), 5))


def vertical_marks(axis: Axes, marks: Mapping[float, str], *, label: bool, points: float) -> None:
    """Thin vertical lines at some places, with their names if `label`.

    Names stand below one another, on that side of their lines that has more room; `points` is about
    the width of the axis.
    """
    (low, high), lines = axis.get_xlim(), 0
    for at, name in sorted(marks.items()):
        axis.axvline(at, color="#555555", lw=0.7, ls=(0, (2, 2)))
        if name and label:
            right = at > (low + high) / 2
            share = abs(at - (low if right else high)) / (high - low)
            text = wrapped(name, share * points - 4, 6)
            axis.annotate(
                text,
                (at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-2 if right else 2, -1 - 8 * lines),
                textcoords="offset points",
                ha="right" if right else "left",
                va="top",
                fontsize=6,
                color="#555555",
            )
            lines += 1 + text.count("\n")


def bottom_label(figure: Figure, axes: Sequence[Axes], text: str) -> None:
    """Label of the x axis: under the panel, or once for all panels of the row."""
    points = 72 * figure.get_figwidth()
    if len(axes) == 1:
        axes[0].set_xlabel(wrapped(text, 0.8 * points, 7))
    else:
        _write(figure, _LABEL, wrapped(text, 0.95 * points, 7))
        rearranged(figure)


def stamp(figure: Figure, *lines: str) -> None:
    """Print lines at the foot of a figure, in room kept free for them; replaces earlier ones.

    The figure becomes as much taller as lines beyond the first take, so that they cost the axes
    nothing.
    """
    points = 0.97 * 72 * figure.get_figwidth()
    text = "\n".join(wrapped(line, points, _SIZES[_STAMP]) for line in lines if line)
    before = sum(foot_lines(figure, _STAMP)[1:])
    _write(figure, _STAMP, text)
    grow(figure, sum(foot_lines(figure, _STAMP)[1:]) - before)
    rearranged(figure)


@contextmanager
def settled(figure: Figure) -> Iterator[None]:
    """A figure whose axes stay where they are, to be written in several formats.

    Where panels keep their proportions, titles know their place only after a first round, so the
    layout is computed twice here, and not again for each format.
    """
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine("none")
    yield
    if engine is not None:
        figure.set_layout_engine(engine)


def foot_lines(figure: Figure, gid: str = _NOTE) -> list[float]:
    """Heights in points of the lines of a note, or of what is stamped, at the foot."""
    count = sum(1 + text.get_text().count("\n") for text in _texts(figure, gid))
    return [1.32 * _SIZES[gid]] * count


def grow(figure: Figure, points: float) -> None:
    """Make a figure taller; nothing for 0."""
    if points:
        figure.set_figheight(figure.get_figheight() + points / 72)


def stamp_note(figure: Figure, text: str) -> None:
    """Print how to read a figure at its foot; replaces an earlier note."""
    _write(figure, _NOTE, wrapped(text, 0.97 * 72 * figure.get_figwidth(), _SIZES[_NOTE]))
    rearranged(figure)


def name_uncertainty(
    figure: Figure, table: pl.DataFrame, mark: str, unit: str, *, more: str = ""
) -> None:
    """Say at the foot what the bands or bars are, from the columns level, n, varied and fixed.

    `more` is what else there is to say about them.
    """
    if not {"level", "n"} <= set(table.columns):
        if more:
            stamp_note(figure, more)
        return
    counts = table["n"].to_numpy()
    if counts.size == 0 or counts.max() < 2:
        stamp_note(figure, f"no interval: fewer than two {unit}")
        return
    levels = " and ".join(f"{100 * level:g} %" for level in table["level"].unique().sort())
    few, many = int(counts.min()), int(counts.max())
    count = f"{few}" if few == many else f"{few} to {many}"
    scope = []
    if {"varied", "fixed"} <= set(table.columns):
        varied, fixed = scope_of(table)
        scope = [f"varied: {varied}", f"held fixed: {fixed}"]
    head = f"{mark}: {levels} interval over {count} {unit}"
    stamp_note(figure, "; ".join([head, *([more] if more else []), *scope]))


def shared_legend(figure: Figure, handles: Sequence[Any], names: Sequence[Any]) -> None:
    """One legend above all panels, in as few lines as the width allows.

    The figure becomes taller by the lines beyond the second.
    """
    points = 72 * figure.get_figwidth() - 12
    labels = [wrapped(str(name), points - 36, 6.5) for name in names]
    columns = len(labels)
    while columns > 1 and _legend_width(labels, columns) > points:
        columns -= 1
    rows = -(-sum(1 + label.count("\n") for label in labels) // columns)
    grow(figure, 1.45 * 6.5 * max(rows - 2, 0))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.4)


def _legend_width(labels: list[str], columns: int) -> float:
    """Width in points. As Matplotlib has it, the first columns are longer where need be."""
    rows, longer = divmod(len(labels), columns)
    ends = np.cumsum([rows + (place < longer) for place in range(columns)]).tolist()
    blocks = [labels[first:last] for first, last in zip([0, *ends], ends, strict=False)]
    widest = (max(len(line) for label in block for line in label.split("\n")) for block in blocks)
    return sum(6.5 * _LETTER * letters + 33 for letters in widest)


def _write(figure: Figure, gid: str, text: str) -> None:
    for old in _texts(figure, gid):
        old.remove()
    if text:
        style: dict[str, Any] = {"fontsize": _SIZES[gid], "gid": gid, "linespacing": 1.2}
        style |= {"color": "#333333"} if gid != _LABEL else {}
        style |= {"fontstyle": "italic"} if gid == _STAMP else {}
        figure.text(0.5, 0.0, text, ha="center", va="bottom", in_layout=False, **style)


def _texts(figure: Figure, gid: str) -> list[Text]:
    return [text for text in figure.texts if text.get_gid() == gid]


def rearranged(figure: Figure) -> None:
    """Stack the stamp and the shared label from the bottom, and keep the axes above them."""
    high, used = 72 * figure.get_figheight(), 0.0
    for gid in (_STAMP, _NOTE, _LABEL):
        for text in _texts(figure, gid):
            text.set_y((used + 2) / high)
            used += 2 + 1.32 * _SIZES[gid] * (1 + text.get_text().count("\n"))
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, used / high, 1, 1 - used / high))
