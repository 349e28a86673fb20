"""Whitening: the linear map after which a covariance is the unit matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import CalibrationError, require

__all__ = ["whitening"]

_RELATIVE = 1e-9


def whitening(covariance: ArrayLike, *, nothing: str) -> NDArray[np.float64]:
    """Rows W with W'W the pseudo-inverse of a covariance; as many rows as its rank.

    Directions with less than 1e-9 of the largest variance are left out: shares that add up to 1
    have a covariance of rank K - 1.

    Parameters
    ----------
    covariance
        Symmetric, positive semidefinite, shape (m, m).
    nothing
        What to tell if the rank is 0: what does not vary, and what to do.

    Raises
    ------
    CalibrationError
        The rank is 0, or a number is not finite; outcome `degenerate_distance`.

    Examples
    --------
    >>> white = whitening([[4.0, 0.0], [0.0, 0.0]], nothing="nothing varies")
    >>> np.abs(white).tolist()
    [[0.5, 0.0]]
    """
    matrix = np.atleast_2d(np.asarray(covariance, dtype=np.float64))
    finite = bool(np.isfinite(matrix).all())
    values, vectors = np.linalg.eigh(matrix if finite else np.zeros_like(matrix))
    require(
        finite and float(values[-1]) > 0,
        CalibrationError,
        nothing,
        argument="covariance",
        outcome="degenerate_distance",
    )
    kept = values > _RELATIVE * float(values[-1])
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T)
