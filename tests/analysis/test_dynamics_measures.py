"""Dynamics: flips, consensus, survival and early warnings against hand-worked and known values."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from abm.analysis import dynamics
from abm.analysis.dynamics import consensus_time, early_warning, flip_rate, survival
from abm.errors import AnalysisError


def test_a_constant_opinion_never_flips_and_one_drawn_anew_flips_at_48_per_cent():
    # Seed 41, 200 agents x 500 steps of a 60/40 opinion: standard error about 0.002.
    rng = np.random.default_rng(41)
    drawn = np.where(rng.random((501, 200)) < 0.6, 1, 7)
    assert flip_rate(np.ones((10, 3))) == 0
    assert flip_rate(drawn, middle=4) == pytest.approx(0.48, abs=0.008)
    assert flip_rate(drawn) == flip_rate(drawn, middle=4)


def test_moves_on_one_side_are_changes_and_no_flips():
    moves = [[5.0], [7.0], [6.0]]
    assert flip_rate(moves) == 1
    assert flip_rate(moves, middle=4) == 0
    assert math.isnan(flip_rate([[4.0], [4.0]], middle=4))
    assert math.isnan(flip_rate([[4.0]]))


def test_consensus_counts_from_when_it_stays():
    x = np.array([[0, 1], [1, 1], [0, 1], [1, 1], [1, 1]])
    assert consensus_time(range(5), x) == 3
    assert math.isnan(consensus_time(range(3), x[:3]))
    assert consensus_time([0, 5], [[0.5, 0.5], [0.5, 0.5]]) == 0
    assert consensus_time([0, 5], [[0, 1], [0.4, 0.41]], tolerance=0.02) == 5


def test_survival_is_that_of_statsmodels():
    rng = np.random.default_rng(42)
    times, happened = rng.integers(1, 20, 60).astype(float), rng.random(60) < 0.7
    mine, known = survival(times, happened), SurvfuncRight(times, happened)
    assert mine["time"].to_list() == known.surv_times.tolist()
    assert mine["estimate"].to_numpy() == pytest.approx(known.surv_prob)
    assert mine["at_risk"].to_numpy() == pytest.approx(known.n_risk)


def test_survival_intervals_cover_the_truth_at_the_nominal_rate():
    # Seed 43, 1000 samples of 80 exponential times censored at 1.5, truth at the median.
    rng, n, inside = np.random.default_rng(43), 1000, 0
    for _ in range(n):
        real = rng.exponential(size=80)
        table = survival(np.minimum(real, 1.5), real <= 1.5)
        row = table.filter(table["time"] <= math.log(2)).tail(1).row(0, named=True)
        inside += row["low"] <= 0.5 <= row["high"]
    low, high = stats.binom.interval(0.999, n, 0.95)
    assert low - 0.01 * n <= inside <= high


def test_a_run_without_consensus_must_be_marked_and_not_nan():
    with pytest.raises(AnalysisError, match="happened = False"):
        survival([1.0, math.nan], [True, False])


def test_slowing_recovery_raises_variance_and_autocorrelation():
    # Seed 44: an autoregression whose coefficient climbs from 0 to 0.95.
    rng, x = np.random.default_rng(44), [0.0]
    for t in range(4000):
        x.append(0.95 * t / 4000 * x[-1] + rng.normal())
    table = early_warning(x, window=500)
    for name in ("variance", "autocorrelation"):
        assert stats.kendalltau(table["end"], table[name]).statistic > 0.7
    flat = early_warning(rng.normal(size=4000), window=500)
    assert abs(flat["autocorrelation"].mean()) < 0.05


def test_a_constant_series_has_no_autocorrelation():
    table = early_warning(np.full(6, 0.1), window=3)
    assert table["variance"].to_list() == [0.0] * 4
    assert all(map(math.isnan, table["autocorrelation"]))
    with pytest.raises(AnalysisError, match="window"):
        early_warning([1.0, 2.0], window=3)


def test_signs_of_a_long_series_are_those_of_each_window_alone(monkeypatch):
    # In pieces of 64 cells, so that several pieces and a short last one are taken.
    x = np.random.default_rng(45).normal(size=203)
    whole = early_warning(x, window=11)
    monkeypatch.setattr(dynamics, "_CELLS", 64)
    assert early_warning(x, window=11).equals(whole)
    for end, variance, follow in whole.iter_rows():
        part = x[end - 10 : end + 1]
        gaps = part - part.mean()
        assert variance == pytest.approx(part.var())
        assert follow == pytest.approx(gaps[1:] @ gaps[:-1] / (gaps @ gaps))
