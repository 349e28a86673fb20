"""Directed networks: who follows whom, and what differs from who is tied to whom.

An edge (a, b) says that a follows b: b's messages reach a. Each edge once, without loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_edges, as_labels
from abm.analysis.networks import checked_edges, mixing_excess, node_values
from abm.errors import AnalysisError, require

__all__ = [
    "Reciprocity",
    "directed_assortativity",
    "directed_correlation",
    "followed_mean",
    "follower_paradoxes",
    "reciprocity",
]

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True)
class Reciprocity:
    """How often following is mutual.

    Attributes
    ----------
    share
        Edges whose reverse is there, over all edges; nan without edges.
    correlation
        (share - density) / (1 - density): 0 as random, negative where mutual ties are avoided.
    density
        Edges over possible ones.
    """

    share: float
    correlation: float
    density: float


def reciprocity(edges: ArrayLike, *, n: int | None = None) -> Reciprocity:
    """Share of edges that are returned, and the same against chance.

    Parameters
    ----------
    n
        Number of nodes; by default the largest number in the edges plus one.

    Returns
    -------
    nan as the fields say, and the correlation also where all possible edges are there.

    Raises
    ------
    AnalysisError
        The edges hold a loop, or one of them twice.

    References
    ----------
    Garlaschelli and Loffredo (2004), Physical Review Letters 93, 268701, eq. 4.

    Examples
    --------
    >>> found = reciprocity([(0, 1), (1, 0), (1, 2), (2, 0)])
    >>> found.share, round(found.correlation, 3)
    (0.5, -0.5)
    """
    array = as_edges(edges)
    size = n if n is not None else int(array.max(initial=-1)) + 1
    ties, _ = checked_edges(array, size, None)
    if len(ties) == 0:
        return Reciprocity(NAN, NAN, NAN if size < 2 else 0.0)
    codes = np.sort(ties[:, 0] * size + ties[:, 1])
    require(
        bool(np.all(ties[:, 0] != ties[:, 1])) and bool(np.all(np.diff(codes) > 0)),
        AnalysisError,
        "the edges hold a loop or an edge twice; expected a simple directed network",
    )
    back = np.sort(ties[:, 1] * size + ties[:, 0])  # sorted: the search then walks memory in order
    place = np.minimum(np.searchsorted(codes, back), codes.size - 1)
    share = float(np.mean(codes[place] == back))
    density = len(ties) / (size * (size - 1))
    correlation = (share - density) / (1 - density) if density < 1 else NAN
    return Reciprocity(share, correlation, density)


def directed_assortativity(
    edges: ArrayLike, groups: ArrayLike, *, weights: ArrayLike | None = None
) -> float:
    """Newman's assortativity of groups along directed edges, from follower to followed.

    Returns
    -------
    nan without edges, or where one group holds all sources and targets.

    References
    ----------
    Newman (2003), Physical Review E 67, 026126, eq. 2, with the two marginals kept apart.

    Examples
    --------
    >>> directed_assortativity([(0, 1), (2, 3)], [0, 0, 1, 1])
    1.0
    """
    _, labels = as_labels(groups, "groups")
    ties, w = checked_edges(edges, labels.size, weights)
    k = int(labels.max(initial=-1)) + 1
    cells = labels[ties[:, 0]] * k + labels[ties[:, 1]]
    e = np.bincount(cells, weights=w, minlength=k * k).reshape(k, k)
    total = float(e.sum())
    return mixing_excess(e / total) if total > 0 else NAN


def directed_correlation(
    edges: ArrayLike, source_values: ArrayLike, target_values: ArrayLike
) -> float:
    """Pearson's correlation of a value of the follower with a value of the followed, over edges.

    With the out-degree and the in-degree as values it is one of the four directed degree
    assortativities.

    Returns
    -------
    nan for fewer than two edges with both values, or where one does not vary.

    References
    ----------
    Foster et al. (2010), PNAS 107, 10815-10820.

    Examples
    --------
    >>> round(directed_correlation([(0, 1), (1, 2), (2, 0)], [1., 2., 3.], [1., 2., 3.]), 6)
    -0.5
    """
    x = node_values(source_values, "source_values")
    y = node_values(target_values, "target_values")
    require(x.size == y.size, AnalysisError, f"{x.size} source and {y.size} target values")
    ties, _ = checked_edges(edges, x.size, None)
    a, b = x[ties[:, 0]], y[ties[:, 1]]
    good = ~(np.isnan(a) | np.isnan(b))
    a, b = a[good], b[good]
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return NAN
    one, other = a - a.mean(), b - b.mean()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def followed_mean(
    edges: ArrayLike, values: ArrayLike, *, weights: ArrayLike | None = None
) -> Array:
    """Mean value of those whom each node follows, shape (n,); nan for one who follows nobody.

    What a node hears, where `neighbour_mean` also counts those who hear it. Followed nodes with an
    undefined value are left out.

    References
    ----------
    Cota et al. (2019), EPJ Data Science 8, 35: the opinion of those whom a node hears.

    Examples
    --------
    >>> followed_mean([(0, 1), (0, 2)], [0.0, 0.2, 0.4]).round(3).tolist()
    [0.3, nan, nan]
    """
    x = node_values(values, "values")
    ties, w = checked_edges(edges, x.size, weights)
    known, filled = np.where(np.isnan(x), 0.0, 1.0), np.nan_to_num(x)
    a, b = ties[:, 0], ties[:, 1]
    mass = np.bincount(a, w * known[b], x.size)
    total = np.bincount(a, w * filled[b], x.size)
    means: Array = np.divide(total, mass, out=np.full(x.size, np.nan), where=mass > 0)
    return means


def follower_paradoxes(edges: ArrayLike, *, n: int | None = None) -> dict[str, float]:
    """The four friendship paradoxes of a directed network.

    Returns
    -------
    Share of nodes for whom those they follow (`friends`) or those who follow them (`followers`)
    have on average strictly more friends or more followers: keys `friends_have_more_friends`,
    `friends_have_more_followers`, `followers_have_more_friends`, `followers_have_more_followers`;
    among nodes with a friend, or a follower; nan where there is none.

    References
    ----------
    Hodas, Kooti and Lerman (2013), ICWSM '13, 225-233.

    Examples
    --------
    >>> follower_paradoxes([(1, 0), (2, 0), (3, 0)])["friends_have_more_followers"]
    1.0
    """
    array = as_edges(edges)
    size = n if n is not None else int(array.max(initial=-1)) + 1
    ties, _ = checked_edges(array, size, None)
    counts = {
        "friends": np.bincount(ties[:, 0], minlength=size).astype(np.float64),
        "followers": np.bincount(ties[:, 1], minlength=size).astype(np.float64),
    }
    ways = {"friends": ties, "followers": ties[:, ::-1]}
    return {
        f"{who}_have_more_{what}": _more(followed_mean(way, counts[what]), counts[what])
        for who, way in ways.items()
        for what in counts
    }


def _more(theirs: Array, own: Array) -> float:
    good = ~np.isnan(theirs)
    return float(np.mean(theirs[good] > own[good] + 1e-12 * own[good])) if good.any() else NAN
