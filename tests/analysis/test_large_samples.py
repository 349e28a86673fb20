"""Large samples: one table of all measures, batches that cover, and a dip that is diptest's."""

import math
import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from abm.analysis.batches import batch_interval
from abm.analysis.dynamics import detrended, early_warning_trend
from abm.analysis.intervals import bootstrap_counts
from abm.analysis.modality import dip_test
from abm.analysis.nulls import rewired
from abm.analysis.opinion_table import opinion_measures
from abm.analysis.opinions import (
    agreement,
    bimodality_coefficient,
    clusters,
    counts,
    effective_number,
    esteban_ray,
    flow_table,
    fracture,
    variance_over_maximum,
)
from abm.errors import AnalysisError

OPINIONS = arrays(np.float64, st.integers(5, 40), elements=st.floats(0, 1, width=32))


def test_the_dip_is_that_of_diptest_and_known_by_hand():
    diptest = pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    x = np.random.default_rng(171).beta(0.6, 0.7, 300)
    found = dip_test(x)
    assert (found.dip, found.p_value) == pytest.approx(diptest.diptest(x))
    # Evenly spaced points have the smallest dip there is, 1 / (2n); two atoms the largest, 1/4.
    assert dip_test(np.arange(10.0)).dip == pytest.approx(0.05)
    assert dip_test([0.0] * 50 + [1.0] * 50).dip == pytest.approx(0.25)


def test_one_mode_is_rarely_called_two_and_two_far_ones_always():
    # Seed 172, 300 uniform samples, the hardest case: p <= 0.1 in at most the 99.9 % binomial band.
    pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    rng, n = np.random.default_rng(172), 300
    found = sum(dip_test(rng.random(100)).p_value <= 0.1 for _ in range(n))
    assert found <= stats.binom.ppf(0.9995, n, 0.1)
    skewed = rng.gamma(0.4, size=2000)
    assert bimodality_coefficient(skewed) > 5 / 9  # carried by skewness alone
    assert dip_test(skewed).p_value > 0.5


@given(OPINIONS)
@settings(deadline=None)
def test_the_dip_does_not_change_under_reflection_and_stays_in_its_range(x):
    pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    one, other = dip_test(x), dip_test(1 - x)
    if np.unique(x).size == np.unique(1 - x).size:
        assert other.dip == pytest.approx(one.dip, abs=1e-6)
    assert 0 <= one.dip <= 0.25 + 1e-12


def test_large_samples_have_an_asymptotic_p_value_without_a_warning():
    pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dip_test(np.random.default_rng(173).random(80_000))
    assert found.reason == "asymptotic p-value"
    assert found.p_value > 0.01
    assert math.isnan(dip_test([0.1, 0.2, math.nan]).dip)


def test_batches_cover_a_variance_at_the_nominal_rate():
    # Seed 174, 300 samples of 8000, level 0.9; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(174), 300, 0
    truth = 4 * stats.beta(2, 3).var()
    for _ in range(n):
        e = batch_interval(variance_over_maximum, rng.beta(2, 3, 8000), rng=rng, level=0.9)
        inside += e.low <= truth <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_batches_are_as_wide_as_the_known_standard_error():
    x = np.random.default_rng(175).normal(size=100_000)
    widths = [batch_interval(np.mean, x, rng=np.random.default_rng(s)).halfwidth for s in range(20)]
    assert np.mean(widths) == pytest.approx(stats.t.ppf(0.975, 39) / np.sqrt(1e5), rel=0.1)


def test_too_few_rows_for_batches_have_an_estimate_and_no_interval():
    e = batch_interval(np.mean, np.arange(50.0), rng=np.random.default_rng(1))
    assert e.estimate == 24.5
    assert math.isnan(e.low)
    assert "use bootstrap" in e.reason


@pytest.mark.parametrize("n", [900, 20_000])
def test_the_table_holds_every_measure_with_its_own_value(n):
    pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    x = np.round(np.random.default_rng(176).beta(1, 1.4, n) * 6) + 1
    scale = range(1, 8)
    table = opinion_measures(x, rng=np.random.default_rng(1), low=1, high=7, scale=scale, gap=0.5)
    value = dict(table.select("measure", "estimate").rows())
    assert value["variance_over_maximum"] == pytest.approx(variance_over_maximum(x, low=1, high=7))
    assert value["bimodality_coefficient"] == pytest.approx(bimodality_coefficient(x))
    assert value["agreement"] == agreement(counts(x, scale))
    assert value["esteban_ray"] == pytest.approx(esteban_ray(counts(x, scale)))
    assert (value["clusters"], value["fracture"]) == pytest.approx((7, fracture(x, gap=0.5)))
    smooth = table.filter(table["reason"] == "")
    assert smooth.height == 8
    assert (smooth["low"] < smooth["estimate"]).all()
    assert (smooth["estimate"] < smooth["high"]).all()
    rest = table.filter(table["reason"] != "")
    assert rest["low"].is_nan().all()


def test_the_table_of_nobody_is_undefined_throughout():
    table = opinion_measures([], rng=np.random.default_rng(1))
    assert table["estimate"].is_nan().all()


def share_of_two(frequencies):
    return frequencies[:2].sum() / frequencies.sum()


@pytest.mark.parametrize("measure", [agreement, esteban_ray, effective_number, share_of_two])
def test_measures_of_counted_answers_are_covered_at_the_nominal_rate(measure):
    # Seed 177, 150 surveys of 2000, level 0.9; false alarm 1 in 1000 each. None of the measures is
    # at a flat place here, where a percentile bootstrap would double its bias.
    p = np.array([0.05, 0.1, 0.2, 0.25, 0.4])
    rng, n, inside = np.random.default_rng(177), 150, 0
    for _ in range(n):
        drawn = rng.multinomial(2000, p)
        e = bootstrap_counts(measure, drawn, rng=rng, n_resamples=99, level=0.9)
        inside += e.low <= measure(p) <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


@given(OPINIONS, st.floats(0.001, 0.3))
def test_fracture_is_the_chance_that_two_people_are_in_different_clusters(x, gap):
    shares = clusters(x, gap=gap).sizes / x.size
    assert fracture(x, gap=gap) == pytest.approx(1 - sum(s * s for s in shares))
    assert 0 <= fracture(x, gap=gap) < 1
    assert math.isnan(fracture([], gap=gap))


def test_flows_leave_out_who_gave_no_answer_and_sum_to_one():
    table = flow_table([1.0, 2.0, math.nan, 1.0], [2.0, 2.0, 1.0, math.nan])
    assert table.rows() == [(1.0, 2.0, 1, 0.5), (2.0, 2.0, 1, 0.5)]
    words = flow_table(["no", "no", None], ["yes", "no", "yes"])
    assert words["share"].sum() == pytest.approx(1)
    assert flow_table([], []).height == 0


def slow_rewired(edges, rng, swaps_per_edge=10.0):
    """The chain as its definition says, with Python's sets; the same draws in the same order."""
    pairs = [(int(a), int(b)) for a, b in edges]
    there = {frozenset(pair) for pair in pairs}
    attempts = int(swaps_per_edge * len(pairs))
    chosen = rng.integers(0, len(pairs), size=(attempts, 2)).tolist()
    turned = rng.random(attempts) < 0.5
    for (i, j), turn in zip(chosen, turned, strict=True):
        (a, b), (c, d) = pairs[i], pairs[j][::-1] if turn else pairs[j]
        one, two = frozenset((a, d)), frozenset((c, b))
        if i == j or a == d or c == b or one == two or one in there or two in there:
            continue
        there -= {frozenset((a, b)), frozenset((c, d))}
        there |= {one, two}
        pairs[i], pairs[j] = (a, d), (c, b)
    return np.array(pairs)


@given(st.integers(0, 10_000), st.integers(4, 40), st.floats(0.05, 0.9))
@settings(max_examples=40, deadline=None)
def test_compiled_swaps_are_those_of_the_slow_chain_to_the_last_edge(seed, n, p):
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < p, 1)
    edges = np.argwhere(upper)
    if len(edges) < 2:
        return
    slow = slow_rewired(edges, np.random.default_rng(seed))
    assert (rewired(edges, rng=np.random.default_rng(seed)) == slow).all()


def test_swaps_drawn_in_several_blocks_keep_degrees_and_stay_simple(monkeypatch):
    monkeypatch.setattr("abm.analysis.nulls._BLOCK", 64)
    edges = np.argwhere(np.triu(np.random.default_rng(178).random((60, 60)) < 0.2, 1))
    new = rewired(edges, rng=np.random.default_rng(1))
    assert np.bincount(new.ravel()).tolist() == np.bincount(edges.ravel()).tolist()
    assert len({frozenset(e) for e in new.tolist()}) == len(edges)
    assert not (np.sort(new, axis=1) == edges).all()


def test_a_stable_series_is_rarely_taken_for_a_warning():
    # Seed 179, 60 autoregressions, p <= 0.1 expected in 6; false alarm 1 in 2000.
    rng, found = np.random.default_rng(179), 0
    for _ in range(60):
        x = np.zeros(200)
        for t in range(1, 200):
            x[t] = 0.5 * x[t - 1] + rng.normal()
        found += early_warning_trend(x, window=50, rng=rng, n_surrogates=19).p_value <= 0.1
    assert found <= stats.binom.ppf(0.9995, 60, 0.1)


@pytest.mark.parametrize("indicator", ["autocorrelation", "variance"])
def test_slowing_recovery_is_taken_for_a_warning(indicator):
    rng, x = np.random.default_rng(180), [0.0]
    for t in range(1500):
        x.append(0.97 * t / 1500 * x[-1] + rng.normal())
    drift = np.linspace(0, 30, len(x))
    series = detrended(np.array(x) + drift, bandwidth=100)
    found = early_warning_trend(series, window=500, indicator=indicator, rng=rng, n_surrogates=39)
    assert found.tau > 0.6
    assert found.p_value <= 0.05


def test_a_constant_series_warns_of_nothing():
    rng = np.random.default_rng(1)
    assert math.isnan(early_warning_trend(np.ones(30), window=5, rng=rng).tau)
    with pytest.raises(AnalysisError, match="indicator"):
        early_warning_trend(np.arange(9.0), window=3, indicator="skewness", rng=rng)
    with pytest.raises(AnalysisError, match="bandwidth"):
        detrended([1.0, 2.0], bandwidth=0)


def test_counts_and_table_agree_on_a_scale_that_is_not_evenly_spaced():
    pytest.importorskip("diptest", reason="the extra `analysis` brings diptest")
    table = opinion_measures(
        [0.0, 0.0, 10.0, 100.0], rng=np.random.default_rng(1), high=100, scale=[0, 10, 100]
    )
    value = dict(table.select("measure", "estimate").rows())["esteban_ray"]
    assert value == pytest.approx(esteban_ray([2, 1, 1], positions=[0, 0.1, 1]))
    assert isinstance(table, pl.DataFrame)
