"""Point estimates: the parameters of the smallest distance, by Bayesian optimisation or CMA-ES.

Both optimisers are those of well-kept libraries (`bayesian-optimization`, `cma`); here they see the
unit cube of the prior, get their seed from the problem, and every simulation goes through the
executor, so that a search resumes and does not depend on the number of workers. A point estimate
has no uncertainty: for that, take a posterior or simulated moments.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration.checks import check_options, check_ranges
from abm.calibration.columns import distinct
from abm.calibration.designs import latin_hypercube
from abm.calibration.problem import Problem
from abm.calibration.reach import failures, out_of_reach
from abm.calibration.records import Notice
from abm.calibration.replicates import replicated
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, MissingExtra, require
from abm.rng import chance, uniform

__all__ = ["PointEstimate", "bayesian_optimisation", "cma_es"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PointEstimate:
    """The best point that a search found.

    Attributes
    ----------
    estimate
        Shape (d,).
    distance
        Of its mean statistics to the data.
    trace
        One row per point, in order: parameters, `distance`, `best` (smallest so far), `cost` (so
        far).
    method, cost, n_simulations, notices
        As in `Posterior`.
    """

    names: tuple[str, ...]
    estimate: Floats
    distance: float
    trace: pl.DataFrame = field(repr=False)
    method: str
    cost: float
    n_simulations: int
    notices: Sequence[Notice] = ()

    @property
    def details(self) -> dict[str, Any]:
        """Numbers of the method: the smallest distance and the points that were tried."""
        return {"distance": self.distance, "points": self.trace.height}

    def frame(self) -> pl.DataFrame:
        """The trace."""
        return self.trace

    def summary(self) -> pl.DataFrame:
        """One row per parameter."""
        return pl.DataFrame({"parameter": list(self.names), "estimate": self.estimate})


def bayesian_optimisation(
    simulations: Simulations,
    *,
    n_initial: int = 20,
    n_iterations: int = 30,
    n_replicates: int = 5,
) -> PointEstimate:
    """Minimise the distance of mean statistics by a Gaussian process and expected improvement.

    Parameters
    ----------
    n_initial
        Points of a Latin hypercube that start it, >= 5; they also set the scales of the distance.
    n_iterations
        Points that the process chooses, one after another.
    n_replicates
        Runs per point, >= 1; these are what runs in parallel.

    Raises
    ------
    CalibrationError
        None of the initial points can be used.
    MissingExtra
        `bayesian-optimization` is not installed.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": p["x"]}, Independent({"x": uniform(0, 4)}),
    ...                   Targets([scalar("y", 3.0, 0.1)]), seed=1)
    >>> fit = bayesian_optimisation(Simulations(problem), n_iterations=5, n_replicates=1)
    >>> bool(abs(fit.estimate[0] - 3) < 0.1)
    True
    """
    check_options(bayesian_optimisation, locals())
    try:
        from bayes_opt import BayesianOptimization
        from bayes_opt.acquisition import ExpectedImprovement
    except ImportError as error:
        raise _missing("Bayesian optimisation", "bayesian-optimization") from error
    check_ranges(("n_iterations", n_iterations, n_iterations >= 0, ">= 0"))
    search = _Search(simulations, "bayesian", n_replicates)
    search.start(n_initial, n_iterations)
    names = [f"u{j}" for j in range(len(search.problem.names))]
    optimiser: Any = BayesianOptimization(
        f=None,
        pbounds=dict.fromkeys(names, (0.0, 1.0)),
        acquisition_function=ExpectedImprovement(xi=0.0),
        random_state=_seed(search.problem, "bayesian"),
        allow_duplicate_points=True,
        verbose=0,
    )

    def tell(unit: Floats, loss: float) -> None:
        # The process sees -log distance: distances are positive and span orders of magnitude.
        optimiser.register(dict(zip(names, unit.tolist(), strict=True)), -np.log(loss + 1e-12))

    for unit, loss in zip(search.units, search.losses, strict=True):
        tell(unit, search.shown(loss))
    for _ in range(n_iterations):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lengths at their bounds, repeated points
            asked = optimiser.suggest()
        unit = np.array([float(asked[name]) for name in names])
        (loss,) = search.evaluate(unit[None])
        tell(unit, search.shown(loss))
    return search.result("bayesian optimisation")


def cma_es(
    simulations: Simulations,
    *,
    n_initial: int = 20,
    n_generations: int = 20,
    n_offspring: int | None = None,
    n_replicates: int = 5,
    spread: float = 0.2,
) -> PointEstimate:
    """Minimise the distance by covariance matrix adaptation (Hansen & Ostermeier 2001).

    Parameters
    ----------
    n_initial
        Points of a Latin hypercube, >= 5; the search starts at the best of them.
    n_generations
        At most so many generations; cma's own rules may end it earlier.
    n_offspring
        Points per generation, all in parallel; by default 4 + floor(3 log d), at least 6.
    n_replicates
        Runs per point, >= 1.
    spread
        Initial standard deviation in the unit cube, in (0, 1).

    Raises
    ------
    CalibrationError
        None of the initial points can be used.
    MissingExtra
        `cma` is not installed.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": p["x"] * p["y"], "z": p["x"]},
    ...                   Independent({"x": uniform(0, 4), "y": uniform(0, 4)}),
    ...                   Targets([scalar("y", 3.0, 0.1), scalar("z", 1.0, 0.1)]), seed=1)
    >>> fit = cma_es(Simulations(problem), n_replicates=1)
    >>> bool(np.abs(fit.estimate - [1, 3]).max() < 0.1)
    True
    """
    check_options(cma_es, locals())
    try:
        import cma
    except ImportError as error:
        raise _missing("CMA-ES", "cma") from error
    check_ranges(
        ("spread", spread, 0 < spread < 1, "0 < spread < 1"),
        ("n_generations", n_generations, n_generations >= 1, ">= 1"),
    )
    search = _Search(simulations, "cma", n_replicates)
    d = len(search.problem.names)
    n = max(6, 4 + int(3 * np.log(d))) if n_offspring is None else n_offspring
    require(n >= 4, CalibrationError, f"n_offspring = {n}, expected >= 4", argument="n_offspring")
    search.start(n_initial, n * n_generations)
    # cma has no strategy for one dimension: an idle second one is added and ignored.
    width = max(d, 2)
    start = np.full(width, 0.5)
    start[:d] = search.units[int(np.argmin(search.losses))]
    options = {
        "bounds": [0.0, 1.0],
        "popsize": n,
        "seed": _seed(search.problem, "cma"),
        "verbose": -9,
        "maxiter": n_generations,
    }
    strategy: Any = cma.CMAEvolutionStrategy(start.tolist(), spread, options)
    while not strategy.stop():
        asked = np.array(strategy.ask())
        losses = search.evaluate(np.clip(asked[:, :d], 0.0, 1.0))
        strategy.tell(asked.tolist(), [float(search.shown(loss)) for loss in losses])
    return search.result("cma-es")


class _Search:
    """Points asked for so far, their distances, and what they cost."""

    def __init__(self, simulations: Simulations, stage: str, n_replicates: int) -> None:
        self.simulations, self.problem = simulations, simulations.problem
        self.stage, self.n = stage, n_replicates
        self.units: list[Floats] = []
        self.losses: list[float] = []
        self._costs: list[float] = []
        self._notices: list[Notice] = []

    def start(self, n_initial: int, more: int) -> None:
        require(
            n_initial >= 5,
            CalibrationError,
            f"n_initial = {n_initial}, expected >= 5",
            argument="n_initial",
        )
        self.simulations.stage(self.stage, self.n * (n_initial + more))
        d = len(self.problem.names)
        rng = chance(self.problem.seed, f"{self.stage} design")
        units = latin_hypercube(n_initial, d, rng=rng)
        means = self._means(units)
        usable = np.isfinite(means).all(axis=1)
        require(
            int(usable.sum()) >= 2,
            CalibrationError,
            f"{int(usable.sum())} of {n_initial} initial points can be used, expected at least 2: "
            f"{dict(self.simulations.used.errors)}",
        )
        self._notices += out_of_reach(self.problem, means)
        self.problem = self.problem.with_pilot(means)
        self._note(units, means)

    def evaluate(self, units: Floats) -> list[float]:
        """Distances of points in the unit cube; infinite where no run is usable."""
        return self._note(units, self._means(units))

    def shown(self, loss: float) -> float:
        """What an optimiser is told: a point that fails is worse than all that did not."""
        worst = max(value for value in self.losses if np.isfinite(value))
        return loss if np.isfinite(loss) else 2.0 * worst + 1.0

    def result(self, method: str) -> PointEstimate:
        best = int(np.argmin(self.losses))
        points = self.problem.prior.from_unit(np.array(self.units))
        used = self.simulations.used
        names = distinct(self.problem.names, ("distance", "best", "cost"))
        trace = pl.DataFrame(
            {
                **{name: points[:, j] for j, name in enumerate(names)},
                "distance": self.losses,
                "best": np.minimum.accumulate(self.losses),
                "cost": self._costs,
            }
        )
        return PointEstimate(
            self.problem.names,
            points[best],
            self.losses[best],
            trace,
            method,
            used.total_cost,
            used.n_runs,
            [*self._notices, *failures(used)],
        )

    def _means(self, units: Floats) -> Floats:
        """Means over usable replicates; nan where the constraints or all runs fail."""
        points = self.problem.prior.from_unit(units)
        allowed = np.isfinite(self.problem.prior.log_density(points))
        means = np.full((len(points), self.problem.fitted.size), np.nan)
        if allowed.any():
            first = len(self.units) * self.n
            runs = replicated(self.simulations, self.stage, points[allowed], self.n, first=first)
            means[allowed] = runs.mean
        return means

    def _note(self, units: Floats, means: Floats) -> list[float]:
        losses = [float(v) for v in self.problem.distances(means)]
        self.units += list(units)
        self.losses += losses
        self._costs += [self.simulations.used.total_cost] * len(losses)
        return losses


def _seed(problem: Problem, purpose: str) -> int:
    return int(uniform(problem.seed, f"optimiser {purpose}") * (2**31 - 2)) + 1


def _missing(what: str, package: str) -> MissingExtra:
    return MissingExtra(
        f"{what} needs {package}: install the extra `calibration` "
        "(pip install 'agora-abm[calibration]')"
    )
