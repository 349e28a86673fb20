"""Runs repeated at the same parameters: their means, their noise, and what failed among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.problem import Problem, Task
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, require

__all__ = ["Replicates", "need_everywhere", "replicated"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Statistics of n points with r replicates each.

    Attributes
    ----------
    parameters
        Shape (n, d).
    statistics
        Shape (n, r, m); all nan where a run failed or had an undefined statistic.
    counts
        Usable replicates per point, shape (n,).
    """

    parameters: Floats
    statistics: Floats
    counts: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Points with at least one usable replicate, shape (n,)."""
        return self.counts > 0

    @property
    def mean(self) -> Floats:
        """Shape (n, m); nan where no replicate is usable."""
        total = np.nansum(self.statistics, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Floats = total / self.counts[:, None]
        return result

    @property
    def variance(self) -> Floats:
        """Variance between replicates, shape (n, m); nan below two usable replicates."""
        squares = np.nansum((self.statistics - self.mean[:, None, :]) ** 2, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Floats = np.where(
                self.counts[:, None] > 1, squares / (self.counts[:, None] - 1.0), np.nan
            )
        return result

    def covariance(self, row: int) -> Floats:
        """Covariance between replicates of one point, shape (m, m)."""
        rows = self.statistics[row][np.isfinite(self.statistics[row]).all(axis=1)]
        require(
            len(rows) >= 2,
            CalibrationError,
            f"{len(rows)} usable replicates, expected at least 2 for a covariance",
        )
        return np.atleast_2d(np.cov(rows, rowvar=False))


def replicated(
    simulations: Simulations,
    stage: str,
    parameters: ArrayLike,
    n_replicates: int,
    *,
    fidelity: str | None = None,
    first: int = 0,
) -> Replicates:
    """Run each row of parameters (n, d) `n_replicates` times; records have indices from `first` on.

    Examples
    --------
    >>> from abm.calibration import Independent, Problem, Targets, scalar, uniform
    >>> def noisy(parameters, seed, fidelity):
    ...     return {"y": parameters["x"] + np.random.default_rng(seed).normal()}
    >>> problem = Problem(noisy, Independent({"x": uniform(0, 1)}), Targets([scalar("y", 0.5)]))
    >>> runs = replicated(Simulations(problem), "demo", [[0.1], [0.9]], 5)
    >>> runs.statistics.shape, runs.counts.tolist()
    ((2, 5, 1), [5, 5])
    """
    require(
        isinstance(n_replicates, int) and n_replicates >= 1,
        CalibrationError,
        f"n_replicates = {n_replicates!r}, expected a whole number >= 1",
        argument="n_replicates",
    )
    problem = simulations.problem
    points = np.asarray(parameters, dtype=np.float64).reshape(-1, len(problem.names))
    tasks = _tasks(problem, stage, points, n_replicates, fidelity, first)
    size = problem.fitted.size
    found = np.full((len(points) * n_replicates, size), np.nan)
    for place, record in enumerate(simulations.run(tasks)):
        if record.is_ok:
            found[place] = record.statistics
    statistics = found.reshape(len(points), n_replicates, size)
    counts = np.isfinite(statistics).all(axis=2).sum(axis=1)
    return Replicates(points, statistics, counts)


def need_everywhere(problem: Problem, method: str) -> None:
    """Refuse a problem whose points do not share their random numbers."""
    require(
        problem.common_random_numbers == "everywhere",
        CalibrationError,
        f"{method} compares neighbouring parameters and needs common_random_numbers = "
        f"'everywhere'; the problem has {problem.common_random_numbers!r}",
        argument="common_random_numbers",
        value=problem.common_random_numbers,
    )


def _tasks(
    problem: Problem, stage: str, points: Floats, n: int, fidelity: str | None, first: int
) -> list[Task]:
    return [
        problem.task(stage, first + i * n + r, point, fidelity, replicate=r)
        for i, point in enumerate(points)
        for r in range(n)
    ]
