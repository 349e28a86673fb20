"""Dynamics: how often opinions flip, when a society agrees, whether a change announces itself."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.intervals import check_level
from abm.errors import AnalysisError, require

__all__ = ["consensus_time", "early_warning", "flip_rate", "survival"]

Array = NDArray[np.float64]
NAN = float("nan")


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
    0.48.

    Examples
    --------
    >>> flip_rate([[1, 5], [1, 3], [1, 5]], middle=4)
    0.5
    """
    x = np.asarray(opinions, dtype=np.float64)
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
        Shape (n_times, n_agents).

    Returns
    -------
    nan when there is no consensus at the last time: the run is censored there, see `survival`.

    Examples
    --------
    >>> consensus_time([0, 1, 2], [[0, 1], [1, 1], [1, 1]])
    1.0
    """
    x, when = np.asarray(opinions, dtype=np.float64), np.asarray(times, dtype=np.float64)
    require(
        x.ndim == 2 and when.shape == x.shape[:1],
        AnalysisError,
        f"{when.size} times and opinions of shape {x.shape}, expected (n_times, n_agents)",
    )
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
    share is 0 or 1), `level`.

    References
    ----------
    Kaplan and Meier (1958), Journal of the American Statistical Association 53, 457-481.

    Examples
    --------
    >>> survival([1, 2, 3, 3], [True, True, True, False])["estimate"].to_list()
    [0.75, 0.5, 0.25]
    """
    check_level(level)
    when, real = np.asarray(times, dtype=np.float64), np.asarray(happened, dtype=bool)
    require(
        when.shape == real.shape and not np.isnan(when).any(),
        AnalysisError,
        f"{when.size} times and {real.size} marks, expected equal numbers and no nan: a run "
        "without the event has the time of its end and happened = False",
    )
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
        Shape (n_times,), evenly spaced and without trend; take a trend out first.
    window
        Observations per window, 3 or more.

    Returns
    -------
    One row per window: `end` (index of its last observation), `variance`, `autocorrelation` (nan
    where the window is constant). Kendall's tau of either with `end` sums it up.

    References
    ----------
    Scheffer et al. (2009), Nature 461, 53-59.

    Examples
    --------
    >>> early_warning([0.0, 1.0, 0.0, 1.0, 0.0], window=4)["variance"].to_list()
    [0.25, 0.25]
    """
    x = np.asarray(series, dtype=np.float64).ravel()
    require(
        3 <= window <= x.size,
        AnalysisError,
        f"window = {window}, expected 3 to the {x.size} observations there are",
    )
    rows = np.lib.stride_tricks.sliding_window_view(x, window)
    gaps = rows - rows.mean(axis=1, keepdims=True)
    squares = (gaps**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        follow = (gaps[:, 1:] * gaps[:, :-1]).sum(axis=1) / squares
    alike = rows.max(axis=1) == rows.min(axis=1)
    return pl.DataFrame(
        {
            "end": np.arange(window - 1, x.size),
            "variance": np.where(alike, 0.0, squares / window),
            "autocorrelation": np.where(alike, np.nan, follow),
        }
    )
