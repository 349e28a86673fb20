"""What every check of a posterior starts from: truths, draws, and their weights.

Truths have shape (n_sets, n_parameters): one planted parameter vector per data set. Draws have
shape (n_sets, n_draws, n_parameters). Weighted posteriors (importance sampling, signed weights of
multi-fidelity runs) are resampled to equal weights first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import CalibrationError, require

__all__ = ["checked", "effective_size", "equal_weights", "named", "weighted_quantile"]

Array = NDArray[np.float64]


def checked(truths: ArrayLike, draws: ArrayLike) -> tuple[Array, Array]:
    """Truths (n_sets, n_parameters) and draws (n_sets, n_draws, n_parameters) that fit each other.

    One-dimensional truths with two-dimensional draws stand for one parameter.

    Raises
    ------
    CalibrationError
        The shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> truths, draws = checked([0.1, 0.2], [[0.0, 0.3], [0.1, 0.4]])
    >>> truths.shape, draws.shape
    ((2, 1), (2, 2, 1))
    """
    truth = np.asarray(truths, dtype=np.float64)
    drawn = np.asarray(draws, dtype=np.float64)
    if truth.ndim == 1 and drawn.ndim == 2:
        truth, drawn = truth[:, None], drawn[:, :, None]
    fits = (
        truth.ndim == 2
        and drawn.ndim == 3
        and truth.shape == (drawn.shape[0], drawn.shape[2])
        and drawn.size > 0
    )
    require(
        fits,
        CalibrationError,
        f"truths have shape {np.shape(truths)} and draws {np.shape(draws)}, expected "
        "(n_sets, n_parameters) and (n_sets, n_draws, n_parameters)",
    )
    for name, values in (("truths", truth), ("draws", drawn)):
        bad = int((~np.isfinite(values)).sum())
        require(
            bad == 0,
            CalibrationError,
            f"{name}: {bad} of {values.size} values are not finite; a check of calibration cannot "
            "use a data set whose fit failed. Report it as a failure and leave the set out",
        )
    return truth, drawn


def named(names: tuple[str, ...] | list[str] | None, n: int) -> list[str]:
    """Names of n parameters; `parameter 1`, ... where none are given."""
    if names is None:
        return [f"parameter {i + 1}" for i in range(n)]
    require(
        len(names) == n,
        CalibrationError,
        f"{len(names)} names for {n} parameters: {list(names)}",
    )
    return list(names)


def effective_size(weights: ArrayLike) -> float:
    """(sum w)^2 / sum w^2; signed weights keep their signs.

    Examples
    --------
    >>> effective_size([1, 1, 1, 1]), effective_size([1, 0, 0, 0])
    (4.0, 1.0)
    """
    w = np.asarray(weights, dtype=np.float64)
    squares = float((w**2).sum())
    return float(w.sum() ** 2 / squares) if squares > 0 else 0.0


def equal_weights(
    values: ArrayLike, weights: ArrayLike, n: int, *, rng: np.random.Generator
) -> Array:
    """Systematic resampling of weighted draws (n_draws, n_parameters) to n of equal weight.

    Systematic resampling takes draw i either floor(n w_i) or ceil(n w_i) times, so that equal
    weights with n = n_draws return every draw once. The order is shuffled.

    Raises
    ------
    CalibrationError
        Negative weights: a signed measure has no draws of equal weight. Compare its moments and
        weighted quantiles instead.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sorted(equal_weights([[1.0], [2.0]], [0.5, 0.5], 2, rng=rng).ravel().tolist())
    [1.0, 2.0]
    """
    drawn = np.atleast_2d(np.asarray(values, dtype=np.float64))
    w = np.asarray(weights, dtype=np.float64)
    require(
        bool((w >= 0).all()) and float(w.sum()) > 0 and w.shape == drawn.shape[:1],
        CalibrationError,
        f"weights of shape {w.shape} with smallest {w.min(initial=np.inf):g} and sum {w.sum():g} "
        f"for {len(drawn)} draws: expected one weight >= 0 per draw and a positive sum",
    )
    edges = np.cumsum(w / w.sum())
    edges[-1] = 1.0
    places = (np.arange(n) + rng.random()) / n
    rows = np.searchsorted(edges, places, side="right")
    chosen: Array = drawn[rng.permutation(np.minimum(rows, len(drawn) - 1))]
    return chosen


def weighted_quantile(values: ArrayLike, weights: ArrayLike, q: ArrayLike) -> Array:
    """Quantiles of weighted values: the smallest value whose cumulative weight reaches q.

    Signed weights are allowed: the cumulative weight is then made monotone by its running maximum,
    which leaves it unchanged where it already grows.

    Examples
    --------
    >>> weighted_quantile([3.0, 1.0, 2.0], [1, 1, 1], [0.5, 1.0]).tolist()
    [2.0, 3.0]
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    total = np.maximum.accumulate(np.cumsum(w[order]) / w.sum())
    places = np.searchsorted(total, np.asarray(q, dtype=np.float64) - 1e-12, side="left")
    result: Array = x[order][np.minimum(places, len(x) - 1)]
    return result
