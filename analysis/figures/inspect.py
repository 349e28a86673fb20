"""Looking at a figure by machine: texts that touch each other or leave the page."""

from __future__ import annotations

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from abm.analysis.figures.layout import settled
from abm.analysis.figures.style import figure_style

__all__ = ["crowded_text", "text_boxes"]


def text_boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Visible texts of a figure with their boxes in pixels, as drawn."""
    with figure_style(), settled(figure):
        figure.draw_without_rendering()
        hidden = _undrawn(figure)
        texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and id(t) not in hidden]
        drawn = [t for t in texts if t.get_visible() and t.get_text().strip()]
        return [(t.get_text(), t.get_window_extent()) for t in drawn]


def crowded_text(figure: Figure, *, slack: float = 0.5) -> list[str]:
    """Texts that overlap each other or leave the figure; empty when the figure reads well.

    Parameters
    ----------
    slack
        Pixels of overlap that are forgiven.

    Examples
    --------
    >>> from abm.analysis.figures.style import new_figure
    >>> figure = new_figure("single", 40)
    >>> _ = figure.text(0.5, 0.5, "one"), figure.text(0.5, 0.5, "two")
    >>> crowded_text(figure)
    ["'one' and 'two' overlap"]
    """
    boxes = text_boxes(figure)
    page = Bbox.from_bounds(0, 0, *figure.canvas.get_width_height())
    outside = [
        f"{text!r} leaves the page"
        for text, box in boxes
        if box.x0 < page.x0 - slack
        or box.y0 < page.y0 - slack
        or box.x1 > page.x1 + slack
        or box.y1 > page.y1 + slack
    ]
    touching = [
        f"{a!r} and {b!r} overlap"
        for (a, one), (b, two) in combinations(boxes, 2)
        if min(one.x1, two.x1) - max(one.x0, two.x0) > slack
        and min(one.y1, two.y1) - max(one.y0, two.y0) > slack
    ]
    return outside + touching


def _undrawn(figure: Figure) -> set[int]:
    """Identities of tick labels not drawn: outside the view, or of an axis switched off."""
    hidden: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            on = axis.get_visible() and axes.axison and axes.get_visible()
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (on and low - slack <= tick.get_loc() <= high + slack):
                    hidden |= {id(tick.label1), id(tick.label2)}
    return hidden
