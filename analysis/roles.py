"""Roles: a core and its periphery, and clusters of agents that behave alike."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from abm.analysis.arrays import as_edges, as_labels, as_numbers
from abm.analysis.networks import checked_edges
from abm.errors import AnalysisError, require

__all__ = ["CorePeriphery", "RoleClusters", "adjusted_rand", "core_periphery", "role_clusters"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
NAN = float("nan")


@dataclass(frozen=True)
class CorePeriphery:
    """A network split into a core and a periphery.

    Attributes
    ----------
    core
        Who is in the core, shape (n,); nobody where the correlation is undefined.
    correlation
        Of the adjacency with the ideal pattern, in which all pairs within the core are tied and
        none within the periphery, over the pairs of which the pattern says something; 1 for the
        ideal, nan where undefined.
    density_core, density_between, density_periphery
        Share of pairs tied within the core, between both, and within the periphery; nan where there
        is no such pair.
    """

    core: NDArray[np.bool_]
    correlation: float
    density_core: float
    density_between: float
    density_periphery: float

    @property
    def core_share(self) -> float:
        """Share of the nodes that is in the core, in (0, 1); nan where there is no core to find."""
        return NAN if np.isnan(self.correlation) else float(self.core.mean())


def core_periphery(
    edges: ArrayLike,
    *,
    n: int | None = None,
    between: Literal["ignored", "tied"] = "ignored",
) -> CorePeriphery:
    """Borgatti and Everett's discrete core and periphery.

    For a core of k, the k nodes of the largest degrees have the fewest pairs that break the
    pattern (Lip 2011), so only the cuts of the nodes in order of degree are compared, and the one
    that correlates best with the ideal pattern is taken. Nodes of equal degree are not parted:
    which of them is in the core would hang on their numbers.

    Parameters
    ----------
    edges
        Undirected, shape (m, 2), each once and without loops.
    n
        Number of nodes; by default the largest number in the edges plus one.
    between
        What the ideal pattern says of ties between core and periphery: nothing (`ignored`), or that
        all are there (`tied`), as in a star, whose core is its centre.

    Returns
    -------
    The correlation alone proves nothing: a random network with unequal degrees has one too. Compare
    it by `abm.analysis.nulls.against_null`. Nobody is in the core, and all else is nan, where no
    cut has pairs of both kinds, and where all degrees are equal.

    Raises
    ------
    AnalysisError
        An edge is a loop or names a node outside 0 to n - 1.

    References
    ----------
    Borgatti and Everett (2000), Social Networks 21, 375-395, who give both patterns; Lip (2011),
    arXiv:1102.5511.

    Examples
    --------
    A triangle of leaders with one follower each:

    >>> found = core_periphery([(0, 1), (1, 2), (2, 0), (0, 3), (1, 4), (2, 5)])
    >>> found.core.tolist(), found.correlation
    ([True, True, True, False, False, False], 1.0)
    """
    array = as_edges(edges)
    size = n if n is not None else int(array.max(initial=-1)) + 1
    ties, _ = checked_edges(array, size, None)
    require(
        bool(np.all(ties[:, 0] != ties[:, 1])), AnalysisError, "the edges hold a loop; leave it out"
    )
    if size < 3 or len(ties) == 0:
        return CorePeriphery(np.zeros(size, dtype=bool), NAN, NAN, NAN, NAN)
    require(
        between in ("ignored", "tied"),
        AnalysisError,
        f"between = {between!r}, expected 'ignored' or 'tied'",
    )
    degree = np.bincount(ties.ravel(), minlength=size)
    order = np.argsort(-degree, kind="stable")
    rank = np.empty(size, dtype=np.int64)
    rank[order] = np.arange(size)
    places = np.sort(rank[ties], axis=1)
    k = np.arange(1, size, dtype=np.float64)
    # An edge is within the core of k when its later end comes before k; within the periphery when
    # its earlier end does not.
    inside = np.cumsum(np.bincount(places[:, 1], minlength=size))[:-1].astype(np.float64)
    outside = len(ties) - np.cumsum(np.bincount(places[:, 0], minlength=size))[:-1].astype(float)
    core_pairs, outer_pairs = k * (k - 1) / 2, (size - k) * (size - k - 1) / 2
    cross, cross_pairs = len(ties) - inside - outside, k * (size - k)
    wanted = 1.0 if between == "tied" else 0.0
    fit = _phi(inside + wanted * cross, outside, core_pairs + wanted * cross_pairs, outer_pairs)
    fit[degree[order[:-1]] == degree[order[1:]]] = np.nan
    if np.isnan(fit).all():
        return CorePeriphery(np.zeros(size, dtype=bool), NAN, NAN, NAN, NAN)
    best = int(np.nanargmax(fit))
    with np.errstate(invalid="ignore"):
        parts = ((inside, core_pairs), (cross, cross_pairs), (outside, outer_pairs))
        dense = [float(held[best] / pairs[best]) for held, pairs in parts]
    return CorePeriphery(rank <= best, float(fit[best]), *dense)


def _phi(inside: Array, outside: Array, core: Array, outer: Array) -> Array:
    """Correlation of tied or not with core or periphery over the pairs within either."""
    tied, pairs = inside + outside, core + outer
    with np.errstate(invalid="ignore", divide="ignore"):
        fit: Array = (inside * outer - outside * core) / np.sqrt(
            core * outer * tied * (pairs - tied)
        )
    return np.where(np.isfinite(fit), fit, np.nan)


@dataclass(frozen=True)
class RoleClusters:
    """Agents in clusters of alike behaviour.

    Attributes
    ----------
    labels
        Cluster of each agent, 0 to k - 1 from the largest to the smallest, shape (n,).
    centres
        Mean of each feature in each cluster, in the unit of the features, shape (k, n_features).
    silhouette
        Mean silhouette in [-1, 1]: near 1 for clusters far apart; nan for one cluster.
    stability
        Mean adjusted Rand index between the clustering and those of bootstrap samples: 1 the same
        each time, 0 as chance.
    """

    labels: Integers
    centres: Array
    silhouette: float
    stability: float


def role_clusters(
    features: ArrayLike,
    k: int,
    *,
    rng: np.random.Generator,
    n_starts: int = 10,
    n_resamples: int = 20,
    n_silhouette: int = 2_000,
) -> RoleClusters:
    """Cluster agents by what they do, with how separate and how stable the clusters are.

    k-means on standardised features; compare several k by silhouette and stability.

    Parameters
    ----------
    features
        What each agent did (posts, replies, votes, reach), shape (n, n_features); take logarithms
        of heavy-tailed counts first.
    k
        Clusters, 1 to n.
    n_starts
        Starts of k-means++, of which the tightest is kept.
    n_resamples
        Bootstrap samples for the stability.
    n_silhouette
        Agents, drawn at random, whose silhouettes are averaged where there are more.

    Returns
    -------
    Labels, centres, silhouette and stability; nan as there. Features that do not vary count for
    nothing.

    References
    ----------
    Arthur and Vassilvitskii (2007), SODA '07, 1027-1035; Rousseeuw (1987), Journal of Computational
    and Applied Mathematics 20, 53-65; Hennig (2007), Computational Statistics and Data Analysis 52,
    258-271.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> posters, readers = rng.normal(10, 1, (20, 2)), rng.normal(0, 1, (80, 2))
    >>> found = role_clusters(np.vstack([posters, readers]), 2, rng=rng)
    >>> np.bincount(found.labels).tolist(), found.silhouette > 0.7, found.stability > 0.99
    ([80, 20], True, True)
    """
    x = as_numbers(features, "features")
    x = x[:, None] if x.ndim == 1 else x
    require(x.ndim == 2, AnalysisError, f"features of shape {x.shape}, expected (n, n_features)")
    require(
        1 <= k <= x.shape[0] and bool(np.isfinite(x).all()),
        AnalysisError,
        f"k = {k} clusters of {x.shape[0]} agents, expected 1 <= k <= n and no undefined feature",
    )
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    labels, _ = _tightest(z, k, rng, n_starts)
    agreements = []
    for _ in range(n_resamples):
        rows = rng.integers(0, x.shape[0], x.shape[0])
        _, other = _tightest(z[rows], k, rng, max(n_starts // 3, 1))
        agreements.append(adjusted_rand(labels, _nearest(z, other)))
    means = np.stack([x[labels == c].mean(axis=0) for c in range(int(labels.max()) + 1)])
    stability = float(np.mean(agreements)) if agreements else NAN
    return RoleClusters(labels, means, _silhouette(z, labels, rng, n_silhouette), stability)


def adjusted_rand(one: ArrayLike, other: ArrayLike) -> float:
    """Adjusted Rand index of two clusterings: 1 the same, 0 as alike as chance makes them.

    Returns
    -------
    nan for fewer than two units.

    References
    ----------
    Hubert and Arabie (1985), Journal of Classification 2, 193-218.

    Examples
    --------
    >>> adjusted_rand([0, 0, 1, 1], ["b", "b", "a", "a"])
    1.0
    """
    a, b = (as_labels(v, "labels")[1] for v in (one, other))
    require(a.size == b.size, AnalysisError, f"{a.size} and {b.size} labels, expected as many")
    if a.size < 2:
        return NAN
    cells = np.bincount(a * (int(b.max()) + 1) + b).astype(np.float64)
    both, rows, columns = (
        float((v * (v - 1) / 2).sum())
        for v in (cells, np.bincount(a).astype(float), np.bincount(b).astype(float))
    )
    chance = rows * columns / (a.size * (a.size - 1) / 2)
    most = (rows + columns) / 2
    return 1.0 if most == chance else float((both - chance) / (most - chance))


def _tightest(z: Array, k: int, rng: np.random.Generator, n_starts: int) -> tuple[Integers, Array]:
    """Labels by falling size, and centres, of the best of several starts."""
    best, least = (np.zeros(z.shape[0], dtype=np.int64), z[:1]), np.inf
    for _ in range(n_starts):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centres, labels = kmeans2(z, _seeds(z, k, rng), minit="matrix")
        loss = float(((z - centres[labels]) ** 2).sum())
        if loss < least:
            best, least = (labels.astype(np.int64), centres), loss
    sizes = np.bincount(best[0], minlength=best[1].shape[0])
    order = np.argsort(-sizes, kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    return place[best[0]], best[1][order]


def _seeds(z: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++: each further centre is an agent drawn by its squared distance to the nearest."""
    chosen = [int(rng.integers(z.shape[0]))]
    least = ((z - z[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(k - 1):
        total = least.sum()
        p = least / total if total > 0 else None
        chosen.append(int(rng.choice(z.shape[0], p=p)))
        least = np.minimum(least, ((z - z[chosen[-1]]) ** 2).sum(axis=1))
    return z[chosen]


def _nearest(z: Array, centres: Array) -> Integers:
    squares = (centres**2).sum(axis=1) - 2 * z @ centres.T
    nearest: Integers = np.argmin(squares, axis=1).astype(np.int64)
    return nearest


def _silhouette(z: Array, labels: Integers, rng: np.random.Generator, most: int) -> float:
    sizes = np.bincount(labels)
    if np.sum(sizes > 0) < 2:
        return NAN
    n = z.shape[0]
    chosen = np.arange(n) if n <= most else rng.choice(n, most, replace=False)
    member = np.zeros((n, sizes.size))
    member[np.arange(n), labels] = 1
    values = []
    for part in np.array_split(chosen, max(1, chosen.size * n // 20_000_000 + 1)):
        sums = cdist(z[part], z) @ member
        own = labels[part]
        rows = np.arange(part.size)
        within = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
        apart = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
        apart[rows, own] = np.inf
        nearest = apart.min(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            s = (nearest - within) / np.maximum(nearest, within)
        values.append(np.where((sizes[own] == 1) | ~np.isfinite(s), 0.0, s))
    return float(np.concatenate(values).mean())
