"""Null models: is a measure of a network more than its degrees make of it?

The null keeps every node's degree and otherwise ties at random, by swapping the ends of pairs of
edges. Comparing a measure with its values on such networks tells structure from degree alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_edges
from abm.analysis.intervals import check_level
from abm.errors import AnalysisError, require

__all__ = ["NullComparison", "against_null", "rewired"]

Edges = NDArray[np.int64]
_BLOCK = 1 << 20
"""Swaps drawn at once: a bound on memory."""


def rewired(
    edges: ArrayLike,
    *,
    rng: np.random.Generator,
    swaps_per_edge: float = 10.0,
    directed: bool = False,
) -> Edges:
    """A random simple network with the same degrees.

    Two random edges (a, b) and (c, d) become (a, d) and (c, b), unless that would make a loop or an
    edge that is there already. Rejected swaps count as attempts, which makes all simple networks
    with these degrees equally likely in the long run.

    Parameters
    ----------
    edges
        Shape (m, 2), without loops and each edge once.
    swaps_per_edge
        Attempted swaps over m.
    directed
        Whether (a, b) and (b, a) are two edges: then everybody keeps how many they follow and how
        many follow them. Swaps cannot turn a directed triangle round that has nothing else to
        swap with, so that some small directed networks are not drawn (Rao et al. 1996).

    Returns
    -------
    Shape (m, 2). Nothing can be swapped in fewer than two edges, which come back as they are.

    Raises
    ------
    AnalysisError
        The edges hold a loop, or one of them twice.

    References
    ----------
    Maslov and Sneppen (2002), Science 296, 910-913; Rao, Jana and Bandyopadhyay (1996), Sankhya A
    58, 225-242.

    Examples
    --------
    >>> edges = [(0, 1), (2, 3), (4, 5), (0, 2)]
    >>> new = rewired(edges, rng=np.random.default_rng(1))
    >>> np.bincount(new.ravel()).tolist() == np.bincount(np.ravel(edges)).tolist()
    True
    """
    require(swaps_per_edge >= 0, AnalysisError, f"swaps_per_edge = {swaps_per_edge}, expected >= 0")
    ties = as_edges(edges).copy()
    m, n = len(ties), int(ties.max(initial=0)) + 1
    table = np.full(1 << max(2, int(4 * m).bit_length()), -1, dtype=np.int64)
    simple = ties.size == 0 or (int(ties.min()) >= 0 and _fill(table, ties, n, directed))
    require(
        bool(simple),
        AnalysisError,
        "the edges hold a loop or an edge twice; expected a simple network",
    )
    left = int(swaps_per_edge * m) if m > 1 else 0
    while left > 0:
        now = min(left, _BLOCK)
        chosen = rng.integers(0, m, size=(now, 2))
        turned = np.zeros(now, dtype=np.bool_) if directed else rng.random(now) < 0.5
        _swap(table, ties, n, chosen, turned, directed)
        left -= now
    return ties


@dataclass(frozen=True)
class NullComparison:
    """A measure beside its values under the null.

    Attributes
    ----------
    value
        On the network as it is.
    null_mean, null_low, null_high
        Mean and central interval over null networks.
    p_value
        Two-sided: how often the null is as far from its own mean, counting the network itself; nan
        where undefined.
    n
        Null networks with a defined value.
    """

    value: float
    null_mean: float
    null_low: float
    null_high: float
    p_value: float
    n: int


def against_null(
    measure: Callable[[Edges], float],
    edges: ArrayLike,
    *,
    rng: np.random.Generator,
    n_networks: int = 199,
    swaps_per_edge: float = 10.0,
    directed: bool = False,
    level: float = 0.95,
) -> NullComparison:
    """Compare a measure of the edges with its values on networks of the same degrees.

    Parameters
    ----------
    measure
        Function of edges, shape (m, 2); nan where undefined.
    edges, swaps_per_edge, directed
        As in `rewired`.

    Returns
    -------
    The p-value lies in [1 / (n_networks + 1), 1]; nan where the measure is undefined on the network
    or on all of the null.

    References
    ----------
    Maslov and Sneppen (2002), Science 296, 910-913, for the comparison; Davison and Hinkley (1997),
    Bootstrap Methods and Their Application, chapter 4, for p-values of draws.

    Examples
    --------
    >>> from abm.analysis.networks import assortativity
    >>> ring = np.array([(i, (i + 1) % 9) for i in range(9)])
    >>> two_rings = np.concatenate([ring, ring + 9])
    >>> sides = [0] * 9 + [1] * 9
    >>> found = against_null(lambda e: assortativity(e, sides), two_rings,
    ...                      rng=np.random.default_rng(1), n_networks=99)
    >>> found.value, found.p_value
    (1.0, 0.01)
    """
    check_level(level)
    require(n_networks >= 1, AnalysisError, f"n_networks = {n_networks}, expected >= 1")
    ties = as_edges(edges)
    value = float(measure(ties))
    drawn = [
        float(measure(rewired(ties, rng=rng, swaps_per_edge=swaps_per_edge, directed=directed)))
        for _ in range(n_networks)
    ]
    null = np.array([v for v in drawn if np.isfinite(v)])
    nan = float("nan")
    if null.size == 0 or not np.isfinite(value):
        return NullComparison(value, nan, nan, nan, nan, int(null.size))
    mean = float(null.mean())
    # Equal values that were added up in another order differ by rounding; that is not far.
    same = 1e-12 * max(abs(value), abs(mean))
    far = np.abs(null - mean) >= abs(value - mean) - same
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    p = float((far.sum() + 1) / (null.size + 1))
    return NullComparison(value, mean, float(low), float(high), p, int(null.size))


@njit(cache=True)
def _key(a: int, b: int, n: int, directed: bool) -> int:
    return a * n + b if a < b or directed else b * n + a


@njit(cache=True)
def _home(key: int, size: int) -> int:
    """Where a key wants to lie in a table of `size` places, a power of two."""
    mixed = key ^ (key >> 29)
    return (mixed * 0x5851F42D4C957F2D) & (size - 1)


@njit(cache=True)
def _find(table: Edges, key: int) -> int:
    """Place of a key, or minus one minus the free place where it would go."""
    place = _home(key, table.size)
    while table[place] != -1:
        if table[place] == key:
            return place
        place = (place + 1) & (table.size - 1)
    return -1 - place


@njit(cache=True)
def _remove(table: Edges, place: int) -> None:
    """Free a place and move later keys up, so that no search breaks off early."""
    size = table.size
    hole, here = place, (place + 1) & (size - 1)
    while table[here] != -1:
        home = _home(table[here], size)
        if ((here - home) & (size - 1)) >= ((here - hole) & (size - 1)):
            table[hole] = table[here]
            hole = here
        here = (here + 1) & (size - 1)
    table[hole] = -1


@njit(cache=True)
def _fill(table: Edges, ties: Edges, n: int, directed: bool) -> bool:
    """Put all edges into the table; False at a loop or an edge that is there already."""
    for i in range(ties.shape[0]):
        place = _find(table, _key(ties[i, 0], ties[i, 1], n, directed))
        if ties[i, 0] == ties[i, 1] or place >= 0:
            return False
        table[-1 - place] = _key(ties[i, 0], ties[i, 1], n, directed)
    return True


@njit(cache=True)
def _swap(
    table: Edges,
    ties: Edges,
    n: int,
    chosen: Edges,
    turned: NDArray[np.bool_],
    directed: bool,
) -> None:
    for k in range(chosen.shape[0]):
        i, j = chosen[k, 0], chosen[k, 1]
        a, b, c, d = ties[i, 0], ties[i, 1], ties[j, 0], ties[j, 1]
        if turned[k]:
            c, d = d, c
        if i == j or a == d or c == b:
            continue
        one, two = _key(a, d, n, directed), _key(c, b, n, directed)
        if one == two or _find(table, one) >= 0 or _find(table, two) >= 0:
            continue
        _remove(table, _find(table, _key(a, b, n, directed)))
        _remove(table, _find(table, _key(c, d, n, directed)))
        table[-1 - _find(table, one)] = one
        table[-1 - _find(table, two)] = two
        ties[i, 0], ties[i, 1] = a, d
        ties[j, 0], ties[j, 1] = c, b
