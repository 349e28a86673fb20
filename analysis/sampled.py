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

__all__ = [
    "answer_bootstrap",
    "answer_degrees",
    "answer_error",
    "draws_in",
    "redraw_errors",
    "redrawn",
    "with_answer_error",
]

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
    The square root of sum_r w_r^2 Var_r(v) / (k_r - 1), where Var_r(v) is the variance of the value
    of one draw of request r. Divided by k_r - 1 it estimates the variance of a mean of k_r draws
    without bias (the posterior of the shares is narrower than the error of the shares that were
    drawn, because it lies about other shares). The shares in Var_r have half a draw of each option
    added (Jeffreys' prior), so that a request that gave the same option k times is not taken for
    certain; that makes it a little large. One draw counts as if it were two.

    References
    ----------
    Defined here; Jeffreys (1946), Proceedings of the Royal Society A 186, 453-461, for the prior.

    Examples
    --------
    >>> round(answer_error([[50, 50]]), 4)
    0.0503
    >>> answer_error([[50, 50], [10, 90]], weights=[0.5, 0.5]) < answer_error([[50, 50]])
    True
    """
    return float(np.sqrt(_variances(counts, weights, values)[0].sum()))


def answer_degrees(
    counts: ArrayLike, weights: ArrayLike | None = None, values: ArrayLike | None = None
) -> float:
    """Degrees of freedom of `answer_error`, of the same arguments; nan where that is 0.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin 2, 110-114.

    Examples
    --------
    >>> round(answer_degrees([[5, 15]])), round(answer_degrees([[5, 15], [10, 10], [5, 15]]))
    (19, 56)
    """
    parts, draws = _variances(counts, weights, values)
    bottom = float(np.sum(parts**2 / draws))
    return float(parts.sum() ** 2 / bottom) if bottom > 0 else float("nan")


def _variances(
    counts: ArrayLike, weights: ArrayLike | None, values: ArrayLike | None
) -> tuple[Array, Array]:
    """What each request adds to the squared standard error, and its draws less one."""
    table = _counts(counts)
    n_requests, n_options = table.shape
    w = np.full(n_requests, 1 / n_requests) if weights is None else _vector(weights, n_requests)
    given = np.eye(1, n_options)[0] if values is None else _vector(values, n_options)
    p, draws = _smoothed(table), np.maximum(table.sum(axis=1) - 1, 1.0)
    variance = p @ given**2 - (p @ given) ** 2
    return w**2 * np.maximum(variance, 0) / draws, draws


def _smoothed(table: Array) -> Array:
    """Shares with half a draw of each option added, so that none is impossible."""
    posterior = table + JEFFREYS
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))


def with_answer_error(
    effect: Effect,
    standard_error: float,
    *,
    degrees: float = math.inf,
    above: float | None = None,
) -> Effect:
    """The effect with the error of sampled answers added to its interval.

    Parameters
    ----------
    effect
        From paired or independent runs that all used the same sampled answers.
    standard_error
        From `answer_error`, in the unit of the effect, or what `redraw_errors` says for below.
    degrees
        Degrees of freedom of the standard error: `answer_degrees`, or those of `redraw_errors`.
    above
        Standard error upwards, where it is another than downwards.

    Returns
    -------
    The same estimate with the t interval of the sum of both variances, whose degrees of freedom are
    those of Welch and Satterthwaite, and never a narrower one than before: few replications can be
    less sure of a spread than replications and answers are of the sum. `varied` names the sampled
    answers.

    References
    ----------
    Welch (1947), Biometrika 34, 28-35; Satterthwaite (1946), Biometrics Bulletin 2, 110-114.

    Examples
    --------
    >>> from abm.analysis.paired import paired_effect
    >>> effect = paired_effect([3.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    >>> wider = with_answer_error(effect, 1.0)
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
    fixed = tuple(name for name in effect.fixed if name not in SHARED)
    made = replace(effect, varied=(*effect.varied, "sampled answers"), fixed=fixed)
    below, up = (
        _joint(effect, error, degrees)
        for error in (standard_error, standard_error if above is None else above)
    )
    low = min(effect.low, effect.estimate - below[0])
    high = max(effect.high, effect.estimate + up[0])
    if (low, high) == (effect.low, effect.high):
        return made
    return replace(made, low=low, high=high, degrees=max(below, up)[1])


def _joint(effect: Effect, standard_error: float, degrees: float) -> tuple[float, float]:
    """Half width and degrees of freedom of the sum of both variances."""
    mine, theirs = effect.standard_error**2, standard_error**2
    if not mine > 0:
        return float(stats.t.ppf((1 + effect.level) / 2, degrees) * standard_error), degrees
    joint = (mine + theirs) ** 2 / (mine**2 / effect.degrees + theirs**2 / degrees)
    half = stats.t.ppf((1 + effect.level) / 2, joint) * math.sqrt(mine + theirs)
    return float(half), float(joint)


def redrawn(counts: ArrayLike, *, rng: np.random.Generator) -> Array:
    """Distributions that the server could as well have given, shape (n_requests, n_options).

    Shares of k - 1 draws from the counted shares with half a draw of each option added, where k is
    the sum of a row: between redraws they vary as `answer_error` says, so about as much as shares
    of k draws vary about the truth. A run that is answered with them, and others with further
    redraws, carry the error of the answers through everything that follows.

    References
    ----------
    Rao and Wu (1988), Journal of the American Statistical Association 83, 231-241: n - 1 of n.

    Examples
    --------
    >>> redrawn([[3, 7]], rng=np.random.default_rng(1)).sum(axis=1).round(9).tolist()
    [1.0]
    """
    table = _counts(counts)
    draws = np.maximum(np.rint(table.sum(axis=1)) - 1, 1).astype(np.int64)
    return np.asarray(rng.multinomial(draws, _smoothed(table)) / draws[:, None])


def redraw_errors(estimates: ArrayLike, estimate: float) -> tuple[float, float, float]:
    """How far an estimate moves down and up when its answers are redrawn.

    Parameters
    ----------
    estimates
        The estimate under each redraw, shape (n_redraws,), n_redraws >= 2.
    estimate
        The estimate with the answers as recorded.

    Returns
    -------
    Standard errors below and above, in the unit of the estimate, and their degrees of freedom; nan
    where some redraw leaves the estimate undefined.

    Notes
    -----
    Each is sqrt(2/B sum (d_j)^2) over the B redraws, where d_j is the distance where redraw j lies
    on that side and 0 otherwise. An outcome that answers move further up than down is as far from
    the truth more often on that side, which one standard deviation would miss. For normal d_j the
    variance of each square is 5/B times its mean squared, which gives 2B/5 degrees of freedom.

    References
    ----------
    Defined here; one standard deviation per side is in the manner of Wallis (2014),
    Statistical Science 29, 106-112: the two-piece normal distribution.

    Examples
    --------
    >>> below, above, degrees = redraw_errors([0.4, 0.5, 0.7, 0.5], 0.5)
    >>> round(below, 4), round(above, 4), degrees
    (0.0707, 0.1414, 1.6)
    """
    gaps = np.asarray(estimates, dtype=np.float64).ravel() - estimate
    require(gaps.size >= 2, AnalysisError, f"{gaps.size} redraws, expected 2 or more")
    if not np.all(np.isfinite(gaps)):
        return float("nan"), float("nan"), 0.4 * gaps.size
    sides = (np.minimum(gaps, 0), np.maximum(gaps, 0))
    below, above = (float(np.sqrt(2 * np.mean(side**2))) for side in sides)
    return below, above, 0.4 * gaps.size


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

    References
    ----------
    Efron (1979), Annals of Statistics 7, 1-26: the parametric bootstrap, from `redrawn` shares.

    Examples
    --------
    >>> e = answer_bootstrap(lambda p: p[0, 0], [[50, 50]], rng=np.random.default_rng(1))
    >>> 0.38 < e.low < 0.42 < e.estimate < 0.58 < e.high < 0.62
    True
    """
    check_level(level)
    table = _counts(counts)
    value = float(statistic(table / table.sum(axis=1, keepdims=True)))
    draws = np.array([statistic(_posterior(table, rng)) for _ in range(n_resamples)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value,
        float(low),
        float(high),
        level,
        int(table.sum()),
        "posterior of the answers (Jeffreys prior)",
    )


def _posterior(table: Array, rng: np.random.Generator) -> Array:
    weight = rng.standard_gamma(table + JEFFREYS)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


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
