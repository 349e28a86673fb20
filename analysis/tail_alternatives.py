"""Alternatives to a power law: does a lognormal, an exponential or a tail cut off fit as well?

Vuong's test compares two fitted distributions by the likelihood of each value under both. Its sign
says which fits better, its p-value whether the data can tell at all. A power law with a cutoff
holds the pure one as a case and never fits worse: there the likelihood ratio test says whether it
fits better than chance would have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from abm.analysis.arrays import as_numbers
from abm.analysis.tail_cutoff import cutoff_ccdf, fit_cutoff, log_mass
from abm.analysis.tails import TailFit
from abm.errors import AnalysisError, require

__all__ = [
    "ALTERNATIVES",
    "compare_tails",
    "cutoff_ccdf",
    "exponential_ccdf",
    "lognormal_ccdf",
    "power_law_ccdf",
]

Array = NDArray[np.float64]
ALTERNATIVES = ("lognormal", "exponential", "truncated_power_law")


def compare_tails(
    values: ArrayLike, fit: TailFit, *, alternatives: Sequence[str] = ALTERNATIVES
) -> pl.DataFrame:
    """Tests of a fitted power law against other distributions of the same tail.

    Parameters
    ----------
    values
        The sample that `fit` was made from.
    fit
        Of `fit_tail`; its xmin and its kind (discrete or not) hold for all.
    alternatives
        Of `ALTERNATIVES`. A discrete lognormal is the rounded one, a discrete exponential the
        geometric; a truncated power law is one with an exponential cutoff, x^-alpha exp(-rate x).

    Returns
    -------
    One row per alternative: `alternative`, its parameters `first` (mu of the lognormal, rate of
    the exponential, alpha of the truncated power law) and `second` (sigma; nan; rate of the
    cutoff), `log_ratio` (sum over the tail of log p of the power law minus that of the
    alternative), `statistic` (the same over its standard error; positive for the power law),
    `p_value` (Vuong's, two-sided; large: the data cannot tell) and `n`. nan where the fit is
    undefined or both distributions agree at every value.

    The ratio to the truncated power law is never positive, and its p-value is that of -2 log_ratio
    by a chi-square of one degree: small where a cutoff is there, 1 where its rate is found to be 0.
    As a rate cannot be negative, the p-value is up to twice as large as it need be.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, section 5 and appendix C; Vuong
    (1989), Econometrica 57, 307-333; Wilks (1938), Annals of Mathematical Statistics 9, 60-62; Self
    and Liang (1987), Journal of the American Statistical Association 82, 605-610, for the bound.

    Examples
    --------
    >>> from abm.analysis.tails import draw_tail, fit_tail
    >>> sizes = draw_tail(2.5, 1, 5_000, discrete=True, rng=np.random.default_rng(1))
    >>> table = compare_tails(sizes, fit_tail(sizes, discrete=True, xmin=1))
    >>> table.filter(alternative="exponential").select("statistic", "p_value").row(0) > (5, 0)
    True
    """
    unknown = [name for name in alternatives if name not in ALTERNATIVES]
    require(not unknown, AnalysisError, f"alternatives {unknown}, expected of {ALTERNATIVES}")
    given = as_numbers(values, "values").ravel()
    nan, rows = float("nan"), []
    if fit.reason:
        rows = [(name, nan, nan, nan, nan, nan, 0) for name in alternatives]
    else:
        x, times = np.unique(given[given >= fit.xmin], return_counts=True)
        power = _power_law(x, fit)
        rows = [(name, *_compared(name, x, times, power, fit)) for name in alternatives]
    names = ["alternative", "first", "second", "log_ratio", "statistic", "p_value", "n"]
    return pl.DataFrame(rows, schema=names, orient="row")


def power_law_ccdf(x: ArrayLike, fit: TailFit) -> Array:
    """P(X >= x | X >= xmin) of the fitted power law, shape of x.

    Returns
    -------
    In [0, 1] for x >= xmin; nan where the fit is undefined.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, eq. 2.6 and 2.7.

    Examples
    --------
    >>> from abm.analysis.tails import fit_tail
    >>> fit = fit_tail([1.0, 2.0, 4.0, 8.0], discrete=False, xmin=1)
    >>> power_law_ccdf([1.0], fit).tolist()
    [1.0]
    """
    at = np.asarray(x, dtype=np.float64)
    if fit.discrete:
        share: Array = special.zeta(fit.alpha, at) / special.zeta(fit.alpha, fit.xmin)
        return share
    return (at / fit.xmin) ** (1 - fit.alpha)


def lognormal_ccdf(x: ArrayLike, xmin: float, mu: float, sigma: float, discrete: bool) -> Array:
    """P(X >= x | X >= xmin) of a lognormal, rounded to whole numbers where `discrete` is set.

    Returns
    -------
    In [0, 1] for x >= xmin; nan where a parameter is.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, table 2.1.

    Examples
    --------
    >>> lognormal_ccdf([1.0, 2.0], 1.0, 0.0, 1.0, False).round(3).tolist()
    [1.0, 0.488]
    """
    at, shift = np.asarray(x, dtype=np.float64), 0.5 if discrete else 0.0
    tail = special.log_ndtr(-(np.log(at - shift) - mu) / sigma)
    share: Array = np.exp(tail - special.log_ndtr(-(np.log(xmin - shift) - mu) / sigma))
    return share


def exponential_ccdf(x: ArrayLike, xmin: float, rate: float) -> Array:
    """P(X >= x | X >= xmin) of an exponential, or of the geometric with the same rate.

    Returns
    -------
    In [0, 1] for x >= xmin; nan where the rate is.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, table 2.1.

    Examples
    --------
    >>> exponential_ccdf([1.0, 2.0], 1.0, 0.5).round(3).tolist()
    [1.0, 0.607]
    """
    share: Array = np.exp(-rate * (np.asarray(x, dtype=np.float64) - xmin))
    return share


def _compared(
    name: str, x: Array, times: NDArray[np.int64], power: Array, fit: TailFit
) -> tuple[float, float, float, float, float, int]:
    first, second, other = _MAKERS[name](x, times, fit)
    gaps, n = power - other, int(times.sum())
    total = float(times @ gaps)
    spread = float(np.sqrt(times @ (gaps - total / n) ** 2))
    nested = name == "truncated_power_law"
    nan = float("nan")
    if not spread > 1e-12 * (1 + abs(total)):
        return first, second, total, nan, 1.0 if nested else nan, n
    statistic = total / spread
    tail = np.sqrt(max(-total, 0.0)) if nested else abs(statistic) / np.sqrt(2)
    return first, second, total, statistic, float(special.erfc(tail)), n


def _power_law(x: Array, fit: TailFit) -> Array:
    """log p at each x."""
    if fit.discrete:
        total = np.log(special.zeta(fit.alpha, fit.xmin) * fit.xmin**fit.alpha)
        found: Array = -fit.alpha * np.log(x / fit.xmin) - total
        return found
    smooth: Array = np.log((fit.alpha - 1) / fit.xmin) - fit.alpha * np.log(x / fit.xmin)
    return smooth


def _exponential(x: Array, times: NDArray[np.int64], fit: TailFit) -> tuple[float, float, Array]:
    """Rate, nan, and log p at each x."""
    mean = float(times @ (x - fit.xmin)) / float(times.sum())
    if fit.discrete:
        rate = float(np.log1p(1 / mean))
        return rate, float("nan"), np.log(-np.expm1(-rate)) - rate * (x - fit.xmin)
    return 1 / mean, float("nan"), -np.log(mean) - (x - fit.xmin) / mean


def _cutoff(x: Array, times: NDArray[np.int64], fit: TailFit) -> tuple[float, float, Array]:
    """alpha, rate of the cutoff, and log p at each x; the pure power law where it fits as well."""
    n = float(times.sum())
    mean_log = float(times @ np.log(x / fit.xmin)) / n
    mean_excess = float(times @ (x - fit.xmin)) / n
    alpha, rate, loss = fit_cutoff(mean_log, mean_excess, fit.xmin, discrete=fit.discrete)
    power = _power_law(x, fit)
    if -loss <= float(times @ power) / n + 1e-10:
        return fit.alpha, 0.0, power
    mass = log_mass(alpha, rate, np.array([fit.xmin]), discrete=fit.discrete)
    found: Array = -alpha * np.log(x / fit.xmin) - rate * (x - fit.xmin) - mass
    return alpha, rate, found


def _lognormal(x: Array, times: NDArray[np.int64], fit: TailFit) -> tuple[float, float, Array]:
    """mu, sigma, and log p at each x, by maximum likelihood above xmin."""
    logs, n = np.log(x), float(times.sum())
    mean = float(times @ logs) / n
    spread = float(np.sqrt(times @ (logs - mean) ** 2 / n))

    def loss(at: Any) -> float:
        return -float(times @ _lognormal_log(x, logs, at[0], np.exp(at[1]), fit)) / n

    # The likelihood has a long ridge towards power laws (mu -> -infinity, with variance in step):
    # several starts along it, and bounds far out.
    bounds = [(mean - 1000 * (1 + spread), mean + 10 * spread), (-6.0, 6.0)]
    begin = [(mean - k * spread, 0.5 * np.log((1 + k) * spread**2)) for k in (0, 10, 300)]
    fine: Any = {"xatol": 1e-8, "fatol": 1e-13, "maxiter": 4_000, "maxfev": 4_000}
    found = [
        optimize.minimize(loss, np.array(start), bounds=bounds, method="Nelder-Mead", options=fine)
        for start in begin
    ]
    best = min(found, key=lambda result: float(result.fun)).x
    mu, sigma = float(best[0]), float(np.exp(best[1]))
    return mu, sigma, _lognormal_log(x, logs, mu, sigma, fit)


def _lognormal_log(x: Array, logs: Array, mu: float, sigma: float, fit: TailFit) -> Array:
    if not fit.discrete:
        above = special.log_ndtr(-(np.log(fit.xmin) - mu) / sigma)
        z = (logs - mu) / sigma
        found: Array = -logs - np.log(sigma) - 0.5 * np.log(2 * np.pi) - z**2 / 2 - above
        return found
    upper, lower = (special.log_ndtr(-(np.log(x + s) - mu) / sigma) for s in (0.5, -0.5))
    above = special.log_ndtr(-(np.log(fit.xmin - 0.5) - mu) / sigma)
    rounded: Array = lower + np.log1p(-np.exp(np.minimum(upper - lower, -1e-300))) - above
    return rounded


_MAKERS: dict[str, Callable[[Array, NDArray[np.int64], TailFit], tuple[float, float, Array]]]
_MAKERS = {
    "lognormal": _lognormal,
    "exponential": _exponential,
    "truncated_power_law": _cutoff,
}
