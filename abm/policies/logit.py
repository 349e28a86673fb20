"""A multinomial logit with whole distributions as targets: fit, predict, and distance held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.questions import distribution

__all__ = ["fit_weights", "held_out", "logit_scores"]

_Array = NDArray[np.float64]


def logit_scores(x: _Array, weights: _Array) -> _Array:
    """Feature by feature and not as a matrix product, which may round differently per batch."""
    scores = np.repeat(weights[:1], len(x), axis=0)
    for j in range(x.shape[1]):
        scores = scores + x[:, j : j + 1] * weights[j + 1]
    return scores


def held_out(
    x: _Array, target: _Array, part: NDArray[np.int64], ridges: Sequence[float]
) -> dict[float, _Array]:
    """Ridge -> total variation of every answer to a fit without its part, shape (n,).

    Fits go from the stiffest to the loosest penalty, each from where the last one ended.
    """
    distances = {ridge: np.empty(len(x)) for ridge in ridges}
    for fold in np.unique(part):
        out, weights = part == fold, None
        for ridge in sorted(ridges, reverse=True):
            weights = fit_weights(x[~out], target[~out], ridge, start=weights)
            gap = distribution(logit_scores(x[out], weights)) - target[out]
            distances[ridge][out] = np.abs(gap).sum(axis=1) / 2.0
    return distances


def fit_weights(x: _Array, target: _Array, ridge: float, *, start: _Array | None = None) -> _Array:
    """Minimise mean cross-entropy + ridge / 2 x squared weights; the intercept is free."""
    from scipy.optimize import minimize

    n, k = target.shape
    design = np.column_stack([np.ones(n), x])
    penalty = np.full((design.shape[1], 1), ridge)
    penalty[0] = 1e-9

    def loss(flat: _Array) -> tuple[float, _Array]:
        weights = flat.reshape(-1, k)
        scores = design @ weights
        log_p = scores - _log_sum(scores)
        value = -(target * log_p).sum() / n + 0.5 * float((penalty * weights**2).sum())
        slope = design.T @ (np.exp(log_p) - target) / n + penalty * weights
        return value, slope.ravel()

    if start is None:
        start = np.zeros((design.shape[1], k))
        start[0] = np.log(np.maximum(target.mean(axis=0), 1e-12))
    options: Any = {"maxiter": 500, "gtol": 1e-5, "maxcor": 20}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x, dtype=np.float64).reshape(-1, k)


def _log_sum(scores: _Array) -> _Array:
    top: _Array = scores.max(axis=1, keepdims=True)
    total: _Array = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return total
