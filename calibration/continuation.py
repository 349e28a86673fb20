"""When to go on to a dearer simulation: the arithmetic of multi-fidelity ABC.

A cheap run gives a verdict a (1: close to the data), the dear run a verdict b. After a cheap run
the dear one follows with probability alpha = eta1 if a else eta2, and the weight is

    w = a + 1[U < alpha] (b - a) / alpha,        so that E[w | theta] = P(b = 1 | theta).

With more than two levels the same rule is nested: in place of b stands the weight that the levels
above give, whose expectation is P(b = 1). This telescopes, so any probabilities > 0 are unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from abm.calibration.checks import is_real
from abm.errors import CalibrationError, require

__all__ = [
    "Continuation",
    "Verdicts",
    "best",
    "best_of_two",
    "efficiency",
    "ess_per_cost",
    "moments",
    "pattern_cost",
    "pattern_square",
]

Floats = NDArray[np.float64]
_LEAST = 0.01


@dataclass(frozen=True)
class Verdicts:
    """Shares of the patterns of verdicts over L levels, and what the levels cost.

    Attributes
    ----------
    shares
        Shape (2,) * L: `shares[a, ..., b]` is the probability of that pattern.
    costs
        Mean notional cost of level l given the verdict at the level below; the first has none.
        Shape (L, 2): `costs[l, v]`; `costs[0, 0]` = `costs[0, 1]`.
    counts
        How often a pilot saw each pattern, shape (2,) * L; zeros where there was no pilot.
    """

    shares: Floats
    costs: Floats
    counts: Floats = field(default_factory=lambda: np.zeros(()))

    @property
    def n_levels(self) -> int:
        return self.shares.ndim

    @property
    def p_accept(self) -> float:
        """P(b = 1) at the dearest level."""
        return float(self.shares[..., 1].sum())

    @classmethod
    def of_two(cls, *, p_tp: float, p_fp: float, p_fn: float, c_lo: float, c_hi: float) -> Verdicts:
        """Two levels, as in the paper; the dear cost does not depend on the verdict."""
        shares = np.array([[1 - p_tp - p_fp - p_fn, p_fn], [p_fp, p_tp]])
        require(
            bool((shares >= -1e-12).all()) and c_lo > 0 and c_hi > 0,
            CalibrationError,
            f"p_tp = {p_tp}, p_fp = {p_fp}, p_fn = {p_fn}, c_lo = {c_lo}, c_hi = {c_hi}, expected "
            "probabilities that sum to at most 1, and costs > 0",
        )
        return cls(shares, np.array([[c_lo, c_lo], [c_hi, c_hi]]))

    @classmethod
    def counted(cls, verdicts: NDArray[np.bool_], costs: Floats, pseudo: float = 0.5) -> Verdicts:
        """From a pilot that was run at all levels.

        Parameters
        ----------
        verdicts, costs
            Shape (n, L), from the cheapest to the dearest.
        pseudo
            Added to the count of each pattern in which verdicts disagree, so that a pattern which
            a small pilot did not show still gets some probability of going on.
        """
        levels = verdicts.shape[1]
        counts = np.zeros((2,) * levels)
        np.add.at(counts, tuple(verdicts.astype(np.int64).T), 1.0)
        seen = counts.copy()
        for pattern in product((0, 1), repeat=levels):
            if len(set(pattern)) > 1:
                counts[pattern] += pseudo
        means = np.empty((levels, 2))
        means[0] = costs[:, 0].mean()
        for level in range(1, levels):
            for verdict in (0, 1):
                rows = verdicts[:, level - 1] == bool(verdict)
                chosen = costs[rows, level] if rows.any() else costs[:, level]
                means[level, verdict] = chosen.mean()
        return cls(counts / counts.sum(), means, seen)


@dataclass(frozen=True)
class Continuation:
    """Probabilities of going on from each level but the last, frozen.

    Attributes
    ----------
    after_reject, after_accept
        Shape (L - 1,): going on from level l after the verdict 0 or 1; eta2 and eta1 of the paper.
    """

    after_reject: tuple[float, ...]
    after_accept: tuple[float, ...]

    def __post_init__(self) -> None:
        every = (*self.after_reject, *self.after_accept)
        require(
            len(self.after_reject) == len(self.after_accept)
            and all(is_real(p) and 0 < p <= 1 for p in every),
            CalibrationError,
            f"probabilities of going on {self.after_reject} after a rejection and "
            f"{self.after_accept} after an acceptance, expected as many of both, in (0, 1]: with 0 "
            "the weights would have no finite variance",
            argument="continue_after",
        )

    def alpha(self, level: int, verdict: bool) -> float:
        """Probability of going on from `level`."""
        return self.after_accept[level] if verdict else self.after_reject[level]

    def weight(self, verdicts: Sequence[bool]) -> float:
        """Weight of a proposal that was run at the first `len(verdicts)` levels.

        Examples
        --------
        >>> plan = Continuation((0.1,), (0.5,))
        >>> plan.weight([True]), plan.weight([True, False]), plan.weight([False, True])
        (1.0, -1.0, 10.0)
        """
        found, scale = float(verdicts[0]), 1.0
        for level in range(len(verdicts) - 1):
            scale /= self.alpha(level, verdicts[level])
            found += scale * (float(verdicts[level + 1]) - float(verdicts[level]))
        return found


def moments(verdicts: Verdicts, plan: Continuation) -> tuple[float, float]:
    """E[w^2] and E[cost] of one proposal.

    With two levels E[w^2] = (p_tp - p_fp) + p_fp / eta1 + p_fn / eta2 and E[cost] = c_lo +
    eta1 E[c_hi 1(a)] + eta2 E[c_hi 1(not a)].

    References
    ----------
    Prescott & Baker (2020), SIAM/ASA Journal on Uncertainty Quantification 8, 114-138.

    Examples
    --------
    >>> table = Verdicts.of_two(p_tp=.08, p_fp=.02, p_fn=.01, c_lo=1, c_hi=100)
    >>> [round(float(v), 4) for v in moments(table, Continuation((0.0430331,), (0.182574,)))]
    [0.4019, 6.6987]
    """
    square = cost = 0.0
    for pattern in product((0, 1), repeat=verdicts.n_levels):
        share = float(verdicts.shares[pattern])
        square += share * pattern_square(pattern, plan)
        cost += share * pattern_cost(pattern, plan, verdicts.costs)
    return square, cost


def pattern_square(
    pattern: tuple[int, ...], plan: Continuation, level: int = 0, r: float = 0.0
) -> float:
    """E[(w - r)^2] for given verdicts, w the weight that the levels from `level` on give.

    w = a + c (w' - a) with c = 1[U < alpha] / alpha and w' the weight of the levels above, whose
    expectation is b.
    """
    a, b = pattern[level], pattern[-1]
    if level == len(pattern) - 1:
        return (b - r) ** 2
    above = pattern_square(pattern, plan, level + 1, a)
    return (a - r) ** 2 + 2 * (a - r) * (b - a) + above / plan.alpha(level, bool(a))


def pattern_cost(pattern: tuple[int, ...], plan: Continuation, costs: Floats) -> float:
    total, reached = float(costs[0, pattern[0]]), 1.0
    for level in range(len(pattern) - 1):
        reached *= plan.alpha(level, bool(pattern[level]))
        total += reached * float(costs[level + 1, pattern[level]])
    return total


def efficiency(verdicts: Verdicts, plan: Continuation) -> float:
    """Effective sample size per cost, over that of plain ABC with the dearest level alone.

    Examples
    --------
    >>> table = Verdicts.of_two(p_tp=.08, p_fp=.02, p_fn=.01, c_lo=1, c_hi=100)
    >>> round(efficiency(table, best_of_two(table)), 2)
    3.34
    """
    square, cost = moments(verdicts, plan)
    return verdicts.p_accept * _dear_cost(verdicts) / (square * cost)


def ess_per_cost(verdicts: Verdicts, plan: Continuation) -> float:
    """(E[w])^2 / (E[w^2] E[cost]): effective draws per unit of notional cost."""
    square, cost = moments(verdicts, plan)
    return verdicts.p_accept**2 / (square * cost)


def best_of_two(verdicts: Verdicts, least: float = 0.0) -> Continuation:
    """The best probabilities for two levels in closed form, cut to [least, 1].

    eta1 = sqrt((p_fp / c_p) / ((p_tp - p_fp) / c_lo)), eta2 = sqrt((p_fn / c_n) / (...)), with
    c_p = E[c_hi 1(a)] and c_n = E[c_hi 1(not a)].

    Raises
    ------
    CalibrationError
        p_tp <= p_fp: the cheap level's acceptances are wrong more often than right.

    Examples
    --------
    >>> table = Verdicts.of_two(p_tp=.08, p_fp=.02, p_fn=.01, c_lo=1, c_hi=100)
    >>> plan = best_of_two(table)
    >>> round(plan.after_accept[0], 6), round(plan.after_reject[0], 7)
    (0.182574, 0.0430331)
    """
    (p_tn, p_fn), (p_fp, p_tp) = verdicts.shares
    require(
        verdicts.n_levels == 2 and p_tp > p_fp,
        CalibrationError,
        f"p_tp = {p_tp:.4g}, p_fp = {p_fp:.4g}: the closed form needs two levels whose cheap "
        "verdict, where positive, is more often right than wrong; use best(), or another tolerance",
        outcome="poor_cheap_level",
    )
    c_lo = verdicts.costs[0, 0]
    c_p = verdicts.costs[1, 1] * (p_tp + p_fp)
    c_n = verdicts.costs[1, 0] * (p_tn + p_fn)
    base = (p_tp - p_fp) / c_lo
    eta1 = math.sqrt(p_fp / c_p / base) if c_p > 0 else 1.0
    eta2 = math.sqrt(p_fn / c_n / base) if c_n > 0 else 1.0
    eta2, eta1 = (float(min(1.0, max(least, eta))) for eta in (eta2, eta1))
    return Continuation((eta2,), (eta1,))


def best(verdicts: Verdicts, least: float = _LEAST) -> Continuation:
    """Probabilities in [least, 1] that minimise E[w^2] E[cost], for any number of levels.

    Numerically, over log probabilities, from several starts; with two levels and no bound in the
    way it is `best_of_two`.

    Examples
    --------
    >>> table = Verdicts.of_two(p_tp=.08, p_fp=.02, p_fn=.01, c_lo=1, c_hi=100)
    >>> plan = best(table)
    >>> round(plan.after_accept[0], 3), round(plan.after_reject[0], 3)
    (0.183, 0.043)
    """
    n = verdicts.n_levels - 1

    def plan_of(logs: Floats) -> Continuation:
        etas = np.exp(logs).tolist()
        return Continuation(tuple(etas[:n]), tuple(etas[n:]))

    def loss(logs: Floats) -> float:
        square, cost = moments(verdicts, plan_of(logs))
        return math.log(max(square, 1e-300)) + math.log(cost)

    low = math.log(least)
    starts = [np.zeros(2 * n), np.full(2 * n, low / 2), np.full(2 * n, 0.9 * low)]
    found = [
        optimize.minimize(loss, start, method="L-BFGS-B", bounds=[(low, 0.0)] * (2 * n))
        for start in starts
    ]
    winner = min(found, key=lambda result: float(result.fun))
    return plan_of(np.asarray(winner.x))


def _dear_cost(verdicts: Verdicts) -> float:
    """Mean cost of a run at the dearest level."""
    last = verdicts.n_levels - 1
    others = tuple(k for k in range(verdicts.n_levels) if k != last - 1)
    below = verdicts.shares.sum(axis=others)
    return float(below @ verdicts.costs[last])
