"""Cox's partial likelihood, with Efron's ties and delayed entry, in one pass over time.

Time runs backwards: spells enter the risk set at their end and leave it at their beginning, so that
a million of them cost one sorted pass for each step of Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Spells", "largest", "score_residuals"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Parts = tuple[float, Array, Array, Array, Array, Array, Array, Array, Array]


@dataclass(frozen=True)
class Spells:
    """Spells in the order in which the risk set changes.

    Attributes
    ----------
    x
        Covariates, shape (n, k), of about unit size.
    begin, finish
        At risk after `begin` and up to `finish`, shape (n,).
    happened
        Whether the event ended the spell, shape (n,).
    by_finish, by_begin
        Places in falling order of either, shape (n,).
    """

    x: Array
    begin: Array
    finish: Array
    happened: NDArray[np.bool_]
    by_finish: Integers = field(init=False)
    by_begin: Integers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_finish", np.argsort(-self.finish, kind="stable"))
        object.__setattr__(self, "by_begin", np.argsort(-self.begin, kind="stable"))


def largest(spells: Spells, *, n_steps: int = 60) -> tuple[Array, Array]:
    """Coefficients of largest partial likelihood, shape (k,), and the information there, (k, k).

    Newton's method from 0, with steps halved until the likelihood does not fall; it is concave.
    Where covariates separate those with the event, coefficients grow and the information goes to 0:
    there `cox_regression` calls them undefined.

    References
    ----------
    Cox (1972), Journal of the Royal Statistical Society B 34, 187-220; Efron (1977), Journal of the
    American Statistical Association 72, 557-565, eq. 4.7.

    Examples
    --------
    Covariates 1, 0, 1 adopt at 1, 2, 3: the hazard ratio is 1 / sqrt 2.

    >>> times = np.array([1.0, 2.0, 3.0])
    >>> three = Spells(np.array([[1.0], [0.0], [1.0]]), np.zeros(3), times, np.ones(3, bool))
    >>> round(float(np.exp(largest(three)[0][0])), 6)
    0.707107
    """
    at = np.zeros(spells.x.shape[1])
    value, slope, certain = _likelihood(spells, at)
    for _ in range(n_steps):
        if not np.isfinite(certain).all() or np.linalg.eigvalsh(certain)[0] < 1e-9:
            break
        step = np.linalg.solve(certain, slope)
        for _ in range(30):
            new = _likelihood(spells, at + step)
            if new[0] >= value - 1e-12 * (1 + abs(value)):
                break
            step = step / 2
        at, (value, slope, certain) = at + step, new
        if np.abs(step).max() < 1e-9:
            break
    return at, certain


def score_residuals(spells: Spells, at: Array) -> Array:
    """What each spell adds to the slope of the likelihood at the coefficients, shape (n, k).

    They sum to that slope, which is 0 at the largest likelihood. Sums of them over units that are
    alike within give standard errors that do not take spells for independent. Never undefined.

    References
    ----------
    Lin and Wei (1989), Journal of the American Statistical Association 84, 1074-1078; Therneau and
    Grambsch (2000), Modeling Survival Data, Springer, section 4.6, for Efron's ties.

    Examples
    --------
    >>> times = np.array([1.0, 2.0, 3.0])
    >>> three = Spells(np.array([[1.0], [0.0], [1.0]]), np.zeros(3), times, np.ones(3, bool))
    >>> bool(abs(score_residuals(three, largest(three)[0]).sum()) < 1e-9)
    True
    """
    x, (weight, parts) = spells.x, _swept(spells, at)
    moments, hazard, means, tied, tied_means, mean = parts[3:]
    order = np.argsort(moments)
    when = moments[order]
    total = np.concatenate([[0.0], np.cumsum(hazard[order])])
    total_mean = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(means[order], axis=0)])
    # Of moments in (begin, finish].
    first = np.searchsorted(when, spells.begin, side="right")
    last = np.searchsorted(when, spells.finish, side="right")
    lived, lived_mean = total[last] - total[first], total_mean[last] - total_mean[first]
    left = -weight[:, None] * (x * lived[:, None] - lived_mean)
    rows = np.flatnonzero(spells.happened)
    place = order[np.searchsorted(when, spells.finish[rows])]
    back = x[rows] * tied[place][:, None] - tied_means[place]
    left[rows] += x[rows] - mean[place] + weight[rows][:, None] * back
    return np.asarray(left)


def _likelihood(spells: Spells, at: Array) -> tuple[float, Array, Array]:
    """Log partial likelihood, its slope and minus its curvature."""
    _, parts = _swept(spells, at)
    return parts[:3]


def _swept(spells: Spells, at: Array) -> tuple[Array, Parts]:
    score = spells.x @ at
    score = score - score.max()  # hazard ratios alone count
    weight = np.exp(score)
    s = spells
    orders = (s.by_finish, s.by_begin)
    parts: Parts = _sweep(s.x, score, weight, s.begin, s.finish, s.happened, *orders)
    return weight, parts


@njit(cache=True)
def _sweep(
    x: Array,
    score: Array,
    weight: Array,
    begin: Array,
    finish: Array,
    happened: NDArray[np.bool_],
    by_finish: Integers,
    by_begin: Integers,
) -> Parts:
    """Log likelihood, slope and information; and for each moment with events, in falling order,

    the moment, its hazard, hazard times mean covariate, both weighted by the share of a tie that is
    gone, and the mean covariate over a tie.
    """
    n, k = x.shape
    value, slope, certain = 0.0, np.zeros(k), np.zeros((k, k))
    moments, hazard, tied = np.zeros(n), np.zeros(n), np.zeros(n)
    means, tied_means, mean = np.zeros((n, k)), np.zeros((n, k)), np.zeros((n, k))
    r0, r1, r2 = 0.0, np.zeros(k), np.zeros((k, k))  # sums over those at risk
    d1, d2 = np.zeros(k), np.zeros((k, k))  # and over those with the event
    i, gone, count = 0, 0, 0
    while i < n:
        now = finish[by_finish[i]]
        deaths, d0 = 0, 0.0
        d1[:], d2[:] = 0.0, 0.0
        while i < n and finish[by_finish[i]] == now:
            row = by_finish[i]
            w = weight[row]
            r0 += w
            for a in range(k):
                r1[a] += w * x[row, a]
                for b in range(k):
                    r2[a, b] += w * x[row, a] * x[row, b]
            if happened[row]:
                deaths += 1
                value += score[row]
                d0 += w
                for a in range(k):
                    slope[a] += x[row, a]
                    d1[a] += w * x[row, a]
                    for b in range(k):
                        d2[a, b] += w * x[row, a] * x[row, b]
            i += 1
        while gone < n and begin[by_begin[gone]] >= now:
            row = by_begin[gone]
            w = weight[row]
            r0 -= w
            for a in range(k):
                r1[a] -= w * x[row, a]
                for b in range(k):
                    r2[a, b] -= w * x[row, a] * x[row, b]
            gone += 1
        if deaths == 0:
            continue
        moments[count] = now
        for turn in range(deaths):
            share = turn / deaths
            left = r0 - share * d0
            value -= np.log(left)
            hazard[count] += 1 / left
            tied[count] += share / left
            for a in range(k):
                middle = (r1[a] - share * d1[a]) / left
                slope[a] -= middle
                mean[count, a] += middle / deaths
                means[count, a] += middle / left
                tied_means[count, a] += share * middle / left
                for b in range(k):
                    other = (r1[b] - share * d1[b]) / left
                    certain[a, b] += (r2[a, b] - share * d2[a, b]) / left - middle * other
        count += 1
    return (
        value,
        slope,
        certain,
        moments[:count],
        hazard[:count],
        means[:count],
        tied[:count],
        tied_means[:count],
        mean[:count],
    )
