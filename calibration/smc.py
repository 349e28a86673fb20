"""ABC by sequential Monte Carlo: populations of particles at ever smaller tolerances.

Proposals are numbered, and accepted in the order of their numbers: at any number of workers the
same ones, and none because it was quick to simulate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration.checks import check_options, check_ranges
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem, Task
from abm.calibration.reach import failures, few_draws, out_of_reach, piloted
from abm.calibration.records import Notice, Record, statistics_of
from abm.calibration.rejection import prior_draws
from abm.calibration.simulations import Simulations
from abm.calibration.weights import effective_sample_size
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["Kernel", "particle_weights", "smc"]

Floats = NDArray[np.float64]
_BLOCK = 256
_ROWS = 128


@dataclass(frozen=True)
class Kernel:
    """Gaussian perturbation kernel around weighted particles, covariance twice theirs.

    Parameters
    ----------
    particles, weights
        Shapes (n, d) and (n,); the weights add up to 1.

    References
    ----------
    Beaumont, Cornuet, Marin & Robert (2009), Biometrika 96, 983-990.

    Examples
    --------
    >>> kernel = Kernel(np.array([[0.0], [1.0]]), np.array([0.5, 0.5]))
    >>> kernel.covariance.tolist()
    [[0.5]]
    """

    particles: Floats
    weights: Floats

    @property
    def covariance(self) -> Floats:
        """Twice the weighted covariance, shape (d, d)."""
        centred = self.particles - self.weights @ self.particles
        return 2.0 * (centred * self.weights[:, None]).T @ centred

    def factor(self) -> Floats:
        """Cholesky factor of the covariance.

        Raises
        ------
        CalibrationError
            The particles do not vary in some direction.
        """
        try:
            return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise CalibrationError(
                "the particles have become degenerate: they do not vary in every parameter. Take "
                "more of them, or stop at a larger tolerance",
                outcome="degenerate_particles",
            ) from error

    def log_density(self, x: Floats) -> Floats:
        """log sum_j w_j K(x | particle j), shape (n,)."""
        factor = self.factor()
        white = np.linalg.solve(factor, self.particles.T).T
        points = np.linalg.solve(factor, np.atleast_2d(x).T).T
        d = self.particles.shape[1]
        constant = -0.5 * d * math.log(2 * math.pi) - float(np.log(np.diag(factor)).sum())
        with np.errstate(divide="ignore"):
            logs = np.log(self.weights)
        found = np.empty(len(points))
        for start in range(0, len(points), _ROWS):  # bounded memory: rows times particles
            gaps = points[start : start + _ROWS, None, :] - white[None, :, :]
            gaps *= gaps
            squares = gaps[:, :, 0] if d == 1 else gaps.sum(axis=2)
            squares *= -0.5
            squares += logs
            found[start : start + _ROWS] = _log_sums(squares)
        return np.asarray(found + constant)


def _log_sums(logs: Floats) -> Floats:
    """log sum_j exp(logs_ij), shape (n,), for rows with a finite number; overwrites `logs`.

    `scipy.special.logsumexp` in place, which is half of the time of a generation's weights. The
    largest terms stand apart, so that no digit of the small ones is lost.
    """
    top = logs.max(axis=1, keepdims=True)
    largest = logs == top
    logs -= top
    terms = np.exp(logs, out=logs)
    terms[largest] = 0.0
    ties = largest.sum(axis=1)
    return np.asarray(np.log1p(terms.sum(axis=1) / ties) + np.log(ties) + top[:, 0])


def particle_weights(problem: Problem, particles: Floats, kernel: Kernel | None) -> Floats:
    """Weights prior(theta) / sum_j w_j K(theta | theta_j), adding up to 1; equal without a kernel.

    Examples
    --------
    Under a uniform prior the weights are the inverse densities of the kernel:

    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(-9, 9)}),
    ...                   Targets([scalar("a", 0.0)]))
    >>> kernel = Kernel(np.array([[-1.0], [1.0]]), np.array([0.5, 0.5]))
    >>> particle_weights(problem, np.array([[0.0], [4.0]]), kernel).round(3).tolist()
    [0.064, 0.936]
    """
    if kernel is None:
        return np.full(len(particles), 1.0 / len(particles))
    logs = problem.prior.log_density(particles) - kernel.log_density(particles)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class _Generation:
    particles: Floats
    weights: Floats
    distances: Floats
    records: list[Record]
    tolerance: float
    n_simulations: int


def smc(
    simulations: Simulations,
    *,
    n_particles: int = 500,
    tolerances: Sequence[float] | None = None,
    quantile: float = 0.5,
    final_tolerance: float = 0.0,
    generations: int = 6,
    least_acceptance: float = 0.01,
    max_simulations: int | None = None,
) -> Posterior:
    """Particles within the last tolerance of the data, weighted by importance.

    Parameters
    ----------
    n_particles
        Accepted proposals per generation, >= 2.
    tolerances
        Falling tolerances, one per generation; `None` adapts them: the first generation takes every
        draw of the prior with a distance, each later one the `quantile` of the distances before.
    quantile
        In (0, 1).
    final_tolerance, generations, least_acceptance, max_simulations
        Adapted tolerances end at this tolerance, after this many generations, or when a generation
        accepted less than this share. When `max_simulations` is reached, the last complete
        generation is the result and a notice says so.

    Returns
    -------
    `details`: tolerance, and lists over the generations of tolerances, acceptance and ess.

    References
    ----------
    Beaumont et al. (2009), Biometrika 96; Toni et al. (2009), J. R. Soc. Interface 6; tolerances by
    quantile as in Drovandi & Pettitt (2011), Biometrics 67.

    Examples
    --------
    >>> from abm.calibration import Independent, ScaledEuclidean, Targets, scalar, uniform
    >>> def noisy(parameters, seed, fidelity):
    ...     return {"y": parameters["theta"] + np.random.default_rng(seed).normal()}
    >>> problem = Problem(noisy, Independent({"theta": uniform(-10, 10)}),
    ...                   Targets([scalar("y", 0.0)]), ScaledEuclidean("none"), seed=1)
    >>> post = smc(Simulations(problem), n_particles=400, tolerances=[4.0, 2.0, 1.0])
    >>> bool(abs(post.covariance[0, 0] - (1 + 1 / 3)) < 0.4)
    True
    """
    check_options(smc, locals())
    allowed = max_simulations is None or max_simulations >= 1
    check_ranges(
        ("final_tolerance", final_tolerance, final_tolerance >= 0, ">= 0"),
        ("least_acceptance", least_acceptance, 0 <= least_acceptance < 1, "in [0, 1)"),
        (
            "max_simulations",
            max_simulations,
            max_simulations is None or max_simulations >= 1,
            ">= 1",
        ),
    )
    plan = _plan(n_particles, tolerances, quantile, generations)
    problem, notices = simulations.problem, list[Notice]()
    if tolerances is not None:
        problem = _settled(simulations, n_particles, notices)
    history: list[_Generation] = []
    for number, tolerance in enumerate(plan):
        if tolerance is None:
            assert history
            tolerance = float(np.quantile(history[-1].distances, quantile))
            tolerance = max(tolerance, final_tolerance)
        found = _generation(
            simulations, problem, number, tolerance, history, n_particles, max_simulations
        )
        if isinstance(found, Notice):
            notices.append(found)
            break
        if number == 0 and tolerances is None:
            problem, found, reach = _scaled(simulations, problem, found)
            notices += reach
        history.append(found)
        if tolerances is None and number and _ended(found, final_tolerance, least_acceptance):
            break
    if not history:
        raise CalibrationError(
            f"{notices[-1].message}: not one generation is complete",
            outcome="no_posterior",
            notices=notices,
        )
    return _posterior(simulations, problem, history, [*notices, *failures(simulations.used)])


def _plan(
    n_particles: int, tolerances: Sequence[float] | None, quantile: float, generations: int
) -> list[float | None]:
    require(
        n_particles >= 2,
        CalibrationError,
        f"n_particles = {n_particles}, expected at least 2",
        argument="n_particles",
    )
    if tolerances is None:
        require(
            0 < quantile < 1 and generations >= 1,
            CalibrationError,
            f"quantile = {quantile}, generations = {generations}, expected 0 < quantile < 1 and "
            "generations >= 1",
            argument="quantile",
        )
        return [math.inf, *[None] * (generations - 1)]
    values = [float(t) for t in tolerances]
    falling = all(a > b for a, b in pairwise(values))
    require(
        bool(values) and falling and values[-1] >= 0,
        CalibrationError,
        f"tolerances = {values}, expected falling numbers >= 0",
        argument="tolerances",
        value=values,
    )
    return list(values)


def _settled(simulations: Simulations, n: int, notices: list[Notice]) -> Problem:
    """The problem with the scales of its distance, from a pilot where it needs one."""
    problem = simulations.problem
    if not problem.distance.needs_pilot:
        return problem.with_pilot(np.empty((0, problem.fitted.size)))
    simulations.stage("pilot", n)
    draws = prior_draws(problem, "pilot", n)
    statistics = statistics_of(simulations.run_all(problem.tasks("pilot", draws)))
    notices += out_of_reach(problem, statistics)
    return piloted(problem, statistics, simulations.used)


def _scaled(
    simulations: Simulations, problem: Problem, first: _Generation
) -> tuple[Problem, _Generation, list[Notice]]:
    """The problem with scales from the draws of the prior, and their distances."""
    statistics = statistics_of(first.records)
    problem = piloted(problem, statistics, simulations.used)
    distances = problem.distances(statistics)
    return problem, replace(first, distances=distances), out_of_reach(problem, statistics)


def _generation(
    simulations: Simulations,
    problem: Problem,
    number: int,
    tolerance: float,
    history: list[_Generation],
    n_particles: int,
    max_simulations: int | None,
) -> _Generation | Notice:
    """Accept proposals in order until there are enough of them."""
    stage = f"smc/{number}"
    expected = _about(n_particles, tolerance, history)
    simulations.stage(f"{stage}, tolerance {tolerance:.4g}", expected)
    kernel = Kernel(history[-1].particles, history[-1].weights) if history else None
    begun = simulations.used.n_runs
    kept: list[Record] = []
    distances: list[float] = []
    with simulations.supply(_proposals(problem, stage, kernel)) as supply:
        while len(kept) < n_particles:
            wanted = n_particles - len(kept)  # all are needed, even if every one is accepted
            if max_simulations is not None:
                wanted = min(wanted, max_simulations - simulations.used.n_runs)
            if wanted <= 0:
                break
            records = supply.take(wanted)
            near = _distances(problem, records, tolerance)
            for record, distance in zip(records, near.tolist(), strict=True):
                if distance <= tolerance and record.is_ok:
                    kept.append(record)
                    distances.append(distance)
    used = simulations.used.n_runs - begun
    if len(kept) < n_particles:
        message = (
            f"max_simulations = {max_simulations} reached in generation {number} at tolerance "
            f"{tolerance:.4g} with {len(kept)} of {n_particles} particles"
        )
        return Notice("budget_spent", message, stage, float(len(kept)))
    particles = np.array([record.task.parameters for record in kept])
    weights = particle_weights(problem, particles, kernel)
    return _Generation(particles, weights, np.array(distances), kept, tolerance, used)


def _about(n_particles: int, tolerance: float, history: list[_Generation]) -> int | None:
    """Simulations that a generation may need: as many as the last one accepted its share of, with
    half of them at first. For the expected end alone.
    """
    if math.isinf(tolerance):
        return n_particles
    if not history:
        return None
    share = len(history[-1].records) / max(history[-1].n_simulations, 1)
    return round(n_particles / min(share, 0.5))


def _distances(problem: Problem, records: list[Record], tolerance: float) -> Floats:
    """Zeros where every draw is taken, as there are no scales yet."""
    if math.isinf(tolerance):
        return np.zeros(len(records))
    return problem.distances(statistics_of(records))


def _proposals(problem: Problem, stage: str, kernel: Kernel | None) -> Iterator[Task]:
    """Endless numbered proposals: block b is drawn with the chance of (seed, stage, b)."""
    factor = None if kernel is None else kernel.factor()
    for block in count():
        rng = chance(problem.seed, f"proposals {stage}", block)
        if kernel is None or factor is None:
            rows = problem.prior.sample(_BLOCK, rng=rng)
        else:
            rows = _perturbed(problem, kernel, factor, rng)
        yield from problem.tasks(stage, rows, first=block * _BLOCK)


def _perturbed(
    problem: Problem, kernel: Kernel, factor: Floats, rng: np.random.Generator
) -> Floats:
    """Perturbed particles; those outside the prior's support are drawn again, ancestor included."""
    n, d = len(kernel.weights), kernel.particles.shape[1]
    kept: list[Floats] = []
    have = 0
    for _ in range(10_000):
        ancestors = rng.choice(n, size=_BLOCK, p=kernel.weights)
        rows = kernel.particles[ancestors] + rng.standard_normal((_BLOCK, d)) @ factor.T
        good = rows[np.isfinite(problem.prior.log_density(rows))]
        kept.append(good)
        have += len(good)
        if have >= _BLOCK:
            return np.concatenate(kept)[:_BLOCK]
    raise CalibrationError(
        "perturbed particles almost never satisfy the prior's constraints; write the prior in "
        "parameters in which its support is wider",
        outcome="degenerate_particles",
    )


def _ended(found: _Generation, final_tolerance: float, least_acceptance: float) -> bool:
    rate = len(found.records) / max(found.n_simulations, 1)
    return found.tolerance <= final_tolerance or rate < least_acceptance


def _posterior(
    simulations: Simulations,
    problem: Problem,
    history: list[_Generation],
    notices: list[Notice],
) -> Posterior:
    last = history[-1]
    details: dict[str, Any] = {
        "tolerance": last.tolerance,
        "tolerances": [g.tolerance for g in history],
        "acceptance": [len(g.records) / max(g.n_simulations, 1) for g in history],
        "ess": [effective_sample_size(g.weights) for g in history],
        "distances": last.distances,
        "distance": problem.distance.describe(),
    }
    return Posterior(
        problem.names,
        last.particles,
        last.weights,
        "smc",
        simulations.used.total_cost,
        simulations.used.n_runs,
        statistics_of(last.records),
        np.array([record.held_out for record in last.records]),
        [*notices, *few_draws(effective_sample_size(last.weights))],
        details,
    )
