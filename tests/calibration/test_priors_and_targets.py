"""Priors, targets and distances against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import wasserstein_distance

from abm.calibration import (
    Combined,
    Constrained,
    Correlated,
    Disagreement,
    Energy,
    Independent,
    Mahalanobis,
    Problem,
    ScaledEuclidean,
    Targets,
    Wasserstein,
    beta,
    cross_table,
    distribution,
    exponential,
    gamma,
    half_normal,
    log_normal,
    log_uniform,
    normal,
    scalar,
    series,
    truncated_normal,
    uniform,
)
from abm.errors import CalibrationError

MARGINALS = [
    uniform(-1, 3),
    log_uniform(0.1, 10),
    normal(1, 2),
    truncated_normal(0, 1, -0.5, 2),
    log_normal(2, 0.5),
    half_normal(3),
    exponential(2),
    gamma(2, 1.5),
    beta(2, 3, -1, 1),
]


@pytest.mark.parametrize("marginal", MARGINALS, ids=lambda m: m.kind)
def test_a_marginal_is_one_distribution_seen_from_all_sides(marginal):
    x = marginal.ppf(np.random.default_rng(1).random(4000))
    np.testing.assert_allclose(marginal.cdf(marginal.ppf([0.1, 0.5, 0.9])), [0.1, 0.5, 0.9])
    # 4,000 draws: five standard errors
    assert x.mean() == pytest.approx(marginal.mean, abs=5 * marginal.sd / 4000**0.5)
    np.testing.assert_allclose(marginal.from_unbounded(marginal.to_unbounded(x)), x, rtol=1e-9)
    step = 1e-6
    slope = (marginal.cdf(x[:5] + step) - marginal.cdf(x[:5] - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(marginal.log_density(x[:5])), slope, rtol=1e-3)


def test_normal_marginals_in_a_copula_are_a_multivariate_normal():
    prior = Correlated({"a": normal(1, 2), "b": normal(-1, 0.5)}, [[1, -0.6], [-0.6, 1]])
    exact = stats.multivariate_normal([1, -1], [[4, -0.6], [-0.6, 0.25]])
    points = np.array([[0.0, 0.0], [1.0, -1.0], [3.0, -2.0]])
    np.testing.assert_allclose(prior.log_density(points), exact.logpdf(points), rtol=1e-9)
    np.testing.assert_allclose(prior.from_unit(prior.to_unit(points)), points, atol=1e-9)


def test_the_first_draws_do_not_depend_on_how_many_follow():
    prior = Constrained(Independent({"a": uniform(0, 1), "b": uniform(0, 1)}), ["a < b"])
    few = prior.sample(5, rng=np.random.default_rng(1))
    many = prior.sample(700, rng=np.random.default_rng(1))
    assert (few == many[:5]).all()
    assert (many[:, 0] < many[:, 1]).all()


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        ("a <", "no expression"),
        ("c < a", "'c' is no parameter"),
        ("__import__('os')", "expected numbers, parameters"),
        ("a.real > 0", "expected numbers, parameters"),
        ("a > 2", "none of"),
    ],
)
def test_a_constraint_that_cannot_hold_or_be_read_is_refused(constraint, why):
    with pytest.raises(CalibrationError, match=why):
        Constrained(Independent({"a": uniform(0, 1)}), [constraint]).sample(
            1, rng=np.random.default_rng(1)
        )


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"unifrom": [0, 1]}, "expected one of"),
        ({"uniform": [1, 0]}, "expected finite low < high"),
        ({"normal": [0, -1]}, "expected sd > 0"),
        ({"uniform": [0]}, "missing 1 required"),
        ({"beta": ["a", 1]}, "a = 'a', expected a finite number"),
    ],
)
def test_a_prior_that_makes_no_sense_is_refused(written, why):
    with pytest.raises(CalibrationError, match=why):
        Independent({"a": written})


def test_targets_are_laid_out_in_order_and_back():
    targets = Targets(
        [
            scalar("mean", 0.3, 0.1),
            series("curve", [1, 2, 3], [0.1, 0.2, 0.3]),
            cross_table("cells", [[1, 2], [3, 4]], weight=2.0),
        ]
    )
    assert targets.labels == (
        *("mean", "curve[0]", "curve[1]", "curve[2]"),
        *("cells[0,0]", "cells[0,1]", "cells[1,0]", "cells[1,1]"),
    )
    summaries = {"mean": 1.0, "curve": [4, 5, 6], "cells": np.eye(2) / 2}
    vector = targets.vector(summaries)
    assert vector.tolist() == [1, 4, 5, 6, 0.5, 0, 0, 0.5]
    back = targets.mapping(vector)
    assert back["cells"].tolist() == [[0.5, 0], [0, 0.5]]
    assert targets.weights.tolist() == [1] * 4 + [2] * 4


def test_the_sampling_covariance_of_shares_is_multinomial():
    target = distribution("answer", [30, 50, 20])
    draws = np.random.default_rng(1).multinomial(100, [0.3, 0.5, 0.2], size=40_000) / 100
    # 40,000 draws: relative error of a variance 0.7 %
    np.testing.assert_allclose(np.cov(draws.T), target.covariance, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: scalar("a", float("nan")), "finite numbers"),
        (lambda: scalar("a", 1.0, -0.1), "one number >= 0"),
        (lambda: scalar("a", 1.0, weight=0.0), "expected > 0"),
        (lambda: distribution("a", [0.5, 0.5]), "say of how many people"),
        (lambda: distribution("a", [1, -1]), "at least two numbers >= 0"),
        (lambda: distribution("a", [1, 2], positions=[1, 0]), "growing numbers"),
        (lambda: series("a", [1, 2], [[1, 2], [3, 4]]), "symmetric"),
        (lambda: Targets([scalar("a", 1.0), scalar("a", 2.0)]), "given twice"),
        (lambda: Targets([scalar("a", 1.0)]).vector({"a": [1, 2]}), "has shape"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(make, why):
    with pytest.raises(CalibrationError, match=why):
        make()


def test_wasserstein_and_energy_are_those_of_scipy():
    rng = np.random.default_rng(1)
    positions = np.array([0.0, 1.0, 2.5, 4.0])
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4))
    targets = Targets([distribution("a", p, positions=positions, n=10)])
    unit = positions / 4.0
    assert Wasserstein()(q[None], targets)[0] == pytest.approx(
        wasserstein_distance(unit, unit, p, q)
    )
    assert Energy()(q[None], targets)[0] == pytest.approx(stats.energy_distance(unit, unit, p, q))


def test_mahalanobis_leaves_out_the_direction_in_which_shares_cannot_vary():
    target = distribution("a", [20, 30, 50])
    targets = Targets([target])
    distance = Mahalanobis("error").fitted(np.empty((0, 3)), targets, np.zeros(3))
    other = np.array([[0.25, 0.3, 0.45]])
    gap = (other[0] - target.value)[:2]
    exact = gap @ np.linalg.inv(target.covariance[:2, :2]) @ gap
    assert distance(other, targets)[0] ** 2 == pytest.approx(exact)


def test_a_statistic_that_is_no_number_is_infinitely_far():
    targets = Targets([scalar("a", 0.0), distribution("b", [1, 1])])
    rows = np.array([[np.nan, 0.5, 0.5], [0.0, np.nan, 0.5], [0.0, 0.5, 0.5]])
    combined = Combined({"b": Disagreement()}, ScaledEuclidean("none"))
    assert combined(rows, targets).tolist() == [np.inf, np.inf, 0.0]


def test_scales_come_from_the_pilot_and_are_robust():
    rows = np.random.default_rng(1).normal(0, [1, 10], size=(5000, 2))
    rows[:10] = 1e6
    targets = Targets([scalar("a", 0.0), scalar("b", 0.0)])
    scales = ScaledEuclidean().fitted(rows, targets, np.zeros(2)).scales
    np.testing.assert_allclose(scales, [1, 10], rtol=0.06)


def test_the_discrepancy_of_the_model_enters_the_error_scale():
    targets = Targets([scalar("a", 0.0, 3.0)])
    problem = Problem(
        lambda p, s, f: p,
        Independent({"a": uniform(0, 1)}),
        targets,
        ScaledEuclidean("error"),
        {"a": 4.0},
    )
    assert problem.with_pilot(np.zeros((2, 1))).distances(np.array([[10.0]])).tolist() == [2.0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"targets": [scalar("a", 1.0, held_out=True)]}, "all are held out"),
        ({"fidelities": {"x": 2.0, "y": 1.0}}, "cheapest to the dearest"),
        ({"fidelities": {"x": 0.0}}, "notional cost > 0"),
        ({"discrepancy": {"b": 1.0}}, "name of a target"),
        ({"common_random_numbers": "on"}, "expected one of"),
        ({"failures": "ignore"}, "expected one of"),
    ],
)
def test_a_problem_that_does_not_hold_together_is_refused(changes, why):
    given = {"prior": Independent({"a": uniform(0, 1)}), "targets": [scalar("a", 1.0)], **changes}
    with pytest.raises(CalibrationError, match=why):
        Problem(lambda p, s, f: p, **given)
