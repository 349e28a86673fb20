"""Regression adjustment: move each draw to where it would be had it met the data exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.records import Notice
from abm.calibration.weights import effective_sample_size
from abm.errors import CalibrationError, require

__all__ = ["regression_adjustment"]

DRAWS_PER_COEFFICIENT = 10
"""Effective draws per coefficient below which a notice is given."""


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
    `r_squared` per parameter. With fewer than 10 effective draws per coefficient a notice
    `few_draws` says so: the regression then follows the noise of the draws, and the posterior comes
    out too narrow.

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
    tolerance = float(post.details["tolerance"])
    ratio = distances / tolerance if tolerance > 0 else np.zeros(post.n)
    weights = post.weights * np.maximum(1.0 - ratio**2, 0.0)
    gaps = post.statistics - problem.observed
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
    root = np.sqrt(weights)[:, None]
    beta = np.linalg.lstsq(columns * root, values * root, rcond=None)[0]
    fitted = columns @ beta
    moved = problem.prior.from_unbounded(values - gaps @ beta[1:])
    explained = 1.0 - _variance(values - fitted, weights) / _variance(values, weights)
    details = {**post.details, "adjusted": True, "r_squared": explained.tolist()}
    method = f"{post.method}, regression-adjusted"
    notices = [*post.notices, *_few(weights, rank)]
    return replace(
        post, draws=moved, weights=weights, method=method, details=details, notices=notices
    )


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


def _variance(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    w = weights / weights.sum()
    found = w @ (values - w @ values) ** 2
    return np.asarray(np.maximum(found, np.finfo(np.float64).tiny))
