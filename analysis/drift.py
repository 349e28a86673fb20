"""Drift: how far what somebody says has moved from where it was, and from what it moved towards.

Semantic drift compares embeddings of texts or profiles with those at the start. `default_drift`,
which lives in `abm.analysis.convergence`, says which part of the way to a model's own default
opinions went; the index of `abm.analysis.stability` whether an agent still acts as it did.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers
from abm.analysis.convergence import DefaultDrift, default_drift
from abm.errors import AnalysisError, require

__all__ = ["DefaultDrift", "default_drift", "drift"]

Array = NDArray[np.float64]


def drift(now: ArrayLike, start: ArrayLike) -> Array:
    """1 - cosine between each row now and at the start: 0 unchanged, 1 unrelated, 2 opposite.

    Parameters
    ----------
    now, start
        Shape (n, n_dimensions), or (n_dimensions,) for one text.

    Returns
    -------
    Shape (n,); nan where a row is all zeros or undefined. The mean over agents has its interval
    from `bootstrap`, that over replications from `means_table`.

    References
    ----------
    Hamilton, Leskovec and Jurafsky (2016), ACL 2016, 1489-1501, who measure the change of meaning
    of a word by the cosine of its embeddings at two times.

    Examples
    --------
    >>> drift([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]).tolist()
    [0.0, 1.0]
    """
    a, b = (np.atleast_2d(as_numbers(x, "embeddings")) for x in (now, start))
    require(
        a.shape == b.shape and a.ndim == 2,
        AnalysisError,
        f"embeddings of shapes {a.shape} and {b.shape}, expected equal ones, (n, n_dimensions)",
    )
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("ij,ij->i", a, b) / lengths
    moved = np.where(np.all(a == b, axis=1), 0.0, 1 - np.clip(cosine, -1, 1))
    return np.where(lengths > 0, moved, np.nan)
