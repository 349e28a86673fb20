"""Identifiability: which combinations of parameters the statistics determine, and which not.

Locally, the information D' V^-1 D in units of prior standard deviations has one eigenvalue per
direction: its inverse square root is the standard error of that direction. A direction whose error
exceeds the prior's own spread is one that the data do not see ("sloppy"; Brown and Sethna 2003,
Physical Review E 68, 021904). Globally, the profile of a parameter is the best misfit that the
other parameters can reach while it is held fixed: a flat profile has no interval (Raue et al. 2009,
Bioinformatics 25, 1923). Profiles run on emulators, so that a grid costs no simulations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import minimize

from abm.calibration.columns import distinct
from abm.calibration.emulator import Emulator
from abm.calibration.moments import Moments
from abm.calibration.problem import Problem
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = [
    "LocalIdentifiability",
    "Profile",
    "local_identifiability",
    "moments_identifiability",
    "profile",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalIdentifiability:
    """Directions in parameter space, from the best to the least determined.

    Attributes
    ----------
    errors
        Standard error along each direction, in prior standard deviations; infinite for a direction
        that moves no statistic. Shape (d,).
    directions
        Columns are unit vectors in parameters over prior standard deviations, shape (d, d).
    """

    names: tuple[str, ...]
    errors: Floats
    directions: Floats

    @property
    def identified(self) -> NDArray[np.bool_]:
        """Whether each direction is known better than half of the prior's spread, shape (d,)."""
        return self.errors < 0.5

    @property
    def words(self) -> list[str]:
        """What it means, a sentence per direction."""
        return [
            f"direction {self._named(j)}: standard error {self.errors[j]:.3g} prior standard "
            f"deviations: {'determined' if good else 'NOT determined by these statistics'}"
            for j, good in enumerate(self.identified)
        ]

    def table(self) -> pl.DataFrame:
        """One row per direction: `error`, `identified`, and the weight of each parameter."""
        names = distinct(self.names, ("error", "identified"))
        columns = {name: self.directions[i] for i, name in enumerate(names)}
        return pl.DataFrame({"error": self.errors, "identified": self.identified, **columns})

    def _named(self, j: int) -> str:
        parts = [
            f"{value:+.2f} {name}"
            for name, value in zip(self.names, self.directions[:, j].tolist(), strict=True)
            if abs(value) >= 0.1
        ]
        return " ".join(parts)


def local_identifiability(
    names: Sequence[str], jacobian: ArrayLike, variance: ArrayLike, prior_sd: ArrayLike
) -> LocalIdentifiability:
    """Directions from the Jacobian (m, d), the variance of the statistics (m, m) and prior spreads.

    Examples
    --------
    Only the sum of two parameters moves the statistic:

    >>> found = local_identifiability(["a", "b"], [[1.0, 1.0]], [[0.01]], [1.0, 1.0])
    >>> found.identified.tolist(), found.directions[:, 0].round(3).tolist()
    ([True, False], [0.707, 0.707])
    """
    unit = np.asarray(prior_sd, dtype=np.float64)
    slopes = np.asarray(jacobian, dtype=np.float64)
    require(
        slopes.ndim == 2 and slopes.shape[1] == len(names) == unit.size and bool((unit > 0).all()),
        CalibrationError,
        f"jacobian {slopes.shape}, {len(names)} names and prior_sd {unit.tolist()} do not fit",
    )
    require(
        np.shape(variance) == (len(slopes), len(slopes))
        and bool(np.isfinite(slopes).all() and np.isfinite(variance).all()),
        CalibrationError,
        f"jacobian {slopes.shape} and variance {np.shape(variance)}, expected finite numbers, "
        "(m, d) and (m, m)",
    )
    precision = np.linalg.pinv(np.asarray(variance, dtype=np.float64), rcond=1e-9, hermitian=True)
    scaled = slopes * unit
    values, vectors = np.linalg.eigh(scaled.T @ precision @ scaled)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    floor = 1e-12 * max(float(values[0]), 1e-300)
    with np.errstate(divide="ignore"):
        errors = np.where(values > floor, 1 / np.sqrt(np.maximum(values, 1e-300)), np.inf)
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(names))])
    return LocalIdentifiability(tuple(names), errors, vectors * signs)


def moments_identifiability(fit: Moments) -> LocalIdentifiability:
    """Directions at the estimate of `simulated_moments`."""
    problem = fit.problem
    variance = problem.fitted.covariance + np.diag(problem.discrepancy_sd**2)
    spread = problem.prior.sample(2000, rng=chance(problem.seed, "prior spread")).std(axis=0)
    return local_identifiability(problem.names, fit.jacobian, variance, spread)


@dataclass(frozen=True, eq=False)
class Profile:
    """Profiles of all parameters.

    Attributes
    ----------
    table
        Columns `parameter`, `value`, `misfit` (smallest sum of squared standardised gaps with the
        parameter held at the value).
    level
        Of the intervals.
    """

    table: pl.DataFrame
    names: tuple[str, ...]
    level: float

    def interval(self, name: str) -> tuple[float, float, bool, bool]:
        """(low, high, low is bounded, high is bounded): where the misfit is within chi-squared.

        An end that is not bounded reaches the edge of the prior: the data do not limit it there.
        """
        rows = self.table.filter(parameter=name).sort("value")
        require(rows.height > 0, CalibrationError, f"there is no parameter {name!r}")
        value, misfit = rows["value"].to_numpy(), rows["misfit"].to_numpy()
        limit = misfit.min() + stats.chi2.ppf(self.level, 1)
        inside = np.flatnonzero(misfit <= limit)
        first, last = int(inside[0]), int(inside[-1])
        low, high = value[first], value[last]
        if first > 0:
            low = np.interp(limit, misfit[[first, first - 1]], value[[first, first - 1]])
        if last < len(value) - 1:
            high = np.interp(limit, misfit[[last, last + 1]], value[[last, last + 1]])
        return float(low), float(high), first > 0, last < len(value) - 1

    @property
    def words(self) -> list[str]:
        """What it means, a sentence per parameter."""
        said = []
        for name in self.names:
            low, high, left, right = self.interval(name)
            kind = {
                (True, True): "bounded on both sides",
                (True, False): "NOT bounded above within the prior",
                (False, True): "NOT bounded below within the prior",
                (False, False): "NOT IDENTIFIED: its profile is flat over the whole prior",
            }[left, right]
            said.append(f"{name}: {100 * self.level:g} % interval {low:.4g} to {high:.4g}, {kind}")
        return said


def profile(
    problem: Problem,
    emulators: Sequence[Emulator],
    *,
    n_grid: int = 21,
    n_starts: int = 4,
    level: float = 0.9,
) -> Profile:
    """Profile every parameter on emulators of the expected statistics.

    Parameters
    ----------
    emulators
        One per fitted statistic, over the unit cube of the prior: the last wave of `history_match`,
        or `emulate` of a design.
    n_grid
        Values per parameter, spread over the quantiles of its prior, >= 5.
    n_starts
        Starts of the search over the other parameters at each value.

    Raises
    ------
    CalibrationError
        Another number of emulators than of fitted statistics; statistics without any error.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> from abm.calibration.emulator import emulate
    >>> from abm.calibration.replicates import Replicates
    >>> x = np.random.default_rng(1).random((30, 2))
    >>> runs = Replicates(x, (x[:, :1])[:, None, :], np.ones(30, dtype=int))
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1), "b": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5, 0.1)]))
    >>> found = profile(problem, emulate(x, runs))
    >>> [found.interval(name)[2:] for name in ("a", "b")]
    [(True, True), (False, False)]
    """
    require(
        len(emulators) == problem.fitted.size and n_grid >= 5 and n_starts >= 1,
        CalibrationError,
        f"{len(emulators)} emulators for {problem.fitted.size} statistics, n_grid = {n_grid} "
        f"(>= 5), n_starts = {n_starts} (>= 1)",
    )
    errors = np.diag(problem.fitted.covariance) + problem.discrepancy_sd**2

    def misfit(x: Floats) -> float:
        total = 0.0
        for k, emulator in enumerate(emulators):
            mean, variance = emulator.predict(x[None])
            total += float((problem.observed[k] - mean[0]) ** 2 / (errors[k] + variance[0]))
        return total

    require(
        bool((errors > 0).all()),
        CalibrationError,
        "some statistics have neither sampling error nor discrepancy: nothing tells how close is "
        "close. Give the targets standard errors",
    )
    rng = chance(problem.seed, "profile starts")
    grid = np.linspace(0.0, 1.0, n_grid)
    d = len(problem.names)
    starts = rng.random((n_starts, d - 1))
    rows = []
    for j, name in enumerate(problem.names):
        held = np.full((n_grid, d), 0.5)
        held[:, j] = np.clip(grid, 1e-4, 1 - 1e-4)
        values = problem.prior.from_unit(held)[:, j]
        before: list[Floats] = []
        for u, value in zip(grid, values.tolist(), strict=True):
            best, where = _best(misfit, j, float(u), [*starts, *before])
            before = [where]
            rows.append({"parameter": name, "value": value, "misfit": best})
    return Profile(pl.DataFrame(rows), problem.names, level)


def _best(
    misfit: Callable[[Floats], float], j: int, u: float, starts: Sequence[Floats]
) -> tuple[float, Floats]:
    """Smallest misfit over the other parameters, and where."""
    if len(starts[0]) == 0:
        return float(misfit(np.array([u]))), starts[0]

    def held(rest: Floats) -> float:
        return misfit(np.insert(rest, j, u))

    bounds = [(0.0, 1.0)] * len(starts[0])
    found = [minimize(held, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(found, key=lambda result: float(result.fun))
    return float(best.fun), np.asarray(best.x, dtype=np.float64)
