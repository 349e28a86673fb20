"""Simulated moments: the parameters at which simulated statistics meet the data, with a J test.

Minimise g' W g, where g is the mean of simulated statistics over S replicates minus the data. The
variance of g is V = C + V_run / S, with C the sampling covariance of the data and V_run that of one
run; with data like one run (C = V_run) this is (1 + 1/S) C. At W = V^-1 the estimator has variance
(D' V^-1 D)^-1, where D is the Jacobian of the statistics, and J = g' V^-1 g follows chi-squared
with (statistics - parameters) degrees of freedom if the model is right (McFadden 1989, Econometrica
57, 995; Duffie and Singleton 1993, Econometrica 61, 929).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import minimize

from abm.calibration.checks import check_options, check_ranges
from abm.calibration.designs import latin_hypercube
from abm.calibration.problem import Problem
from abm.calibration.reach import failures
from abm.calibration.records import Notice
from abm.calibration.replicates import need_everywhere, replicated
from abm.calibration.simulations import Simulations
from abm.calibration.whitening import whitening
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["JTest", "Moments", "j_test", "moment_variance", "simulated_moments"]

Floats = NDArray[np.float64]
_NOTHING_VARIES = (
    "the covariance of the statistics is zero or not finite: nothing tells how close is close. "
    "Give the targets standard errors, or take covariance = 'runs' with a stochastic simulator"
)


@dataclass(frozen=True)
class JTest:
    """Test of overidentifying restrictions.

    Attributes
    ----------
    statistic, freedom, p
        J, its degrees of freedom, and the probability of a larger J if the model is right; nan
        where there are no more statistics than parameters.
    """

    statistic: float
    freedom: int
    p: float

    @property
    def words(self) -> str:
        """What it means, in a sentence."""
        if self.freedom < 1:
            return "no J test: as many parameters as independent statistics, so any data would fit"
        head = (
            f"J = {self.statistic:.2f} with {self.freedom} degrees of freedom, p = {self.p:.3g}: "
        )
        if self.p >= 0.01:
            return head + "the data do not contradict the model"
        return head + (
            "the model does NOT reach these statistics together; its estimates are of a wrong model"
        )


def j_test(gap: ArrayLike, variance: ArrayLike, n_parameters: int) -> JTest:
    """J = g' V^+ g with rank(V) - n_parameters degrees of freedom.

    Parameters
    ----------
    gap
        Mean simulated statistics minus data at the estimate, shape (m,).
    variance
        V of the module's head, shape (m, m); shares that add up to 1 make it singular, which the
        pseudo-inverse and the rank take into account.

    Examples
    --------
    >>> test = j_test([0.1, 0.0, 0.0], 0.01 * np.eye(3), 1)
    >>> round(test.statistic, 6), test.freedom
    (1.0, 2)
    """
    g = np.asarray(gap, dtype=np.float64)
    require(
        g.shape == np.shape(variance)[:1] and bool(np.isfinite(g).all()),
        CalibrationError,
        f"gap of shape {g.shape} and variance of shape {np.shape(variance)}, expected finite "
        "numbers, (m,) and (m, m)",
    )
    white = whitening(np.asarray(variance, dtype=np.float64), nothing=_NOTHING_VARIES)
    statistic = float(((white @ g) ** 2).sum())
    freedom = len(white) - n_parameters
    p = float(stats.chi2.sf(statistic, freedom)) if freedom > 0 else float("nan")
    return JTest(statistic, freedom, p)


def moment_variance(jacobian: ArrayLike, variance: ArrayLike) -> Floats:
    """(D' V^+ D)^-1, shape (d, d): variance of the estimate at the best weights.

    Parameters
    ----------
    jacobian
        D, shape (m, d).
    variance
        V of the module's head, shape (m, m).

    Raises
    ------
    CalibrationError
        Some direction of the parameters moves no statistic.

    Examples
    --------
    >>> moment_variance([[2.0]], [[0.04]]).tolist()
    [[0.01]]
    """
    d = np.asarray(jacobian, dtype=np.float64)
    require(
        d.ndim == 2 and d.shape[:1] == np.shape(variance)[:1] and bool(np.isfinite(d).all()),
        CalibrationError,
        f"jacobian of shape {d.shape} and variance of shape {np.shape(variance)}, expected finite "
        "numbers, (m, d) and (m, m)",
    )
    scaled = whitening(np.asarray(variance, dtype=np.float64), nothing=_NOTHING_VARIES) @ d
    size = np.sqrt((scaled**2).sum(axis=0))
    require(
        bool((size > 0).all()) and np.linalg.matrix_rank(scaled / size) == d.shape[1],
        CalibrationError,
        "a direction of the parameters moves no statistic: it is not identified, and its standard "
        "error is infinite. Add a statistic that it moves, or fix a parameter",
        outcome="not_identified",
    )
    return np.asarray(np.linalg.inv(scaled.T @ scaled), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Moments:
    """An estimate by simulated moments.

    Attributes
    ----------
    estimate, standard_error
        Shape (d,).
    covariance
        Of the estimate, shape (d, d).
    gap
        Mean simulated statistics minus data at the estimate, shape (m,).
    jacobian
        Shape (m, d).
    test
        The J test.
    """

    problem: Problem
    estimate: Floats
    covariance: Floats
    gap: Floats
    jacobian: Floats
    test: JTest
    n_replicates: int
    cost: float
    n_simulations: int
    notices: Sequence[Notice] = field(default=())

    @property
    def standard_error(self) -> Floats:
        result: Floats = np.sqrt(np.diag(self.covariance))
        return result

    def interval(self, level: float = 0.9) -> Floats:
        """Normal intervals, shape (d, 2); they may leave the prior's support."""
        half = stats.norm.ppf(0.5 + level / 2) * self.standard_error
        return np.stack([self.estimate - half, self.estimate + half], axis=1)

    @property
    def details(self) -> dict[str, Any]:
        """Numbers of the method: the J test, and the gap that is left."""
        return {
            "j": self.test.statistic,
            "freedom": self.test.freedom,
            "p": self.test.p,
            "words": self.test.words,
            "gap": self.gap,
            "covariance": self.covariance,
        }

    def summary(self, level: float = 0.9) -> pl.DataFrame:
        """One row per parameter: estimate, standard error, interval."""
        low, high = self.interval(level).T
        return pl.DataFrame(
            {
                "parameter": list(self.problem.names),
                "estimate": self.estimate,
                "standard_error": self.standard_error,
                "low": low,
                "high": high,
                "level": level,
            }
        )


def simulated_moments(
    simulations: Simulations,
    *,
    n_replicates: int = 20,
    n_start: int = 32,
    covariance: Literal["data", "runs"] = "data",
    step: float = 0.05,
    max_evaluations: int = 200,
    tolerance: float = 1e-4,
) -> Moments:
    """Fit by simulated moments in two steps.

    The first step weights statistics by their inverse variances, the second by V^-1 with V_run
    from the first estimate. Each step is a Nelder-Mead search on the unbounded scale of the
    parameters, the first from the best points of a design over the prior. All points share their
    random numbers, so that the objective has no noise of its own.

    Parameters
    ----------
    n_replicates
        S, >= 2 (>= m + 2 is wise: V_run is estimated from as many runs at least).
    n_start
        Points of the design.
    covariance
        C: `"data"` takes the sampling covariance of the targets; `"runs"` takes V_run, for data
        that are like one run of the model.
    step
        Half width of the central differences for D, in prior standard deviations.
    max_evaluations
        Points per search; a search that ends there gives a notice `not_converged`.
    tolerance
        Of the search: in the unbounded parameters and in the objective, relative.

    Raises
    ------
    CalibrationError
        The problem does not share random numbers everywhere; the data have no sampling error with
        `covariance="data"`; no point of the design can be used; a parameter is not identified.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, series, uniform
    >>> def line(parameters, seed, fidelity):
    ...     noise = np.random.default_rng(seed).normal(size=3)
    ...     return {"y": parameters["slope"] * np.array([1.0, 2.0, 3.0]) + noise}
    >>> problem = Problem(line, Independent({"slope": uniform(0, 5)}),
    ...                   Targets([series("y", [2.0, 4.0, 6.0], 1.0)]),
    ...                   common_random_numbers="everywhere")
    >>> fit = simulated_moments(Simulations(problem), n_replicates=400)
    >>> bool(abs(fit.estimate[0] - 2) < 0.1), round(float(fit.standard_error[0]), 2)
    (True, 0.27)
    """
    check_options(simulated_moments, locals())
    problem = simulations.problem
    check_ranges(
        ("n_replicates", n_replicates, n_replicates >= 2, "a whole number >= 2"),
        ("n_start", n_start, n_start >= 2, ">= 2"),
        ("step", step, step > 0, "> 0"),
        ("max_evaluations", max_evaluations, max_evaluations >= 1, ">= 1"),
        ("tolerance", tolerance, tolerance >= 0, ">= 0"),
    )
    _check(problem, covariance)
    search = _Search(simulations, n_replicates, max_evaluations, tolerance)
    data = problem.fitted.covariance + np.diag(problem.discrepancy_sd**2)
    simulations.stage("moments", n_replicates * (n_start + 2 * max_evaluations))
    first = search.design(n_start)
    spread = np.diag(data) + search.run_covariance(first).diagonal()
    first = search.minimise(first, np.diag(np.maximum(spread, 1e-300)), "first step")
    run = search.run_covariance(first)
    base = run + np.diag(problem.discrepancy_sd**2) if covariance == "runs" else data
    variance = base + run / n_replicates
    best = search.minimise(first, variance, "second step")
    jacobian = search.jacobian(best, step)
    gap = search.mean(best) - problem.observed
    used = simulations.used
    return Moments(
        problem,
        best,
        moment_variance(jacobian, variance),
        gap,
        jacobian,
        j_test(gap, variance, len(best)),
        n_replicates,
        used.total_cost,
        used.n_runs,
        [*search.notices, *failures(used)],
    )


class _Search:
    """Evaluates points once, with the same seeds for all, and remembers them."""

    def __init__(self, simulations: Simulations, n: int, most: int, tolerance: float) -> None:
        self.simulations, self.problem = simulations, simulations.problem
        self.n, self.most, self.tolerance = n, most, tolerance
        self.notices: list[Notice] = []
        self._known: dict[tuple[float, ...], tuple[Floats, Floats]] = {}

    def runs(self, points: Floats) -> None:
        fresh = [p for p in points if tuple(p.tolist()) not in self._known]
        if not fresh:
            return
        first = len(self._known) * self.n
        found = replicated(self.simulations, "moments", np.array(fresh), self.n, first=first)
        for i, point in enumerate(fresh):
            whole = found.counts[i] == self.n  # a mean over fewer seeds is another function
            mean = found.mean[i] if whole else np.full(self.problem.fitted.size, np.nan)
            self._known[tuple(point.tolist())] = (mean, found.statistics[i])

    def mean(self, point: Floats) -> Floats:
        self.runs(point[None])
        return self._known[tuple(point.tolist())][0]

    def run_covariance(self, point: Floats) -> Floats:
        self.runs(point[None])
        return np.atleast_2d(np.cov(self._known[tuple(point.tolist())][1], rowvar=False))

    def design(self, n: int) -> Floats:
        """The best of a design over the prior, by squared gaps in units of their spread."""
        prior = self.problem.prior
        rng = chance(self.problem.seed, "moments design")
        x = latin_hypercube(n, len(self.problem.names), rng=rng)
        points = prior.from_unit(x)
        points = points[np.isfinite(prior.log_density(points))]
        self.runs(points)
        means = np.array([self.mean(p) for p in points])
        usable = np.isfinite(means).all(axis=1)
        require(
            bool(usable.any()),
            CalibrationError,
            f"none of {len(points)} points of the design has all its replicates usable: "
            f"{dict(self.simulations.used.errors)}",
        )
        unit = means[usable].std(axis=0)
        error = self.problem.fitted.standard_error
        unit = np.where(unit > 0, unit, np.where(error > 0, error, 1.0))
        loss = (((means - self.problem.observed) / unit) ** 2).sum(axis=1)
        best: Floats = points[int(np.nanargmin(np.where(usable, loss, np.nan)))]
        return best

    def minimise(self, start: Floats, variance: Floats, what: str) -> Floats:
        white, prior = whitening(variance, nothing=_NOTHING_VARIES), self.problem.prior

        def loss(z: Floats) -> float:
            point = prior.from_unbounded(z[None])[0]
            if not np.isfinite(prior.log_density(point[None])[0]):
                return np.inf
            value = float(((white @ (self.mean(point) - self.problem.observed)) ** 2).sum())
            return value if np.isfinite(value) else np.inf

        z: Floats = prior.to_unbounded(start[None])[0]
        simplex = np.vstack([z, z + 0.25 * np.eye(len(z))])
        found = minimize(
            loss,
            z,
            method="Nelder-Mead",
            options={
                "initial_simplex": simplex,
                "maxfev": self.most,
                "xatol": self.tolerance,
                "fatol": self.tolerance,
            },
        )
        if not found.success:
            self.notices.append(
                Notice(
                    "not_converged",
                    f"{what}: the search ended after {self.most} points at g'Wg = {found.fun:.4g} "
                    "before it settled; raise max_evaluations",
                    what,
                    float(found.fun),
                )
            )
        best: Floats = prior.from_unbounded(np.asarray(found.x)[None])[0]
        return best

    def jacobian(self, point: Floats, step: float) -> Floats:
        """Central differences; where one side leaves the prior or fails, the other side alone."""
        prior = self.problem.prior
        widths = step * _prior_sd(self.problem)
        columns = []
        for j, h in enumerate(widths):
            ends, means = [], []
            for side in (-1.0, 0.0, 1.0):
                moved = point.copy()
                moved[j] += side * h
                inside = np.isfinite(prior.log_density(moved[None])[0])
                mean = self.mean(moved) if inside else np.full(self.problem.fitted.size, np.nan)
                if np.isfinite(mean).all():
                    ends.append(moved[j])
                    means.append(mean)
            require(
                len(ends) >= 2,
                CalibrationError,
                f"no slope in {self.problem.names[j]!r}: its neighbours at +-{h:.3g} fail or lie "
                "outside the prior. Choose a smaller step",
            )
            columns.append((means[-1] - means[0]) / (ends[-1] - ends[0]))
        return np.stack(columns, axis=1)


def _prior_sd(problem: Problem) -> Floats:
    draws = problem.prior.sample(2000, rng=chance(problem.seed, "prior spread"))
    result: Floats = draws.std(axis=0)
    return result


def _check(problem: Problem, covariance: str) -> None:
    need_everywhere(problem, "simulated moments")
    d, m = len(problem.names), problem.fitted.size
    require(
        m >= d,
        CalibrationError,
        f"{m} statistics for {d} parameters: at least as many statistics are needed",
        argument="targets",
    )
    require(
        covariance == "runs" or bool((np.diag(problem.fitted.covariance) > 0).any()),
        CalibrationError,
        "the targets have no sampling error, so there is no C: give standard errors, or take "
        "covariance = 'runs' if the data are like one run of the model",
        argument="covariance",
    )
