"""Cascades: the shape of trees of messages passed on.

A cascade forest is an array of parents: `parents[i]` is the row that row i came from, -1 for the
start of a cascade. All measures are taken level by level over whole forests at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers, as_whole
from abm.errors import AnalysisError, require

__all__ = ["cascade_table", "depths", "half_life", "roots", "structural_virality", "subtree_sizes"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def depths(parents: ArrayLike) -> Integers:
    """Steps from the start of the cascade to each row, shape (n,).

    Returns
    -------
    Whole steps >= 0, shape (n,); 0 for a start, never undefined.

    Raises
    ------
    AnalysisError
        A parent is no row, or rows are their own ancestors.

    References
    ----------
    Vosoughi, Roy and Aral (2018), Science 359, 1146-1151, who measure cascades so.

    Examples
    --------
    >>> depths([-1, 0, 0, 1]).tolist()
    [0, 1, 1, 2]
    """
    tree = _tree(parents)
    result = np.full(tree.size, -1, dtype=np.int64)
    for level, rows in enumerate(_levels(tree)):
        result[rows] = level
    return result


def roots(parents: ArrayLike) -> Integers:
    """The first row of the cascade that each row belongs to, shape (n,).

    Returns
    -------
    Row numbers, shape (n,); never undefined.

    References
    ----------
    Defined here: what tells the cascades of one forest apart.

    Examples
    --------
    >>> roots([-1, 0, -1, 2, 1]).tolist()
    [0, 0, 2, 2, 0]
    """
    tree = _tree(parents)
    result = np.arange(tree.size)
    for level, rows in enumerate(_levels(tree)):
        if level:
            result[rows] = result[tree[rows]]
    return result


def subtree_sizes(parents: ArrayLike) -> Integers:
    """Rows in the branch that starts at each row, itself included, shape (n,).

    Returns
    -------
    Whole numbers >= 1, shape (n,); never undefined.

    References
    ----------
    Goel et al. (2016), Management Science 62, 180-196: structural virality is a sum over them.

    Examples
    --------
    >>> subtree_sizes([-1, 0, 0, 1]).tolist()
    [4, 2, 1, 1]
    """
    tree = _tree(parents)
    return _sizes(tree, list(_levels(tree)))


def structural_virality(parents: ArrayLike) -> float:
    """Mean distance between all pairs of rows of one cascade: 2 / (n (n-1)) x sum of distances.

    An edge whose branch holds s rows lies between s (n - s) pairs, so one pass over the tree is
    enough.

    Returns
    -------
    Nearly 2 for a broadcast, (n + 1) / 3 for a chain; nan for a cascade of one.

    References
    ----------
    Goel et al. (2016), Management Science 62, 180-196.

    Examples
    --------
    >>> structural_virality([-1] + [0] * 9)
    1.8
    >>> round(structural_virality([-1, 0, 1, 2, 3, 4, 5, 6, 7, 8]), 4)
    3.6667
    """
    tree = _tree(parents)
    starts = int(np.sum(tree < 0))
    require(
        starts == 1,
        AnalysisError,
        f"{starts} starts, expected one cascade; use cascade_table for several",
    )
    return float(cascade_table(tree)["virality"][0])


def cascade_table(parents: ArrayLike, *, times: ArrayLike | None = None) -> pl.DataFrame:
    """Shape of every cascade of a forest.

    Parameters
    ----------
    parents
        Shape (n,).
    times
        When each row happened, shape (n,); adds `duration` and `half_life`.

    Returns
    -------
    One row per cascade: `root`, `size` (rows, the start included), `depth` (steps from the start to
    the farthest row, 0 for a cascade of one), `breadth` (most rows at one depth),
    `virality` (structural; nan for a cascade of one), and with times `duration` (first to last row)
    and `half_life` (from the first row until half of the rows have happened).

    References
    ----------
    Vosoughi, Roy and Aral (2018), Science 359, 1146-1151 (size, depth, breadth); Goel et al.
    (2016), Management Science 62, 180-196 (structural virality). The half-life is that of
    `half_life`.

    Examples
    --------
    >>> cascade_table([-1, 0, 0, 1, -1]).rows()
    [(0, 4, 2, 2, 1.6666666666666667), (4, 1, 0, 1, nan)]
    """
    tree = _tree(parents)
    levels = list(_levels(tree))
    sizes, depth, root = _sizes(tree, levels), depths(tree), roots(tree)
    starts = np.flatnonzero(tree < 0)
    place = np.searchsorted(starts, root)
    size = sizes[starts]
    pairs = np.bincount(place, sizes * (size[place] - sizes).astype(np.float64), starts.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        virality = np.where(size > 1, 2 * pairs / (size * (size - 1.0)), np.nan)
    longest = np.zeros(starts.size, dtype=np.int64)
    np.maximum.at(longest, place, depth)
    columns = {
        "root": starts,
        "size": size,
        "depth": longest,
        "breadth": _breadth(place, depth, starts.size),
        "virality": virality,
    }
    if times is not None:
        columns |= _lasting(place, starts, as_numbers(times, "times").ravel(), size)
    return pl.DataFrame(columns)


def half_life(times: ArrayLike) -> float:
    """Time from the first event until half of all events have happened; nan for none.

    Of n events the ceil(n / 2)-th in order ends it, the first one counted; so it is 0 for one or
    two.

    Raises
    ------
    AnalysisError
        A time is undefined: whether the event came in the first half cannot be said.

    References
    ----------
    Defined here, for a record of finitely many events: the sample median of the times, measured
    from the first.

    Examples
    --------
    >>> half_life([0.0, 1.0, 2.0, 50.0])
    1.0
    """
    when = np.sort(as_numbers(times, "times").ravel())
    require(not np.isnan(when).any(), AnalysisError, "an event has no time: leave it out")
    return float(when[(when.size - 1) // 2] - when[0]) if when.size else float("nan")


def _tree(parents: ArrayLike) -> Integers:
    tree = as_whole(parents, "parents").ravel()
    inside = tree.size == 0 or (tree.min() >= -1 and tree.max() < tree.size)
    require(
        bool(inside),
        AnalysisError,
        f"parents reach from {tree.min(initial=0)} to {tree.max(initial=0)}, expected rows 0 to "
        f"{tree.size - 1}, or -1 for the start of a cascade",
    )
    return tree


def _levels(tree: Integers) -> Iterator[Integers]:
    """Rows at depth 0, 1, 2, ...; refuses rows that no start leads to."""
    order = np.argsort(tree, kind="stable")
    first = np.searchsorted(tree[order], np.arange(tree.size + 1))
    rows, seen = np.flatnonzero(tree < 0), 0
    while rows.size:
        yield rows
        seen += rows.size
        low, high = first[rows], first[rows + 1]
        count = high - low
        offsets = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        rows = order[np.repeat(low, count) + offsets]
    require(
        seen == tree.size,
        AnalysisError,
        f"{tree.size - seen} rows are their own ancestors: parents must come from an earlier row",
    )


def _sizes(tree: Integers, levels: list[Integers]) -> Integers:
    sizes = np.ones(tree.size, dtype=np.int64)
    for rows in reversed(levels[1:]):
        np.add.at(sizes, tree[rows], sizes[rows])
    return sizes


def _breadth(place: Integers, depth: Integers, n: int) -> Integers:
    tall = int(depth.max(initial=0)) + 1
    cells, held = np.unique(place * tall + depth, return_counts=True)
    widest = np.zeros(n, dtype=np.int64)
    np.maximum.at(widest, cells // tall, held)
    return widest


def _lasting(place: Integers, starts: Integers, times: Array, size: Integers) -> dict[str, Array]:
    require(
        times.shape == place.shape and not np.isnan(times).any(),
        AnalysisError,
        f"{times.size} times for {place.size} rows, expected one time for each",
    )
    order = np.lexsort((times, place))
    first = np.searchsorted(place[order], np.arange(starts.size))
    when = times[order]
    begin = when[first] if starts.size else np.empty(0)
    return {
        "duration": when[first + size - 1] - begin,
        "half_life": when[first + (size - 1) // 2] - begin,
    }
