"""Measures on what other tests leave out: weights, isolated nodes, several components, longer lags,
ties in time; each against its definition written out slowly."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.controversy import random_walk_controversy
from abm.analysis.convergence import default_drift
from abm.analysis.directed import directed_assortativity
from abm.analysis.diversity import mean_cosine
from abm.analysis.drift import drift
from abm.analysis.dynamics import early_warning, survival
from abm.analysis.hawkes import fit_hawkes, rescaled_gaps, simulate_hawkes
from abm.analysis.hazards import _concordance, cox_regression
from abm.analysis.influence import transfer_entropy
from abm.analysis.intervals import bootstrap
from abm.analysis.networks import (
    assortativity,
    disagreement,
    ei_index,
    homophily_slope,
    modularity,
    neighbour_correlation,
    neighbour_mean,
)
from abm.analysis.nulls import against_null
from abm.analysis.opinions import coverage
from abm.analysis.paradox import friendship_paradox
from abm.analysis.text import hd_d


def scattered(seed, n=33):
    """A weighted network of two parts and four lonely nodes, with groups and values."""
    rng = np.random.default_rng(seed)
    upper = np.argwhere(np.triu(rng.random((25, 25)) < 0.12, 1))
    edges = np.concatenate([upper, [(25, 26), (26, 27), (27, 28)]])
    weights, groups = rng.uniform(0.2, 3, len(edges)), rng.integers(0, 4, n)
    dense = np.zeros((n, n))
    dense[edges[:, 0], edges[:, 1]] = weights
    return edges, weights, dense + dense.T, groups, rng.normal(size=n)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_weighted_measures_of_scattered_networks_are_their_dense_definitions(seed):
    edges, w, dense, groups, x = scattered(seed)
    member = groups[:, None] == np.arange(4)
    e = member.T @ dense @ member / dense.sum()
    ends = e.sum(axis=0)
    mixed = float(ends @ ends)
    assert assortativity(edges, groups, weights=w) == pytest.approx(
        (np.trace(e) - mixed) / (1 - mixed)
    )
    found = modularity(edges, groups, weights=w, resolution=0.7)
    assert found == pytest.approx(np.trace(e) - 0.7 * mixed)
    assert ei_index(edges, groups, weights=w) == pytest.approx(1 - 2 * np.trace(e))
    strength = dense.sum(axis=1)
    laplacian = np.diag(strength) - dense
    assert disagreement(edges, x, weights=w) == pytest.approx(x @ laplacian @ x)
    means = np.divide(dense @ x, strength, out=np.full(x.size, np.nan), where=strength > 0)
    assert neighbour_mean(edges, x, weights=w) == pytest.approx(means, nan_ok=True)
    tied = strength > 0
    slope = stats.linregress(x[tied], means[tied]).slope
    assert homophily_slope(edges, x, weights=w) == pytest.approx(slope)
    one, other = np.concatenate([x[edges], x[edges[:, ::-1]]]).T
    pairs = np.cov(one, other, aweights=np.concatenate([w, w]))
    assert neighbour_correlation(edges, x, weights=w) == pytest.approx(pairs[0, 1] / pairs[0, 0])
    degree = (dense > 0).sum(axis=1)
    theirs = np.array([degree[row > 0].mean() for row in dense[tied]])
    paradox = friendship_paradox(edges, n=33)
    assert paradox.n == tied.sum()
    assert paradox.share == pytest.approx(np.mean(theirs > degree[tied] + 1e-9))
    assert paradox.ratio == pytest.approx(theirs.mean() / degree[tied].mean())


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_one_group_has_no_assortativity_however_its_weights_add_up(seed):
    # Sums of weights in different orders differ by rounding; that must not become 0 / 0 = 1.
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 20, (rng.integers(1, 60), 2))
    weights = rng.random(len(edges))
    alike = np.zeros(20, dtype=int)
    for measure in (assortativity, directed_assortativity):
        assert math.isnan(measure(edges, alike, weights=weights))


def walked(dense, sides, hubs, at_once):
    """Random-walk controversy by taking the step matrix many times."""
    strength = dense.sum(axis=1, keepdims=True)
    step = np.divide(dense, strength, out=np.zeros_like(dense), where=strength > 0)
    ends = np.zeros((len(dense), 2))
    ends[hubs[0], 0] = ends[hubs[1], 1] = 1
    start, is_hub = ends.copy(), ends.any(axis=1, keepdims=True)
    many = np.where(is_hub, np.eye(len(dense)), step)
    for _ in range(12):  # 2^12 steps
        many = many @ many
    ends = many @ start
    ends = ends if at_once else step @ ends
    p = np.stack([ends[sides == side].mean(axis=0) for side in (0, 1)])
    p = p / p.sum(axis=0)
    return p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("seed", [3, 4])
def test_controversy_holds_with_weights_lonely_nodes_given_hubs_and_both_starts(seed, at_once):
    edges, w, dense, groups, _ = scattered(seed)
    sides = (groups > 1).astype(int)
    degrees = random_walk_controversy(edges, sides, n_hubs=2, weights=w, hubs_end_at_once=at_once)
    assert degrees.score == pytest.approx(walked(dense, sides, degrees.hubs, at_once), abs=1e-8)
    tied = np.flatnonzero(dense.any(axis=1))
    hubs = tuple(tied[sides[tied] == side][:3] for side in (0, 1))
    chosen = random_walk_controversy(edges, sides, weights=w, hubs=hubs, hubs_end_at_once=at_once)
    assert chosen.score == pytest.approx(walked(dense, sides, hubs, at_once), abs=1e-8)
    assert chosen.hubs[0].tolist() == hubs[0].tolist()


def test_opinions_on_the_edge_of_a_bin_are_in_the_upper_one():
    # 0.29 * 100 is 28.999999999999996: multiplied out it would fall into the bin below.
    assert coverage([0.28, 0.29], bins=100) == pytest.approx(0.02)
    assert coverage([0.29, 0.295], bins=100) == pytest.approx(0.01)
    assert coverage(np.arange(101) / 100, bins=100) == 1
    assert coverage([0.0, 1.0], bins=1) == 1


@pytest.mark.parametrize(("lag", "history"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_transfer_entropy_is_its_sum_over_symbols_at_every_lag_and_history(lag, history):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 3, 300)
    y = np.roll(x, 2) % 2
    first = max(lag, history)
    rows = [(y[t], tuple(y[t - history : t]), x[t - lag]) for t in range(first, 300)]
    full, heard = Counter(rows), Counter((p, s) for _, p, s in rows)
    own, past = Counter((n, p) for n, p, _ in rows), Counter(p for _, p, _ in rows)
    slow = sum(
        c * math.log(c * past[p] / (heard[p, s] * own[n, p])) for (n, p, s), c in full.items()
    )
    found = transfer_entropy(x, y, rng=rng, lag=lag, history=history, n_permutations=3)
    assert found.value == pytest.approx(slow / len(rows), abs=1e-12)
    assert found.n == len(rows)


def test_the_likelihood_and_the_gaps_of_a_hawkes_process_are_those_of_its_definition():
    times = simulate_hawkes(0.8, 0.6, 2.0, end=100, rng=np.random.default_rng(6))
    fit = fit_hawkes(times, end=100)
    mu, n, beta = fit.rate.estimate, fit.branching.estimate, fit.decay.estimate

    def integral(t):
        return mu * t + n * np.sum(1 - np.exp(-beta * (t - times[times <= t])))

    rates = [mu + n * beta * np.exp(-beta * (t - times[times < t])).sum() for t in times]
    assert fit.log_likelihood == pytest.approx(np.log(rates).sum() - integral(100.0))
    gaps = np.diff([0.0, *(integral(t) for t in times)])
    assert rescaled_gaps(times, fit) == pytest.approx(gaps, abs=1e-9)


def test_events_at_one_instant_are_named_as_the_reason():
    coarse = np.repeat(np.arange(40.0), 4)
    fit = fit_hawkes(coarse, end=40)
    assert math.isnan(fit.branching.low)
    assert "share their instant" in fit.branching.reason


def test_survival_with_ties_is_worked_by_hand_with_the_log_log_interval():
    times, happened = [2, 2, 3, 5, 5, 5, 8, 9], [1, 0, 1, 1, 1, 0, 0, 1]
    table = survival(times, happened)
    share = 7 / 8 * 5 / 6 * 3 / 5
    assert table["estimate"].to_list() == pytest.approx([7 / 8, 7 / 8 * 5 / 6, share, 0])
    error = math.sqrt(1 / (8 * 7) + 1 / (6 * 5) + 2 / (5 * 3)) / abs(math.log(share))
    z = stats.norm.ppf(0.975)
    assert table["low"][2] == pytest.approx(share ** math.exp(z * error))
    assert table["high"][2] == pytest.approx(share ** math.exp(-z * error))


def test_early_warnings_divide_by_the_window():
    x = np.random.default_rng(7).normal(size=40).cumsum()
    table = early_warning(x, window=9)
    wanted = pl.Series(x).rolling_var(9, ddof=0)[8:].to_numpy()
    assert table["variance"].to_numpy() == pytest.approx(wanted)
    part = x[5:14] - x[5:14].mean()
    follow = (part[1:] @ part[:-1]) / (part @ part)
    assert table["autocorrelation"][5] == pytest.approx(follow)


def test_drift_to_a_default_is_the_least_squares_of_numpy():
    before, after, heard, default = np.random.default_rng(8).normal(size=(4, 50))
    found = default_drift(before, after, default, others=heard, rng=np.random.default_rng(1))
    ways = np.stack([default - before, heard - before], axis=1)
    wanted = np.linalg.lstsq(ways, after - before, rcond=None)[0]
    assert (found.to_default.estimate, found.to_others.estimate) == pytest.approx(tuple(wanted))


def test_who_is_censored_when_another_adopts_is_a_pair():
    # Two leave at time 2, one by adopting: the other was at risk and did not adopt.
    begin, finish, happened = np.zeros(3), np.array([2.0, 2.0, 3.0]), np.array([True, False, True])
    assert _concordance(begin, finish, happened, np.array([2.0, 1.0, 3.0])) == 0.5
    together = np.array([True, True, False])  # who adopts at one moment makes no pair
    assert _concordance(begin, finish, together, np.array([2.0, 1.0, 0.0])) == 1.0


def test_covariates_that_separate_or_repeat_have_no_hazard_ratio():
    spells = pl.DataFrame(
        {
            "start": [0.0] * 4,
            "stop": [1.0, 2.0, 3.0, 4.0],
            "adopted": [True, True, False, False],
            "x": [1, 1, 0, 0],
        }
    )
    apart = cox_regression(spells, ["x"])
    assert "grows without end" in apart.reason
    assert math.isnan(apart.table["estimate"][0])
    clustered = cox_regression(spells.with_columns(g=pl.Series([1, 2, 3, 4])), ["x"], cluster="g")
    assert "grows without end" in clustered.reason
    rng = np.random.default_rng(9)
    mixed = pl.DataFrame(
        {"start": np.zeros(30), "stop": rng.exponential(size=30), "x": rng.normal(size=30)}
    ).with_columns(adopted=pl.lit(True), y=3 * pl.col("x") + 1)
    assert "cannot be told apart" in cox_regression(mixed, ["x", "y"]).reason


def test_a_measure_that_rewiring_cannot_change_is_not_significant():
    # The mean degree in another order of summation differs in its last digit.
    rng = np.random.default_rng(10)
    edges = np.argwhere(np.triu(rng.random((30, 30)) < 0.2, 1))

    def mean_degree(e):
        return float(sum(0.1 * rng.permutation(np.bincount(e.ravel(), minlength=30))))

    found = against_null(mean_degree, edges, rng=rng, n_networks=39)
    assert found.p_value == 1.0


def test_disagreement_of_nobody_who_answered_is_undefined_and_not_zero():
    assert math.isnan(disagreement([(0, 1)], [math.nan, 1.0]))
    assert disagreement([], [math.nan, 1.0]) == 0
    assert disagreement([(0, 1), (1, 2)], [0.0, 1.0, math.nan]) == 1


def test_ties_of_no_weight_say_nothing():
    found = neighbour_correlation([(0, 1), (1, 2)], [0.5, 0.5, 1.0], weights=[1, 0])
    assert math.isnan(found)


def test_cosines_and_shares_do_not_leave_their_range_by_rounding():
    assert mean_cosine(np.full((7, 3), 0.1)) <= 1
    assert hd_d(["some", "text", "here"] * 9, draws=1) <= 1
    assert drift([[0.1, 0.2, 0.3]], [[0.2, 0.4, 0.6]])[0] == pytest.approx(0, abs=1e-12)


def test_a_single_network_has_an_interval_over_its_edges():
    edges, _, _, groups, _ = scattered(1)
    e = bootstrap(lambda t: ei_index(t, groups), edges, rng=np.random.default_rng(1))
    assert e.low < e.estimate < e.high
