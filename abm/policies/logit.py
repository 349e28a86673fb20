"""A multinomial logit with whole distributions as targets: fit, predict, and distance held out."""

from __future__ import annotations

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


def held_out(x: _Array, target: _Array, part: NDArray[np.int64], ridge: float) -> _Array:
    """Total variation of every answer to a fit without its part, shape (n,)."""
    distances = np.empty(len(x))
    for fold in np.unique(part):
        out = part == fold
        weights = fit_weights(x[~out], target[~out], ridge)
        distances[out] = np.abs(distribution(logit_scores(x[out], weights)) - target[out]).sum(
            axis=1
        )
    return distances / 2.0


def fit_weights(x: _Array, target: _Array, ridge: float) -> _Array:
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

    start = np.zeros((design.shape[1], k))
    start[0] = np.log(np.maximum(target.mean(axis=0), 1e-12))
    found = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 2000, "gtol": 1e-7}
    )
    return np.asarray(found.x, dtype=np.float64).reshape(-1, k)


def _log_sum(scores: _Array) -> _Array:
    top: _Array = scores.max(axis=1, keepdims=True)
    total: _Array = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return total
