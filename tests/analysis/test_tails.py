"""Power-law tails: planted exponents come back, and the package powerlaw agrees."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from abm.analysis.tail_alternatives import (
    compare_tails,
    cutoff_ccdf,
    exponential_ccdf,
    lognormal_ccdf,
    power_law_ccdf,
)
from abm.analysis.tail_cutoff import fit_cutoff, log_mass
from abm.analysis.tail_tables import tail_table
from abm.analysis.tails import draw_tail, fit_tail, tail_bootstrap, tail_ccdf, tail_test
from abm.errors import AnalysisError


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("given_xmin", [1.0, None])
def test_ten_thousand_events_give_back_the_exponent_within_two_standard_errors(
    discrete, given_xmin
):
    # Seed 101; a correct estimator misses in 5 of 100 seeds.
    sizes = draw_tail(2.57, 1, 10_000, discrete=discrete, rng=np.random.default_rng(101))
    fit = fit_tail(sizes, discrete=discrete, xmin=given_xmin)
    assert abs(fit.alpha - 2.57) < 2 * fit.standard_error
    assert fit.standard_error < 0.05
    assert fit.n == 10_000


@pytest.mark.parametrize("discrete", [True, False])
def test_intervals_of_the_exponent_cover_it_at_the_nominal_rate(discrete):
    # Seed 102, 300 samples of 300; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(102), 300, 0
    for _ in range(n):
        sizes = draw_tail(2.4, 2, 300, discrete=discrete, rng=rng)
        fit = fit_tail(sizes, discrete=discrete, xmin=2, level=0.9)
        inside += fit.low <= 2.4 <= fit.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_drawn_sizes_have_the_probabilities_of_the_zeta_distribution_far_into_the_tail():
    # Seed 103, 400,000 draws; false alarm 1 in 1000. The last cells lie beyond the table.
    drawn = draw_tail(1.6, 3, 400_000, discrete=True, rng=np.random.default_rng(103))
    ends = np.array([3, 4, 5, 7, 12, 50, 1000, 5000, 50_000, 1e6])
    above = np.array([np.mean(drawn >= e) for e in ends])
    expected = special.zeta(1.6, ends) / special.zeta(1.6, 3)
    cells = -np.diff(np.append(above, 0)) * drawn.size
    wanted = -np.diff(np.append(expected, 0)) * drawn.size
    assert stats.chisquare(cells, wanted).pvalue > 0.001
    assert np.all(drawn == np.floor(drawn))
    assert drawn.min() == 3


@pytest.mark.parametrize("discrete", [True, False])
def test_exponent_start_distance_and_comparisons_are_those_of_the_package_powerlaw(discrete):
    powerlaw = pytest.importorskip("powerlaw", reason="the extra `analysis` brings powerlaw")
    rng = np.random.default_rng(104)
    body = rng.integers(1, 6, 120) if discrete else rng.uniform(0.5, 5, 120)
    sizes = np.concatenate([body, draw_tail(2.3, 5, 120, discrete=discrete, rng=rng)])
    found = fit_tail(sizes, discrete=discrete)
    known = powerlaw.Fit(
        sizes, discrete=discrete, estimate_discrete=False, verbose=False, xmin=found.xmin
    )
    assert found.alpha == pytest.approx(known.power_law.alpha, abs=2e-4)
    if not discrete:
        assert found.ks == pytest.approx(known.power_law.D, abs=2e-3)
        searched = powerlaw.Fit(sizes, discrete=False, verbose=False)
        assert found.ks <= searched.power_law.D + 1e-9
    table = compare_tails(sizes, found)
    for name, tolerance in (("exponential", 1e-3), ("lognormal", 0.05)):
        ratio, p = known.distribution_compare("power_law", name)
        row = table.filter(alternative=name).row(0, named=True)
        assert row["log_ratio"] == pytest.approx(ratio, abs=tolerance)
        assert row["p_value"] == pytest.approx(p, abs=0.02)
    ratio, p = known.distribution_compare("power_law", "truncated_power_law", nested=True)
    row = table.filter(alternative="truncated_power_law").row(0, named=True)
    assert (row["log_ratio"], row["p_value"]) == pytest.approx((ratio, p), abs=1e-4)


def test_the_largest_tail_that_looks_like_a_power_law_starts_where_it_was_planted():
    # Seed 105: uniform below 10, a power law above.
    rng = np.random.default_rng(105)
    sizes = np.concatenate(
        [rng.uniform(1, 10, 3000), draw_tail(2.8, 10, 3000, discrete=False, rng=rng)]
    )
    fit = fit_tail(sizes, discrete=False)
    assert 9 < fit.xmin < 14
    assert abs(fit.alpha - 2.8) < 3 * fit.standard_error


def test_a_lognormal_sample_speaks_against_a_power_law_and_an_exponential_one_too():
    rng = np.random.default_rng(106)
    wide = rng.lognormal(1.0, 1.0, 4000)
    row = compare_tails(wide, fit_tail(wide, discrete=False, xmin=1.0)).row(0, named=True)
    assert (row["alternative"], row["statistic"] < -3) == ("lognormal", True)
    assert (row["first"], row["second"]) == pytest.approx((1.0, 1.0), abs=0.12)
    short = rng.exponential(2.0, 4000) + 1
    row = compare_tails(short, fit_tail(short, discrete=False, xmin=1.0)).row(1, named=True)
    assert (row["alternative"], row["statistic"] < -10) == ("exponential", True)
    assert row["first"] == pytest.approx(0.5, rel=0.06)


def test_goodness_of_fit_accepts_a_power_law_and_refuses_an_exponential():
    rng = np.random.default_rng(107)
    good = draw_tail(2.5, 1, 400, discrete=True, rng=rng)
    fit = fit_tail(good, discrete=True, xmin=1)
    assert tail_test(good, fit, rng=rng, n_simulations=29) > 0.1
    bad = np.ceil(rng.exponential(3, 400))
    fit = fit_tail(bad, discrete=True, xmin=1)
    assert tail_test(bad, fit, rng=rng, n_simulations=29) == pytest.approx(1 / 30)


def test_the_bootstrap_is_as_wide_as_the_formula_where_the_start_is_known():
    # Seed 108; the width of a bootstrap of 150 resamples has a standard error of about 7 per cent.
    sizes = draw_tail(2.5, 1, 500, discrete=False, rng=np.random.default_rng(108))
    fit = fit_tail(sizes, discrete=False, xmin=1)
    e = tail_bootstrap(sizes, discrete=False, xmin=1, rng=np.random.default_rng(1), n_resamples=150)
    assert e.estimate == fit.alpha
    assert e.high - e.low == pytest.approx(fit.high - fit.low, rel=0.25)


def test_the_bootstrap_finds_the_start_anew_each_time():
    rng = np.random.default_rng(108)
    tail = draw_tail(2.5, 5, 300, discrete=False, rng=rng)
    e = tail_bootstrap(
        np.concatenate([rng.uniform(1, 5, 300), tail]), discrete=False, rng=rng, n_resamples=40
    )
    assert e.low < 2.5 < e.high
    assert "xmin refitted" in e.method


@given(st.integers(0, 10_000), st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_the_exponent_does_not_depend_on_the_unit_or_the_order(seed, unit):
    x = np.random.default_rng(seed).pareto(1.5, 60) + 1
    one = fit_tail(x, discrete=False)
    other = fit_tail(np.random.default_rng(1).permutation(unit * x), discrete=False)
    assert other.alpha == pytest.approx(one.alpha, rel=1e-6)
    assert other.xmin == pytest.approx(unit * one.xmin, rel=1e-9)


def test_too_little_tail_is_undefined_and_says_why():
    for sizes in ([], [3.0], [2, 2, 2], [0, 0, 1], [math.nan, 4]):
        fit = fit_tail(sizes, discrete=True)
        assert math.isnan(fit.alpha)
        assert "two different values" in fit.reason
        assert math.isnan(tail_test(sizes, fit, rng=np.random.default_rng(1)))
        assert compare_tails(sizes, fit)["p_value"].is_nan().all()


def test_values_that_cannot_be_sizes_are_refused():
    with pytest.raises(AnalysisError, match="whole numbers"):
        fit_tail([1.5, 2.0], discrete=True)
    with pytest.raises(AnalysisError, match=">= 0"):
        fit_tail([-1.0, 2.0], discrete=False)
    with pytest.raises(AnalysisError, match="xmin"):
        fit_tail([1.0, 2.0], discrete=False, xmin=0)


def test_distribution_functions_of_the_alternatives_are_those_of_scipy():
    x = np.array([2.0, 3.0, 10.0])
    known = stats.lognorm(1.2, scale=np.exp(0.5))
    assert lognormal_ccdf(x, 2, 0.5, 1.2, False) == pytest.approx(known.sf(x) / known.sf(2))
    assert exponential_ccdf(x, 2, 0.7) == pytest.approx(stats.expon(scale=1 / 0.7).sf(x - 2))


def test_the_table_of_a_tail_starts_its_fits_at_the_share_that_is_in_the_tail():
    sizes = [1, 1, 1, 2, 4, 5, 7, 11, 30]
    table = tail_table(sizes, fit_tail(sizes, discrete=True, xmin=2))
    x, share = tail_ccdf(sizes)
    seen = table.filter(kind="observed")
    assert (seen["size"].to_list(), seen["share"].to_list()) == (x.tolist(), share.tolist())
    firsts = table.filter(table["kind"] != "observed").group_by("kind").first()
    assert firsts["share"].to_list() == pytest.approx([6 / 9] * 3)


@pytest.mark.parametrize("start", [1.0, 7.0, 400.0])
def test_the_mass_of_a_tail_with_a_cutoff_is_the_known_one(start):
    at = np.array([start])
    steps = np.arange(20_000)
    for rate in (0.002, 0.05, 0.7, 6.0):
        z = rate * start
        known = {0.0: 1 / rate}
        if z < 500:  # beyond, the known forms overflow
            known[1.0] = np.exp(z) * special.exp1(z) * start
            known[2.0] = np.exp(z) * special.expn(2, z) * start
        for alpha, mass in known.items():
            found = np.exp(log_mass(alpha, rate, at, discrete=False))
            assert found == pytest.approx(mass, rel=1e-11)
        for alpha in (0.0, 0.7, 1.0, 2.57, 9.0):
            brute = np.exp(-alpha * np.log1p(steps / start) - rate * steps).sum()
            assert np.exp(log_mass(alpha, rate, at, discrete=True)) == pytest.approx(
                brute, rel=1e-11
            )
    for alpha in (1.01, 2.57, 19.0):
        zeta = special.zeta(alpha, start) * start**alpha
        assert np.exp(log_mass(alpha, 0.0, at, discrete=True)) == pytest.approx(zeta, rel=1e-11)


def test_the_cutoff_of_largest_likelihood_is_where_the_means_of_data_and_model_agree():
    # An exponential family: at the maximum E log x and E x are those of the data.
    sizes = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 5.0, 9.0, 14.0])
    mean_log, mean_excess = np.log(sizes).mean(), sizes.mean() - 1
    alpha, rate, loss = fit_cutoff(mean_log, mean_excess, 1.0, discrete=True)
    x = np.arange(1.0, 2000.0)
    p = np.exp(-alpha * np.log(x) - rate * (x - 1))
    assert p @ np.log(x) / p.sum() == pytest.approx(mean_log, rel=1e-5)
    assert p @ (x - 1) / p.sum() == pytest.approx(mean_excess, rel=1e-5)
    each = alpha * np.log(sizes) + rate * (sizes - 1) + np.log(p.sum())
    assert loss == pytest.approx(each.mean(), rel=1e-9)


def cut(rng, alpha, rate, n, *, discrete):
    """Values of a power law from 1 on that survive a cutoff."""
    drawn = draw_tail(alpha, 1, n, discrete=discrete, rng=rng)
    return drawn[rng.random(n) < np.exp(-rate * (drawn - 1))]


@pytest.mark.parametrize("discrete", [True, False])
def test_a_planted_cutoff_is_found_and_its_tail_lies_on_the_sample(discrete):
    # Seed 108, about 9,000 values: standard errors of about 0.02 and 0.004; 4 of them are allowed.
    rng = np.random.default_rng(108)
    sizes = cut(rng, 1.8, 0.05, 20_000 if discrete else 30_000, discrete=discrete)
    fit = fit_tail(sizes, discrete=discrete, xmin=1)
    row = compare_tails(sizes, fit, alternatives=["truncated_power_law"]).row(0, named=True)
    assert row["first"] == pytest.approx(1.8, abs=0.08)
    assert row["second"] == pytest.approx(0.05, abs=0.016)
    assert row["p_value"] < 1e-6
    assert row["log_ratio"] < -15
    x, share = tail_ccdf(sizes)
    drawn = cutoff_ccdf(x, 1.0, row["first"], row["second"], discrete)
    assert np.abs(drawn - share).max() < 1.95 / np.sqrt(sizes.size)  # 0.1 % of Kolmogorov's test


def test_a_pure_power_law_is_rarely_said_to_be_cut_off():
    # Seed 109, 60 samples: at the level of 5 % at most 11 of 60 with probability 99.9 %.
    rng = np.random.default_rng(109)
    found = []
    for _ in range(60):
        sizes = draw_tail(2.57, 1, 300, discrete=True, rng=rng)
        fit = fit_tail(sizes, discrete=True, xmin=1)
        found.append(compare_tails(sizes, fit, alternatives=["truncated_power_law"]).row(0))
    ratios, p = (np.array([row[place] for row in found]) for place in (3, 5))
    assert np.all(ratios <= 0)
    assert np.sum(p < 0.05) <= stats.binom.ppf(0.999, 60, 0.05)
    assert np.all(p[ratios == 0] == 1)
    assert np.any(ratios == 0)
    assert all(row[1] > 1 and row[2] >= 0 for row in found)


def test_an_exponential_tail_is_a_cutoff_without_a_power_law():
    # Seed 112; standard errors 0.08 and 0.023, of which 4 are allowed.
    rng = np.random.default_rng(112)
    sizes = rng.exponential(2.0, 4000) + 1
    fit = fit_tail(sizes, discrete=False, xmin=1.0)
    row = compare_tails(sizes, fit).filter(alternative="truncated_power_law").row(0, named=True)
    assert row["first"] == pytest.approx(0, abs=0.32)
    assert row["second"] == pytest.approx(0.5, abs=0.09)
    assert row["p_value"] < 1e-12


def test_shares_above_a_size_are_those_of_the_fitted_power_law():
    sizes = draw_tail(2.5, 3, 500, discrete=True, rng=np.random.default_rng(111))
    fit = fit_tail(sizes, discrete=True, xmin=3)
    at = np.arange(3.0, 9.0)
    mass = at**-fit.alpha / special.zeta(fit.alpha, 3)
    assert -np.diff(power_law_ccdf(at, fit)) == pytest.approx(mass[:-1])
    smooth = fit_tail(sizes + 0.5, discrete=False, xmin=3)
    assert power_law_ccdf([3.0, 6.0], smooth) == pytest.approx([1.0, 2 ** (1 - smooth.alpha)])
