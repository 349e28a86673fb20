"""Checks of posteriors pass right ones and fail wrong ones, in the way they are wrong.

The world: theta ~ N(0, 1), y | theta ~ N(theta, variance 1/2), 1000 data sets, 99 posterior draws.
The critical values are those of 99.9 %, so a correct posterior would fail one seed in a thousand.
"""

import numpy as np
import pytest

from abm.calibration import Independent, Posterior, Problem, Simulations, scalar, uniform
from abm.calibration.trust import (
    contraction,
    coverage,
    equal_weights,
    expected_coverage,
    posterior_predictive,
    rank_uniforms,
    ranks,
    recovery,
    simulation_based_calibration,
    tarp,
    weighted_quantile,
)
from abm.calibration.trust.check import predictive_check
from abm.errors import CalibrationError

N_SETS, N_DRAWS = 1000, 99


def world(seed, *, factor=1.0, shift=0.0):
    """Truths, and draws of a posterior with its sd multiplied and its mean shifted."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=N_SETS)
    y = theta + np.sqrt(0.5) * rng.normal(size=N_SETS)
    mean, sd = y * 2 / 3, np.sqrt(1 / 3)
    draws = mean[:, None] + shift + factor * sd * rng.normal(size=(N_SETS, N_DRAWS))
    return theta, draws, rng


CASES = {
    "right": ({}, 18, 43.8),
    "overconfident": ({"factor": 0.7}, 270, None),
    "underconfident": ({"factor": 1.4}, 160, None),
    "biased": ({"shift": 0.3}, 320, None),
}


@pytest.mark.parametrize("case", CASES)
def test_ranks_pass_the_right_posterior_and_fail_the_wrong_ones(case):
    """Ten seeds: the mean of chi2 lies within 20 % of the independent simulation's value."""
    changes, expected, _ = CASES[case]
    checks = []
    for seed in range(10):
        theta, draws, rng = world(seed, **changes)
        checks += simulation_based_calibration(theta, draws, rng=rng)
    assert checks[0].critical == pytest.approx(43.8, abs=0.05)
    assert np.mean([c.chi2 for c in checks]) == pytest.approx(expected, rel=0.2)
    assert all(c.passes == (case == "right") for c in checks)
    told = {
        "right": "uniform",
        "overconfident": "too narrow",
        "underconfident": "too wide",
        "biased": "too high (biased)",
    }
    assert told[case] in checks[0].words


@pytest.mark.parametrize("case", CASES)
def test_tarp_sees_width_and_hardly_sees_a_shift(case):
    changes, _, _ = CASES[case]
    checks = []
    for seed in range(10):
        theta, draws, rng = world(seed, **changes)
        checks.append(tarp(theta, draws, rng.uniform(-3, 3, N_SETS), rng=rng))
    gap = np.mean([c.gap for c in checks])
    if case == "right":
        assert gap == pytest.approx(0.022, abs=0.01)
        assert all(c.passes for c in checks)
    if case == "overconfident":
        assert gap == pytest.approx(0.098, abs=0.015)
        assert not any(c.passes for c in checks)
        assert "too narrow" in checks[0].words
    if case == "underconfident":
        assert not any(c.passes for c in checks)
        assert "too wide" in checks[0].words
    if case == "biased":  # a third of what the same fault does to the ranks, and no reliable alarm
        assert gap < 0.07
        assert "hardly sees a pure shift" in checks[np.argmin([c.gap for c in checks])].words


def test_tarp_tests_parameters_jointly():
    """Right margins with a wrong correlation pass the ranks, and fail TARP."""
    rng = np.random.default_rng(5)
    theta = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], N_SETS)
    draws = rng.normal(size=(N_SETS, N_DRAWS, 2))
    checks = simulation_based_calibration(theta, draws, rng=rng)
    assert all(c.passes for c in checks)
    corner = np.array([2.0, -2.0]) + np.zeros((N_SETS, 2))
    assert not tarp(theta, draws, corner, rng=rng).passes


def test_expected_coverage_follows_the_diagonal_for_the_right_posterior():
    theta, draws, rng = world(1)
    levels = np.linspace(0, 1, 21)
    curve = expected_coverage(theta, draws, rng.uniform(-3, 3, N_SETS), levels=levels, rng=rng)
    assert np.abs(curve - levels).max() < 0.06


def test_rank_uniforms_do_not_depend_on_the_number_of_draws():
    """Fits with different numbers of draws share one histogram."""
    rng = np.random.default_rng(2)
    n_draws = rng.integers(5, 50, 4000)
    rank = np.array([rng.integers(0, n + 1) for n in n_draws])
    u = rank_uniforms(rank, n_draws, rng=rng)
    counts = np.bincount((u * 20).astype(int), minlength=20)
    assert ((counts - 200) ** 2 / 200).sum() < 43.8


def test_equal_values_are_ranked_at_random():
    """A discrete parameter: truth and draws are both fair coins."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000).astype(float)
    draws = rng.integers(0, 2, (2000, 19)).astype(float)
    counts = np.bincount(ranks(truth, draws, rng=rng)[:, 0], minlength=20)
    assert ((counts - 100) ** 2 / 100).sum() < 43.8


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (0.7, False), (1.4, False)])
def test_coverage_of_intervals_within_the_binomial_band(factor, holds):
    theta, draws, _ = world(4, factor=factor)
    assert coverage(theta, draws, levels=[0.9])["holds"][0] is holds


def test_recovery_names_the_parameter_that_data_do_not_determine():
    rng = np.random.default_rng(6)
    truth = rng.normal(size=(60, 2))
    known = truth[:, :1, None].transpose(0, 2, 1) + 0.2 * rng.normal(size=(60, 40, 1))
    draws = np.concatenate([known, rng.normal(size=(60, 40, 1))], axis=2)
    table = recovery(truth, draws, names=["seen", "unseen"])
    assert table["recovered"].to_list() == [True, False]
    shares = contraction(truth, draws, [1.0, 1.0])["contraction"].to_list()
    assert shares[0] == pytest.approx(0.96, abs=0.01)
    assert shares[1] == pytest.approx(0.0, abs=0.1)


def test_predictive_checks_are_uniform_for_data_of_the_model_itself():
    rng = np.random.default_rng(7)
    joint, single = [], []
    for _ in range(300):
        sample = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 200)
        check = posterior_predictive(sample[0], sample[1:], names=["a", "b"])
        joint.append(check.joint_p)
        single.append(check.table["inside"][0])
    assert np.mean(np.array(joint) < 0.1) == pytest.approx(0.1, abs=0.055)
    assert np.mean(single) == pytest.approx(0.9, abs=0.055)


def test_predictive_check_sees_a_wrong_combination_of_plausible_values():
    rng = np.random.default_rng(8)
    sample = rng.multivariate_normal([0, 0], [[1, 0.99], [0.99, 1]], 500)
    check = posterior_predictive([1.2, -1.2], sample, names=["a", "b"], held_out=["b"])
    assert check.table["inside"].all()
    assert check.joint_p < 0.01
    assert "misses something" in check.words[-1]


def test_undefined_predictions_are_counted():
    rng = np.random.default_rng(9)
    sample = rng.normal(size=(100, 1))
    sample[:7] = np.nan
    check = posterior_predictive([0.0], sample, names=["a"])
    assert check.undefined == 7
    assert "7 predictive runs" in check.words[-1]


def test_a_summary_that_is_never_defined_does_not_hide_the_others():
    rng = np.random.default_rng(9)
    sample = np.column_stack([rng.normal(size=100), np.full(100, np.nan)])
    check = posterior_predictive([0.0, 1.0], sample, names=["a", "b"])
    assert check.table["summary"].to_list() == ["a"]
    assert check.unchecked == {"b": 100}
    assert "b: not finite in 100 predictive runs: it cannot be checked" in check.words
    with pytest.raises(CalibrationError, match=r"not finite in so many runs: \{'b': 100\}"):
        posterior_predictive([1.0], sample[:, 1:], names=["b"])


def test_predictions_have_noise_of_their_own_where_a_search_shares_it():
    """Draws are all alike, so what varies is the noise of runs: standard deviation 1."""

    def noisy(parameters, seed, fidelity):
        return {"y": parameters["a"] + np.random.default_rng(seed).normal()}

    prior = Independent({"a": uniform(-1, 1)})
    shared = Problem(noisy, prior, [scalar("y", 0.0)], common_random_numbers="everywhere", seed=1)
    post = Posterior(("a",), np.zeros((50, 1)), np.ones(50), "given")
    row = predictive_check(Simulations(shared), post, n=400).table.row(0, named=True)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.645, abs=0.4)  # about 3 standard errors


def test_systematic_resampling_takes_each_draw_nearly_as_often_as_its_weight_says():
    rng = np.random.default_rng(10)
    weights = rng.dirichlet(np.ones(30))
    rows = equal_weights(np.arange(30.0)[:, None], weights, 1000, rng=rng)[:, 0].astype(int)
    times = np.bincount(rows, minlength=30)
    assert np.abs(times - 1000 * weights).max() < 1


def test_weighted_quantiles_of_signed_weights():
    assert weighted_quantile([0.0, 1.0, 2.0], [1.0, -0.5, 1.5], [0.4, 0.6]).tolist() == [0.0, 2.0]
    with pytest.raises(CalibrationError, match="one weight >= 0 per draw"):
        equal_weights([[0.0], [1.0]], [1.0, -0.5], 2, rng=np.random.default_rng(1))


def test_what_cannot_be_checked_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(CalibrationError, match="five per bin"):
        simulation_based_calibration(rng.normal(size=50), rng.normal(size=(50, 9)), rng=rng)
    with pytest.raises(CalibrationError, match="not finite"):
        coverage([np.nan], [[1.0]])
    with pytest.raises(CalibrationError, match="n_sets, n_parameters"):
        coverage([1.0, 2.0], [[1.0]])
