"""Multi-fidelity ABC: cheap levels decide how often the dear one is asked, and never the answer.

A pilot runs every level at the same proposals. From it come the tolerances and the probabilities of
going on; then they are frozen, and fresh proposals are run with them. Pilot draws do not enter the
posterior. Costs are notional, so a warm ledger of answers changes nothing. Weights keep their
signs. Levels of one proposal share their seed (`common_random_numbers = "levels"`), which makes
their verdicts agree more often.

This is the non-sequential algorithm. Its sequential form is not offered here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration.checks import check_options, check_ranges, floats
from abm.calibration.continuation import (
    Continuation,
    Verdicts,
    best,
    efficiency,
    ess_per_cost,
    moments,
)
from abm.calibration.known_gain import achieved_interval, predicted_interval
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.reach import causes_told, failures, few_draws, out_of_reach, piloted
from abm.calibration.records import Notice, Record, statistics_of
from abm.calibration.rejection import prior_draws
from abm.calibration.simulations import Simulations
from abm.calibration.weights import effective_sample_size
from abm.errors import CalibrationError, require
from abm.rng import chance, uniforms

__all__ = ["Pilot", "multifidelity", "run_pilot"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pilot:
    """What a pilot settles; frozen from then on.

    Attributes
    ----------
    problem
        With the scales of the distance taken from the dearest level.
    tolerances
        Level -> largest distance with verdict 1.
    verdicts
        Shares of the patterns and costs, with pseudo-counts.
    plan
        Probabilities of going on.
    cost, n_simulations
        What the pilot used.
    """

    problem: Problem
    tolerances: Mapping[str, float]
    verdicts: Verdicts
    plan: Continuation
    cost: float
    n_simulations: int
    notices: tuple[Notice, ...] = ()


def run_pilot(
    simulations: Simulations,
    *,
    n_pilot: int = 300,
    accept: float = 0.1,
    tolerances: Mapping[str, float] | None = None,
    plan: Continuation | None = None,
    least: float = 0.01,
) -> Pilot:
    """Run the pilot and settle scales, tolerances and probabilities.

    Parameters
    ----------
    n_pilot
        Proposals, each run at every level. A few hundred settle good probabilities; more make the
        prediction of their gain sharper (`benchmarks/multifidelity_gain.py`).
    accept
        Share of the pilot that the tolerance of each level accepts.
    tolerances
        Level -> tolerance, where they are given instead.
    plan
        Probabilities of going on, where they are given instead of optimised.
    least
        No probability is smaller: weights are at most 1 / least per step.
    """
    check_options(run_pilot, locals())
    problem = simulations.problem
    require(
        len(problem.levels) >= 2,
        CalibrationError,
        f"fidelities = {dict(problem.fidelities)}: multi-fidelity ABC needs at least two; with one "
        "use rejection",
        argument="fidelities",
    )
    check_ranges(
        ("n_pilot", n_pilot, n_pilot >= 10, "at least 10"),
        ("accept", accept, 0 < accept < 1, "0 < accept < 1"),
        ("least", least, 0 < least <= 1, "0 < least <= 1"),
    )
    simulations.stage("pilot", n_pilot * len(problem.levels))
    before = simulations.used.total_cost
    draws = prior_draws(problem, "pilot", n_pilot)
    records = {
        level: simulations.run_all(problem.tasks("pilot", draws, level)) for level in problem.levels
    }
    dear = statistics_of(records[problem.dearest])
    problem = piloted(problem, dear, simulations.used)
    distances = {level: problem.distances(statistics_of(found)) for level, found in records.items()}
    with causes_told(simulations.used):
        limits = _limits(distances, accept, tolerances or {})
    verdicts = Verdicts.counted(
        np.stack([distances[level] <= limits[level] for level in problem.levels], axis=1),
        np.stack([[r.cost for r in records[level]] for level in problem.levels], axis=1),
    )
    require(
        verdicts.p_accept > 0,
        CalibrationError,
        f"no pilot run of {problem.dearest!r} lies within its tolerance "
        f"{limits[problem.dearest]:g}; the nearest is at {distances[problem.dearest].min():g}",
        argument="tolerances",
        outcome="no_posterior",
    )
    return Pilot(
        problem,
        limits,
        verdicts,
        plan or best(verdicts, least),
        simulations.used.total_cost - before,
        n_pilot * len(problem.levels),
        tuple(out_of_reach(problem, dear)),
    )


def multifidelity(
    simulations: Simulations,
    *,
    n_proposals: int | None = None,
    budget: float | None = None,
    n_pilot: int = 300,
    accept: float = 0.1,
    tolerances: Mapping[str, float] | None = None,
    continue_after: Mapping[str, Any] | None = None,
    least: float = 0.01,
) -> Posterior:
    """Posterior of the dearest level, from many cheap runs and a few dear ones.

    Parameters
    ----------
    n_proposals
        Draws of the prior after the pilot.
    budget
        In place of `n_proposals`: notional cost after the pilot; their number follows from the
        expected cost of a proposal, and is frozen.
    n_pilot, accept, tolerances, least
        See `run_pilot`.
    continue_after
        `{reject = [...], accept = [...]}`, probabilities per level, instead of optimised ones.

    Returns
    -------
    Draws with weights != 0; some weights may be negative. `cost` includes the pilot. `details`:
    tolerances, plan, `predicted_ess_per_cost` by the formula and `achieved_ess_per_cost` of the
    proposals after the pilot, each with a 90 % interval (`predicted_interval`,
    `achieved_interval`: both are estimates from few rare verdicts, see
    `abm.calibration.known_gain`), `pilot_cost`, `main_cost`, runs per level.

    References
    ----------
    Prescott & Baker (2020), SIAM/ASA Journal on Uncertainty Quantification 8, 114-138; more than
    two levels by nesting the same rule (see `abm.calibration.continuation`).
    """
    check_options(multifidelity, locals())
    given = None if continue_after is None else _given(continue_after, simulations.problem)
    pilot = run_pilot(
        simulations,
        n_pilot=n_pilot,
        accept=accept,
        tolerances=tolerances,
        plan=given,
        least=least,
    )
    n = _how_many(n_proposals, budget, pilot)
    before = simulations.used.total_cost
    draws = prior_draws(pilot.problem, "mf", n)
    weights, last, verdicts = _run(simulations, pilot, draws)
    main_cost = simulations.used.total_cost - before
    return _posterior(simulations, pilot, draws, weights, last, verdicts, main_cost)


def _limits(
    distances: Mapping[str, Floats], accept: float, given: Mapping[str, float]
) -> dict[str, float]:
    for level in given:
        require(
            level in distances,
            CalibrationError,
            f"tolerances: there is no fidelity {level!r}; there are {list(distances)}",
            argument="tolerances",
            value=level,
        )
    found = {}
    for level, values in distances.items():
        place = max(1, round(accept * len(values))) - 1
        found[level] = float(given.get(level, np.sort(values)[place]))
        require(
            math.isfinite(found[level]),
            CalibrationError,
            f"accept = {accept} of {len(values)} pilot runs of {level!r}, but only "
            f"{int(np.isfinite(values).sum())} gave a distance: a tolerance would take failed runs",
            argument="accept",
            value=accept,
            outcome="no_posterior",
        )
    return found


def _given(continue_after: Mapping[str, Any], problem: Problem) -> Continuation:
    """The probabilities of going on that a caller names."""
    steps = len(problem.levels) - 1
    good = set(continue_after) == {"reject", "accept"}
    rows = [floats(row, f"continue_after: {name}") for name, row in continue_after.items()]
    good = good and all(r.shape == (steps,) and bool(((r > 0) & (r <= 1)).all()) for r in rows)
    require(
        good,
        CalibrationError,
        f"continue_after = {dict(continue_after)}, expected {{reject = [...], accept = [...]}}, "
        f"each {steps} probabilities in (0, 1], one per level but the dearest",
        argument="continue_after",
        value=continue_after,
    )
    return Continuation(tuple(continue_after["reject"]), tuple(continue_after["accept"]))


def _how_many(n_proposals: int | None, budget: float | None, pilot: Pilot) -> int:
    require(
        (n_proposals is None) != (budget is None),
        CalibrationError,
        f"n_proposals = {n_proposals}, budget = {budget}: give one of them",
        argument="n_proposals",
    )
    n = n_proposals if n_proposals is not None else 0
    if budget is not None:
        n = int(budget / moments(pilot.verdicts, pilot.plan)[1])
    require(
        n >= 1,
        CalibrationError,
        f"{n} proposals, expected at least 1; raise the budget",
        argument="budget",
    )
    return n


def _run(
    simulations: Simulations, pilot: Pilot, draws: Floats
) -> tuple[Floats, list[Record], list[list[bool]]]:
    """Level by level: run those that go on. Weights, last record and verdicts of each proposal."""
    problem, n = pilot.problem, len(draws)
    verdicts: list[list[bool]] = [[] for _ in range(n)]
    last: list[Record | None] = [None] * n
    going = np.arange(n)
    for number, level in enumerate(problem.levels):
        simulations.stage(f"mf, {level}", len(going))
        tasks = problem.tasks("mf", draws[going], level, indices=going)
        records = simulations.run_all(tasks)
        if not records:
            break
        close = problem.distances(statistics_of(records)) <= pilot.tolerances[level]
        for i, record, verdict in zip(going, records, close, strict=True):
            verdicts[i].append(bool(verdict))
            last[i] = record
        if number + 1 < len(problem.levels):
            alphas = np.array([pilot.plan.alpha(number, bool(v)) for v in close])
            luck = uniforms(problem.seed, "continue", going, number)
            going = going[luck < alphas]
    weights = np.array([pilot.plan.weight(v) for v in verdicts])
    return weights, [r for r in last if r is not None], verdicts


def _posterior(
    simulations: Simulations,
    pilot: Pilot,
    draws: Floats,
    weights: Floats,
    last: list[Record],
    verdicts: list[list[bool]],
    main_cost: float,
) -> Posterior:
    problem = pilot.problem
    kept = np.flatnonzero(weights)
    ess = effective_sample_size(weights)
    depth = np.bincount([len(v) for v in verdicts], minlength=len(problem.levels) + 1)
    runs = {level: int(depth[number + 1 :].sum()) for number, level in enumerate(problem.levels)}
    details: dict[str, Any] = {
        "tolerances": dict(pilot.tolerances),
        "continue_after_reject": list(pilot.plan.after_reject),
        "continue_after_accept": list(pilot.plan.after_accept),
        "predicted_ess_per_cost": ess_per_cost(pilot.verdicts, pilot.plan),
        "predicted_interval": predicted_interval(
            pilot.verdicts, pilot.plan, rng=chance(problem.seed, "predicted gain")
        ),
        "achieved_ess_per_cost": ess / main_cost,
        "achieved_interval": achieved_interval(
            verdicts,
            pilot.plan,
            pilot.verdicts.costs,
            rng=chance(problem.seed, "achieved gain"),
        ),
        "predicted_gain": efficiency(pilot.verdicts, pilot.plan),
        "pilot_cost": pilot.cost,
        "main_cost": main_cost,
        "runs": runs,
        "negative_weights": int((weights < 0).sum()),
        "distance": problem.distance.describe(),
    }
    return Posterior(
        problem.names,
        draws[kept],
        weights[kept],
        "multifidelity",
        simulations.used.total_cost,
        simulations.used.n_runs,
        np.array([last[i].statistics for i in kept]),
        np.array([last[i].held_out for i in kept]),
        [*pilot.notices, *failures(simulations.used), *few_draws(ess)],
        details,
    )
