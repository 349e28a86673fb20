"""Regression adjustment: move each draw to where it would be had it met the data exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.records import Notice
from abm.calibration.weights import effective_sample_size
from abm.errors import CalibrationError, require

__all__ = ["regression_adjustment"]

Floats = NDArray[np.float64]
DRAWS_PER_COEFFICIENT = 10
"""Effective draws per coefficient below which a notice is given."""
LIMIT = 0.15
"""Difference in means (in standard deviations) and in log standard deviations that is told."""
_NEAREST = 0.25


def regression_adjustment(post: Posterior, problem: Problem) -> Posterior:
    """Local-linear adjustment theta* = theta - (s - z) beta, with Epanechnikov weights.

    Parameters are adjusted on the whole line (logit or log by their support) and moved back, so
    that none leaves its support. Weights are multiplied by 1 - (distance / tolerance)^2.

    Parameters
    ----------
    post
        A posterior with `statistics`, `details["distances"]` and `details["tolerance"]`.
    problem
        Whose observed statistics z are aimed at.

    Returns
    -------
    The adjusted posterior; draws at the edge of the tolerance have weight 0. `details` gets
    `r_squared` per parameter. Two notices tell where not to believe it. `few_draws`: fewer than 10
    effective draws per coefficient; the regression follows their noise, and the posterior comes out
    too narrow. `not_linear`: the nearest quarter of the draws, adjusted by itself, gives another
    mean or width. The regression then bends over the tolerance, as it does where the data lie
    at the end of what the prior allows, and the posterior may be half as wide as it should be.

    References
    ----------
    Beaumont, Zhang & Balding (2002), Genetics 162, eq. 4-9.
    """
    distances = np.asarray(post.details.get("distances", ()))
    require(
        post.statistics is not None and distances.shape == (post.n,),
        CalibrationError,
        f"the posterior of {post.method!r} does not carry statistics and distances of its draws",
    )
    assert post.statistics is not None
    gaps = post.statistics - problem.observed
    weights = post.weights * _kernel(distances, float(post.details["tolerance"]))
    columns = np.hstack([np.ones((post.n, 1)), gaps])
    rank = int(np.linalg.matrix_rank(columns[weights != 0]))
    require(
        int((weights > 0).sum()) > rank and bool((weights >= 0).all()),
        CalibrationError,
        f"regression adjustment on {gaps.shape[1]} statistics needs more than {rank} draws of "
        f"positive weight; there are {int((weights > 0).sum())}. Accept more",
        argument="accept",
    )
    values = problem.prior.to_unbounded(post.draws)
    beta = _coefficients(columns, values, weights)
    moved = problem.prior.from_unbounded(values - gaps @ beta[1:])
    explained = 1.0 - _moments(values - columns @ beta, weights)[1] / _moments(values, weights)[1]
    details = {**post.details, "adjusted": True, "r_squared": explained.tolist()}
    near = post.weights * _kernel(distances, float(np.quantile(distances, _NEAREST)))
    notices = [*post.notices, *_few(weights, rank)]
    if effective_sample_size(near) >= DRAWS_PER_COEFFICIENT * rank:
        local = values - gaps @ _coefficients(columns, values, near)[1:]
        notices += _bent(post.names, moved, weights, problem.prior.from_unbounded(local), near)
    return replace(
        post,
        draws=moved,
        weights=weights,
        method=f"{post.method}, regression-adjusted",
        details=details,
        notices=notices,
    )


def _kernel(distances: Floats, tolerance: float) -> Floats:
    """Epanechnikov weights; where the tolerance is 0, all draws that are kept meet the data."""
    if tolerance <= 0:
        return np.asarray((distances <= 0).astype(np.float64))
    return np.asarray(np.maximum(1.0 - (distances / tolerance) ** 2, 0.0))


def _coefficients(columns: Floats, values: Floats, weights: Floats) -> Floats:
    """Weighted least squares, shape (1 + m, d)."""
    root = np.sqrt(weights)[:, None]
    return np.asarray(np.linalg.lstsq(columns * root, values * root, rcond=None)[0])


def _bent(
    names: Sequence[str], moved: Floats, weights: Floats, local: Floats, near: Floats
) -> list[Notice]:
    """Notices on parameters whose adjusted mean or width hangs on how many draws are accepted.

    The margin is `LIMIT`, or three standard errors of what the nearer draws give; that of a log
    standard deviation is sqrt((kurtosis - 1) / 4 n).
    """
    (mean, variance), (mean_near, variance_near) = _moments(moved, weights), _moments(local, near)
    kurtosis = _moments((local - mean_near) ** 2, near)[1] / variance_near**2 + 1.0
    shift = (mean_near - mean) / np.sqrt(variance_near)
    width = 0.5 * np.log(variance_near / variance)
    n = effective_sample_size(near)
    errors = np.stack([np.ones_like(kurtosis), np.sqrt((kurtosis - 1.0) / 4.0)]) / n**0.5
    margins = np.maximum(LIMIT, 3.0 * errors)
    found = []
    for k, name in enumerate(names):
        if abs(shift[k]) <= margins[0, k] and abs(width[k]) <= margins[1, k]:
            continue
        message = (
            f"{name}: from the nearest {100 * _NEAREST:.0f} % of the draws alone, regression "
            f"adjustment gives a standard deviation {math.exp(width[k]):.2f} times as large and a "
            f"mean moved by {shift[k]:+.2f} of it. The regression is not linear within the "
            "tolerance: accept a smaller share of more simulations"
        )
        found.append(Notice("not_linear", message, name, float(math.exp(width[k]))))
    return found


def _few(weights: np.ndarray, rank: int) -> list[Notice]:
    """A notice where the regression has few draws for its coefficients."""
    ess = effective_sample_size(weights)
    if ess >= DRAWS_PER_COEFFICIENT * rank:
        return []
    narrow = 1.0 - math.sqrt(max(0.0, 1.0 - rank / ess))
    return [
        Notice(
            "few_draws",
            f"regression adjustment fits {rank} coefficients per parameter to {ess:.0f} effective "
            f"draws, fewer than {DRAWS_PER_COEFFICIENT} each: it follows their noise, and standard "
            f"deviations come out about {100 * narrow:.0f} % too small. Accept more, simulate "
            "more, or fit fewer statistics",
            "regression adjustment",
            ess / rank,
        )
    ]


def _moments(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted means and variances (> 0) of columns, shape (d,) each."""
    w = weights / weights.sum()
    mean = w @ values
    variance = w @ (values - mean) ** 2
    return np.asarray(mean), np.asarray(np.maximum(variance, np.finfo(np.float64).tiny))
