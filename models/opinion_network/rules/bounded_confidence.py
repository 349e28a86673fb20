"""Bounded confidence: who listens to whom, and how far they move.

Deffuant et al. (2000) let random pairs compromise when their gap is below a bound. Hegselmann and
Krause (2002) let everybody move at once to the mean of all opinions within the bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["compromise", "deffuant", "hegselmann_krause"]

Floats = NDArray[np.float64]

_BATCH = 1 << 20


def compromise(own: float, other: float, confidence_bound: float, rate: float) -> float:
    """Move `own` toward `other` when the two are close enough.

    Parameters
    ----------
    own, other
        Opinions on the same scale.
    confidence_bound
        Gap from which on agents no longer listen; same scale, >= 0. The bound itself is out:
        the paper's condition is |x - x'| < d.
    rate
        Fraction of the gap closed in one encounter, in (0, 1/2] for two-sided encounters.

    Returns
    -------
    The new opinion; `own` itself when the gap reaches the bound.

    References
    ----------
    Deffuant, Neau, Amblard & Weisbuch (2000), Advances in Complex Systems 3.

    Examples
    --------
    >>> compromise(0.25, 0.75, confidence_bound=0.6, rate=0.5)
    0.5
    >>> compromise(0.25, 0.75, confidence_bound=0.5, rate=0.5)
    0.25
    """
    gap = other - own
    return own + rate * gap if abs(gap) < confidence_bound else own


def deffuant(
    opinions: ArrayLike,
    *,
    confidence_bound: float,
    rate: float,
    n_encounters: int,
    rng: np.random.Generator,
) -> Floats:
    """Random pairs of a complete graph meet one after another, and both move.

    Parameters
    ----------
    opinions
        Shape (n,), n >= 2; not modified.
    confidence_bound, rate
        As in `compromise`.
    n_encounters
        Number of meetings; n of them are one sweep.

    Returns
    -------
    Opinions afterwards, shape (n,). The mean is conserved up to rounding.

    References
    ----------
    Deffuant et al. (2000).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = deffuant([0.0, 1.0], confidence_bound=2.0, rate=0.5, n_encounters=1, rng=rng)
    >>> x.tolist()
    [0.5, 0.5]
    """
    from abm.models.opinion_network.kernel import deffuant_encounters

    x = np.array(opinions, dtype=np.float64)
    for start in range(0, n_encounters, _BATCH):
        size = min(_BATCH, n_encounters - start)
        first, second = distinct_pairs(x.size, size, rng=rng)
        deffuant_encounters(x, first, second, confidence_bound, rate)
    return x


def distinct_pairs(
    n: int, size: int, *, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`size` ordered pairs of two different agents out of `n`, uniform and independent."""
    first = rng.integers(0, n, size)
    second = rng.integers(0, n - 1, size)
    return first, second + (second >= first)


def hegselmann_krause(opinions: ArrayLike, confidence_bound: float) -> Floats:
    """One synchronous step: everybody moves to the mean of all within the bound, oneself included.

    Sorting makes it O(n log n); ranks never swap, and equal opinions stay equal.

    Parameters
    ----------
    opinions
        Shape (n,); not modified.
    confidence_bound
        Largest gap at which agents still listen, >= 0; the bound itself is in.

    References
    ----------
    Hegselmann & Krause (2002), JASSS 5(3), with the uniform mean.

    Examples
    --------
    >>> hegselmann_krause([0.0, 0.5, 2.0], 1.0).tolist()
    [0.25, 0.25, 2.0]
    """
    x = np.asarray(opinions, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    ranked = x[order]
    low = np.searchsorted(ranked, ranked - confidence_bound, side="left")
    high = np.searchsorted(ranked, ranked + confidence_bound, side="right")
    sums = np.concatenate([[0.0], np.cumsum(ranked)])
    result = np.empty_like(x)
    result[order] = (sums[high] - sums[low]) / (high - low)
    return result
