"""Points that fill the unit cube."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

__all__ = ["latin_hypercube"]


def latin_hypercube(
    n: int, d: int, *, rng: np.random.Generator, tries: int = 20
) -> NDArray[np.float64]:
    """n points of the unit cube, one in each of n slices of every axis, shape (n, d).

    Of `tries` random ones, the one whose nearest two points are farthest apart (McKay, Beckman and
    Conover 1979, Technometrics 21; Johnson, Moore and Ylvisaker 1990, J. Stat. Planning Inf. 26).

    Examples
    --------
    >>> x = latin_hypercube(5, 2, rng=np.random.default_rng(1))
    >>> sorted((x[:, 0] * 5).astype(int).tolist())
    [0, 1, 2, 3, 4]
    """
    best, farthest = np.empty((n, d)), -1.0
    for _ in range(tries):
        slices = np.stack([rng.permutation(n) for _ in range(d)], axis=1)
        points = (slices + rng.random((n, d))) / n
        apart = float(pdist(points).min()) if n > 1 else 0.0
        if apart > farthest:
            best, farthest = points, apart
    return best
