"""Intervals: every estimate says how sure it is, from how many units, and why it is undefined.

Three sources of an interval live here: Student's t over replications, the bootstrap over rows of
a sample, and Wilson's score interval of a share. All return an `Estimate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.arrays import as_whole
from abm.errors import AnalysisError, require

__all__ = [
    "Estimate",
    "bootstrap",
    "bootstrap_counts",
    "bootstrap_two",
    "check_level",
    "mean_interval",
    "t_halfwidth",
    "wilson_interval",
]

Array = NDArray[np.float64]
Method = Literal["percentile", "bca", "basic"]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes
    ----------
    estimate, low, high
        The number and its interval; nan where undefined.
    level
        Nominal coverage of the interval, in (0, 1).
    n
        Units (replications, people) that entered.
    method
        How the interval was made.
    reason
        Why something is undefined or was left out; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    method: str
    reason: str = ""

    @property
    def halfwidth(self) -> float:
        return (self.high - self.low) / 2

    def row(self) -> dict[str, Any]:
        """Plain values, for a table."""
        return asdict(self)


def check_level(level: float) -> None:
    """Refuse a nominal coverage outside (0, 1)."""
    require(
        0 < level < 1,
        AnalysisError,
        f"level = {level}, expected 0 < level < 1 (0.95 for a 95 % interval)",
        argument="level",
        value=level,
    )


def t_halfwidth(sd: ArrayLike, n: ArrayLike, level: float) -> Array:
    """Half width of Student's t interval of a mean; nan where n < 2.

    Returns
    -------
    In the unit of `sd`, shape as `sd` and `n` together.

    References
    ----------
    Student (1908), Biometrika 6, 1-25.

    Examples
    --------
    >>> float(t_halfwidth(1.0, 4, 0.95).round(6))
    1.591223
    """
    count = np.asarray(n, dtype=np.float64)
    safe = np.maximum(count, 2)
    width = stats.t.ppf((1 + level) / 2, safe - 1) * np.asarray(sd, dtype=np.float64)
    return np.where(count >= 2, width / np.sqrt(safe), np.nan)


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of independent replications with Student's t interval.

    Parameters
    ----------
    values
        One number per replication, shape (n,). Undefined ones (nan) are left out, and said.

    Returns
    -------
    In the unit of the values; nan without a defined one, and no interval for a single one.

    References
    ----------
    Student (1908), Biometrika 6, 1-25.

    Examples
    --------
    >>> e = mean_interval([1.0, 2.0, 3.0, 4.0])
    >>> e.estimate, round(e.low, 3), round(e.high, 3)
    (2.5, 0.446, 4.554)
    >>> mean_interval([1.0]).reason
    'one replication: no interval'
    """
    check_level(level)
    given = np.asarray(values, dtype=np.float64).ravel()
    kept = given[np.isfinite(given)]
    n = kept.size
    mean = float(kept.mean()) if n else float("nan")
    half = float(t_halfwidth(kept.std(ddof=1), n, level)) if n > 1 else float("nan")
    reason = few(n, left_out=given.size - n)
    return Estimate(mean, mean - half, mean + half, level, n, "t over replications", reason)


def few(n: int, *, left_out: int = 0, unit: str = "replication") -> str:
    """Why an interval over n units is undefined or incomplete; empty if it is neither.

    Examples
    --------
    >>> few(10, left_out=2)
    '2 undefined replications left out'
    """
    parts = [f"no {unit}" if n == 0 else f"one {unit}: no interval"] if n < 2 else []
    if left_out:
        parts.append(f"{left_out} undefined {unit}{'s' * (left_out > 1)} left out")
    return "; ".join(parts)


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> Estimate:
    """A share of n independent people with Wilson's score interval.

    Returns
    -------
    A share and its interval within [0, 1]; nan for n = 0.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> e = wilson_interval(0, 10)
    >>> e.estimate, round(e.low, 4), round(e.high, 4)
    (0.0, 0.0, 0.2775)
    """
    check_level(level)
    require(
        0 <= successes <= max(n, 0),
        AnalysisError,
        f"successes = {successes}, expected 0 <= successes <= n = {n}",
    )
    if n == 0:
        nan = float("nan")
        return Estimate(nan, nan, nan, level, 0, "Wilson", "nobody")
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    low, high = (0.0 if successes == 0 else low), (1.0 if successes == n else high)
    return Estimate(share, float(low), float(high), level, n, "Wilson")


def bootstrap(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
    method: Method = "percentile",
) -> Estimate:
    """Any measure with a bootstrap interval over the rows of its samples.

    Parameters
    ----------
    statistic
        Function of as many arrays as there are samples; nan where undefined.
    samples
        Arrays of equal length; their rows are resampled together.
    rng
        Chance of the resampling.
    method
        `percentile`, `bca` (bias-corrected and accelerated; costs n more evaluations), or `basic`
        (the resamples' errors mirrored about the estimate), for measures whose resamples are biased
        as much as they scatter; its ends may leave the range of the measure.

    Returns
    -------
    The statistic of the samples as they are, with the interval. Resamples in which the statistic is
    undefined are left out and counted in `reason`; when half or more are, the interval is nan.

    References
    ----------
    Efron (1987), Journal of the American Statistical Association 82, 171-185; Davison and Hinkley
    (1997), Bootstrap Methods and Their Application, eq. 5.6 (`basic`).

    Examples
    --------
    >>> e = bootstrap(np.mean, np.arange(100.0), rng=np.random.default_rng(1))
    >>> e.estimate, 40 < e.low < 49.5 < e.high < 60
    (49.5, True)
    """
    check_level(level)
    _check_resampling(n_resamples, method)
    arrays = [np.asarray(sample) for sample in samples]
    n = _common_length(arrays)
    value = float(statistic(*arrays)) if n else float("nan")
    if n < 2:
        nan = float("nan")
        return Estimate(value, nan, nan, level, n, f"bootstrap, {method}", few(n, unit="unit"))
    draws = np.empty(n_resamples)
    for i in range(n_resamples):
        rows = rng.integers(0, n, size=n)
        draws[i] = statistic(*(array[rows] for array in arrays))
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        tails = _bca_tails(tails, value, draws, _jackknife(statistic, arrays, n))
    return _summarise(value, draws, tails, level, n, method)


def bootstrap_two(
    statistic: Callable[[Any, Any], float],
    one: ArrayLike,
    other: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
) -> Estimate:
    """A measure of two independent samples, with a bootstrap interval over the rows of each.

    The samples may differ in length: agents beside the people of a survey, say.

    Returns
    -------
    As `bootstrap`; no interval where a sample has fewer than two rows, nan where one has none.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 8.

    Examples
    --------
    >>> gap = lambda a, b: a.mean() - b.mean()
    >>> e = bootstrap_two(gap, np.arange(100.0), np.arange(50.0), rng=np.random.default_rng(1))
    >>> e.estimate, e.low < 25 < e.high, e.n
    (25.0, True, 150)
    """
    check_level(level)
    _check_resampling(n_resamples, "percentile")
    a, b = np.asarray(one), np.asarray(other)
    n, m = (_common_length([sample]) for sample in (a, b))
    value = float(statistic(a, b)) if min(n, m) else float("nan")
    if min(n, m) < 2:
        nan, reason = float("nan"), few(min(n, m), unit="unit")
        return Estimate(value, nan, nan, level, n + m, "bootstrap, percentile", reason)
    draws = np.array(
        [
            statistic(a[rng.integers(0, n, size=n)], b[rng.integers(0, m, size=m)])
            for _ in range(n_resamples)
        ]
    )
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    return _summarise(value, draws, tails, level, n + m, "percentile")


def bootstrap_counts(
    statistic: Callable[[Array], float],
    counts: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
    method: Literal["percentile", "basic"] = "percentile",
) -> Estimate:
    """A measure of category counts with a bootstrap interval over the people counted.

    Resampling n people with replacement is one multinomial draw, so a million people cost nothing.

    Parameters
    ----------
    method
        As in `bootstrap`. Entropy and effective numbers are largest where all answers are as
        common, and every resample lies below: near there the percentile interval misses the truth
        and `basic` holds it.

    Returns
    -------
    As `bootstrap`; an interval of nan for fewer than two people.

    References
    ----------
    Efron (1979), Annals of Statistics 7, 1-26.

    Examples
    --------
    >>> share = lambda f: f[0] / f.sum()
    >>> e = bootstrap_counts(share, [500, 500], rng=np.random.default_rng(1))
    >>> 0.45 < e.low < e.estimate < e.high < 0.55
    True
    """
    check_level(level)
    _check_resampling(n_resamples, "percentile")
    require(
        method in ("percentile", "basic"),
        AnalysisError,
        f"method = {method!r}, expected 'percentile' or 'basic'",
    )
    table = as_whole(counts, "counts").ravel()
    require(bool(np.all(table >= 0)), AnalysisError, f"counts {table[:9].tolist()}, expected >= 0")
    n = int(table.sum())
    value = float(statistic(table.astype(np.float64)))
    if n < 2:
        nan = float("nan")
        return Estimate(value, nan, nan, level, n, f"bootstrap, {method}", few(n, unit="person"))
    resampled = rng.multinomial(n, table / n, size=n_resamples).astype(np.float64)
    draws = np.array([statistic(row) for row in resampled])
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    return _summarise(value, draws, tails, level, n, method)


def _check_resampling(n_resamples: int, method: str) -> None:
    require(n_resamples >= 1, AnalysisError, f"n_resamples = {n_resamples}, expected >= 1")
    require(
        method in ("percentile", "bca", "basic"),
        AnalysisError,
        f"method = {method!r}, expected 'percentile', 'bca' or 'basic'",
    )


def _common_length(arrays: list[NDArray[Any]]) -> int:
    lengths = sorted({array.shape[0] if array.ndim else 0 for array in arrays})
    require(
        len(lengths) == 1,
        AnalysisError,
        f"samples have {lengths or 'no'} rows, expected one or more samples of equal length",
    )
    return int(lengths[0])


def _jackknife(statistic: Callable[..., float], arrays: list[NDArray[Any]], n: int) -> Array:
    without = (np.delete(np.arange(n), i) for i in range(n))
    return np.array([statistic(*(array[rows] for array in arrays)) for rows in without])


def _bca_tails(tails: Array, value: float, draws: Array, left_out: Array) -> Array:
    good = draws[np.isfinite(draws)]
    below = (np.sum(good < value) + 0.5 * np.sum(good == value)) / max(good.size, 1)
    bias = stats.norm.ppf(np.clip(below, 1e-6, 1 - 1e-6))
    gaps = np.nanmean(left_out) - left_out
    spread = np.nansum(gaps**2) ** 1.5
    acceleration = np.nansum(gaps**3) / (6 * spread) if spread > 0 else 0.0
    shifted = bias + stats.norm.ppf(tails)
    result: Array = stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    return result


def _summarise(
    value: float, draws: Array, tails: Array, level: float, n: int, method: str
) -> Estimate:
    good = draws[np.isfinite(draws)]
    undefined = draws.size - good.size
    reason = f"undefined in {undefined} of {draws.size} resamples" if undefined else ""
    low, high = (np.nan, np.nan)
    if np.isfinite(value) and undefined < draws.size / 2:
        low, high = np.quantile(good, tails)
        if method == "basic":
            low, high = 2 * value - high, 2 * value - low
    elif not reason:
        reason = "undefined"
    return Estimate(value, float(low), float(high), level, n, f"bootstrap, {method}", reason)
