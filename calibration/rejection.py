"""Rejection ABC: draw from the prior, simulate, keep what comes close to the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.calibration.adjustment import regression_adjustment
from abm.calibration.checks import check_options
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.reach import causes_told, failures, few_draws, out_of_reach, piloted
from abm.calibration.records import Notice, Record, statistics_of
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["prior_draws", "rejection"]


def prior_draws(problem: Problem, stage: str, n: int) -> np.ndarray:
    """The first n draws of the prior for a stage, shape (n, d); a function of the seed alone."""
    return problem.prior.sample(n, rng=chance(problem.seed, f"proposals {stage}"))


def rejection(
    simulations: Simulations,
    *,
    n_simulations: int,
    accept: float | None = None,
    tolerance: float | None = None,
    adjust: bool = False,
) -> Posterior:
    """Draws of the prior whose simulation lies within `tolerance` of the data.

    Parameters
    ----------
    simulations
        Runs the problem at its dearest fidelity.
    n_simulations
        How many draws of the prior are simulated, >= 1.
    accept
        Share of the simulations that is kept, the nearest ones, in (0, 1]; this sets the tolerance.
    tolerance
        Largest distance that is kept; give either this or `accept` (default 0.01).
    adjust
        Whether local-linear regression adjustment follows (see `regression_adjustment`).

    Returns
    -------
    Equally weighted draws, unless adjusted. A distance that needs a pilot takes its scales from all
    simulations. `details`: tolerance, accepted.

    References
    ----------
    Pritchard et al. (1999), Molecular Biology and Evolution 16; Beaumont, Zhang & Balding (2002),
    Genetics 162.

    Examples
    --------
    A uniform kernel widens the posterior of N(theta, 1) at y = 0 to variance 1 + tolerance^2 / 3:

    >>> from abm.calibration import Independent, ScaledEuclidean, Targets, scalar, uniform
    >>> def noisy(parameters, seed, fidelity):
    ...     return {"y": parameters["theta"] + np.random.default_rng(seed).normal()}
    >>> problem = Problem(noisy, Independent({"theta": uniform(-10, 10)}),
    ...                   Targets([scalar("y", 0.0)]), ScaledEuclidean("none"), seed=1)
    >>> post = rejection(Simulations(problem), n_simulations=5000, tolerance=1.0)
    >>> bool(abs(post.covariance[0, 0] - (1 + 1 / 3)) < 0.3)
    True
    """
    check_options(rejection, locals())
    share = _share(n_simulations, accept, tolerance)
    draws, records = _from_prior(simulations, n_simulations)
    statistics = statistics_of(records)
    problem = piloted(simulations.problem, statistics, simulations.used)
    distances = problem.distances(statistics)
    with causes_told(simulations.used):
        limit = _nearest(distances, share) if tolerance is None else float(tolerance)
    kept = np.flatnonzero(distances <= limit)
    notices = [*out_of_reach(problem, statistics), *failures(simulations.used)]
    if kept.size == 0:
        _nothing(limit, distances, notices)
    details = {
        "tolerance": limit,
        "accepted": kept.size / n_simulations,
        "distances": distances[kept],
        "distance": problem.distance.describe(),
    }
    notices += few_draws(float(kept.size))
    post = _posterior(simulations, draws[kept], [records[k] for k in kept], notices, details)
    return regression_adjustment(post, problem) if adjust else post


def _from_prior(simulations: Simulations, n: int) -> tuple[np.ndarray, list[Record]]:
    """Draws of the prior, shape (n, d), and the records of their simulations."""
    problem = simulations.problem
    simulations.stage("prior", n)
    draws = prior_draws(problem, "prior", n)
    return draws, simulations.run_all(problem.tasks("prior", draws))


def _nearest(distances: np.ndarray, share: float) -> float:
    """The distance within which the nearest `share` of the simulations lie."""
    finite = int(np.isfinite(distances).sum())
    wanted = max(1, round(share * len(distances)))
    require(
        wanted <= finite,
        CalibrationError,
        f"accept = {share} of {len(distances)} simulations, but only {finite} gave a distance",
        argument="accept",
        value=share,
    )
    return float(np.sort(distances)[wanted - 1])


def _posterior(
    simulations: Simulations,
    draws: np.ndarray,
    records: list[Record],
    notices: list[Notice],
    details: dict[str, Any],
) -> Posterior:
    """Draws with equal weights, what was simulated from them, and what all simulations cost."""
    return Posterior(
        simulations.problem.names,
        draws,
        np.ones(len(draws)),
        "rejection",
        simulations.used.total_cost,
        simulations.used.n_runs,
        statistics_of(records),
        np.array([record.held_out for record in records]),
        notices,
        details,
    )


def _share(n_simulations: int, accept: float | None, tolerance: float | None) -> float:
    require(
        n_simulations >= 1,
        CalibrationError,
        f"n_simulations = {n_simulations}, expected a whole number >= 1",
        argument="n_simulations",
    )
    require(
        accept is None or tolerance is None,
        CalibrationError,
        "give accept or tolerance, not both",
        argument="accept",
    )
    require(
        tolerance is None or tolerance >= 0,
        CalibrationError,
        f"tolerance = {tolerance}, expected >= 0",
        argument="tolerance",
    )
    share = 0.01 if accept is None else accept
    require(
        0 < share <= 1,
        CalibrationError,
        f"accept = {share}, expected 0 < accept <= 1",
        argument="accept",
    )
    return share


def _nothing(tolerance: float, distances: np.ndarray, notices: list[Notice]) -> None:
    told = "; ".join(notice.message for notice in notices)
    raise CalibrationError(
        f"no simulation lies within tolerance = {tolerance:g} of the data; the nearest is at "
        f"{distances.min():g}. Raise the tolerance, or give accept instead. {told}",
        argument="tolerance",
        outcome="no_posterior",
        nearest=float(distances.min()),
        notices=notices,
    )
