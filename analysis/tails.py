"""Tails: power laws fitted to sizes, and whether another distribution fits as well.

The exponent is found by maximum likelihood above a smallest value xmin, which is the one that
brings model and data closest together (Kolmogorov and Smirnov). A power law is a claim only beside
its alternatives: `compare_tails` gives Vuong's test against the lognormal and the exponential, and
`tail_test` how often a true power law looks worse than the data. Sizes are counted first, so that a
million cost little more than their different values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import zeta

from abm.analysis.arrays import as_numbers
from abm.analysis.intervals import Estimate, check_level
from abm.errors import AnalysisError, require

__all__ = ["TailFit", "draw_tail", "fit_tail", "tail_bootstrap", "tail_ccdf", "tail_test"]

Array = NDArray[np.float64]
NAN = float("nan")
_STEEPEST = 20.0
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class TailFit:
    """A power law p(x) ~ x^-alpha for x >= xmin.

    Attributes
    ----------
    alpha, low, high
        Exponent with the interval of its asymptotic standard error, given xmin; nan where
        undefined.
    standard_error
        Of alpha, from the Fisher information.
    xmin
        Smallest value of the tail.
    n_tail, n
        Values in the tail, and all.
    ks
        Largest distance between the distribution functions of tail and model.
    discrete, xmin_given
        Whether values are whole numbers, and whether xmin was given rather than found.
    level, reason
        Nominal coverage; why undefined.
    """

    alpha: float
    low: float
    high: float
    standard_error: float
    xmin: float
    n_tail: int
    n: int
    ks: float
    discrete: bool
    xmin_given: bool
    level: float
    reason: str = ""


def fit_tail(
    values: ArrayLike,
    *,
    discrete: bool,
    xmin: float | None = None,
    n_candidates: int = 250,
    level: float = 0.95,
) -> TailFit:
    """Fit a power law to the tail of a sample.

    Parameters
    ----------
    values
        Sizes such as those of cascades, shape (n,), >= 0; nan is left out, and 0 is below any tail.
    discrete
        True for counts: the likelihood then has the Hurwitz zeta function and no approximation.
    xmin
        Start of the tail. By default the observed value with the smallest Kolmogorov-Smirnov
        distance.
    n_candidates
        Where more different values than this could start the tail, so many of them are tried,
        evenly spaced in rank.

    Returns
    -------
    alpha > 1; nan, with the reason, when fewer than two different values are in the tail.

    Raises
    ------
    AnalysisError
        A value is negative, or not whole where `discrete` is set.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, sections 3 and 4.

    Examples
    --------
    >>> sizes = draw_tail(2.5, 1, 20_000, discrete=True, rng=np.random.default_rng(1))
    >>> fit = fit_tail(sizes, discrete=True, xmin=1)
    >>> fit.low < 2.5 < fit.high, round(fit.standard_error, 3)
    (True, 0.012)
    """
    check_level(level)
    x, times, n = _counted(values, discrete)
    starts = _starts(x, xmin, n_candidates, discrete)
    nothing = TailFit(NAN, NAN, NAN, NAN, NAN, 0, n, NAN, discrete, xmin is not None, level)
    if starts.size == 0:
        return replace(nothing, reason="fewer than two different values in the tail")
    lower = np.array([xmin], dtype=np.float64) if xmin is not None else x[starts]
    alpha, begin, held, gap = _closest(x, times, starts, lower, discrete)
    if alpha > _STEEPEST - 0.01:
        return replace(nothing, reason="no finite exponent: the tail is too steep")
    error = _standard_error(alpha, begin, held, discrete)
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    return replace(
        nothing,
        alpha=alpha,
        low=alpha - half,
        high=alpha + half,
        standard_error=error,
        xmin=begin,
        n_tail=held,
        ks=gap,
    )


def tail_bootstrap(
    values: ArrayLike,
    *,
    discrete: bool,
    rng: np.random.Generator,
    xmin: float | None = None,
    n_resamples: int = 199,
    level: float = 0.95,
) -> Estimate:
    """The exponent with a bootstrap interval that includes the uncertainty of xmin.

    Returns
    -------
    The exponent with its percentile interval; nan, with the reason, where the fit is undefined or
    most resamples have none.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; Clauset, Shalizi and
    Newman (2009), SIAM Review 51, 661-703, section 3.3, for finding xmin anew.

    Examples
    --------
    >>> sizes = draw_tail(2.5, 1, 2_000, discrete=True, rng=np.random.default_rng(1))
    >>> e = tail_bootstrap(sizes, discrete=True, rng=np.random.default_rng(2), n_resamples=50)
    >>> e.low < 2.5 < e.high
    True
    """
    fit = fit_tail(values, discrete=discrete, xmin=xmin, level=level)
    x, times, n = _counted(values, discrete)
    method = "bootstrap, percentile, xmin refitted"
    if n < 2 or fit.reason:
        return Estimate(fit.alpha, NAN, NAN, level, n, method, fit.reason or "one value")
    drawn = np.array(
        [
            fit_tail(
                np.repeat(x, rng.multinomial(n, times / n)), discrete=discrete, xmin=xmin
            ).alpha
            for _ in range(n_resamples)
        ]
    )
    good = drawn[np.isfinite(drawn)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(good, tails) if good.size > n_resamples / 2 else (NAN, NAN)
    left_out = n_resamples - good.size
    reason = f"undefined in {left_out} of {n_resamples} resamples" if left_out else ""
    return Estimate(fit.alpha, float(low), float(high), level, n, method, reason)


def tail_test(
    values: ArrayLike,
    fit: TailFit,
    *,
    rng: np.random.Generator,
    n_simulations: int = 99,
) -> float:
    """Goodness of fit: how often samples from the fitted power law lie farther from their fit.

    Values below xmin are resampled from the data, those above drawn from the model, and each sample
    is fitted as the data were. A small p-value (Clauset et al. take 0.1) speaks against a power
    law; a large one does not speak against others.

    Returns
    -------
    p-value in (0, 1], counting the data themselves; nan where the fit is undefined.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, section 4.1.

    Examples
    --------
    >>> sizes = draw_tail(2.5, 1, 500, discrete=True, rng=np.random.default_rng(1))
    >>> fit = fit_tail(sizes, discrete=True, xmin=1)
    >>> tail_test(sizes, fit, rng=np.random.default_rng(2), n_simulations=19) > 0.05
    True
    """
    if fit.reason:
        return NAN
    x, times, n = _counted(values, fit.discrete)
    body = np.repeat(x[x < fit.xmin], times[x < fit.xmin])
    given = fit.xmin if fit.xmin_given else None
    farther = 0
    for _ in range(n_simulations):
        many = int(rng.binomial(n, fit.n_tail / n))
        tail = draw_tail(fit.alpha, fit.xmin, many, discrete=fit.discrete, rng=rng)
        few = rng.choice(body, n - many) if body.size else body
        new = fit_tail(np.concatenate([few, tail]), discrete=fit.discrete, xmin=given)
        farther += not new.ks < fit.ks
    return (farther + 1) / (n_simulations + 1)


def draw_tail(
    alpha: float, xmin: float, n: int, *, discrete: bool, rng: np.random.Generator
) -> Array:
    """Draw n values from a power law with exponent alpha from xmin on, by inversion.

    Parameters
    ----------
    alpha
        > 1.
    xmin
        > 0; a whole number where `discrete` is set.

    Returns
    -------
    Shape (n,).

    Raises
    ------
    AnalysisError
        A parameter is out of range.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, appendix D.

    Examples
    --------
    >>> x = draw_tail(2.5, 1, 100_000, discrete=True, rng=np.random.default_rng(1))
    >>> abs(float(np.mean(x == 1)) - 1 / float(zeta(2.5))) < 0.005
    True
    """
    require(
        alpha > 1 and xmin > 0 and n >= 0 and (not discrete or xmin == np.floor(xmin)),
        AnalysisError,
        f"alpha = {alpha}, xmin = {xmin}, n = {n}, expected alpha > 1, xmin > 0, whole if "
        "discrete, and n >= 0",
    )
    left = 1 - rng.random(n)  # in (0, 1]; the largest x with P(X >= x) >= left is drawn
    if not discrete:
        result: Array = xmin * left ** (-1 / (alpha - 1))
        return result
    table = zeta(alpha, xmin + np.arange(1, 4097)) / zeta(alpha, xmin)  # P(X >= xmin + k)
    drawn: Array = xmin + np.searchsorted(-table, -left, side="right").astype(np.float64)
    far = left < table[-1]
    # Beyond the table zeta(alpha, x) is (x - 1/2)^(1 - alpha) / (alpha - 1) to about 1e-8.
    base = left[far] * zeta(alpha, xmin) * (alpha - 1)
    drawn[far] = np.floor(base ** (-1 / (alpha - 1)) + 0.5)
    return drawn


def tail_ccdf(values: ArrayLike) -> tuple[Array, Array]:
    """Different values in ascending order, and the share of the sample at or above each.

    Returns
    -------
    Two arrays of shape (n_different,), shares in (0, 1]; nan is left out, both empty for nobody.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, section 3.

    Examples
    --------
    >>> x, share = tail_ccdf([1, 1, 2, 5])
    >>> x.tolist(), share.tolist()
    ([1.0, 2.0, 5.0], [1.0, 0.5, 0.25])
    """
    given = as_numbers(values, "values").ravel()
    given = given[~np.isnan(given)]
    x, times = np.unique(given, return_counts=True)
    share: Array = np.cumsum(times[::-1])[::-1] / max(given.size, 1)
    return x, share


def _counted(values: ArrayLike, discrete: bool) -> tuple[Array, NDArray[np.int64], int]:
    """Different values > 0 with their counts, and the number of all values that are no nan."""
    given = as_numbers(values, "values").ravel()
    given = given[~np.isnan(given)]
    whole = not discrete or bool(np.all(given == np.floor(given)))
    require(
        given.size == 0 or (bool(given.min() >= 0) and whole),
        AnalysisError,
        f"values reach from {given.min(initial=0)} to {given.max(initial=0)}, expected finite "
        f"{'whole numbers' if discrete else 'numbers'} >= 0",
    )
    x, times = np.unique(given, return_counts=True)
    return x[x > 0], times[x > 0], int(given.size)


def _starts(x: Array, xmin: float | None, n_candidates: int, discrete: bool) -> NDArray[np.int64]:
    """Places of the values that could be xmin; each leaves two different values in the tail."""
    if xmin is not None:
        require(
            xmin > 0 and (not discrete or xmin == np.floor(xmin)),
            AnalysisError,
            f"xmin = {xmin}, expected {'a whole number ' if discrete else ''}> 0",
        )
        first = int(np.searchsorted(x, xmin))
        return np.array([first] if x.size - first >= 2 else [], dtype=np.int64)
    require(n_candidates >= 1, AnalysisError, f"n_candidates = {n_candidates}, expected >= 1")
    last = x.size - 2
    if last < 0:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.linspace(0, last, min(n_candidates, last + 1)).astype(np.int64))


def _closest(
    x: Array, times: NDArray[np.int64], starts: NDArray[np.int64], lower: Array, discrete: bool
) -> tuple[float, float, int, float]:
    """Exponent, start, size and distance of the tail that comes closest to a power law."""
    above = np.cumsum(times[::-1])[::-1][starts].astype(np.float64)
    logs = np.cumsum((times * np.log(x))[::-1])[::-1][starts].astype(np.float64)
    alphas = _exponents(above, logs, lower, discrete)
    gaps = [
        _distance(x[i:], times[i:], a, b, discrete)
        for i, a, b in zip(starts, alphas, lower, strict=True)
    ]
    best = int(np.argmin(gaps))
    return float(alphas[best]), float(lower[best]), int(above[best]), float(gaps[best])


def _exponents(n: Array, logs: Array, xmin: Array, discrete: bool) -> Array:
    """Maximum likelihood for every start at once; discrete ones by golden section."""
    if not discrete:
        mean = logs / n - np.log(xmin)
        return np.minimum(1 + 1 / np.maximum(mean, 1e-12), _STEEPEST)
    mean = logs / n
    low, high = np.full(n.shape, 1 + 1e-9), np.full(n.shape, _STEEPEST)
    for _ in range(46):
        one, two = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        better = _loss(one, mean, xmin) < _loss(two, mean, xmin)
        low, high = np.where(better, low, one), np.where(better, two, high)
    middle: Array = (low + high) / 2
    return middle


def _loss(alpha: Array, mean_log: Array, xmin: Array) -> Array:
    """Minus log likelihood over n: alpha E log x + log zeta(alpha, xmin); eq. 3.5."""
    # zeta(alpha, xmin) xmin^alpha is of order 1: no underflow at large xmin.
    shifted: Array = np.log(zeta(alpha, xmin) * xmin**alpha) + alpha * (mean_log - np.log(xmin))
    return shifted


def _distance(
    x: Array, times: NDArray[np.int64], alpha: float, xmin: float, discrete: bool
) -> float:
    """Kolmogorov-Smirnov distance of the tail, on both sides of every step."""
    after = np.cumsum(times) / times.sum()
    before = np.concatenate([[0.0], after[:-1]])
    if not discrete:
        model = 1 - (x / xmin) ** (1 - alpha)
        return float(max(np.abs(after - model).max(), np.abs(model - before).max()))
    total = zeta(alpha, xmin)
    here, ahead = 1 - zeta(alpha, x + 1) / total, 1 - zeta(alpha, x) / total
    return float(max(np.abs(after - here).max(), np.abs(ahead - before).max()))


def _standard_error(alpha: float, xmin: float, n: int, discrete: bool) -> float:
    if not discrete:
        return (alpha - 1) / float(np.sqrt(n))
    step = 1e-4 * (alpha - 1)
    logs = np.log(zeta(alpha + step * np.array([-1.0, 0.0, 1.0]), xmin) * xmin**alpha)
    curvature = float(logs[0] - 2 * logs[1] + logs[2]) / step**2
    return float(1 / np.sqrt(n * curvature)) if curvature > 0 else NAN
