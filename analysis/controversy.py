"""Random-walk controversy: how hard it is to hear the other side's leaders, solved exactly.

A walker starts at a random node of a side and walks until it reaches a hub, one of the best
connected nodes of either side. Controversy compares where those who ended came from. The usual
estimate walks at random many times; here the absorption probabilities are the solution of one
linear system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg, spsolve

from abm.analysis.arrays import as_edges, as_labels, as_numbers, as_whole
from abm.errors import AnalysisError, require

__all__ = ["Controversy", "random_walk_controversy"]

Array = NDArray[np.float64]
NAN = float("nan")
_DIRECT = 3000
"""Systems up to this size are solved directly, larger ones by conjugate gradients to 1e-12."""


@dataclass(frozen=True)
class Controversy:
    """Random-walk controversy and what it is made of.

    Attributes
    ----------
    score
        P_XX P_YY - P_XY P_YX in [-1, 1]: near 1 when nobody crosses, near 0 when sides mix freely.
    matrix
        P[a, b] = probability that a walker that ended at a hub of side b started on side a, if both
        sides are equally likely to start, shape (2, 2).
    hubs
        Node numbers of the hubs of the two sides.
    """

    score: float
    matrix: Array
    hubs: tuple[NDArray[np.int64], NDArray[np.int64]]


def random_walk_controversy(
    edges: ArrayLike,
    sides: ArrayLike,
    *,
    n_hubs: int = 10,
    weights: ArrayLike | None = None,
    hubs: tuple[ArrayLike, ArrayLike] | None = None,
    hubs_end_at_once: bool = False,
) -> Controversy:
    """Exact random-walk controversy of a network with two sides.

    Parameters
    ----------
    edges
        Undirected, shape (m, 2), each once.
    sides
        One of two values per node, shape (n,); X is the smaller one.
    n_hubs
        Hubs per side: the nodes with the largest degrees, and all that tie with the last of them,
        so that the numbering of nodes does not matter. All nodes of a smaller side are hubs.
    weights
        Weight per edge, > 0; steps and degrees follow them.
    hubs
        Node numbers of the hubs of X and of Y, in place of those with the largest degrees.
    hubs_end_at_once
        Whether a walker who starts at a hub ends there without a step. By default everybody takes
        at least one step, as in the simulated walks of Garimella et al.

    Returns
    -------
    The score is nan when a side has no hub with edges, or when nobody ends at one. Nodes whose
    component has no hub, and nodes without edges, never end.

    Raises
    ------
    AnalysisError
        There are not two sides, a weight is not > 0, or a given hub lies on the other side.

    References
    ----------
    Garimella et al. (2018), ACM Transactions on Social Computing 1, 3, section 4.2.

    Examples
    --------
    Two triangles that are not connected:

    >>> edges = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
    >>> random_walk_controversy(edges, [0, 0, 0, 1, 1, 1], n_hubs=1).score
    1.0
    """
    labels, walk = _checked(edges, sides, weights, n_hubs)
    degree = np.asarray(walk.sum(axis=1), dtype=np.float64).ravel()
    chosen = (
        (_hubs(degree, labels, n_hubs, 0), _hubs(degree, labels, n_hubs, 1))
        if hubs is None
        else (_given_hubs(hubs[0], labels, 0), _given_hubs(hubs[1], labels, 1))
    )
    ends = np.stack(
        [_ends(walk, degree, chosen, side, hubs_end_at_once) for side in (0, 1)], axis=1
    )
    given = np.stack([ends[labels == side].mean(axis=0) for side in (0, 1)])
    arrived = given.sum(axis=0)
    if not np.all(arrived > 0):
        return Controversy(NAN, np.full((2, 2), np.nan), chosen)
    p = given / arrived
    return Controversy(float(p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0]), p, chosen)


def _checked(
    edges: ArrayLike, sides: ArrayLike, weights: ArrayLike | None, n_hubs: int
) -> tuple[NDArray[np.int64], sparse.csr_array[Any]]:
    names, labels = as_labels(sides, "sides")
    require(names.size == 2, AnalysisError, f"sides {names.tolist()[:5]}, expected two values")
    require(n_hubs >= 1, AnalysisError, f"n_hubs = {n_hubs}, expected >= 1")
    ties = as_edges(edges)
    w = np.ones(len(ties)) if weights is None else as_numbers(weights, "weights")
    good = w.shape == (len(ties),) and bool(np.all(w > 0))
    require(
        good,
        AnalysisError,
        f"{w.size} weights for {len(ties)} edges, the smallest {w.min(initial=np.inf)}, expected "
        "one weight > 0 per edge: leave edges of weight 0 out",
    )
    n = labels.size
    inside = ties.size == 0 or (ties.min() >= 0 and ties.max() < n)
    require(bool(inside), AnalysisError, f"edges name nodes outside 0 to {n - 1}")
    half = sparse.coo_array((w, (ties[:, 0], ties[:, 1])), shape=(n, n))
    return labels, sparse.csr_array(half + half.T)


def _hubs(degree: Array, labels: NDArray[np.int64], n_hubs: int, side: int) -> NDArray[np.int64]:
    nodes = np.flatnonzero((labels == side) & (degree > 0))
    if nodes.size <= n_hubs:
        return nodes
    last = np.partition(degree[nodes], -n_hubs)[-n_hubs]
    chosen: NDArray[np.int64] = nodes[degree[nodes] >= last]
    return chosen


def _given_hubs(hubs: ArrayLike, labels: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    nodes = np.unique(as_whole(hubs, "hubs"))
    inside = nodes.size == 0 or (nodes[0] >= 0 and nodes[-1] < labels.size)
    require(
        bool(inside) and bool(np.all(labels[nodes] == side)),
        AnalysisError,
        f"hubs {nodes[:5].tolist()}, expected nodes of {'XY'[side]}, the side of the "
        f"{('smaller', 'larger')[side]} of the two values",
    )
    return nodes


def _ends(
    walk: sparse.csr_array[Any],
    degree: Array,
    hubs: tuple[NDArray[np.int64], NDArray[np.int64]],
    side: int,
    at_once: bool,
) -> Array:
    """Probability of ending at a hub of `side` for each start."""
    n = degree.size
    reached = np.zeros(n)
    reached[hubs[side]] = 1.0
    is_hub = np.zeros(n, dtype=bool)
    is_hub[np.concatenate(hubs)] = True
    _, component = connected_components(walk, directed=False)
    free = np.flatnonzero(~is_hub & np.isin(component, component[is_hub]))
    if free.size:
        rows = walk[free]
        system = sparse.diags_array(degree[free]) - rows[:, free]
        reached[free] = _solve(sparse.csr_array(system), rows @ reached)
    if at_once:
        return reached
    step = walk @ reached
    ends: Array = np.divide(step, degree, out=np.zeros(n), where=degree > 0)
    return ends


def _solve(system: sparse.csr_array[Any], target: Array) -> Array:
    """Solution of the grounded Laplacian, which is symmetric and positive definite."""
    if target.size <= _DIRECT:
        return np.asarray(spsolve(sparse.csc_array(system), target), dtype=np.float64).reshape(-1)
    scale = sparse.diags_array(1 / system.diagonal())
    found, failed = cg(system, target, rtol=1e-12, atol=0.0, maxiter=10_000, M=scale)
    require(
        failed == 0,
        AnalysisError,
        "the absorption probabilities did not converge in 10,000 steps: the network has long "
        "chains far from every hub; use more hubs",
    )
    return np.asarray(found, dtype=np.float64)
