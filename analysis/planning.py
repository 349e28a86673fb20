"""Planning: how many replications an interval or a test needs."""

from __future__ import annotations

import numpy as np
from scipy import stats

from abm.analysis.intervals import check_level, t_halfwidth
from abm.errors import AnalysisError, require

__all__ = ["power", "replications_needed"]


def replications_needed(sd: float, halfwidth: float, *, level: float = 0.95) -> int:
    """Smallest number of replications whose t interval is expected to be that narrow.

    Parameters
    ----------
    sd
        Standard deviation between replications; for a paired effect, `effect.sd_paired`.
    halfwidth
        Wanted half width of the interval, > 0, same unit.

    Examples
    --------
    >>> replications_needed(1.0, 0.5)
    18
    """
    check_level(level)
    good = halfwidth > 0 and np.isfinite(sd) and sd >= 0
    require(good, AnalysisError, f"sd = {sd}, halfwidth = {halfwidth}: expected sd >= 0, width > 0")
    low, high = 1, 2
    while float(t_halfwidth(sd, high, level)) > halfwidth:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = middle >= 2 and float(t_halfwidth(sd, middle, level)) <= halfwidth
        low, high = (low, middle) if enough else (middle, high)
    return high


def power(effect: float, sd: float, n: int, *, level: float = 0.95) -> float:
    """Probability that the t interval of n pairs excludes zero when the true effect is `effect`.

    Examples
    --------
    >>> round(power(0.5, 1.0, 34), 3)
    0.808
    """
    check_level(level)
    if n < 2 or not sd > 0:
        return float("nan")
    critical, shift = stats.t.ppf((1 + level) / 2, n - 1), effect / sd * np.sqrt(n)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))
