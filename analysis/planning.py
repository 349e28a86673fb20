"""Planning: how many replications an interval or a test needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from abm.analysis.intervals import check_level, t_halfwidth
from abm.errors import AnalysisError, require

__all__ = [
    "detectable_effect",
    "equivalence_power",
    "power",
    "replications_for_equivalence",
    "replications_for_power",
    "replications_needed",
]

MOST = 1_000_000


def replications_needed(sd: float, halfwidth: float, *, level: float = 0.95) -> int:
    """Smallest number of replications whose t interval is expected to be that narrow.

    Parameters
    ----------
    sd
        Standard deviation between replications; for a paired effect, `effect.sd_paired`.
    halfwidth
        Wanted half width of the interval, > 0, same unit.

    References
    ----------
    Law (2015), Simulation Modeling and Analysis, 5th edition, chapter 9.

    Examples
    --------
    >>> replications_needed(1.0, 0.5)
    18
    """
    check_level(level)
    good = halfwidth > 0 and np.isfinite(sd) and sd >= 0
    require(good, AnalysisError, f"sd = {sd}, halfwidth = {halfwidth}: expected sd >= 0, width > 0")
    return _smallest(lambda n: float(t_halfwidth(sd, n, level)) <= halfwidth)


def power(effect: float, sd: float, n: int, *, level: float = 0.95) -> float:
    """Probability that the t interval of n pairs excludes zero when the true effect is `effect`.

    References
    ----------
    Owen (1968), Technometrics 10, 445-478: the noncentral t distribution.

    Examples
    --------
    >>> round(power(0.5, 1.0, 34), 3)
    0.808
    """
    check_level(level)
    if n < 2 or not sd > 0:
        return float("nan")
    critical, shift = stats.t.ppf((1 + level) / 2, n - 1), effect / sd * np.sqrt(n)
    exact = float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))
    if np.isfinite(exact):
        return min(exact, 1.0)
    bound = critical * _estimated_sd(n)  # where the noncentral t overflows
    return float((stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift)).mean())


def replications_for_power(
    effect: float, sd: float, *, wanted: float = 0.8, level: float = 0.95
) -> int:
    """Smallest number of pairs with which an effect of that size is found with that probability.

    Parameters
    ----------
    effect
        True difference, not 0, in the unit of the outcome: the smallest one that would matter.
    sd
        Standard deviation of the differences within pairs (`effect.sd_paired` of a pilot).
    wanted
        Wanted power, in (0, 1).

    References
    ----------
    As `power`.

    Examples
    --------
    >>> replications_for_power(0.5, 1.0)
    34
    """
    check_level(level)
    _check_power(wanted)
    good = effect != 0 and np.isfinite(effect) and np.isfinite(sd) and sd > 0
    require(good, AnalysisError, f"effect = {effect}, sd = {sd}: expected effect != 0 and sd > 0")
    return _smallest(lambda n: power(effect, sd, n, level=level) >= wanted)


def detectable_effect(sd: float, n: int, *, wanted: float = 0.8, level: float = 0.95) -> float:
    """Smallest true effect that n pairs find with that probability; nan with fewer than two.

    References
    ----------
    Bloom (1995), Evaluation Review 19, 547-556.

    Examples
    --------
    >>> round(detectable_effect(1.0, 34), 3)
    0.495
    """
    check_level(level)
    _check_power(wanted)
    if n < 2 or not sd > 0:
        return float("nan")
    top = sd
    while power(top, sd, n, level=level) < wanted:
        top *= 2
    root = optimize.brentq(lambda e: power(e, sd, n, level=level) - wanted, 0, top, xtol=1e-6 * sd)
    return float(root)


def equivalence_power(
    margin: float, sd: float, n: int, *, effect: float = 0.0, alpha: float = 0.05
) -> float:
    """Probability that n pairs show equivalence within +-margin when the true effect is `effect`.

    References
    ----------
    Owen (1965), Biometrika 52, 437-446: the two one-sided tests as one integral over the variance.

    Examples
    --------
    >>> round(equivalence_power(0.5, 1.0, 36), 3)
    0.805
    """
    require(margin > 0, AnalysisError, f"margin = {margin}, expected > 0")
    require(0 < alpha < 0.5, AnalysisError, f"alpha = {alpha}, expected 0 < alpha < 0.5")
    if n < 2 or not sd > 0:
        return float("nan")
    critical, error = stats.t.ppf(1 - alpha, n - 1), sd / np.sqrt(n)
    room = margin - critical * error * _estimated_sd(n)
    inside = stats.norm.cdf((room - effect) / error) - stats.norm.cdf((-room - effect) / error)
    return float(np.where(room > 0, inside, 0.0).mean())


def replications_for_equivalence(
    margin: float, sd: float, *, effect: float = 0.0, wanted: float = 0.8, alpha: float = 0.05
) -> int:
    """Smallest number of pairs that show equivalence within +-margin with that probability.

    Parameters
    ----------
    margin
        Largest difference that would not matter, fixed beforehand, in the unit of the outcome.
    sd
        Standard deviation of the differences within pairs (`effect.sd_paired` of a pilot), > 0.
    effect
        True difference, inside the margin.

    References
    ----------
    As `equivalence_power`.

    Examples
    --------
    >>> n = replications_for_equivalence(0.5, 1.0)
    >>> n, equivalence_power(0.5, 1.0, n) >= 0.8 > equivalence_power(0.5, 1.0, n - 1)
    (36, True)
    """
    _check_power(wanted)
    good = abs(effect) < margin < float("inf") and np.isfinite(sd) and sd > 0
    text = f"margin = {margin}, effect = {effect}, sd = {sd}: expected |effect| < margin and sd > 0"
    require(bool(good), AnalysisError, text)
    return _smallest(
        lambda n: equivalence_power(margin, sd, n, effect=effect, alpha=alpha) >= wanted
    )


def _estimated_sd(n: int) -> NDArray[np.float64]:
    """Quantiles of the standard deviation that n values show, over the true one."""
    points = (np.arange(20_000) + 0.5) / 20_000
    return np.asarray(np.sqrt(stats.chi2.ppf(points, n - 1) / (n - 1)))


def _check_power(wanted: float) -> None:
    require(0 < wanted < 1, AnalysisError, f"wanted = {wanted}, expected a power in (0, 1)")


def _smallest(enough: Callable[[int], bool]) -> int:
    """Smallest n >= 2 for which a condition holds that stays true once it is."""
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        require(high <= MOST, AnalysisError, f"more than {MOST:,} replications would be needed")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
