"""Dynamics: how often opinions flip, when a society agrees, whether a change announces itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import signal, stats
from scipy.ndimage import gaussian_filter1d

from abm.analysis.arrays import as_numbers
from abm.analysis.intervals import check_level
from abm.errors import AnalysisError, require

__all__ = [
    "WarningTrend",
    "consensus_time",
    "detrended",
    "early_warning",
    "early_warning_trend",
    "flip_rate",
    "survival",
]

Array = NDArray[np.float64]
NAN = float("nan")
_CELLS = 1 << 20
"""Cells of windows held at once: a long series in wide windows has more than memory holds."""


def flip_rate(opinions: ArrayLike, *, middle: float | None = None) -> float:
    """Share of steps at which an agent's opinion changes, or changes side.

    Parameters
    ----------
    opinions
        Shape (n_times, n_agents), in order of time; nan is no opinion.
    middle
        Neutral point: counts changes from one side to the other (an agent at the middle is on no
        side). Without it, every change counts.

    Returns
    -------
    Over all agents and steps with both opinions defined (and, with `middle`, both on a side); nan
    where there is none. A constant opinion has rate 0, a 60/40 opinion drawn anew at each step has
    0.48. Intervals come from its values over agents or replications, by `bootstrap` or
    `means_table`.

    References
    ----------
    Defined here: over all steps of all agents, so that an agent who was asked more often counts for
    more.

    Examples
    --------
    >>> flip_rate([[1, 5], [1, 3], [1, 5]], middle=4)
    0.5
    """
    x = as_numbers(opinions, "opinions")
    require(x.ndim == 2, AnalysisError, f"shape {x.shape}, expected (n_times, n_agents)")
    sides = x if middle is None else np.where(x == middle, np.nan, np.sign(x - middle))
    before, after = sides[:-1], sides[1:]
    known = ~(np.isnan(before) | np.isnan(after))
    return float((before != after)[known].mean()) if known.any() else NAN


def consensus_time(times: ArrayLike, opinions: ArrayLike, *, tolerance: float = 0.0) -> float:
    """First time from which all opinions stay within `tolerance` of each other until the end.

    Parameters
    ----------
    times
        Ascending, shape (n_times,).
    opinions
        Shape (n_times, n_agents). An undefined opinion is within reach of nobody's: drop those who
        never answer.
    tolerance
        Largest distance between two opinions of a consensus, >= 0.

    Returns
    -------
    nan when there is no consensus at the last time: the run is censored there, see `survival`.

    Raises
    ------
    AnalysisError
        Times do not ascend, or are not as many as rows of opinions.

    References
    ----------
    Castellano, Fortunato and Loreto (2009), Reviews of Modern Physics 81, 591-646, section III, for
    consensus times; that a consensus has to last until the end is set here.

    Examples
    --------
    >>> consensus_time([0, 1, 2], [[0, 1], [1, 1], [1, 1]])
    1.0
    """
    x, when = as_numbers(opinions, "opinions"), as_numbers(times, "times")
    require(
        x.ndim == 2 and when.shape == x.shape[:1] and bool(np.all(np.diff(when) > 0)),
        AnalysisError,
        f"{when.size} times and opinions of shape {x.shape}, expected (n_times, n_agents) and "
        "ascending times",
    )
    require(tolerance >= 0, AnalysisError, f"tolerance = {tolerance}, expected >= 0")
    if x.size == 0:
        return NAN
    apart = ~(np.ptp(x, axis=1) <= tolerance)
    if apart[-1]:
        return NAN
    return float(when[np.flatnonzero(apart)[-1] + 1 if apart.any() else 0])


def survival(times: ArrayLike, happened: ArrayLike, *, level: float = 0.95) -> pl.DataFrame:
    """Kaplan-Meier curve of the time until something happens, such as consensus, over runs.

    Parameters
    ----------
    times
        When it happened, or when the run ended without it, shape (n,).
    happened
        False where the run ended first (censored), shape (n,).

    Returns
    -------
    One row per time at which something happened: `time`, `at_risk`, `events`, `estimate` (share
    still without), `low`, `high` by Greenwood's variance on the log(-log) scale (nan where the
    share is 0 or 1), `level`. Who is censored at a time is still at risk then. No rows where it
    never happened.

    References
    ----------
    Kaplan and Meier (1958), Journal of the American Statistical Association 53, 457-481.

    Examples
    --------
    >>> survival([1, 2, 3, 3], [True, True, True, False])["estimate"].to_list()
    [0.75, 0.5, 0.25]
    """
    check_level(level)
    when, marks = as_numbers(times, "times").ravel(), as_numbers(happened, "happened").ravel()
    good = when.shape == marks.shape and not np.isnan(when).any() and not np.isnan(marks).any()
    require(
        good and bool(np.all(when >= 0)) and bool(np.isin(marks, (0, 1)).all()),
        AnalysisError,
        f"{when.size} times and {marks.size} marks, expected equal numbers, times >= 0, marks True "
        "or False, no nan: a run without the event has the time of its end and happened = False",
    )
    real = marks == 1
    moments, events = np.unique(when[real], return_counts=True)
    risk = when.size - np.searchsorted(np.sort(when), moments)
    share: Array = np.cumprod(1 - events / risk).astype(np.float64)
    low, high = _greenwood(share, events, risk, level)
    columns = {"time": moments, "at_risk": risk, "events": events, "estimate": share}
    return pl.DataFrame(columns | {"low": low, "high": high, "level": np.full(share.size, level)})


def _greenwood(
    share: Array, events: NDArray[np.int64], risk: NDArray[np.int64], level: float
) -> tuple[Array, Array]:
    z = float(stats.norm.ppf((1 + level) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(events / (risk * (risk - events))) / np.log(share) ** 2
        ends = [share ** np.exp(sign * z * np.sqrt(variance)) for sign in (1, -1)]
    inside = (share > 0) & (share < 1)
    return np.where(inside, ends[0], np.nan), np.where(inside, ends[1], np.nan)


def early_warning(series: ArrayLike, *, window: int) -> pl.DataFrame:
    """Signs of a coming transition: variance and lag-1 autocorrelation in a sliding window.

    Both grow as a system that is about to tip recovers ever more slowly.

    Parameters
    ----------
    series
        Shape (n_times,), evenly spaced and without trend; `detrended` takes a trend out.
    window
        Observations per window, 3 or more.

    Returns
    -------
    One row per window: `end` (index of its last observation), `variance` (over the number in the
    window; R's `var` divides by one less), `autocorrelation` (lag-1 sum of products about the
    window's mean over its sum of squares, as R's `acf`; nan where the window is constant). Both nan
    where the window has an undefined value. `early_warning_trend` sums it up.

    References
    ----------
    Scheffer et al. (2009), Nature 461, 53-59.

    Examples
    --------
    >>> early_warning([0.0, 1.0, 0.0, 1.0, 0.0], window=4)["variance"].to_list()
    [0.25, 0.25]
    """
    x = as_numbers(series, "series").ravel()
    require(
        3 <= window <= x.size and int(window) == window,
        AnalysisError,
        f"window = {window}, expected a whole number from 3 to the {x.size} observations there are",
    )
    variance, follow = _windowed(x, int(window))
    ends = np.arange(window - 1, x.size)
    return pl.DataFrame({"end": ends, "variance": variance, "autocorrelation": follow})


def _windowed(x: Array, window: int) -> tuple[Array, Array]:
    """Variance and lag-1 autocorrelation of every window, a bounded number of cells at a time."""
    windows = np.lib.stride_tricks.sliding_window_view(x, window)
    variance, follow = np.empty(len(windows)), np.empty(len(windows))
    step = max(1, _CELLS // window)
    for begin in range(0, len(windows), step):
        rows = windows[begin : begin + step]
        gaps = rows - rows.mean(axis=1, keepdims=True)
        squares = (gaps**2).sum(axis=1)
        alike = rows.max(axis=1) == rows.min(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            lagged = (gaps[:, 1:] * gaps[:, :-1]).sum(axis=1) / squares
        variance[begin : begin + step] = np.where(alike, 0.0, squares / window)
        follow[begin : begin + step] = np.where(alike, np.nan, lagged)
    return variance, follow


def detrended(series: ArrayLike, *, bandwidth: float) -> Array:
    """A series minus its Gaussian moving average, shape (n_times,).

    Parameters
    ----------
    bandwidth
        Standard deviation of the kernel in time steps, > 0: wide enough to leave the fluctuations,
        narrow enough to take the trend.

    Returns
    -------
    In the unit of the series; nan near an undefined value.

    References
    ----------
    Dakos et al. (2008), PNAS 105, 14308-14312.

    Examples
    --------
    >>> line = np.arange(100.0)
    >>> bool(np.abs(detrended(line, bandwidth=5)[20:80]).max() < 1e-9)
    True
    """
    x = as_numbers(series, "series").ravel()
    require(bandwidth > 0, AnalysisError, f"bandwidth = {bandwidth}, expected > 0")
    smooth: Array = gaussian_filter1d(x, bandwidth, mode="nearest")
    return x - smooth


@dataclass(frozen=True)
class WarningTrend:
    """Do the signs of a coming transition grow?

    Attributes
    ----------
    tau
        Kendall's tau of the indicator with time, in [-1, 1].
    low, high
        Central interval of tau in series without a change in stability.
    p_value
        How often such a series has as large a tau, counting the data themselves: one-sided, because
        only growth is a warning.
    n
        Windows.
    """

    tau: float
    low: float
    high: float
    p_value: float
    n: int


def early_warning_trend(
    series: ArrayLike,
    *,
    window: int,
    indicator: str = "autocorrelation",
    rng: np.random.Generator,
    n_surrogates: int = 199,
    level: float = 0.95,
) -> WarningTrend:
    """Kendall's tau of an indicator of `early_warning`, against series that stay as stable.

    Windows overlap, so tau has no textbook p-value. The surrogates are autoregressions of order one
    with the mean autocorrelation and variance of the series.

    Parameters
    ----------
    series, window
        As in `early_warning`.
    indicator
        `variance` or `autocorrelation`.

    Returns
    -------
    nan for a constant series, or one with an undefined value.

    References
    ----------
    Dakos et al. (2008), PNAS 105, 14308-14312; Dakos et al. (2012), PLOS ONE 7, e41010.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> early_warning_trend(rng.normal(size=300), window=50, rng=rng).p_value > 0.05
    True
    """
    require(
        indicator in ("variance", "autocorrelation"),
        AnalysisError,
        f"indicator = {indicator!r}, expected 'variance' or 'autocorrelation'",
    )
    check_level(level)
    require(n_surrogates >= 1, AnalysisError, f"n_surrogates = {n_surrogates}, expected >= 1")
    x = as_numbers(series, "series").ravel()
    tau, n = _tau(x, window, indicator)
    gaps = x - x.mean()
    if not np.isfinite(tau) or np.isnan(gaps).any() or not gaps.any():
        return WarningTrend(NAN, NAN, NAN, NAN, n)
    follow = float(np.clip(gaps[1:] @ gaps[:-1] / (gaps @ gaps), -0.999, 0.999))
    drawn = (_autoregression(follow, x.size, rng) for _ in range(n_surrogates))
    null = np.array([_tau(surrogate, window, indicator)[0] for surrogate in drawn])
    p = float((np.sum(null >= tau) + 1) / (null.size + 1))
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    return WarningTrend(tau, float(low), float(high), p, n)


def _tau(x: Array, window: int, indicator: str) -> tuple[float, int]:
    table = early_warning(x, window=window)
    values = table[indicator].to_numpy()
    good = np.isfinite(values)
    if good.sum() < 3:
        return NAN, int(good.sum())
    found = stats.kendalltau(np.flatnonzero(good), values[good]).statistic
    return float(found), int(good.sum())


def _autoregression(follow: float, n: int, rng: np.random.Generator) -> Array:
    """A stationary autoregression of order one with variance 1."""
    shocks = rng.normal(0, np.sqrt(1 - follow**2), n)
    shocks[0] = rng.normal()
    series: Array = signal.lfilter([1.0], [1.0, -follow], shocks)
    return series
