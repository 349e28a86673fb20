"""Multi-fidelity ABC: the published arithmetic, and unbiased for the dearest level."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from abm.calibration import (
    Independent,
    Problem,
    ScaledEuclidean,
    Simulated,
    Targets,
    scalar,
    uniform,
)
from abm.calibration.continuation import (
    Continuation,
    Verdicts,
    best,
    best_of_two,
    efficiency,
    ess_per_cost,
    moments,
)
from abm.calibration.known_gain import achieved_interval, predicted_interval
from abm.calibration.multifidelity import multifidelity
from abm.calibration.rejection import rejection
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError

PAPER = Verdicts.of_two(p_tp=0.08, p_fp=0.02, p_fn=0.01, c_lo=1, c_hi=100)


def test_the_example_of_two_levels():
    plan = best_of_two(PAPER)
    assert plan.after_accept[0] == pytest.approx(0.182574, abs=1e-6)
    assert plan.after_reject[0] == pytest.approx(0.0430331, abs=1e-7)
    square, cost = moments(PAPER, plan)
    assert square == pytest.approx(0.06 + 0.02 / 0.182574 + 0.01 / 0.0430331, rel=1e-5)
    assert cost == pytest.approx(1 + 0.182574 * 10 + 0.0430331 * 90, rel=1e-5)
    assert efficiency(PAPER, plan) == pytest.approx(3.34, abs=0.005)


def test_the_numerical_optimum_is_the_closed_form():
    found, exact = best(PAPER, least=1e-4), best_of_two(PAPER)
    assert efficiency(PAPER, found) == pytest.approx(efficiency(PAPER, exact), rel=1e-6)


def test_a_cheap_level_that_is_mostly_wrong_has_no_closed_form():
    poor = Verdicts.of_two(p_tp=0.02, p_fp=0.05, p_fn=0.01, c_lo=1, c_hi=100)
    with pytest.raises(CalibrationError, match="more often right than wrong"):
        best_of_two(poor)
    assert efficiency(poor, best(poor)) > 0


def test_weights_of_three_levels_are_unbiased_and_have_the_stated_moments():
    """All 8 patterns of verdicts; expectations by summing over which levels were reached."""
    plan = Continuation((0.2, 0.3), (0.6, 0.9))
    shares = np.random.default_rng(1).dirichlet(np.ones(8)).reshape(2, 2, 2)
    costs = np.array([[1.0, 1.0], [5.0, 7.0], [90.0, 100.0]])
    square = cost = 0.0
    for pattern in product((0, 1), repeat=3):
        a0, a1 = plan.alpha(0, bool(pattern[0])), plan.alpha(1, bool(pattern[1]))
        reached = {1: 1 - a0, 2: a0 * (1 - a1), 3: a0 * a1}
        weights = {k: plan.weight([bool(v) for v in pattern[:k]]) for k in reached}
        mean = sum(p * weights[k] for k, p in reached.items())
        assert mean == pytest.approx(pattern[-1], abs=1e-12)
        square += shares[pattern] * sum(p * weights[k] ** 2 for k, p in reached.items())
        spent = costs[0, 0] + a0 * (costs[1, pattern[0]] + a1 * costs[2, pattern[1]])
        cost += shares[pattern] * spent
    assert moments(Verdicts(shares, costs), plan) == pytest.approx((square, cost))


def levels(parameters, seed, fidelity, gap=0.3):
    """The cheap level is biased and noisier; both share the noise of their seed."""
    noise, extra = np.random.default_rng(seed).normal(size=2)
    y = parameters["theta"] + noise
    return Simulated({"y": y + gap + gap * extra if fidelity == "cheap" else y})


def close_levels(parameters, seed, fidelity):
    return levels(parameters, seed, fidelity, gap=0.05)


def problem(seed=3, **changes):
    given = {
        "simulator": levels,
        "prior": Independent({"theta": uniform(-5, 5)}),
        "targets": Targets([scalar("y", 0.0)]),
        "distance": ScaledEuclidean("none"),
        "fidelities": {"cheap": 1.0, "dear": 100.0},
        "seed": seed,
    }
    return Problem(**{**given, **changes})


def test_the_posterior_is_that_of_the_dear_level_and_signs_are_kept():
    tolerances = {"cheap": 1.0, "dear": 1.0}
    post = multifidelity(
        Simulations(problem()), n_proposals=20_000, n_pilot=500, tolerances=tolerances
    )
    # exact: mean 0, variance 1 + 1/3; the cheap level alone would give mean -0.3
    assert post.details["negative_weights"] > 0
    assert post.mean[0] == pytest.approx(0.0, abs=4 * (4 / 3 / post.ess) ** 0.5)
    assert post.covariance[0, 0] == pytest.approx(4 / 3, rel=4 * (2 / post.ess) ** 0.5)
    with pytest.raises(CalibrationError, match="some weights are negative"):
        post.resample(10, rng=np.random.default_rng(1))


def test_it_is_as_efficient_as_the_formula_says_and_cheaper_than_plain_abc():
    """Over 5 seeds: at least 0.9 of the formula, at least twice plain ABC (predicted about 4)."""
    ratios, gains = [], []
    for seed in range(5):
        post = multifidelity(
            Simulations(problem(seed, simulator=close_levels)), n_proposals=6000, n_pilot=500
        )
        ratios.append(
            post.details["achieved_ess_per_cost"] / post.details["predicted_ess_per_cost"]
        )
        plain = rejection(
            Simulations(problem(seed)),
            n_simulations=2000,
            tolerance=post.details["tolerances"]["dear"],
        )
        gains.append(post.details["achieved_ess_per_cost"] / plain.ess_per_cost)
    assert np.mean(ratios) > 0.9
    assert np.mean(gains) > 2


def test_common_random_numbers_raise_agreement():
    close = problem(simulator=close_levels)
    shared = multifidelity(Simulations(close), n_proposals=500, n_pilot=400)
    apart = multifidelity(
        Simulations(replace(close, common_random_numbers="off")), n_proposals=500, n_pilot=400
    )
    assert shared.details["predicted_gain"] > 2 * apart.details["predicted_gain"]


def test_a_cost_that_the_simulator_reports_is_what_counts():
    def priced(parameters, seed, fidelity):
        answer = levels(parameters, seed, fidelity)
        return Simulated(answer.summaries, cost=7.0 if fidelity == "dear" else 2.0, tokens=11)

    simulations = Simulations(problem(simulator=priced))
    post = multifidelity(simulations, n_proposals=200, n_pilot=50, accept=0.3)
    runs = simulations.used.runs
    assert post.cost == 7 * runs["dear"] + 2 * runs["cheap"]
    assert simulations.used.tokens["dear"] == 11 * runs["dear"]


def test_one_fidelity_is_refused():
    with pytest.raises(CalibrationError, match="needs at least two"):
        multifidelity(Simulations(problem(fidelities={"model": 1.0})), n_proposals=10)


def test_a_budget_settles_the_number_of_proposals():
    post = multifidelity(Simulations(problem()), budget=20_000, n_pilot=200)
    assert post.details["main_cost"] == pytest.approx(20_000, rel=0.25)


def test_intervals_of_the_gain_hold_the_truth():
    """Patterns and plan of the paper's kind, 100 pilots of 300 and 100 runs of 4000, seed 6.

    90 % intervals from Jeffreys' prior hold the truth in about 90 %; four binomial standard errors
    are 0.12.
    """
    rng, plan = np.random.default_rng(6), Continuation((0.1,), (0.3,))
    shares = np.array([0.89, 0.01, 0.02, 0.08])  # patterns 00, 01, 10, 11
    costs = np.array([[1.0, 1.0], [100.0, 100.0]])
    true = ess_per_cost(Verdicts(shares.reshape(2, 2), costs), plan)
    cells = [(False,), (True,), (False, False), (False, True), (True, False), (True, True)]
    reached = [0.9 * 0.9, 0.1 * 0.7, 0.1 * 0.89, 0.1 * 0.01, 0.3 * 0.02, 0.3 * 0.08]
    held = np.zeros(2)
    for _ in range(100):
        counts = rng.multinomial(300, shares).reshape(2, 2).astype(float)
        low, high = predicted_interval(Verdicts(counts / 300, costs, counts), plan, rng=rng)
        seen = rng.multinomial(4000, reached)
        run = [cell for cell, n in zip(cells, seen, strict=True) for _ in range(n)]
        below, above = achieved_interval(run, plan, costs, rng=rng)
        held += low < true < high, below < true < above
    assert held / 100 == pytest.approx(0.9, abs=0.12)


def test_an_interval_speaks_where_a_pattern_was_not_seen():
    """60 of 600 accepted, and never a wrong rejection: it may still be one in a thousand."""
    plan, costs = Continuation((0.05,), (0.5,)), np.array([[1.0, 1.0], [100.0, 100.0]])
    counts = np.array([[540.0, 0.0], [0.0, 60.0]])
    seen = Verdicts(counts / 600, costs, counts)
    low, high = predicted_interval(seen, plan, rng=np.random.default_rng(1))
    assert low < 0.8 * ess_per_cost(seen, plan) < high


def test_a_posterior_tells_how_well_its_gain_is_known():
    post = multifidelity(Simulations(problem(simulator=close_levels)), n_proposals=2000)
    for name in ("predicted", "achieved"):
        low, high = post.details[f"{name}_interval"]
        assert 0 < low < post.details[f"{name}_ess_per_cost"] < 3 * high
        assert 1.2 < high / low < 30
