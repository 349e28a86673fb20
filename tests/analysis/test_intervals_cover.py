"""Intervals: known answers, and the share of them that hold the truth."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from abm.analysis.comparisons import means_table
from abm.analysis.intervals import (
    bootstrap,
    bootstrap_counts,
    bootstrap_two,
    check_level,
    mean_interval,
    t_halfwidth,
    wilson_interval,
)
from abm.analysis.numbers import interval_text
from abm.analysis.paired import unpaired_effect
from abm.analysis.scales import effective_number
from abm.errors import AnalysisError


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (40, 1000)])
def test_the_interval_of_a_share_is_wilsons(k, n):
    mine = wilson_interval(k, n)
    assert (mine.low, mine.high) == pytest.approx(
        proportion_confint(k, n, method="wilson"), abs=1e-12
    )


def test_the_interval_of_a_share_covers_at_the_nominal_rate_on_average_over_shares():
    # No chance here: the coverage is summed over the binomial distribution. It swings about the
    # nominal rate from share to share; its mean over shares does not.
    n, shares = 40, np.linspace(0.02, 0.98, 97)
    ends = [(e.low, e.high) for e in (wilson_interval(k, n) for k in range(n + 1))]
    holds = np.array([[low <= p <= high for p in shares] for low, high in ends])
    chance = stats.binom.pmf(np.arange(n + 1)[:, None], n, shares)
    assert (holds * chance).sum(axis=0).mean() == pytest.approx(0.95, abs=0.005)


def test_a_table_of_means_covers_at_the_nominal_rate():
    # Seed 14; 2,000 cells of 6 replications, nominal 0.9, false alarm 1 in 1000.
    rng, n = np.random.default_rng(14), 2000
    frame = pl.DataFrame(
        {
            "cell": np.repeat(np.arange(n), 6),
            "replication": np.tile(np.arange(6), n),
            "value": rng.normal(3, 2, 6 * n),
        }
    )
    table = means_table(frame, outcomes="value", by="cell", level=0.9)
    inside = int(((table["low"] <= 3) & (table["high"] >= 3)).sum())
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_differences_of_independent_runs_are_covered_at_the_nominal_rate():
    # Seed 15; 500 pairs of arms of unequal size and spread, nominal 0.9, false alarm 1 in 1000.
    # Welch's interval is approximate; for 6 and 9 runs its error is far below the band.
    rng, n, inside = np.random.default_rng(15), 500, 0
    for _ in range(n):
        effect = unpaired_effect(rng.normal(1, 1, 6), rng.normal(0, 2, 9), level=0.9)
        inside += effect.low <= 1 <= effect.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_the_share_of_nobody_is_undefined():
    nobody = wilson_interval(0, 0)
    assert math.isnan(nobody.estimate)
    assert nobody.reason == "nobody"


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_intervals_of_a_mean_cover_at_the_nominal_rate(method):
    # Seed 11; 300 samples of 200, nominal 0.9, false alarm 1 in 1000. The bootstrap of a mean is
    # short by about 1/n of its width, which 200 people make small beside the band.
    rng, n = np.random.default_rng(11), 300
    inside = 0
    for _ in range(n):
        e = bootstrap(
            np.mean, rng.normal(2, 1, 200), rng=rng, n_resamples=199, level=0.9, method=method
        )
        inside += e.low <= 2 <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_bca_agrees_with_scipy_on_a_skewed_sample():
    sample = np.random.default_rng(12).exponential(size=80)
    mine = bootstrap(np.var, sample, rng=np.random.default_rng(1), n_resamples=4000, method="bca")
    known = stats.bootstrap((sample,), np.var, n_resamples=4000, rng=np.random.default_rng(2))
    ends = known.confidence_interval
    assert (mine.low, mine.high) == pytest.approx((ends.low, ends.high), rel=0.06)


def test_rows_of_several_samples_are_resampled_together():
    rng = np.random.default_rng(13)
    x = rng.normal(size=200)
    e = bootstrap(lambda a, b: np.corrcoef(a, b)[0, 1], x, x, rng=rng, n_resamples=50)
    assert (e.low, e.high) == pytest.approx((1, 1))


def test_a_bootstrap_of_counts_is_the_bootstrap_of_the_people_counted():
    counts = np.array([30, 50, 120])
    people = np.repeat(np.arange(3), counts)
    by_people = bootstrap(
        lambda p: np.mean(p == 2), people, rng=np.random.default_rng(1), n_resamples=3000
    )
    by_counts = bootstrap_counts(
        lambda f: f[2] / f.sum(), counts, rng=np.random.default_rng(2), n_resamples=3000
    )
    assert by_counts.estimate == by_people.estimate == 0.6
    ends = by_people.low, by_people.high
    assert (by_counts.low, by_counts.high) == pytest.approx(ends, abs=0.011)


def test_undefined_resamples_are_counted():
    def fragile(x):
        return math.nan if np.ptp(x) == 0 else x.mean()

    e = bootstrap(fragile, [0.0, 1.0], rng=np.random.default_rng(1), n_resamples=200)
    assert "of 200 resamples" in e.reason


def test_one_unit_has_no_interval():
    e = bootstrap(np.mean, [3.0], rng=np.random.default_rng(1))
    assert e.estimate == 3.0
    assert math.isnan(e.low)
    assert mean_interval([3.0]).reason == "one replication: no interval"


def test_equal_seeds_give_equal_intervals():
    x = np.random.default_rng(1).normal(size=30)
    one, other = (bootstrap(np.mean, x, rng=np.random.default_rng(5)) for _ in range(2))
    assert one == other


def test_a_level_outside_the_unit_interval_is_refused():
    with pytest.raises(AnalysisError, match="95 % interval"):
        mean_interval([1.0, 2.0], level=95)


def test_samples_of_unequal_length_are_refused():
    with pytest.raises(AnalysisError, match="equal length"):
        bootstrap(np.mean, [1.0], [1.0, 2.0], rng=np.random.default_rng(1))


def test_digits_follow_the_width_of_the_interval():
    assert interval_text(0.123456, 0.1, 0.15) == "0.123 [0.100, 0.150]"
    assert interval_text(123.456, 100.0, 150.0) == "123 [100, 150]"
    assert interval_text(math.nan) == "undefined"
    assert interval_text(2.0, 2.0, 2.0 + 1e-16) == "2.000 [2.000, 2.000]"


def test_the_half_width_of_a_mean_is_that_of_students_table():
    # Student's 97.5 % points for 1, 9 and 99 degrees of freedom: 12.706, 2.262, 1.984.
    found = t_halfwidth([1.0, 1.0, 1.0, 1.0], [2, 10, 100, 1], 0.95)
    known = [12.7062 / math.sqrt(2), 2.26216 / math.sqrt(10), 1.98422 / 10]
    assert found[:3] == pytest.approx(known, rel=1e-5)
    assert math.isnan(found[3])
    for level in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(AnalysisError, match="level"):
            check_level(level)


def test_two_samples_are_resampled_apart_and_their_difference_is_covered_at_the_nominal_rate():
    # Seed 67, 300 pairs of samples of 30 and 60, level 0.9. A percentile interval of a mean of 30
    # is narrower than nominal by sqrt(29/30) and the normal for Student's t: 88 %.
    rng, n, inside = np.random.default_rng(67), 300, 0
    gap = lambda a, b: a.mean() - b.mean()  # noqa: E731
    for _ in range(n):
        one, other = rng.normal(1.0, 1.0, 30), rng.normal(0.0, 2.0, 60)
        e = bootstrap_two(gap, one, other, rng=rng, n_resamples=199, level=0.9)
        inside += e.low <= 1 <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low - 0.02 * n <= inside <= high
    empty = bootstrap_two(gap, [], [1.0, 2.0], rng=rng)
    assert math.isnan(empty.estimate)
    assert math.isnan(bootstrap_two(gap, [1.0], [1.0, 2.0], rng=rng).low)


def test_a_basic_interval_is_the_percentile_interval_turned_about_the_estimate():
    counted = [5, 20, 9, 2]
    one, other = (
        bootstrap_counts(effective_number, counted, rng=np.random.default_rng(1), method=method)
        for method in ("percentile", "basic")
    )
    assert other.low == pytest.approx(2 * one.estimate - one.high)
    assert other.high == pytest.approx(2 * one.estimate - one.low)
    x = np.random.default_rng(2).lognormal(size=50)
    known = stats.bootstrap((x,), np.mean, method="basic", rng=np.random.default_rng(3))
    mine = bootstrap(np.mean, x, rng=np.random.default_rng(4), n_resamples=4999, method="basic")
    # Two bootstraps of 4999 and 9999 resamples: ends differ by 3 % of the width.
    ends = known.confidence_interval
    wide = ends.high - ends.low
    assert (mine.low, mine.high) == pytest.approx((ends.low, ends.high), abs=0.05 * wide)
    with pytest.raises(AnalysisError, match="bca"):
        bootstrap_counts(effective_number, counted, rng=np.random.default_rng(1), method="bca")


def test_the_effective_number_of_equal_shares_lies_in_basic_intervals_and_in_no_percentile_one():
    # Seed 68, 100 samples of 200, level 0.9: every resample lies below the largest value, 4.
    rng, inside = np.random.default_rng(68), {"percentile": 0, "basic": 0}
    for _ in range(100):
        counted = rng.multinomial(200, [0.25] * 4)
        for method in inside:
            e = bootstrap_counts(
                effective_number, counted, rng=rng, n_resamples=99, level=0.9, method=method
            )
            inside[method] += e.low <= 4 <= e.high
    assert inside["percentile"] < 5
    assert inside["basic"] >= stats.binom.ppf(0.0005, 100, 0.9)
