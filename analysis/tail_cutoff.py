"""A power law with an exponential cutoff: p(x) ~ x^-alpha exp(-rate x) for x >= xmin.

Sizes that a finite society or a finite time keeps from growing have such tails. The pure power law
is the case of rate 0, the exponential that of alpha 0. Both parameters enter the likelihood through
the mean size and the mean log size alone, so a fit costs the same for a thousand and a million.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

__all__ = ["cutoff_ccdf", "fit_cutoff", "log_mass"]

Array = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_TERMS = 64
"""Terms of a discrete sum that are added one by one; the rest is an integral with corrections."""
_STEEPEST = 20.0
_MOST = 50.0
"""Largest rate, over one over the mean excess of the tail."""


def fit_cutoff(
    mean_log: float, mean_excess: float, xmin: float, *, discrete: bool
) -> tuple[float, float, float]:
    """Exponent and rate of largest likelihood, from the means of a tail.

    Parameters
    ----------
    mean_log
        Mean of log(x / xmin) over the tail, > 0.
    mean_excess
        Mean of x - xmin over the tail, > 0.
    xmin
        Start of the tail, > 0; a whole number where `discrete` is set.

    Returns
    -------
    alpha in [0, 20], rate > 0 in units of 1 / x, and minus the log likelihood per value (up to a
    constant that all tails from xmin share). Where the pure power law fits best, rate tends to 0.
    Never undefined for means > 0.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, table 2.1, "power law with cutoff".

    Examples
    --------
    An exponential tail of mean 2 from 1 on: mean of log x is e^(1/2) E1(1/2).

    >>> alpha, rate, _ = fit_cutoff(0.922913, 2.0, 1.0, discrete=False)
    >>> round(alpha, 3), round(rate, 3)
    (0.0, 0.5)
    """

    def loss(at: Any) -> float:
        alpha, rate = float(at[0]), float(np.exp(at[1])) / mean_excess
        mass = float(log_mass(alpha, rate, np.array([xmin]), discrete=discrete)[0])
        return alpha * mean_log + rate * mean_excess + mass

    # In (alpha, rate) minus the log likelihood is convex, so there is one minimum to walk to.
    bounds = [(0.0, _STEEPEST), (-25.0, float(np.log(_MOST)))]
    fine: Any = {"xatol": 1e-7, "fatol": 1e-13, "maxiter": 2_000, "maxfev": 2_000}
    steep = min(1 + 1 / mean_log, _STEEPEST - 1)
    starts = [np.array([steep, -7.0]), np.array([steep / 2, 0.0])]
    found = [
        optimize.minimize(loss, start, bounds=bounds, method="Nelder-Mead", options=fine)
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun))
    return float(best.x[0]), float(np.exp(best.x[1])) / mean_excess, float(best.fun)


def cutoff_ccdf(x: ArrayLike, xmin: float, alpha: float, rate: float, discrete: bool) -> Array:
    """P(X >= x | X >= xmin) of a power law with an exponential cutoff.

    Returns
    -------
    In [0, 1] for x >= xmin, shape of x; nan where a parameter is.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, table 2.1.

    Examples
    --------
    >>> cutoff_ccdf([1.0, 2.0], 1.0, 0.0, 0.5, False).round(3).tolist()  # the exponential
    [1.0, 0.607]
    """
    at = np.asarray(x, dtype=np.float64)
    start = np.array([xmin], dtype=np.float64)
    tail = log_mass(alpha, rate, at.ravel(), discrete=discrete).reshape(at.shape)
    whole = log_mass(alpha, rate, start, discrete=discrete)
    height = -alpha * np.log(at / xmin) - rate * (at - xmin)
    return np.asarray(np.exp(height + tail - whole))


def log_mass(alpha: float, rate: float, start: Array, *, discrete: bool) -> Array:
    """Log of the integral, or sum, of (x / s)^-alpha exp(-rate (x - s)) over x >= s for each start.

    Parameters
    ----------
    alpha, rate
        alpha >= 0 and rate >= 0, and alpha > 1 where the rate is 0.
    start
        Starts s > 0, shape (n,).

    Returns
    -------
    Shape (n,), to about twelve digits; nan where a parameter is.

    References
    ----------
    With x = s exp(u) the integral is that of a smooth function over a finite range, taken by
    Gauss and Legendre's rule; the rest of a sum by Euler and Maclaurin's formula. Abramowitz and
    Stegun (1964), Handbook of Mathematical Functions, 25.4.30 and 23.1.30.

    Examples
    --------
    >>> one = np.array([1.0])
    >>> np.exp(log_mass(2.0, 0.0, one, discrete=True)).round(6).tolist()  # pi^2 / 6
    [1.644934]
    >>> np.exp(log_mass(0.0, 0.5, one, discrete=False)).round(6).tolist()  # 1 / rate
    [2.0]
    """
    if not discrete:
        return _log_integral(alpha, rate, start)
    steps = np.arange(_TERMS)
    x = start[:, None] + steps
    added = np.exp(-alpha * np.log(x / start[:, None]) - rate * steps).sum(axis=1)
    far = start + _TERMS
    last = np.exp(-alpha * np.log(far / start) - rate * _TERMS)
    slope = -(alpha / far + rate)  # of the log, and its next derivatives
    second, third = alpha / far**2, -2 * alpha / far**3
    cubic = slope**3 + 3 * slope * second + third
    ends = 0.5 - slope / 12 + cubic / 720
    return np.asarray(np.log(added + last * (np.exp(_log_integral(alpha, rate, far)) + ends)))


def _log_integral(alpha: float, rate: float, start: Array) -> Array:
    """Log of the integral over x >= s; beyond `reach` the integrand is below e^-40 of its top."""
    z = rate * start
    with np.errstate(divide="ignore"):
        reach = np.log1p(60 / z)
    if alpha > 1:
        reach = np.minimum(reach, 45 / (alpha - 1))
    u = reach[:, None] * (_NODES + 1) / 2
    faded = z[:, None] * np.expm1(u) if rate > 0 else 0.0
    values = np.exp((1 - alpha) * u - faded)
    return np.asarray(np.log(start * reach / 2 * (values @ _WEIGHTS)))
