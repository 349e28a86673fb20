"""Sampled answers: how much of an estimate hangs on how often the language model was asked.

Where a server gives no probabilities, the distribution of an answer is estimated from a few
samples, and all replications share the estimate. More replications do not make it better, so its
error does not appear in their scatter; here it is computed and added.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.intervals import Estimate, check_level
from abm.errors import AnalysisError, require

__all__ = ["answer_error", "linear_answer_error", "with_answer_error"]

Array = NDArray[np.float64]
NAN = float("nan")


def linear_answer_error(samples: ArrayLike, weights: ArrayLike) -> float:
    """Standard error, through sampled answers, of an outcome that is linear in their shares.

    Parameters
    ----------
    samples
        How often each option was drawn for each request, shape (n_requests, n_options); a request
        whose distribution is known exactly may have a row of 0.
    weights
        Change of the outcome per unit of each share, same shape: for "mean score of those asked",
        the score of the option times the share of people who got the request.

    Returns
    -------
    Square root of the sum over requests of Var(weights . shares), each estimated with n - 1; nan
    where a request with a weight was sampled only once.

    Examples
    --------
    >>> round(linear_answer_error([[30, 70]], [[1.0, 0.0]]), 4)  # sqrt(0.3 x 0.7 / 99)
    0.0461
    """
    n, w = _checked(samples, weights)
    total = n.sum(axis=1)
    shares = np.divide(n, total[:, None], out=np.zeros_like(n), where=total[:, None] > 0)
    mean = (shares * w).sum(axis=1)
    spread = (shares * (w - mean[:, None]) ** 2).sum(axis=1)
    matters = (total > 0) & (np.ptp(w, axis=1) > 0)
    if np.any(matters & (total < 2)):
        return NAN
    return float(np.sqrt((spread[matters] / (total[matters] - 1)).sum()))


def answer_error(
    samples: ArrayLike,
    outcome: Callable[[Array], float],
    *,
    rng: np.random.Generator,
    prior: float = 0.5,
    n_draws: int = 199,
) -> float:
    """Standard error, through sampled answers, of any outcome that can be computed from shares.

    Shares are drawn from their posterior under a Dirichlet prior, the outcome is computed from
    each draw, and its standard deviation returned. The prior matters where an option was never
    drawn: a share seen as 0 in five samples is not known to be 0.

    Parameters
    ----------
    samples
        How often each option was drawn for each request, shape (n_requests, n_options). A row of 0
        gets the prior alone.
    outcome
        Function of shares of the same shape: a rule twin run on them, a surrogate, a sum.
    prior
        Weight of each option before any sample, > 0; 1/2 is Jeffreys' prior.

    References
    ----------
    Rubin (1981), Annals of Statistics 9, 130-134 (the Bayesian bootstrap).

    Examples
    --------
    >>> error = answer_error([[300, 700]], lambda p: float(p[0, 0]), rng=np.random.default_rng(1))
    >>> abs(error - (0.3 * 0.7 / 1000) ** 0.5) < 0.003
    True
    """
    n, _ = _checked(samples, samples)
    require(prior > 0 and n_draws >= 2, AnalysisError, "expected prior > 0 and n_draws >= 2")
    drawn = rng.standard_gamma(n + prior, size=(n_draws, *n.shape))
    drawn /= drawn.sum(axis=2, keepdims=True)
    return float(np.std([outcome(shares) for shares in drawn], ddof=1))


def with_answer_error(estimate: Estimate, error: float) -> Estimate:
    """Widen an interval over replications by the error of the answers that they share.

    The variances add, because chance within runs and chance of the sampling are independent. The
    widened interval uses the t of the replications, which is a little wide.

    Parameters
    ----------
    estimate
        With an interval over replications, such as `mean_interval` gives.
    error
        Standard error through the answers, in the unit of the estimate, >= 0; nan gives nan.

    Examples
    --------
    >>> from abm.analysis.intervals import mean_interval
    >>> e = mean_interval([0.1, 0.2, 0.3, 0.4])
    >>> wide = with_answer_error(e, 0.05)
    >>> round(e.halfwidth, 3), round(wide.halfwidth, 3)
    (0.205, 0.26)
    >>> wide.method
    't over replications, and sampled answers'
    """
    require(not error < 0, AnalysisError, f"error = {error}, expected >= 0 or nan")
    check_level(estimate.level)
    degrees = max(estimate.n - 1, 1)
    t = float(stats.t.ppf((1 + estimate.level) / 2, degrees))
    scale = np.sqrt((estimate.halfwidth / t) ** 2 + error**2)
    half, middle = t * float(scale), (estimate.low + estimate.high) / 2
    reason = estimate.reason or ("" if np.isfinite(half) else "the error of the answers is unknown")
    return Estimate(
        estimate.estimate,
        middle - half,
        middle + half,
        estimate.level,
        estimate.n,
        f"{estimate.method}, and sampled answers",
        reason,
    )


def _checked(samples: ArrayLike, weights: ArrayLike) -> tuple[Array, Array]:
    n, w = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (samples, weights))
    require(
        n.shape == w.shape and n.ndim == 2 and bool(np.all(n >= 0)),
        AnalysisError,
        f"samples of shape {n.shape} and weights of shape {w.shape}, expected counts >= 0 of equal "
        "shape (n_requests, n_options)",
    )
    return n, w
