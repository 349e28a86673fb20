"""Checks that cost no new simulations: each run of a reference table plays the data once.

A reference table holds parameters drawn from the prior and the statistics simulated from them. Any
of its rows can stand for the data, with its own parameters as the planted truth and all other rows
as the simulations of the fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration.adjustment import regression_adjustment
from abm.calibration.distances import ScaledEuclidean
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.targets import Targets
from abm.errors import CalibrationError, require

__all__ = ["fit_table", "own_noise", "summary_sensitivity", "through_kernel", "with_data"]

Floats = NDArray[np.float64]


def with_data(problem: Problem, statistics: Floats) -> Problem:
    """The problem with other data: fitted statistics of shape (m,); sampling errors stay.

    Examples
    --------
    >>> from abm.calibration import Independent, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 0.5)]))
    >>> with_data(problem, np.array([0.25])).observed.tolist()
    [0.25]
    """
    values = problem.fitted.mapping(statistics)
    changed = [
        t if t.held_out else replace(t, value=np.asarray(values[t.name])) for t in problem.targets
    ]
    return replace(problem, targets=Targets(changed))


def own_noise(problem: Problem) -> Problem:
    """The problem with random numbers of their own for all proposals, as data have.

    A search may share them everywhere; planted data and predictions that do would all have the
    noise of one run.

    Examples
    --------
    >>> from abm.calibration import Independent, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 0.5)]), common_random_numbers="everywhere")
    >>> a, b = own_noise(problem).tasks("x", np.zeros((2, 1)))
    >>> a.seed == b.seed
    False
    """
    if problem.common_random_numbers != "everywhere":
        return problem
    return replace(problem, common_random_numbers="levels")


def fit_table(
    problem: Problem,
    parameters: Floats,
    statistics: Floats,
    *,
    accept: float | None = None,
    tolerance: float | None = None,
    adjust: bool = False,
) -> Posterior:
    """Rejection ABC from a reference table; the distance must have its scales already.

    Parameters
    ----------
    parameters, statistics
        Shapes (n, d) and (n, m).
    accept, tolerance, adjust
        As in `rejection`; give one of the first two.

    Examples
    --------
    >>> from abm.calibration import Independent, ScaledEuclidean, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 0.5)]), ScaledEuclidean("none"))
    >>> a = np.linspace(0, 1, 101)[:, None]
    >>> fit_table(problem, a, a, tolerance=0.1).draws.ravel()[[0, -1]].round(2).tolist()
    [0.4, 0.6]
    """
    distances = problem.distances(statistics)
    if tolerance is None:
        wanted = max(1, round((accept or 0.01) * len(distances)))
        tolerance = float(np.sort(distances)[wanted - 1])
    kept = np.flatnonzero(distances <= tolerance)
    post = Posterior(
        problem.names,
        parameters[kept],
        np.ones(kept.size),
        "rejection from a table",
        statistics=statistics[kept],
        details={"tolerance": tolerance, "distances": distances[kept]},
    )
    return regression_adjustment(post, problem) if adjust else post


def through_kernel(
    problem: Problem, statistics: Floats, tolerance: float, *, rng: np.random.Generator
) -> Floats:
    """Data moved at random within the tolerance, shape (m,): for such data ABC is exact.

    An ABC posterior is that of data blurred by its kernel, hence wider than the exact one. Blurring
    the planted data in the same way makes it the right posterior (Fearnhead and Prangle 2012,
    Journal of the Royal Statistical Society B 74, 419: "noisy ABC").

    Raises
    ------
    CalibrationError
        The distance is not scaled Euclidean: its ball has no simple form.

    Examples
    --------
    >>> from abm.calibration import Independent, ScaledEuclidean, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 0.5)]), ScaledEuclidean("none"))
    >>> moved = through_kernel(problem, np.array([0.5]), 0.1, rng=np.random.default_rng(1))
    >>> bool(0.4 <= moved[0] <= 0.6)
    True
    """
    distance = problem.distance
    require(
        isinstance(distance, ScaledEuclidean),
        CalibrationError,
        "the kernel of this distance cannot be drawn from; only ScaledEuclidean can",
    )
    assert isinstance(distance, ScaledEuclidean)
    m = len(statistics)
    scales = np.ones(m) if distance.scales is None else distance.scales
    direction = rng.normal(size=m)
    radius = tolerance * rng.random() ** (1 / m)
    ball = radius * direction / np.linalg.norm(direction)
    moved: Floats = statistics + ball * scales / np.sqrt(problem.fitted.weights)
    return moved


def summary_sensitivity(
    problem: Problem,
    parameters: Floats,
    statistics: Floats,
    *,
    accept: float = 0.05,
    adjust: bool = True,
) -> pl.DataFrame:
    """How the posterior moves when one target is left out, from a reference table.

    Parameters
    ----------
    problem
        Before its distance got scales: every subset of targets gets its own.

    Returns
    -------
    One row per parameter and target left out: `mean` and `sd` without it, `shift` of the mean in
    standard deviations of the whole fit, `sd_ratio` (1: the target adds nothing; above 1: it
    narrows), and `reason` where the fit without it is not possible.

    Examples
    --------
    >>> from abm.calibration import Independent, scalar, uniform
    >>> rng = np.random.default_rng(1)
    >>> a = rng.random((2000, 1))
    >>> s = np.hstack([a + 0.1 * rng.normal(size=a.shape), rng.normal(size=a.shape)])
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("useful", 0.5), scalar("noise", 0.0)]))
    >>> table = summary_sensitivity(problem, a, s)
    >>> [round(r) for r in table["sd_ratio"]]
    [3, 1]
    """
    whole = fit_table(
        problem.with_pilot(statistics), parameters, statistics, accept=accept, adjust=adjust
    )
    rows = []
    for name in problem.fitted.names:
        reason, mean, sd = "", *np.full((2, len(problem.names)), np.nan)
        try:
            mean, sd = _without(problem, name, parameters, statistics, accept, adjust)
        except CalibrationError as error:
            reason = str(error)
        for j, parameter in enumerate(problem.names):
            rows.append(
                {
                    "parameter": parameter,
                    "left_out": name,
                    "mean": float(mean[j]),
                    "sd": float(sd[j]),
                    "shift": float((mean[j] - whole.mean[j]) / whole.sd[j]),
                    "sd_ratio": float(sd[j] / whole.sd[j]),
                    "reason": reason,
                }
            )
    return pl.DataFrame(rows)


def _without(
    problem: Problem,
    name: str,
    parameters: Floats,
    statistics: Floats,
    accept: float,
    adjust: bool,
) -> tuple[Floats, Floats]:
    kept = [t for t in problem.fitted if t.name != name]
    require(bool(kept), CalibrationError, "it is the only target")
    columns = np.ones(problem.fitted.size, dtype=bool)
    columns[problem.fitted.slices[name]] = False
    discrepancy = {k: v for k, v in problem.discrepancy.items() if k != name}
    fewer = replace(problem, targets=Targets(kept), discrepancy=discrepancy)
    part = statistics[:, columns]
    post = fit_table(fewer.with_pilot(part), parameters, part, accept=accept, adjust=adjust)
    return post.mean, post.sd
