"""The friendship paradox: your friends have more friends than you, and more of other things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from abm.analysis.arrays import as_edges
from abm.analysis.networks import checked_edges, neighbour_mean, node_values

__all__ = ["FriendshipParadox", "friendship_paradox"]

NAN = float("nan")


@dataclass(frozen=True)
class FriendshipParadox:
    """How often friends have more.

    Attributes
    ----------
    share
        Share of nodes with neighbours whose neighbours have, on average, strictly more.
    ratio
        Mean over those nodes of the neighbours' mean, divided by their own mean. (Feld's ratio of
        the mean over ends of edges, <k^2> / <k>^2 for the degree, weighs nodes by how many
        neighbours they have, and is another number.)
    n
        Nodes with neighbours.
    """

    share: float
    ratio: float
    n: int


def friendship_paradox(
    edges: ArrayLike, values: ArrayLike | None = None, *, n: int | None = None
) -> FriendshipParadox:
    """The friendship paradox of the degree, or of any value such as activity (generalised).

    Parameters
    ----------
    values
        Shape (n,); the degree by default.
    n
        Number of nodes, where `values` does not say it.

    Returns
    -------
    Share and ratio; nan when no node has neighbours, or the ratio where the mean is 0. Nodes
    without neighbours do not count. Whether degrees alone make it, `against_null` tells:
    `against_null(lambda e: friendship_paradox(e, values).share, edges, rng=rng)`.

    References
    ----------
    Feld (1991), American Journal of Sociology 96, 1464-1477; Eom and Jo (2014), Scientific Reports
    4, 4603.

    Examples
    --------
    >>> friendship_paradox([(0, 1), (0, 2), (0, 3)])
    FriendshipParadox(share=0.75, ratio=1.6666666666666667, n=4)
    """
    array = as_edges(edges)
    size = n if n is not None else int(array.max(initial=-1)) + 1
    x = node_values(values, "values") if values is not None else None
    ties, _ = checked_edges(array, size if x is None else x.size, None)
    size = size if x is None else x.size
    own = np.bincount(ties.ravel(), minlength=size).astype(np.float64) if x is None else x
    theirs = neighbour_mean(ties, own)
    good = ~(np.isnan(theirs) | np.isnan(own))
    if not good.any():
        return FriendshipParadox(NAN, NAN, 0)
    mean = float(own[good].mean())
    ratio = float(theirs[good].mean()) / mean if mean != 0 else NAN
    # Means of equal values may differ by rounding; that is no paradox.
    more = theirs[good] > own[good] + 1e-12 * np.abs(own[good])
    return FriendshipParadox(float(more.mean()), ratio, int(good.sum()))
