"""Networks of places: who lives near whom, and the neighbourhoods of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require
from abm.networks.arrays import as_numbers, size_of, whole
from abm.networks.network import Network

__all__ = ["lattice", "proximity", "random_geometric"]


def random_geometric(
    n: int, radius: float, *, dimensions: int = 2, torus: bool = False, rng: np.random.Generator
) -> Network:
    """Points drawn uniformly in the unit square (or cube), tied when at most `radius` apart.

    The points are `rng.random((n, dimensions))`: draw them yourself and call `proximity` if you
    need the places too.

    Parameters
    ----------
    radius
        Largest distance of a tie, >= 0; below 1/2 on a torus. On a torus in two dimensions the mean
        degree is (n - 1) pi radius**2.
    dimensions
        Of the space, >= 1.
    torus
        Whether opposite sides are joined, so that nobody lives at a border.

    References
    ----------
    Gilbert (1961), Journal of the SIAM 9; Dall & Christensen (2002), Physical Review E 66, 016121.

    Examples
    --------
    >>> random_geometric(50, 2.0, rng=np.random.default_rng(1)).n_edges
    1225
    """
    size, axes = size_of(n), whole("dimensions", dimensions)
    require(axes >= 1, NetworkError, f"dimensions = {axes}, expected dimensions >= 1")
    return proximity(rng.random((size, axes)), radius, box=1.0 if torus else None)


def proximity(points: ArrayLike, radius: float, *, box: float | None = None) -> Network:
    """Ties between all points that are at most `radius` apart (Euclidean distance).

    Parameters
    ----------
    points
        Finite coordinates, shape (n, n_dimensions).
    radius
        Largest distance of a tie, >= 0, in the unit of the points.
    box
        Side of a box whose opposite sides are joined; coordinates lie in [0, box). `None` for an
        open space.

    Examples
    --------
    >>> proximity([[0.0, 0.0], [0.3, 0.1], [0.9, 0.0]], 0.4).edges().tolist()
    [[0, 1]]
    >>> proximity([[0.0, 0.0], [0.3, 0.1], [0.9, 0.0]], 0.4, box=1.0).edges().tolist()
    [[0, 1], [0, 2]]
    """
    from scipy.spatial import cKDTree

    from abm.kernels.rows import pack

    places = _places(points, box)
    require(
        0 <= radius < np.inf and (box is None or 2 * radius < box),
        NetworkError,
        f"radius = {radius}, expected a finite number >= 0"
        + ("" if box is None else f" and less than half the box, {box / 2}"),
    )
    size: Any = box  # None, or a number: the types of SciPy know only None
    pairs = cKDTree(places, boxsize=size).query_pairs(radius, output_type="ndarray")
    n = len(places)
    return Network._trusted(n, *pack(n, pairs[:, 0], pairs[:, 1], both=True))


def _places(points: ArrayLike, box: float | None) -> NDArray[np.float64]:
    places = as_numbers("points", points)
    require(
        places.ndim == 2,
        NetworkError,
        f"points has shape {places.shape}, expected (n, n_dimensions)",
    )
    bad = ~np.isfinite(places)
    if box is not None:
        require(box > 0, NetworkError, f"box = {box}, expected a side > 0")
        bad |= (places < 0) | (places >= box)
    rows = np.flatnonzero(bad.any(axis=1))
    require(
        rows.size == 0,
        NetworkError,
        f"points: {rows.size} are not finite or outside the box, first in row {rows[:1].tolist()}",
    )
    return places


def lattice(
    shape: Sequence[int],
    *,
    neighbourhood: Literal["von Neumann", "Moore"] = "von Neumann",
    reach: int = 1,
    torus: bool = False,
) -> Network:
    """The cells of a grid, each tied to those around it.

    Parameters
    ----------
    shape
        Cells along each dimension, such as (50, 50); numbered row after row, as
        `numpy.ravel_multi_index` does.
    neighbourhood
        `von Neumann`: cells at most `reach` steps along the axes away. `Moore`: cells at most
        `reach` away along every axis, diagonals too.
    reach
        How far the neighbourhood goes, >= 1.
    torus
        Whether opposite sides are joined; every side must then be longer than 2 * reach.

    Examples
    --------
    >>> lattice((3, 3)).neighbours(4).tolist()
    [1, 3, 5, 7]
    >>> set(lattice((5, 5), neighbourhood="Moore", torus=True).degree.tolist())
    {8}
    """
    from abm.kernels.rows import pack

    sides = _sides(shape, reach, torus)
    require(
        neighbourhood in ("von Neumann", "Moore"),
        NetworkError,
        f"neighbourhood = {neighbourhood!r}, expected 'von Neumann' or 'Moore'",
    )
    n = int(np.prod(sides))
    cells = np.arange(n, dtype=np.int32).reshape(sides)
    sources, targets = [], []
    for step in itertools.product(range(-reach, reach + 1), repeat=len(sides)):
        near = neighbourhood == "Moore" or sum(map(abs, step)) <= reach
        if near and step > (0,) * len(sides):  # each tie once
            ends = _shifted(cells, step, torus)
            sources.append(ends[0].ravel())
            targets.append(ends[1].ravel())
    if not sources or n == 0:
        return Network.from_edges([], n)
    packed = pack(n, np.concatenate(sources), np.concatenate(targets), both=True)
    return Network._trusted(n, *packed)


def _sides(shape: Sequence[int], reach: int, torus: bool) -> tuple[int, ...]:
    sides = tuple(whole("side of shape", side) for side in shape)
    whole("reach", reach)
    good = len(sides) >= 1 and all(side >= 0 for side in sides) and reach >= 1
    require(
        good and np.prod(sides, dtype=float) < 2**31,
        NetworkError,
        f"shape = {sides}, reach = {reach}, expected sides >= 0 with fewer than 2**31 cells and "
        "reach >= 1",
    )
    require(
        not torus or all(side > 2 * reach for side in sides),
        NetworkError,
        f"shape = {sides} on a torus, expected every side longer than 2 * reach = {2 * reach}; "
        "otherwise a cell would be its own neighbour, or a neighbour twice",
    )
    return sides


def _shifted(
    cells: NDArray[np.int32], step: tuple[int, ...], torus: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cells and the cells `step` further."""
    if torus:
        return cells, np.roll(cells, [-s for s in step], axis=range(cells.ndim))
    here = tuple(slice(max(0, -s), None if s <= 0 else -s) for s in step)
    there = tuple(slice(max(0, s), None if s >= 0 else s) for s in step)
    return cells[here], cells[there]
