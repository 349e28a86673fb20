"""Convergence: do groups of language-model agents agree more than people do, and on whose opinion?

People who discuss keep much of their disagreement; language models often do not, and drift towards
what the model says unasked. `convergence_gap` compares the change of the spread within groups, and
`default_drift` says which part of the way to the model's default agents went.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.arrays import as_labels, as_numbers
from abm.analysis.intervals import Estimate, check_level, mean_interval
from abm.errors import AnalysisError, require

__all__ = ["ConvergenceGap", "DefaultDrift", "convergence", "convergence_gap", "default_drift"]

Array = NDArray[np.float64]
NAN = float("nan")


def convergence(before: ArrayLike, after: ArrayLike, groups: ArrayLike) -> pl.DataFrame:
    """Change of the standard deviation of opinions within each group.

    Parameters
    ----------
    before, after
        Private opinions, shape (n,); nan is no answer, and who lacks one of the two is left out.
    groups
        Group of each person, shape (n,).

    Returns
    -------
    One row per group: `group`, `n`, `before` and `after` (standard deviations, n - 1), `change`
    (negative: the group converged); nan for groups of fewer than two.

    References
    ----------
    Chuang et al. (2025), "DEBATE", arXiv:2510.25110.

    Examples
    --------
    >>> table = convergence([1.0, 5.0, 2.0, 4.0], [3.0, 3.0, 2.0, 4.0], ["a", "a", "b", "b"])
    >>> table["change"].round(3).to_list()
    [-2.828, 0.0]
    """
    a, b, g = _aligned(before, after, groups)
    known = ~(np.isnan(a) | np.isnan(b))
    names, place = as_labels(g, "groups")
    place = place[known]
    sds = [_group_sd(x[known], place, names.size) for x in (a, b)]
    return pl.DataFrame(
        {
            "group": names,
            "n": np.bincount(place, minlength=names.size),
            "before": sds[0],
            "after": sds[1],
            "change": sds[1] - sds[0],
        }
    )


@dataclass(frozen=True)
class ConvergenceGap:
    """Convergence of simulated groups beside that of people.

    Attributes
    ----------
    simulated, human
        Mean change of the standard deviation within groups; the group is the unit.
    gap
        Simulated minus human: negative where simulated groups converge more.
    ratio
        Simulated over human; nan where the interval of the human change holds 0, because a ratio to
        nothing says nothing.
    """

    simulated: Estimate
    human: Estimate
    gap: Estimate
    ratio: Estimate


def convergence_gap(
    simulated: pl.DataFrame,
    human: pl.DataFrame,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1999,
    level: float = 0.95,
) -> ConvergenceGap:
    """How much more simulated groups converge than groups of people.

    Parameters
    ----------
    simulated, human
        Tables of `convergence`. Groups without a change are left out, and said.
    rng
        Chance of the bootstrap over groups that the ratio needs; the gap has Welch's interval.

    Returns
    -------
    Changes are in the unit of the opinions, the ratio has none. nan, with the reason, for fewer
    than two groups, and for the ratio where the human change is not distinguishable from 0.

    References
    ----------
    Chuang et al. (2025), "DEBATE", arXiv:2510.25110, who compare both changes; Welch (1947),
    Biometrika 34, 28-35, for the interval of their difference.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> def groups(pull):
    ...     x = rng.normal(4, 1.5, (50, 4))
    ...     y = x + pull * (x.mean(axis=1, keepdims=True) - x)
    ...     return convergence(x.ravel(), y.ravel(), np.repeat(np.arange(50), 4))
    >>> found = convergence_gap(groups(0.8), groups(0.2), rng=rng)
    >>> found.gap.high < 0, round(found.ratio.estimate)
    (True, 4)
    """
    check_level(level)
    for name, frame in (("simulated", simulated), ("human", human)):
        require("change" in frame.columns, AnalysisError, f"{name} lacks `change`: {frame.columns}")
    a, b = (frame["change"].cast(pl.Float64).to_numpy() for frame in (simulated, human))
    one, other = mean_interval(a, level=level), mean_interval(b, level=level)
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    gap = _welch(a, b, level)
    if not (one.n > 1 and other.n > 1 and other.low * other.high > 0):
        reason = "the human change is not distinguishable from 0"
        ratio = Estimate(NAN, NAN, NAN, level, a.size + b.size, "bootstrap over groups", reason)
        return ConvergenceGap(one, other, gap, ratio)
    tops = a[rng.integers(0, a.size, (n_resamples, a.size))].mean(axis=1)
    bottoms = b[rng.integers(0, b.size, (n_resamples, b.size))].mean(axis=1)
    low, high = np.quantile(tops / bottoms, [(1 - level) / 2, (1 + level) / 2])
    value = float(a.mean() / b.mean())
    method = "bootstrap over groups"
    ratio = Estimate(value, float(low), float(high), level, a.size + b.size, method)
    return ConvergenceGap(one, other, gap, ratio)


@dataclass(frozen=True)
class DefaultDrift:
    """Which part of the way agents went, and towards what.

    Attributes
    ----------
    to_default
        Share of the way from the own opinion to the model's default: 0 none, 1 all of it.
    to_others
        Share of the way to the others' opinion; nan where none was given.
    n
        Agents.
    """

    to_default: Estimate
    to_others: Estimate
    n: int


def default_drift(
    before: ArrayLike,
    after: ArrayLike,
    default: ArrayLike,
    *,
    others: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
) -> DefaultDrift:
    """Drift to the model's default, apart from the pull of what others said.

    Least squares of after - before = a (default - before) + b (others - before), without a
    constant.

    Parameters
    ----------
    before, after
        Opinions, shape (n,); who lacks one is left out.
    default
        What the model answers without persona and without others: one number, or one per agent
        where agents answer different questions.
    others
        Mean opinion of those whom an agent heard, shape (n,), or None.
    groups
        Group or replication of each agent; the bootstrap then draws whole groups.

    Returns
    -------
    nan where nobody could drift (all are at the default), or where the two ways cannot be told
    apart.

    References
    ----------
    Taubenfeld et al. (2024), "Systematic biases in LLM simulations of debates", EMNLP 2024,
    251-267, for the finding; the coefficient is that of the social-influence model of Friedkin and
    Johnsen (1990), Journal of Mathematical Sociology 15, 193-206, with the default as a source.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(1, 7, 200)
    >>> moved = default_drift(x, x + 0.25 * (5 - x), 5, rng=rng)
    >>> round(moved.to_default.estimate, 6), moved.n
    (0.25, 200)
    """
    check_level(level)
    require(n_resamples >= 1, AnalysisError, f"n_resamples = {n_resamples}, expected >= 1")
    x, y, unit = _ways(before, after, default, others, groups)
    squares, products = _sums(x, y, unit)
    size = squares.shape[0]
    value = _solved(squares.sum(axis=0)[None], products.sum(axis=0)[None])[0]
    drawn = np.full((n_resamples, x.shape[1]), np.nan)
    if size > 1:
        weights = rng.multinomial(size, np.full(size, 1 / size), n_resamples).astype(np.float64)
        drawn = _solved(np.tensordot(weights, squares, 1), weights @ products)
    tails = [(1 - level) / 2, (1 + level) / 2]
    made = [_percentile(v, d, tails, level, size) for v, d in zip(value, drawn.T, strict=True)]
    nothing = Estimate(NAN, NAN, NAN, level, size, "", "no opinions of others given")
    return DefaultDrift(made[0], made[1] if others is not None else nothing, int(y.size))


def _ways(
    before: ArrayLike,
    after: ArrayLike,
    default: ArrayLike,
    others: ArrayLike | None,
    groups: ArrayLike | None,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Ways that agents could go, shape (n, k), the way they went, and their unit, both (n,)."""
    a, b, _ = _aligned(before, after, np.zeros(np.shape(before)))
    target = as_numbers(default, "default")
    heard = None if others is None else as_numbers(others, "others").ravel()
    label = np.arange(a.size) if groups is None else as_labels(groups, "groups")[1]
    sizes = (target.size if target.ndim else a.size, a.size if heard is None else heard.size)
    require(
        {*sizes, label.size} == {a.size},
        AnalysisError,
        f"{sizes[0]} defaults, {sizes[1]} opinions of others and {label.size} groups, expected one "
        f"for each of the {a.size} agents, or one default for all",
    )
    ways = [np.broadcast_to(target, a.shape) - a] + ([] if heard is None else [heard - a])
    known = np.all(np.isfinite([*ways, b]), axis=0)
    _, unit = np.unique(label[known], return_inverse=True)
    return np.stack([way[known] for way in ways], axis=1), (b - a)[known], unit.astype(np.int64)


def _sums(x: Array, y: Array, unit: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sums of squares and products of each unit: a resample is a weighted sum of them."""
    size = int(unit.max(initial=-1)) + 1
    squares = np.zeros((size, x.shape[1], x.shape[1]))
    products = np.zeros((size, x.shape[1]))
    np.add.at(squares, unit, x[:, :, None] * x[:, None, :])
    np.add.at(products, unit, x * y[:, None])
    return squares, products


def _percentile(value: float, drawn: Array, tails: list[float], level: float, n: int) -> Estimate:
    good, method = drawn[np.isfinite(drawn)], "bootstrap, percentile"
    if not np.isfinite(value) or good.size < max(drawn.size / 2, 2):
        reason = "one unit: no interval" if np.isfinite(value) else "undefined: nowhere to drift"
        return Estimate(float(value), NAN, NAN, level, n, method, reason)
    low, high = np.quantile(good, tails)
    return Estimate(float(value), float(low), float(high), level, n, method)


def _solved(squares: Array, products: Array) -> Array:
    """Solutions of a stack of normal equations, shape (n, k); nan where one is singular."""
    good = np.linalg.cond(squares) < 1e12
    found = np.full(products.shape, np.nan)
    found[good] = np.linalg.solve(squares[good], products[good][..., None])[..., 0]
    return found


def _aligned(before: ArrayLike, after: ArrayLike, groups: ArrayLike) -> tuple[Array, Array, Array]:
    a, b = (as_numbers(x, "opinions").ravel() for x in (before, after))
    g = np.asarray(groups).ravel()
    require(
        a.shape == b.shape == g.shape,
        AnalysisError,
        f"{a.size} opinions before, {b.size} after and {g.size} groups, expected equal numbers",
    )
    return a, b, g


def _group_sd(x: Array, place: NDArray[np.int64], n: int) -> Array:
    size = np.bincount(place, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, x, n) / size
        squares = np.bincount(place, (x - mean[place]) ** 2, n)
        return np.where(size > 1, np.sqrt(squares / np.maximum(size - 1, 1)), np.nan)


def _welch(a: Array, b: Array, level: float) -> Estimate:
    method = "Welch's t over groups"
    if a.size < 2 or b.size < 2:
        return Estimate(NAN, NAN, NAN, level, a.size + b.size, method, "fewer than two groups")
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)
    value = float(a.mean() - b.mean())
    return Estimate(
        value, float(interval.low), float(interval.high), level, a.size + b.size, method
    )
