"""Sampled answers: what it costs in certainty that a distribution was estimated from k draws.

A server that gives no probabilities is asked k times, and the counts stand for the distribution.
All agents and all replications then share that estimate, so its error does not show between
replications: an interval over replications is too narrow. Here the error is put back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.intervals import Estimate, check_level
from abm.analysis.paired import Effect
from abm.errors import AnalysisError, require

__all__ = ["answer_bootstrap", "answer_error", "draws_in", "redrawn", "with_answer_error"]

Array = NDArray[np.float64]
SHARED = ("answers", "shared answers")
JEFFREYS = 0.5


def answer_error(
    counts: ArrayLike, weights: ArrayLike | None = None, values: ArrayLike | None = None
) -> float:
    """Standard error of a mean over decisions that comes from estimating their distributions.

    Parameters
    ----------
    counts
        How often each option was drawn for each distinct request, shape (n_requests, n_options).
        The k of a request is the sum of its row.
    weights
        Weight of each request in the outcome, shape (n_requests,): the share of decisions that
        raised it; for a difference of arms, the share in one arm minus that in the other, so that
        requests which both raise cancel. Equal weights that sum to 1 by default.
    values
        Value of each option, shape (n_options,): 1 for the option that is counted and 0 for the
        others (the default counts the first), or points of a scale.

    Returns
    -------
    Standard error in the unit of `values`. It is first order: it holds the weights fixed, so it
    leaves out that other answers would have led to other requests. `redrawn` and a run per redraw
    give the whole.

    Notes
    -----
    The variance of sum_r w_r sum_o p_ro v_o, where row r of p has the posterior of Jeffreys'
    Dirichlet prior. So a request that gave the same option k times is not taken for certain.

    Examples
    --------
    >>> round(answer_error([[50, 50]]), 4)
    0.0495
    >>> answer_error([[50, 50], [10, 90]], weights=[0.5, 0.5]) < answer_error([[50, 50]])
    True
    """
    table = _counts(counts)
    n_requests, n_options = table.shape
    w = np.full(n_requests, 1 / n_requests) if weights is None else _vector(weights, n_requests)
    given = np.eye(1, n_options)[0] if values is None else _vector(values, n_options)
    posterior = table + JEFFREYS
    total = posterior.sum(axis=1)
    p = posterior / total[:, None]
    mean = p @ given
    variance = (p @ given**2 - mean**2) / (total + 1)
    return float(np.sqrt(np.sum(w**2 * np.maximum(variance, 0))))


def with_answer_error(
    effect: Effect, standard_error: float, *, degrees: float = math.inf
) -> Effect:
    """The effect with the error of sampled answers added to its interval.

    Parameters
    ----------
    effect
        From paired or independent runs that all used the same sampled answers.
    standard_error
        From `answer_error`, in the unit of the effect, or the standard deviation of the effect
        between redraws of the answers.
    degrees
        Degrees of freedom of the standard error: the number of redraws minus 1 where it comes from
        redraws.

    Returns
    -------
    The same estimate. Half widths add in squares, so the interval is never narrower than before;
    `varied` names the sampled answers.

    References
    ----------
    Zou & Donner (2008), Statistics in Medicine 27, 1693-1702, for adding half widths.

    Examples
    --------
    >>> from abm.analysis.paired import paired_effect
    >>> effect = paired_effect([3.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    >>> wider = with_answer_error(effect, 0.5)
    >>> wider.estimate == effect.estimate, wider.low < effect.low, wider.varied[-1]
    (True, True, 'sampled answers')
    """
    require(
        np.isfinite(standard_error) and standard_error >= 0,
        AnalysisError,
        f"standard_error = {standard_error}, expected a number >= 0",
    )
    own = effect.high - effect.estimate
    if not np.isfinite(own):
        return effect
    require(degrees > 0, AnalysisError, f"degrees = {degrees}, expected > 0")
    half = float(np.hypot(own, stats.t.ppf((1 + effect.level) / 2, degrees) * standard_error))
    return replace(
        effect,
        low=effect.estimate - half,
        high=effect.estimate + half,
        degrees=effect.degrees if own > 0 else degrees,
        varied=(*effect.varied, "sampled answers"),
        fixed=tuple(name for name in effect.fixed if name not in SHARED),
    )


def redrawn(counts: ArrayLike, *, rng: np.random.Generator) -> Array:
    """Distributions that could as well be behind these counts, shape (n_requests, n_options).

    One draw from the posterior of Jeffreys' Dirichlet prior. A run that is answered with it, and
    others with further redraws, carry the error of the answers through everything that follows.

    Examples
    --------
    >>> redrawn([[3, 7]], rng=np.random.default_rng(1)).sum(axis=1).round(9).tolist()
    [1.0]
    """
    weight = rng.standard_gamma(_counts(counts) + JEFFREYS)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def draws_in(detail: str) -> int:
    """How often a server was asked, as the detail of a sampled answer says; 0 where it does not.

    Examples
    --------
    >>> draws_in("20 draws (the server gives no log-probabilities)"), draws_in("")
    (20, 0)
    """
    said = re.match(r"(\d+) draws", detail)
    return int(said.group(1)) if said else 0


def answer_bootstrap(
    statistic: Callable[[Array], float],
    counts: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
) -> Estimate:
    """A measure of answer distributions with an interval for their being estimated from draws.

    Parameters
    ----------
    statistic
        Function of the distributions, shape (n_requests, n_options).

    Examples
    --------
    >>> e = answer_bootstrap(lambda p: p[0, 0], [[50, 50]], rng=np.random.default_rng(1))
    >>> 0.38 < e.low < 0.42 < e.estimate < 0.58 < e.high < 0.62
    True
    """
    check_level(level)
    table = _counts(counts)
    value = float(statistic(table / table.sum(axis=1, keepdims=True)))
    draws = np.array([statistic(redrawn(table, rng=rng)) for _ in range(n_resamples)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value, float(low), float(high), level, int(table.sum()), "redrawn answers (Jeffreys prior)"
    )


def _counts(counts: ArrayLike) -> Array:
    table = np.asarray(counts, dtype=np.float64)
    require(
        table.ndim == 2 and table.shape[1] >= 2 and bool(np.all(table >= 0)),
        AnalysisError,
        f"counts have shape {table.shape}, expected (n_requests, n_options) with numbers >= 0",
    )
    require(
        table.shape[0] > 0 and bool(np.all(table.sum(axis=1) > 0)),
        AnalysisError,
        "counts: every request needs at least one draw",
    )
    return table


def _vector(values: ArrayLike, n: int) -> Array:
    found = np.asarray(values, dtype=np.float64).ravel()
    require(found.size == n, AnalysisError, f"{found.size} values given, expected {n}")
    return found
