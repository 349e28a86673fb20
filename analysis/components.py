"""Variance components: how much of an outcome's variance comes from parameters, seeds, prompts,
models, and how sure that is.

Each factor's levels count as drawn from more that could have been taken. Designs may be unbalanced,
crossed or nested. `abm.analysis.heterogeneity.variance_shares` is the other view: how the variance
of exactly these runs divides, when their levels are all that matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import linalg

from abm.analysis.intervals import check_level
from abm.errors import AnalysisError, require

__all__ = ["variance_components"]

Array = NDArray[np.float64]
REST = "rest"


def variance_components(
    frame: pl.DataFrame,
    *,
    outcome: str,
    factors: Sequence[str],
    rng: np.random.Generator,
    nested: Mapping[str, str] | None = None,
    interactions: Sequence[tuple[str, str]] = (),
    level: float = 0.95,
    n_draws: int = 10_000,
) -> pl.DataFrame:
    """Variance of an outcome that each factor contributes, with intervals.

    Parameters
    ----------
    frame
        One row per run; numbers of runs per cell may differ.
    factors
        Columns such as `arm`, `model`, `prompt`, `replication`, each with at least two values. In
        an unbalanced design a factor is credited with what the ones before it do not explain.
    rng
        Chance of the intervals.
    nested
        Factor -> the factor that it is nested in: `{"prompt": "model"}` when each model has
        prompts of its own, whatever they are called.
    interactions
        Pairs of crossed factors whose interaction is a source of its own.
    n_draws
        Draws behind each interval.

    Returns
    -------
    One row per source, in the given order, `rest` last: `source, component, low, high, share,
    share_low, share_high, degrees, level, reason`. `component` is a variance in squared units of
    the outcome; the shares of all sources sum to 1. A component that is estimated below zero is set
    to 0, and said. `rest` holds whatever is not named, interactions and chance alike.

    Raises
    ------
    AnalysisError
        A column is missing, an outcome is undefined, or the design cannot tell two sources apart.

    Notes
    -----
    Sequential sums of squares are equated with their expectations (Henderson's analysis of variance
    method); in a balanced design these are the classical estimators. Intervals are generalised
    confidence intervals for normal effects: the component that makes the data along a source, over
    their variance, a chi-square draw (Wald's exact pivot with one factor, also if unbalanced; with
    several factors in an unbalanced design an approximation). With three levels of a factor its
    component is known within a factor of a hundred; the interval says so.

    References
    ----------
    Henderson (1953), Biometrics 9, 226-252; Wald (1940), Annals of Mathematical Statistics 11,
    96-100; Weerahandi (1993), Journal of the American Statistical Association 88, 899-905; Searle,
    Casella & McCulloch (1992), Variance Components, chapter 5.

    Examples
    --------
    >>> runs = pl.DataFrame({"model": ["a"] * 3 + ["b"] * 3, "y": [1.0, 2, 3, 5, 6, 7]})
    >>> table = variance_components(runs, outcome="y", factors=["model"],
    ...                             rng=np.random.default_rng(1))
    >>> table.select("source", pl.col("component", "share").round(3)).rows()
    [('model', 7.667, 0.885), ('rest', 1.0, 0.115)]
    """
    check_level(level)
    y = _outcome(frame, outcome, factors)
    sources = _sources(frame, list(factors), dict(nested or {}), list(interactions))
    parts, rest, left = _parts(y, sources)
    names, degrees = [*sources, REST], np.array([*(part.size for part in parts), left])
    found = _equated(parts, rest, left)
    draws = _drawn(parts, rest, left, rng, n_draws)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(np.maximum(draws, 0), tails, axis=1)
    share_low, share_high = np.quantile(_shares(draws), tails, axis=1)
    reasons = ["estimated below zero, set to 0" if value < 0 else "" for value in found]
    return pl.DataFrame(
        {
            "source": names,
            "component": np.maximum(found, 0),
            "low": low,
            "high": high,
            "share": _shares(found[:, None])[:, 0],
            "share_low": share_low,
            "share_high": share_high,
            "degrees": degrees,
            "level": [float(level)] * len(names),
            "reason": reasons,
        }
    )


def _shares(components: Array) -> Array:
    """Each component over the sum of all, shape as given (sources, draws); nan when all are 0."""
    positive = np.maximum(components, 0)
    total = positive.sum(axis=0)
    return positive / np.where(total > 0, total, np.nan)


@dataclass(frozen=True)
class _Part:
    """What a source adds to the ones before it.

    Attributes
    ----------
    size
        Degrees of freedom.
    along
        Squares of the data along the principal directions of the source, shape (size,).
    gains
        How much a unit of the source's own component adds to each of them, shape (size,).
    later
        How much a unit of each later source's component adds to their sum.
    """

    size: int
    along: Array
    gains: Array
    later: Array


def _parts(y: Array, sources: Mapping[str, NDArray[np.int64]]) -> tuple[list[_Part], float, int]:
    """The sources in order; the sum of squares of the rest and its degrees of freedom."""
    n = y.size
    basis = np.full((n, 1), 1 / np.sqrt(n))
    designs = [_dummies(codes) for codes in sources.values()]
    parts = []
    for place, name in enumerate(sources):
        block = _new_directions(basis, designs[place])
        require(
            block.shape[1] > 0,
            AnalysisError,
            f"the design cannot tell {name!r} from the sources before it; leave one out, or say "
            "which is nested in which",
        )
        basis = np.hstack([basis, block])
        own = block.T @ designs[place]
        gains, directions = linalg.eigh(own @ own.T)
        later = np.array([((block.T @ d) ** 2).sum() for d in designs[place + 1 :]])
        along = (directions.T @ (block.T @ y)) ** 2
        parts.append(_Part(block.shape[1], along, gains, later))
    left = n - basis.shape[1]
    require(
        left > 0,
        AnalysisError,
        f"{n} runs leave nothing for the rest after {list(sources)}; leave out an interaction or "
        "add replications",
    )
    residual = y - basis @ (basis.T @ y)
    return parts, float(residual @ residual), left


def _equated(parts: Sequence[_Part], rest: float, left: int) -> Array:
    """Components that make every sum of squares what is expected of it, the rest last."""
    found = [rest / left]
    for part in reversed(parts):
        others = part.size * found[-1] + part.later @ np.array(found[:-1])
        found.insert(0, (part.along.sum() - others) / part.gains.sum())
    return np.array(found)


def _drawn(
    parts: Sequence[_Part], rest: float, left: int, rng: np.random.Generator, n: int
) -> Array:
    """Generalised pivots of the components, shape (sources, n), the rest last."""
    found = [rest / rng.chisquare(left, n)]
    for part in reversed(parts):
        noise = found[-1] + part.later @ np.array(found[:-1]).reshape(-1, n) / part.size
        found.insert(0, _matched(part, np.maximum(noise, 1e-12 * found[-1]), rng, n))
    return np.array(found)


def _matched(part: _Part, noise: Array, rng: np.random.Generator, n: int) -> Array:
    """The component with which the data along a source, over their variance, equal a chi-square.

    The largest of these variances is found by halving its logarithm's range; all others follow.
    """
    chi = rng.chisquare(part.size, n)
    top = part.gains.max()
    if part.gains.min() > top * (1 - 1e-9):  # balanced
        return np.asarray((part.along.sum() / chi - noise) / top)
    share = (part.gains / top)[:, None]
    scale = np.log(part.along.sum() / chi + noise)
    low, high = scale - 30.0, scale + 30.0
    for _ in range(40):
        middle = (low + high) / 2
        variance = noise * (1 - share) + np.exp(middle) * share
        larger = (part.along[:, None] / variance).sum(axis=0) > chi
        low, high = np.where(larger, middle, low), np.where(larger, high, middle)
    return np.asarray((np.exp((low + high) / 2) - noise) / top)


def _new_directions(basis: Array, design: Array) -> Array:
    """Orthonormal columns that a design adds to those of `basis`."""
    rest = design - basis @ (basis.T @ design)
    rest -= basis @ (basis.T @ rest)  # once more: rounding
    left, values, _ = linalg.svd(rest, full_matrices=False)
    return np.asarray(left[:, values > 1e-8 * np.sqrt(design.shape[0])])


def _dummies(codes: NDArray[np.int64]) -> Array:
    return np.asarray(codes[:, None] == np.arange(codes.max() + 1), dtype=np.float64)


def _sources(
    frame: pl.DataFrame,
    factors: list[str],
    nested: dict[str, str],
    interactions: list[tuple[str, str]],
) -> dict[str, NDArray[np.int64]]:
    """Source -> level of each run: factors in order, nested ones within theirs, interactions."""
    for name in (*nested, *nested.values(), *(f for pair in interactions for f in pair)):
        require(
            name in factors,
            AnalysisError,
            f"{name!r} is named as nested or interacting, expected one of the factors {factors}",
        )
    for child, parent in nested.items():
        require(
            child != parent and factors.index(parent) < factors.index(child),
            AnalysisError,
            f"nested = {{{child!r}: {parent!r}}}: name {parent!r} before {child!r} in factors",
        )
    single = {name: _codes(frame, _ancestry(name, nested)) for name in factors}
    both = {f"{a} x {b}": _codes(frame, [a, b]) for a, b in interactions}
    return single | both


def _ancestry(name: str, nested: Mapping[str, str]) -> list[str]:
    found = [name]
    while found[-1] in nested:
        found.append(nested[found[-1]])
    return found


def _codes(frame: pl.DataFrame, names: list[str]) -> NDArray[np.int64]:
    ranked = frame.select(pl.struct(names).rank("dense").cast(pl.Int64) - 1).to_series()
    return np.asarray(ranked.to_numpy(), dtype=np.int64)


def _outcome(frame: pl.DataFrame, outcome: str, factors: Sequence[str]) -> Array:
    missing = [name for name in (outcome, *factors) if name not in frame.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {frame.columns}")
    levels = {name: frame[name].n_unique() for name in factors}
    good = bool(levels) and min(levels.values()) >= 2
    require(good, AnalysisError, f"factors {levels}, expected one or more with several values each")
    y = frame[outcome].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    undefined = int((~np.isfinite(y)).sum())
    require(undefined == 0, AnalysisError, f"{undefined} runs have no defined {outcome!r}")
    return np.asarray(y - y.mean(), dtype=np.float64)
