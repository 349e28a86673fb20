"""Approximate Bayesian computation against posteriors that are known exactly.

Tolerances: posterior moments from n effective draws have Monte Carlo errors of about sd / sqrt(n)
for a mean and a relative sqrt(2 / n) for a variance; each test allows at least four of them, at a
fixed seed.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from abm.calibration import (
    Constrained,
    Independent,
    Mahalanobis,
    Problem,
    ScaledEuclidean,
    Targets,
    normal,
    scalar,
    uniform,
)
from abm.calibration.rejection import rejection
from abm.calibration.simulations import Simulations
from abm.calibration.smc import Kernel, particle_weights, smc
from abm.calibration.trust import fit_table
from abm.errors import CalibrationError


def gaussian(parameters, seed, fidelity):
    return {"y": parameters["theta"] + np.random.default_rng(seed).normal()}


def flat(**changes):
    given = {
        "simulator": gaussian,
        "prior": Independent({"theta": uniform(-10, 10)}),
        "targets": Targets([scalar("y", 0.0)]),
        "distance": ScaledEuclidean("none"),
        "seed": 11,
    }
    return Problem(**{**given, **changes})


@pytest.mark.parametrize("tolerance", [0.5, 2.0])
def test_rejection_widens_the_posterior_by_its_uniform_kernel(tolerance):
    post = rejection(Simulations(flat()), n_simulations=30_000, tolerance=tolerance)
    assert post.mean[0] == pytest.approx(0, abs=4 * math.sqrt(2.4 / post.n))
    assert post.covariance[0, 0] == pytest.approx(1 + tolerance**2 / 3, rel=4 * (2 / post.n) ** 0.5)


def test_rejection_by_share_keeps_exactly_the_nearest():
    post = rejection(Simulations(flat()), n_simulations=1000, accept=0.05)
    assert post.n == 50
    assert max(post.details["distances"]) == post.details["tolerance"]


def linear(parameters, seed, fidelity):
    rng = np.random.default_rng(seed)
    a, b = parameters["a"], parameters["b"]
    return {"x": a + b + rng.normal(), "y": a - b + rng.normal(), "z": b + rng.normal()}


def test_regression_adjustment_returns_the_exact_posterior_at_a_fifth_accepted():
    targets = Targets([scalar("x", 0.6), scalar("y", 0.2), scalar("z", -0.1)])
    prior = Independent({"a": normal(0, 1), "b": normal(0, 1)})
    problem = Problem(linear, prior, targets, Mahalanobis(), seed=5)
    design = np.array([[1, 1], [1, -1], [0, 1]])
    exact = np.linalg.inv(np.eye(2) + design.T @ design)
    plain = rejection(Simulations(problem), n_simulations=40_000, accept=0.2)
    post = rejection(Simulations(problem), n_simulations=40_000, accept=0.2, adjust=True)
    # the margin of 5 % on the variance; its Monte Carlo error here is about 2 %
    np.testing.assert_allclose(np.diag(post.covariance), np.diag(exact), rtol=0.05)
    assert (np.diag(plain.covariance) > 1.15 * np.diag(exact)).all()
    centre = exact @ design.T @ problem.observed
    np.testing.assert_allclose(post.mean, centre, atol=0.03)


def test_adjusted_draws_stay_in_the_support():
    prior = Independent({"theta": uniform(-1, 1)})
    problem = flat(prior=prior, targets=Targets([scalar("y", 3.0)]))
    post = rejection(Simulations(problem), n_simulations=2000, accept=0.5, adjust=True)
    assert (np.abs(post.draws) <= 1).all()


def adjusted_near_the_end(accept, data, n=20_000):
    """theta ~ U(-1, 1), y ~ N(theta, 0.1): adjusted posterior, exact mean and sd at `data`."""
    rng = np.random.default_rng(1)
    prior = Independent({"theta": uniform(-1, 1)})
    theta = prior.sample(n, rng=rng)
    problem = flat(prior=prior, targets=Targets([scalar("y", data)]))
    post = fit_table(
        problem, theta, theta + 0.1 * rng.normal(size=theta.shape), accept=accept, adjust=True
    )
    grid = np.linspace(-1, 1, 20_001)
    exact = np.exp(-0.5 * ((data - grid) / 0.1) ** 2)
    exact /= exact.sum()
    mean = exact @ grid
    return post, mean, (exact @ (grid - mean) ** 2) ** 0.5


@pytest.mark.parametrize(("accept", "data"), [(0.2, 0.0), (0.05, 0.8), (0.05, 1.0)])
def test_adjusted_posteriors_on_the_logit_scale_are_the_exact_ones(accept, data):
    """700 effective draws or more: the sd has an error of 3 %, the mean of 0.04 sd."""
    post, mean, sd = adjusted_near_the_end(accept, data)
    assert post.sd[0] == pytest.approx(sd, rel=0.12)
    assert post.mean[0] == pytest.approx(mean, abs=0.16 * sd)
    assert list(post.notices) == []


def test_adjustment_over_a_bend_is_too_narrow_and_says_so():
    """Data beyond the end of the prior, a fifth accepted: logit(theta) bends over the tolerance."""
    post, _, sd = adjusted_near_the_end(0.2, 1.2)
    assert post.sd[0] < 0.7 * sd
    (notice,) = post.notices
    assert (notice.outcome, notice.about) == ("not_linear", "theta")
    assert notice.amount > 1.2
    assert "accept a smaller share" in notice.message
    fewer, _, sd = adjusted_near_the_end(0.01, 1.2, n=100_000)
    assert fewer.sd[0] == pytest.approx(sd, rel=0.15)
    assert list(fewer.notices) == []


def test_smc_has_the_target_of_rejection_at_its_last_tolerance():
    post = smc(Simulations(flat()), n_particles=1500, tolerances=[4, 2, 1])
    assert post.details["tolerance"] == 1
    assert post.mean[0] == pytest.approx(0, abs=4 * math.sqrt(1.34 / post.ess))
    assert post.covariance[0, 0] == pytest.approx(4 / 3, rel=4 * (2 / post.ess) ** 0.5)


def test_smc_weights_are_the_prior_over_the_kernel_mixture():
    problem = flat(prior=Independent({"theta": normal(0, 2)}))
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=(7, 1)), rng.normal(size=(5, 1))
    weights = rng.dirichlet(np.ones(7))
    kernel = Kernel(before, weights)
    mean = weights @ before[:, 0]
    variance = 2 * weights @ (before[:, 0] - mean) ** 2
    expected = []
    for theta in after[:, 0]:
        prior = math.exp(-(theta**2) / 8)
        gaps = (theta - before[:, 0]) ** 2 / (2 * variance)
        expected.append(prior / sum(w * math.exp(-g) for w, g in zip(weights, gaps, strict=True)))
    expected = np.array(expected) / sum(expected)
    np.testing.assert_allclose(particle_weights(problem, after, kernel), expected, rtol=1e-12)


def test_smc_adapts_its_tolerances_downwards_and_respects_constraints():
    prior = Constrained(Independent({"theta": uniform(-10, 10)}), ["theta > 0"])
    post = smc(Simulations(flat(prior=prior)), n_particles=200, generations=4)
    assert (post.draws > 0).all()
    falling = post.details["tolerances"]
    assert falling[0] == math.inf
    assert all(a > b for a, b in pairwise(falling))


def test_smc_says_when_its_budget_is_spent():
    post = smc(Simulations(flat()), n_particles=100, tolerances=[4, 0.001], max_simulations=1000)
    assert post.details["tolerance"] == 4
    assert [notice.outcome for notice in post.notices] == ["budget_spent"]


def test_a_target_out_of_reach_is_told_with_its_gap():
    problem = flat(
        simulator=lambda p, s, f: {"y": p["theta"]}, targets=Targets([scalar("y", 13.0, 0.5)])
    )
    post = rejection(Simulations(problem), n_simulations=500, accept=0.1)
    (notice,) = post.notices
    assert notice.outcome == "out_of_reach"
    assert notice.amount == pytest.approx(3.0, abs=0.1)
    assert "6.0 standard errors" in notice.message or "6.1 standard errors" in notice.message


def test_targets_that_no_parameters_give_together_are_told():
    def line(parameters, seed, fidelity):
        return {"u": parameters["theta"], "v": parameters["theta"] + 0.01 * (seed % 7)}

    targets = Targets([scalar("u", 5.0), scalar("v", -5.0)])
    post = rejection(
        Simulations(flat(simulator=line, targets=targets)), n_simulations=500, accept=0.1
    )
    (notice,) = post.notices
    assert notice.about == "all statistics together"
    assert "Above all" in notice.message
    # u = v but for a little noise: given v = -5, u should be -5, and given u = 5, v should be 5
    named, expected = re.search(
        r"Above all (\w) = .* expect (-?[\d.]+) \+-", notice.message
    ).groups()
    assert float(expected) == pytest.approx({"u": -5, "v": 5}[named], abs=0.1)


def test_too_few_draws_for_an_interval_are_told_with_what_it_holds():
    """The range of nine draws holds a tenth in 8 of 10 cases."""
    few = rejection(Simulations(flat()), n_simulations=300, accept=0.03)
    assert [(n.outcome, n.amount) for n in few.notices] == [("few_effective_draws", 9.0)]
    assert "80 % of cases" in few.notices[0].message
    enough = rejection(Simulations(flat()), n_simulations=380, accept=0.05)
    assert (enough.n, list(enough.notices)) == (19, [])


def test_a_degenerate_distance_is_refused_by_name():
    problem = flat(simulator=lambda p, s, f: {"y": 1.0}, distance=ScaledEuclidean("spread"))
    with pytest.raises(CalibrationError, match="degenerate distance") as caught:
        rejection(Simulations(problem), n_simulations=100, accept=0.1)
    assert caught.value.outcome == "degenerate_distance"
    assert caught.value.statistics == ["y"]


def test_a_tolerance_that_nothing_meets_names_the_nearest():
    with pytest.raises(CalibrationError, match="the nearest is at") as caught:
        rejection(Simulations(flat()), n_simulations=50, tolerance=1e-9)
    assert caught.value.outcome == "no_posterior"
    assert caught.value.nearest > 0


def test_failed_and_undefined_simulations_are_rejected_and_counted():
    def fragile(parameters, seed, fidelity):
        if parameters["theta"] > 5:
            raise ZeroDivisionError("too large")
        return {"y": parameters["theta"] if parameters["theta"] > -5 else math.nan}

    post = rejection(Simulations(flat(simulator=fragile)), n_simulations=400, accept=0.3)
    told = {notice.outcome: notice for notice in post.notices}
    assert set(told) == {"failed", "not_finite"}
    assert told["failed"].amount + told["not_finite"].amount == pytest.approx(200, abs=40)
    assert "ZeroDivisionError: too large" in told["failed"].message
    assert "ZeroDivisionError" not in told["not_finite"].message
    assert "not finite: y" in told["not_finite"].message
    assert (np.abs(post.draws) <= 5).all()


def test_failures_abort_where_the_problem_says_so():
    def broken(parameters, seed, fidelity):
        raise RuntimeError("no disk")

    with pytest.raises(CalibrationError, match=r"RuntimeError: no disk; failures = 'abort'"):
        rejection(Simulations(flat(simulator=broken, failures="abort")), n_simulations=5)


def test_more_wanted_than_gave_a_distance_is_refused():
    def half(parameters, seed, fidelity):
        return {"y": math.nan if parameters["theta"] < 0 else 0.5 + seed % 2}

    with pytest.raises(CalibrationError, match="gave a distance"):
        rejection(Simulations(flat(simulator=half)), n_simulations=100, accept=0.9)


@pytest.mark.parametrize("d", [1, 3])
def test_the_kernel_density_is_the_sum_over_particles(d):
    """The obvious way: one normal density per particle; seed 4, to twelve digits."""
    rng = np.random.default_rng(4)
    particles, weights = rng.normal(size=(200, d)), rng.dirichlet(np.ones(200))
    particles[1], weights[2] = particles[0], 0.0  # ties, and a particle without weight
    kernel = Kernel(particles, weights / weights.sum())
    points = np.concatenate([particles, 20 * rng.normal(size=(30, d))])
    with np.errstate(divide="ignore"):
        logs = np.log(kernel.weights)
    slow = [
        logsumexp(logs + multivariate_normal.logpdf(particles, x, kernel.covariance))
        for x in points
    ]
    assert kernel.log_density(points) == pytest.approx(slow, rel=1e-12, abs=1e-12)
