"""Networks and opinions on them: who is tied to whom, and how alike the tied are.

A network is an array of undirected edges, shape (m, 2), of node numbers 0 to n - 1, each edge once,
with weights if wanted; node values and groups are arrays of shape (n,). An edge that is given twice
counts twice, and a loop has both its ends at one node, as in NetworkX's modularity. Everything is
vectorised over edges. An interval over replications comes from `means_table`; one over the edges of
a single network from `bootstrap(lambda e: measure(e, groups), edges, rng=rng)`, which takes edges
as drawn independently. Random-walk controversy and the friendship paradox have modules of their
own: `abm.analysis.controversy`, `abm.analysis.paradox`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_edges, as_labels, as_numbers
from abm.errors import AnalysisError, require

__all__ = [
    "assortativity",
    "disagreement",
    "ei_index",
    "homophily_slope",
    "mixing_matrix",
    "modularity",
    "neighbour_correlation",
    "neighbour_mean",
]

Array = NDArray[np.float64]
Edges = NDArray[np.int64]
NAN = float("nan")


def assortativity(
    edges: ArrayLike, groups: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Newman's assortativity of groups: 1 all ties within groups, 0 as random mixing.

    Returns
    -------
    (tr e - sum e^2) / (1 - sum e^2) of the mixing matrix e; nan without edges or with one group.

    References
    ----------
    Newman (2003), Physical Review E 67, 026126, eq. 2.

    Examples
    --------
    >>> assortativity([(0, 1), (2, 3)], [0, 0, 1, 1])
    1.0
    """
    return mixing_excess(mixing_matrix(edges, groups, weights=weights))


def mixing_matrix(
    edges: ArrayLike, groups: ArrayLike, *, weights: ArrayLike | None = None
) -> Array:
    """Share of edge ends that join each pair of groups, groups in sorted order; nan without edges.

    References
    ----------
    Newman (2003), Physical Review E 67, 026126, section II.

    Examples
    --------
    >>> mixing_matrix([(0, 1), (1, 2)], ["a", "a", "b"]).tolist()
    [[0.5, 0.25], [0.25, 0.0]]
    """
    ties, w, labels = _grouped(edges, groups, weights)
    k = int(labels.max(initial=-1)) + 1
    cells = labels[ties[:, 0]] * k + labels[ties[:, 1]]
    e = np.bincount(cells, weights=w, minlength=k * k).reshape(k, k)
    total = e.sum()
    return (e + e.T) / (2 * total) if total > 0 else np.full((k, k), np.nan)


def mixing_excess(e: Array) -> float:
    """(tr e - sum a b) / (1 - sum a b) with the marginals a and b of a mixing matrix."""
    sources, targets = e.sum(axis=1), e.sum(axis=0)
    # One group at both ends of every edge: 1 - sum a b is 0, whatever rounding makes of it.
    if e.size == 0 or np.isnan(e).any() or np.count_nonzero(sources + targets) < 2:
        return NAN
    random = float(sources @ targets)
    return float((np.trace(e) - random) / (1 - random))


def modularity(
    edges: ArrayLike,
    groups: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    resolution: float = 1.0,
) -> float:
    """Newman and Girvan's modularity of a partition; nan without edges.

    Parameters
    ----------
    resolution
        Weight of what random mixing would give; 1 in the original.

    References
    ----------
    Newman and Girvan (2004), Physical Review E 69, 026113; Reichardt and Bornholdt (2006), Physical
    Review E 74, 016110, for the resolution.

    Examples
    --------
    >>> modularity([(0, 1), (2, 3)], [0, 0, 1, 1])
    0.5
    """
    e = mixing_matrix(edges, groups, weights=weights)
    ends = e.sum(axis=0)
    return float(np.trace(e) - resolution * (ends @ ends))


def ei_index(edges: ArrayLike, groups: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """E-I index (E - I) / (E + I): -1 all ties within groups, 1 all between; nan without edges.

    References
    ----------
    Krackhardt and Stern (1988), Social Psychology Quarterly 51, 123-140.

    Examples
    --------
    >>> ei_index([(0, 1), (1, 2)], ["a", "a", "b"])
    0.0
    """
    ties, w, labels = _grouped(edges, groups, weights)
    total = w.sum()
    within = w[labels[ties[:, 0]] == labels[ties[:, 1]]].sum()
    return float((total - 2 * within) / total) if total > 0 else NAN


def disagreement(
    edges: ArrayLike, opinions: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Sum over edges of w (x_i - x_j)^2, that is x'Lx with the graph Laplacian L.

    Returns
    -------
    >= 0; 0 without edges (nobody is tied to anybody who disagrees). Edges with an undefined opinion
    are left out; nan where that leaves none. Each edge counts once: the sum over ordered pairs, as
    some write it, is twice this.

    References
    ----------
    Musco, Musco and Tsourakakis (2018), WWW '18, 369-378.

    Examples
    --------
    >>> disagreement([(0, 1), (1, 2)], [1.0, 1.0, -1.0])
    4.0
    """
    x = node_values(opinions, "opinions")
    ties, w = checked_edges(edges, x.size, weights)
    gaps = x[ties[:, 0]] - x[ties[:, 1]]
    if gaps.size and np.isnan(gaps).all():
        return NAN
    return float(np.nansum(w * gaps**2))


def neighbour_mean(
    edges: ArrayLike, values: ArrayLike, *, weights: ArrayLike | None = None
) -> Array:
    """Mean value of each node's neighbours, shape (n,); nan for a node without neighbours.

    Together with the own value it makes an echo-chamber map. Neighbours with an undefined value are
    left out.

    References
    ----------
    Cinelli et al. (2021), PNAS 118, e2023301118.

    Examples
    --------
    >>> neighbour_mean([(0, 1), (1, 2)], [0.0, 0.5, 1.0]).tolist()
    [0.5, 0.5, 0.5]
    """
    x = node_values(values, "values")
    ties, w = checked_edges(edges, x.size, weights)
    known = np.where(np.isnan(x), 0.0, 1.0)
    filled = np.nan_to_num(x)
    a, b = ties[:, 0], ties[:, 1]
    total = np.bincount(a, w * filled[b], x.size) + np.bincount(b, w * filled[a], x.size)
    mass = np.bincount(a, w * known[b], x.size) + np.bincount(b, w * known[a], x.size)
    means: Array = np.divide(total, mass, out=np.full(x.size, np.nan), where=mass > 0)
    return means


def neighbour_correlation(
    edges: ArrayLike, values: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Correlation of a value at the two ends of an edge (numeric assortativity).

    Returns
    -------
    In [-1, 1]; nan without edges or when the value does not vary over edge ends.

    References
    ----------
    Newman (2003), Physical Review E 67, 026126, eq. 21.

    Examples
    --------
    >>> neighbour_correlation([(0, 1), (1, 2)], [0.0, 1.0, 0.0])
    -1.0
    """
    x = node_values(values, "values")
    ties, w = checked_edges(edges, x.size, weights)
    one, other = np.concatenate([x[ties], x[ties[:, ::-1]]]).T
    both = np.concatenate([w, w])
    good = ~(np.isnan(one) | np.isnan(other)) & (both > 0)
    one, other, both = one[good], other[good], both[good]
    if one.size == 0 or np.ptp(one) == 0:
        return NAN
    mean = np.average(one, weights=both)
    top = np.average((one - mean) * (other - mean), weights=both)
    return float(top / np.average((one - mean) ** 2, weights=both))


def homophily_slope(
    edges: ArrayLike, values: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Slope of the neighbours' mean on the own value, by least squares over nodes with neighbours.

    Returns
    -------
    0 where ties ignore the value, 1 where neighbours are on average like oneself; nan for fewer
    than two nodes with neighbours or when their values are equal. Every node with neighbours counts
    once, however many it has; where all have as many, this is `neighbour_correlation`.

    References
    ----------
    The line through the map of own and neighbours' opinion of Cota et al. (2019), EPJ Data Science
    8, 35, and Cinelli et al. (2021), PNAS 118, e2023301118.

    Examples
    --------
    >>> homophily_slope([(0, 1), (2, 3)], [0.0, 0.0, 1.0, 1.0])
    1.0
    """
    x = node_values(values, "values")
    means = neighbour_mean(edges, x, weights=weights)
    good = ~(np.isnan(x) | np.isnan(means))
    own, theirs = x[good], means[good]
    if own.size < 2 or np.ptp(own) == 0:
        return NAN
    gaps = own - own.mean()
    return float(gaps @ (theirs - theirs.mean()) / (gaps @ gaps))


def node_values(values: ArrayLike, what: str) -> Array:
    """One number per node, nan where undefined, shape (n,)."""
    x = as_numbers(values, what)
    require(x.ndim == 1, AnalysisError, f"{what} of shape {x.shape}, expected one per node, (n,)")
    return x


def checked_edges(edges: ArrayLike, n: int, weights: ArrayLike | None) -> tuple[Edges, Array]:
    """Edges between nodes 0 to n - 1, shape (m, 2), and their weights, shape (m,)."""
    ties = as_edges(edges)
    w = np.ones(ties.shape[0]) if weights is None else as_numbers(weights, "weights")
    require(
        w.shape == (ties.shape[0],) and bool(np.all(w >= 0)),
        AnalysisError,
        f"{w.size} weights for {ties.shape[0]} edges, expected one weight >= 0 per edge",
    )
    low, high = (int(ties.min()), int(ties.max())) if ties.size else (0, -1)
    require(
        low >= 0 and high < n,
        AnalysisError,
        f"edges name nodes {low} to {high}, expected 0 to {n - 1}, as many as there are values",
    )
    return ties, w


def _grouped(
    edges: ArrayLike, groups: ArrayLike, weights: ArrayLike | None
) -> tuple[Edges, Array, Edges]:
    _, labels = as_labels(groups, "groups")
    ties, w = checked_edges(edges, labels.size, weights)
    return ties, w, labels
