"""Arithmetic of weighted draws, signed weights included."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import CalibrationError, require

__all__ = ["effective_sample_size", "systematic_rows", "weighted_quantile"]

Floats = NDArray[np.float64]


def effective_sample_size(weights: ArrayLike) -> float:
    """(sum w)^2 / sum w^2; weights may be negative. 0 for no weight at all.

    Examples
    --------
    >>> effective_sample_size([1, 1, 1, 1]), effective_sample_size([1, 1, -1, 1])
    (4.0, 1.0)
    """
    w = np.asarray(weights, dtype=np.float64)
    squares = float((w * w).sum())
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


def weighted_quantile(values: ArrayLike, weights: ArrayLike, q: ArrayLike) -> Floats:
    """Quantiles of weighted values: the smallest value whose cumulated weight reaches q.

    Parameters
    ----------
    values, weights
        Shape (n,). Weights may be negative: the cumulated weight is then made monotone by its
        running maximum, which leaves it unchanged where it already grows. Their sum must be > 0.
    q
        Levels in [0, 1], any shape; the result has it.

    Examples
    --------
    >>> weighted_quantile([3.0, 1.0, 2.0], [1, 1, 1], [0.5, 1.0]).tolist()
    [2.0, 3.0]
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    require(
        x.shape == w.shape and x.ndim == 1 and float(w.sum()) > 0,
        CalibrationError,
        f"values of shape {x.shape} with weights of shape {w.shape} and sum {w.sum():g}, expected "
        "one weight per value and a positive sum",
    )
    order = np.argsort(x, kind="stable")
    reached = np.maximum.accumulate(np.cumsum(w[order]) / w.sum())
    places = np.searchsorted(reached, np.asarray(q, dtype=np.float64) - 1e-12, side="left")
    return np.asarray(x[order][np.minimum(places, x.size - 1)])


def systematic_rows(weights: ArrayLike, n: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of n draws of equal weight, in growing order, shape (n,).

    Systematic resampling takes row i either floor(n w_i) or ceil(n w_i) times, so that equal
    weights with n = len(weights) give every row once.

    Raises
    ------
    CalibrationError
        Negative weights, or none: a signed measure has no draws of equal weight.

    Examples
    --------
    >>> systematic_rows([0.5, 0.0, 0.5], 4, rng=np.random.default_rng(1)).tolist()
    [0, 0, 2, 2]
    """
    w = np.asarray(weights, dtype=np.float64)
    require(
        w.ndim == 1 and bool((w >= 0).all()) and float(w.sum()) > 0,
        CalibrationError,
        f"weights of shape {w.shape} with smallest {w.min(initial=np.inf):g} and sum {w.sum():g}: "
        "expected one weight >= 0 per draw and a positive sum; some weights are negative after "
        "multi-fidelity ABC, which cannot be resampled. Use weighted means and quantiles, or "
        "`clipped()` knowing that this biases them",
    )
    edges = np.cumsum(w)
    points = (rng.random() + np.arange(n)) / n * edges[-1]
    return np.asarray(np.minimum(np.searchsorted(edges, points, side="right"), w.size - 1))
