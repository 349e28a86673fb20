"""Hawkes processes: planted parameters come back, and gaps rescaled by the fit are exponential."""

import math

import numpy as np
import pytest
from scipy import stats

from abm.analysis.hawkes import (
    _likelihood,
    fit_hawkes,
    rescaled_gaps,
    residual_test,
    simulate_hawkes,
)
from abm.errors import AnalysisError


def test_four_thousand_events_give_back_rate_branching_and_decay_within_ten_per_cent():
    # Seed 111, mu = 1, n = 0.5, beta = 1 over 2000 units: about 4000 events; standard errors about
    # 5, 5 and 8 per cent, so that a correct fit misses 10 per cent in about a fifth of seeds.
    times = simulate_hawkes(1.0, 0.5, 1.0, end=2000, rng=np.random.default_rng(111))
    fit = fit_hawkes(times, end=2000)
    assert 3700 < fit.n_events < 4300
    assert fit.rate.estimate == pytest.approx(1.0, rel=0.1)
    assert fit.branching.estimate == pytest.approx(0.5, rel=0.1)
    assert fit.decay.estimate == pytest.approx(1.0, rel=0.1)
    assert residual_test(times, fit).p_value > 0.01


def test_rate_fano_factor_and_cluster_size_follow_from_the_branching_ratio():
    # Seed 112: counts in 2000 windows of 50; the Fano factor has a standard error of about 0.13.
    times = simulate_hawkes(1.0, 0.5, 1.0, end=100_000, rng=np.random.default_rng(112))
    counts = np.histogram(times, bins=2000, range=(0, 100_000))[0]
    assert counts.mean() / 50 == pytest.approx(2.0, rel=0.03)
    assert counts.var() / counts.mean() == pytest.approx(4.0, abs=0.5)
    fit = fit_hawkes(times[times < 5000], end=5000)
    n = fit.branching.estimate
    assert fit.mean_rate == pytest.approx(fit.rate.estimate / (1 - n))
    assert (fit.cluster_size, fit.fano) == pytest.approx((1 / (1 - n), 1 / (1 - n) ** 2))
    assert fit.mean_rate == pytest.approx(2.0, rel=0.1)


def test_intervals_of_the_parameters_cover_them_at_the_nominal_rate():
    # Seed 113, 200 processes of about 800 events, level 0.9; false alarm 1 in 1000 for each.
    rng, n = np.random.default_rng(113), 200
    inside = np.zeros(3)
    for _ in range(n):
        times = simulate_hawkes(1.0, 0.5, 2.0, end=400, rng=rng)
        fit = fit_hawkes(times, end=400, level=0.9)
        truths = zip((fit.rate, fit.branching, fit.decay), (1.0, 0.5, 2.0), strict=True)
        inside += [e.low <= truth <= e.high for e, truth in truths]
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert np.all((low <= inside) & (inside <= high)), inside


def slow_likelihood(times, end, mu, n, beta):
    intensities = [
        mu + sum(n * beta * math.exp(-beta * (t - s)) for s in times if s < t) for t in times
    ]
    integral = mu * end + sum(n * (1 - math.exp(-beta * (end - t))) for t in times)
    return sum(map(math.log, intensities)) - integral


def test_the_recursion_gives_the_likelihood_of_its_definition_and_its_gradient():
    rng, at = np.random.default_rng(114), np.array([0.8, 0.4, 1.7])
    times = np.sort(rng.uniform(0, 30, 40))
    value, gradient = _likelihood(times, 30.0, *at)
    assert value == pytest.approx(slow_likelihood(times, 30.0, *at), rel=1e-12)
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        above, below = (_likelihood(times, 30.0, *(at + s))[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-5)


def test_rescaled_gaps_sum_to_the_integral_of_the_intensity():
    times = simulate_hawkes(1.0, 0.3, 1.0, end=200, rng=np.random.default_rng(115))
    fit = fit_hawkes(times, end=200)
    # At the maximum the integral over the whole window equals the number of events.
    n, beta = fit.branching.estimate, fit.decay.estimate
    last = float(np.sum(n * (1 - np.exp(-beta * (200 - times)))) + fit.rate.estimate * 200)
    assert last == pytest.approx(times.size, rel=1e-4)
    assert rescaled_gaps(times, fit).sum() <= last


def test_the_fit_does_not_depend_on_the_unit_or_the_origin_of_time():
    times = simulate_hawkes(1.0, 0.5, 1.0, end=300, rng=np.random.default_rng(116))
    one = fit_hawkes(times, end=300)
    other = fit_hawkes(60 * times + 1e4, start=1e4, end=60 * 300 + 1e4)
    assert other.branching.estimate == pytest.approx(one.branching.estimate, rel=1e-3)
    assert other.decay.estimate == pytest.approx(one.decay.estimate / 60, rel=1e-3)
    assert other.log_likelihood == pytest.approx(one.log_likelihood - times.size * math.log(60))


def test_a_daily_rhythm_that_the_model_lacks_fails_the_residual_test():
    # Seed 117: events in the first third of each day only.
    rng = np.random.default_rng(117)
    times = np.sort(rng.integers(0, 400, 1500) + rng.uniform(0, 1 / 3, 1500))
    fit = fit_hawkes(times, end=400)
    assert residual_test(times, fit).p_value < 0.001


def test_the_simulated_p_value_is_smaller_than_that_of_known_parameters():
    times = simulate_hawkes(1.0, 0.4, 1.0, end=150, rng=np.random.default_rng(118))
    fit = fit_hawkes(times, end=150)
    simulated = residual_test(times, fit, rng=np.random.default_rng(1), n_simulations=19)
    assert 0 < simulated.p_value <= 1
    assert simulated.statistic == residual_test(times, fit).statistic
    assert "19 simulated" in simulated.method


def test_independent_events_have_no_branching_and_say_so_or_cover_zero():
    # Seed 119: 20 Poisson processes; the branching ratio is small in all.
    rng = np.random.default_rng(119)
    fits = [fit_hawkes(rng.uniform(0, 500, 500), end=500) for _ in range(20)]
    assert np.median([fit.branching.estimate for fit in fits]) < 0.1
    edge = [fit for fit in fits if fit.branching.estimate < 1e-4]
    assert all(math.isnan(fit.branching.low) and "excitation" in fit.reason for fit in edge)


def test_few_events_are_undefined_and_events_outside_the_window_refused():
    fit = fit_hawkes([1.0, 2.0], end=3.0)
    assert math.isnan(fit.rate.estimate)
    assert math.isnan(residual_test([1.0, 2.0], fit).p_value)
    with pytest.raises(AnalysisError, match="window"):
        fit_hawkes([1.0, 5.0], end=3.0)
    with pytest.raises(AnalysisError, match="branching < 1"):
        simulate_hawkes(1.0, 1.0, 1.0, end=3.0, rng=np.random.default_rng(1))
