"""Simulated moments, optimisers and identifiability against what can be worked out by hand."""

import numpy as np
import pytest

from abm.calibration import (
    Independent,
    Problem,
    Simulations,
    Targets,
    normal,
    scalar,
    series,
    uniform,
)
from abm.calibration.identifiability import local_identifiability, moments_identifiability
from abm.calibration.moments import j_test, moment_variance, simulated_moments
from abm.calibration.optimise import bayesian_optimisation, cma_es
from abm.errors import CalibrationError

DESIGN = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [0.5, -1.0]])


def linear(parameters, seed, fidelity):
    """y = D theta + unit noise: simulated moments are generalised least squares."""
    theta = np.array([parameters["a"], parameters["b"]])
    return {"y": DESIGN @ theta + np.random.default_rng(seed).normal(size=4)}


def linear_problem(data, seed=0, **settings):
    return Problem(
        linear,
        Independent({"a": normal(0, 5), "b": normal(0, 5)}),
        Targets([series("y", data, 1.0)]),
        common_random_numbers="everywhere",
        seed=seed,
        **settings,
    )


def test_moments_of_a_linear_model_are_least_squares():
    """Var = (1 + 1/S) (D'D)^-1, J with 2 degrees of freedom."""
    data = DESIGN @ [1.0, -0.5] + np.array([0.3, -0.2, 0.1, 0.4])
    n = 50
    fit = simulated_moments(Simulations(linear_problem(data)), n_replicates=n)
    np.testing.assert_allclose(fit.jacobian, DESIGN, atol=1e-8)
    exact = (1 + 1 / n) * np.linalg.inv(DESIGN.T @ DESIGN)
    np.testing.assert_allclose(fit.covariance, exact, rtol=0.05)
    assert fit.test.freedom == 2
    best = np.linalg.lstsq(DESIGN, data, rcond=None)[0]
    assert np.abs(fit.estimate - best).max() < 3 * np.sqrt(np.diag(exact).max() / n)


@pytest.mark.slow
def test_j_is_chi_squared_and_intervals_cover_under_the_right_model():
    """120 data sets, S = 10 with C of the data: J above its 90 % point in 10 % (99.9 % binomial
    band 2.5 % to 20 %), 90 % intervals cover in 80 % to 98 %."""
    rng = np.random.default_rng(1)
    large = covered = 0
    for repeat in range(120):
        truth = rng.normal(size=2)
        data = DESIGN @ truth + rng.normal(size=4)
        fit = simulated_moments(
            Simulations(linear_problem(data, seed=repeat)), n_replicates=10, n_start=8
        )
        large += fit.test.p < 0.1
        low, high = fit.interval(0.9)[0]
        covered += low < truth[0] < high
    assert 3 <= large <= 24
    assert 96 <= covered <= 118


def test_j_sees_a_model_that_cannot_reach_the_statistics():
    fit = simulated_moments(Simulations(linear_problem([5.0, -5.0, 5.0, 5.0])), n_replicates=10)
    assert fit.test.p < 0.001
    assert "does NOT reach" in fit.test.words


def test_shares_that_add_up_to_one_lose_one_degree_of_freedom():
    p = np.array([0.2, 0.3, 0.5])
    variance = (np.diag(p) - np.outer(p, p)) / 100
    assert j_test([0.02, -0.01, -0.01], variance, 1).freedom == 1
    pearson = 100 * ((np.array([0.02, -0.01, -0.01])) ** 2 / p).sum()
    assert j_test([0.02, -0.01, -0.01], variance, 1).statistic == pytest.approx(pearson)


def test_a_direction_without_effect_is_named():
    with pytest.raises(CalibrationError, match="not identified"):
        moment_variance([[1.0, 1.0], [2.0, 2.0]], np.eye(2))
    found = local_identifiability(
        ["rate", "size"], [[1.0, 1.0], [2.0, 2.0]], 0.01 * np.eye(2), [1.0, 1.0]
    )
    assert found.identified.tolist() == [True, False]
    assert found.errors[1] == np.inf
    assert "NOT determined" in found.words[1]


def test_identifiability_of_a_fit():
    fit = simulated_moments(Simulations(linear_problem(DESIGN @ [1.0, 1.0])), n_replicates=5)
    found = moments_identifiability(fit)
    assert found.identified.all()
    assert found.errors[0] < found.errors[1]


def test_moments_refuse_what_they_cannot_use():
    from dataclasses import replace

    problem = linear_problem([0.0, 0.0, 0.0, 0.0])
    with pytest.raises(CalibrationError, match="everywhere"):
        simulated_moments(Simulations(replace(problem, common_random_numbers="levels")))
    exact = replace(problem, targets=Targets([series("y", np.zeros(4))]))
    with pytest.raises(CalibrationError, match="no sampling error"):
        simulated_moments(Simulations(exact))


def valley(parameters, seed, fidelity):
    """Rosenbrock's valley as two statistics: both are 0 at (1, 1)."""
    x, y = parameters["x"], parameters["y"]
    return {"u": 10 * (y - x**2), "v": 1 - x}


def valley_problem(seed):
    return Problem(
        valley,
        Independent({"x": uniform(-2, 2), "y": uniform(-1, 3)}),
        Targets([scalar("u", 0.0, 0.1), scalar("v", 0.0, 0.1)]),
        seed=seed,
    )


def test_cma_es_finds_the_end_of_a_curved_valley():
    fit = cma_es(Simulations(valley_problem(1)), n_generations=60, n_replicates=1)
    np.testing.assert_allclose(fit.estimate, [1, 1], atol=0.02)
    best = fit.trace["best"].to_numpy()
    assert (np.diff(best) <= 0).all()
    assert best[-1] == fit.distance


@pytest.mark.slow
def test_bayesian_optimisation_comes_close_in_few_points():
    """40 points; a random search of 40 points ends about 0.2 from the end of the valley."""
    fit = bayesian_optimisation(
        Simulations(valley_problem(2)), n_initial=15, n_iterations=25, n_replicates=1
    )
    assert np.abs(fit.estimate - 1).max() < 0.35
    assert fit.n_simulations == 40


def test_a_search_does_not_depend_on_the_number_of_workers():
    with Simulations(valley_problem(3), workers=2) as pooled:
        two = cma_es(pooled, n_generations=4, n_replicates=2)
    one = cma_es(Simulations(valley_problem(3)), n_generations=4, n_replicates=2)
    assert one.trace.equals(two.trace)
