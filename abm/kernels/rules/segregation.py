"""Segregation: people move away when too few neighbours are like them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, require
from abm.kernels.rules.ranges import SHARE, within

__all__ = ["City", "Schelling", "city", "like_share", "schelling"]


class City(NamedTuple):
    """State of `schelling`.

    Attributes
    ----------
    place : int64 array, shape (n_agents,)
        Cell of each agent, numbered row after row.
    group : int8 array, shape (n_rows, n_columns)
        Group of who lives in a cell, from 1; 0 for an empty cell.
    empty : int64 array, shape (n_empty,)
        The empty cells.
    moves : int64 array, shape (1,)
        How often somebody moved.
    """

    place: NDArray[np.int64]
    group: NDArray[np.int8]
    empty: NDArray[np.int64]
    moves: NDArray[np.int64]


@within(threshold=SHARE)
class Schelling(NamedTuple):
    """Parameters of `schelling`.

    Attributes
    ----------
    threshold
        Share of like neighbours below which people move, in [0, 1].
    """

    threshold: float


def city(shape: tuple[int, int], sizes: Sequence[int], *, rng: np.random.Generator) -> City:
    """People of several groups in random cells of a torus.

    Parameters
    ----------
    shape
        Rows and columns, >= 3 each.
    sizes
        People in each group; together fewer than there are cells.

    Raises
    ------
    EngineError
        A smaller grid, or no cell left empty.

    Examples
    --------
    >>> town = city((5, 5), [10, 10], rng=np.random.default_rng(1))
    >>> len(town.place), len(town.empty), np.bincount(town.group.ravel()).tolist()
    (20, 5, [5, 10, 10])
    """
    n_cells, n_people = int(np.prod(shape)), int(np.sum(sizes))
    whole = all(isinstance(number, (int, np.integer)) for number in (*shape, *sizes))
    good = whole and len(shape) == 2 and min(shape) >= 3 and all(size >= 0 for size in sizes)
    require(
        good and n_people < n_cells and len(sizes) <= 127,
        EngineError,
        f"shape = {shape}, sizes = {list(sizes)}: expected whole numbers, "
        "at least 3 x 3 cells and one empty cell",
    )
    cells = rng.permutation(n_cells)
    group = np.zeros(n_cells, dtype=np.int8)
    group[cells[:n_people]] = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    place, empty = cells[:n_people].copy(), np.sort(cells[n_people:])
    return City(place, group.reshape(shape), empty, np.zeros(1, dtype=np.int64))


def schelling(i: int, state: Any, p: Schelling, rng: Any) -> None:
    """Move to a random empty cell if too few of the eight neighbours are alike. For `run_rows`.

    `state` is a `City`. The share is that of like neighbours among all neighbours; who has none is
    content.

    References
    ----------
    Schelling (1971), Journal of Mathematical Sociology 1, 143-186.

    Examples
    --------
    >>> from abm.kernels import run_rows
    >>> town = city((20, 20), [180, 180], rng=np.random.default_rng(1))
    >>> _ = run_rows(schelling, town, Schelling(0.4), rounds=50, schedule="sweep",
    ...              rng=np.random.default_rng(2))
    >>> like_share(town) > 0.7
    True
    """
    place, group, empty, moves = state
    rows, columns = group.shape
    here = place[i]
    r, c = here // columns, here % columns
    like, n_neighbours = 0, 0
    for dr in range(-1, 2):
        for dc in range(-1, 2):
            other = group[(r + dr) % rows, (c + dc) % columns]
            if (dr != 0 or dc != 0) and other != 0:
                n_neighbours += 1
                if other == group[r, c]:
                    like += 1
    if like < p.threshold * n_neighbours:
        k = rng.integer(len(empty))
        there = empty[k]
        group[there // columns, there % columns] = group[r, c]
        group[r, c] = 0
        place[i] = there
        empty[k] = here
        moves[0] += 1


def like_share(town: City) -> float:
    """Mean share of like neighbours, over the people who have neighbours.

    Examples
    --------
    >>> like_share(city((3, 3), [8], rng=np.random.default_rng(1)))
    1.0
    """
    like = np.zeros(town.group.shape)
    near = np.zeros(town.group.shape)
    for dr, dc in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
        other = np.roll(town.group, (dr, dc), axis=(0, 1))
        near += other > 0
        like += (other == town.group) & (other > 0)
    lived = (town.group > 0) & (near > 0)
    return float((like[lived] / near[lived]).mean())
