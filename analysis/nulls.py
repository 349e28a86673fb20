"""Null models: is a measure of a network more than its degrees make of it?

The null keeps every node's degree and otherwise ties at random, by swapping the ends of pairs of
edges. Comparing a measure with its values on such networks tells structure from degree alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import AnalysisError, require

__all__ = ["NullComparison", "against_null", "rewired"]

Edges = NDArray[np.int64]


def rewired(edges: ArrayLike, *, rng: np.random.Generator, swaps_per_edge: float = 10.0) -> Edges:
    """A random simple network with the same degrees.

    Two random edges (a, b) and (c, d) become (a, d) and (c, b), unless that would make a loop or an
    edge that is there already. Rejected swaps count as attempts, which makes all simple networks
    with these degrees equally likely in the long run.

    Parameters
    ----------
    edges
        Undirected, shape (m, 2), without loops and each edge once.
    swaps_per_edge
        Attempted swaps over m.

    Returns
    -------
    Shape (m, 2).

    References
    ----------
    Maslov and Sneppen (2002), Science 296, 910-913.

    Examples
    --------
    >>> edges = [(0, 1), (2, 3), (4, 5), (0, 2)]
    >>> new = rewired(edges, rng=np.random.default_rng(1))
    >>> np.bincount(new.ravel()).tolist() == np.bincount(np.ravel(edges)).tolist()
    True
    """
    ties = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    pairs = [(int(a), int(b)) for a, b in ties]
    there = {frozenset(pair) for pair in pairs}
    require(
        len(there) == len(pairs) and all(a != b for a, b in pairs),
        AnalysisError,
        "the edges hold a loop or an edge twice; expected a simple network",
    )
    m = len(pairs)
    if m < 2:
        return ties.copy()
    attempts = int(swaps_per_edge * m)
    chosen = rng.integers(0, m, size=(attempts, 2)).tolist()
    turned = rng.random(attempts) < 0.5
    for (i, j), turn in zip(chosen, turned, strict=True):
        (a, b), (c, d) = pairs[i], pairs[j][::-1] if turn else pairs[j]
        one, two = frozenset((a, d)), frozenset((c, b))
        if i == j or a == d or c == b or one == two or one in there or two in there:
            continue
        there -= {frozenset((a, b)), frozenset((c, d))}
        there |= {one, two}
        pairs[i], pairs[j] = (a, d), (c, b)
    return np.array(pairs, dtype=np.int64)


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
    level: float = 0.95,
) -> NullComparison:
    """Compare a measure of the edges with its values on networks of the same degrees.

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
    ties = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    value = float(measure(ties))
    drawn = [
        float(measure(rewired(ties, rng=rng, swaps_per_edge=swaps_per_edge)))
        for _ in range(n_networks)
    ]
    null = np.array([v for v in drawn if np.isfinite(v)])
    nan = float("nan")
    if null.size == 0 or not np.isfinite(value):
        return NullComparison(value, nan, nan, nan, nan, int(null.size))
    mean = float(null.mean())
    far = np.abs(null - mean) >= abs(value - mean) * (1 - 1e-12)
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    p = float((far.sum() + 1) / (null.size + 1))
    return NullComparison(value, mean, float(low), float(high), p, int(null.size))
