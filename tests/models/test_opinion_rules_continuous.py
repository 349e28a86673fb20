"""Published and exact results of the continuous rules.

Random tests state their seeds. Tolerances of the simulated tables are three standard errors of the
number of seeds used, and never below the precision of the reference.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.errors import NetworkError
from abm.models.opinion_network import rules
from abm.models.opinion_network.rules.bounded_confidence import distinct_pairs
from abm.models.opinion_network.summaries import clusters

KARATE = nx.to_numpy_array(nx.karate_club_graph(), weight=None)
FACTION = np.array([float(nx.karate_club_graph().nodes[i]["club"] == "Mr. Hi") for i in range(34)])
FJ_WEIGHTS = np.array(
    [
        [0.220, 0.120, 0.360, 0.300],
        [0.147, 0.215, 0.344, 0.294],
        [0.0, 0.0, 1.0, 0.0],
        [0.090, 0.178, 0.446, 0.286],
    ]
)


# ------------------------------------------------------------------ DeGroot, Friedkin-Johnsen


def test_degroot_influence_of_the_three_person_example():
    weights = np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert rules.degroot_influence(weights) == pytest.approx([0.4, 0.4, 0.2], abs=1e-12)
    x = np.array([1.0, 0.0, 0.0])
    for _ in range(200):
        x = rules.degroot(x, weights)
    assert x == pytest.approx([0.4] * 3, abs=1e-12)


def test_degroot_consensus_of_the_karate_club():
    weights = rules.row_stochastic(KARATE)
    degrees = KARATE.sum(axis=1)
    expected = (degrees + 1) / (degrees + 1).sum()
    influence = rules.degroot_influence(weights)
    assert influence == pytest.approx(expected, abs=1e-12)
    assert influence @ FACTION == pytest.approx(0.515789473684, abs=1e-12)
    second = np.sort(np.abs(np.linalg.eigvals(weights)))[-2]
    assert second == pytest.approx(0.896142, abs=1e-6)


def test_degroot_error_shrinks_with_the_second_eigenvalue():
    weights = rules.row_stochastic(KARATE)
    x, errors = FACTION.copy(), []
    for _ in range(120):
        x = rules.degroot(x, weights)
        errors.append(np.abs(x - 0.5157894736842).max())
    assert errors[100] / errors[99] == pytest.approx(0.896142, abs=1e-4)


def test_friedkin_johnsen_equilibrium_as_published():
    susceptibility = 1.0 - np.diag(FJ_WEIGHTS)
    start = np.array([25.0, 25.0, 75.0, 85.0])
    expected = [60.020849, 59.983966, 75.0, 74.986205]
    limit = rules.friedkin_johnsen_limit(start, FJ_WEIGHTS, susceptibility)
    assert limit == pytest.approx(expected, abs=1e-6)
    x = start.copy()
    for _ in range(500):
        x = rules.friedkin_johnsen(x, start, FJ_WEIGHTS, susceptibility)
    assert x == pytest.approx(limit, abs=1e-10)


def test_friedkin_johnsen_without_anchors_is_degroot():
    weights = rules.row_stochastic(KARATE)
    moved = rules.friedkin_johnsen(FACTION, FACTION, weights, 1.0)
    assert np.array_equal(moved, rules.degroot(FACTION, weights))


def test_averaging_refuses_weights_that_are_no_shares():
    with pytest.raises(NetworkError, match="rows that sum to 1"):
        rules.degroot([1.0, 0.0], [[1.0, 1.0], [0.0, 1.0]])
    with pytest.raises(NetworkError, match="closed groups"):
        rules.degroot_influence(np.eye(2))
    with pytest.raises(NetworkError, match="singular"):
        rules.friedkin_johnsen_limit([0.0, 1.0], np.eye(2), 1.0)
    with pytest.raises(NetworkError, match="no neighbour"):
        rules.row_stochastic(np.zeros((2, 2)), self_loop=False)


# ------------------------------------------------------------------ Deffuant


def deffuant_slow(opinions, first, second, bound, rate):
    x = list(opinions)
    for a, b in zip(first, second, strict=True):
        if abs(x[a] - x[b]) < bound:
            old_a, old_b = x[a], x[b]
            x[a] = old_a + rate * (old_b - old_a)
            x[b] = old_b + rate * (old_a - old_b)
    return np.array(x)


def test_compiled_deffuant_is_the_written_rule_pair_by_pair():
    """Seed 3; bit for bit against a plain loop."""
    start = np.random.default_rng(3).random(20)
    fast = rules.deffuant(
        start, confidence_bound=0.4, rate=0.3, n_encounters=500, rng=np.random.default_rng(4)
    )
    first, second = distinct_pairs(20, 500, rng=np.random.default_rng(4))
    assert np.array_equal(fast, deffuant_slow(start, first, second, 0.4, 0.3))


def test_pairs_are_different_and_uniform():
    """Seed 5, 60,000 pairs of 3 people: six ordered pairs, each within 5 sd (91) of 10,000."""
    first, second = distinct_pairs(3, 60_000, rng=np.random.default_rng(5))
    counts = np.bincount(3 * first + second, minlength=9)
    assert counts[[0, 4, 8]].tolist() == [0, 0, 0]
    assert np.abs(counts[[1, 2, 3, 5, 6, 7]] - 10_000).max() < 5 * 91.3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.01, 0.5))
def test_deffuant_conserves_the_mean_and_never_widens(seed, bound, rate):
    rng = np.random.default_rng(seed)
    start = rng.random(30)
    x = rules.deffuant(start, confidence_bound=bound, rate=rate, n_encounters=300, rng=rng)
    assert x.mean() == pytest.approx(start.mean(), abs=1e-12)
    assert x.min() >= start.min() - 1e-15
    assert x.max() <= start.max() + 1e-15
    assert x.var() <= start.var() + 1e-15


def test_confidence_bound_zero_freezes():
    start = np.random.default_rng(6).random(50)
    x = rules.deffuant(
        start, confidence_bound=0.0, rate=0.5, n_encounters=500, rng=np.random.default_rng(7)
    )
    assert np.array_equal(x, start)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "sweeps", "majors", "any_size", "single", "largest"),
    [
        (0.10, 3000, 4.33, 6.07, 0.0, 0.289),
        (0.20, 1500, 2.00, 3.43, 0.0, 0.566),
        (0.30, 1500, 1.00, 2.27, 0.20, 0.994),
        (0.50, 1500, 1.00, 1.00, 1.00, 1.000),
    ],
)
def test_deffuant_clusters_as_tabulated(bound, sweeps, majors, any_size, single, largest):
    """Seeds 0-14, N = 1000, rate 0.5. Tolerances: 3 standard errors of 15 runs against 30."""
    rows = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        x = rules.deffuant(
            rng.random(1000), confidence_bound=bound, rate=0.5, n_encounters=1000 * sweeps, rng=rng
        )
        sizes = clusters(x, gap=0.02)
        rows.append(((sizes >= 50).sum(), sizes.size, sizes.size == 1, sizes.max() / 1000))
    found = np.mean(rows, axis=0)
    assert found[0] == pytest.approx(majors, abs=0.45)
    assert found[1] == pytest.approx(any_size, abs=0.9)
    assert found[2] == pytest.approx(single, abs=0.4)
    assert found[3] == pytest.approx(largest, abs=0.04)


def test_the_speed_of_compromise_does_not_change_the_number_of_major_clusters():
    """Seeds 0-4, bound 0.2: two major clusters at rate 0.5 and at rate 0.1 (5 times as long)."""
    for rate, sweeps in ((0.5, 1000), (0.1, 5000)):
        majors = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            x = rules.deffuant(
                rng.random(500),
                confidence_bound=0.2,
                rate=rate,
                n_encounters=500 * sweeps,
                rng=rng,
            )
            majors.append((clusters(x) >= 25).sum())
        assert np.mean(majors) == pytest.approx(2.0, abs=0.41)


# ------------------------------------------------------------------ Hegselmann-Krause


def hegselmann_krause_slow(x, bound):
    return np.array([x[np.abs(x - own) <= bound].mean() for own in x])


def settled(x, bound, limit=2000):
    """Iterate to rest; returns opinions and the number of steps."""
    for step in range(limit):
        new = rules.hegselmann_krause(x, bound)
        if np.abs(new - x).max() < 1e-12:
            return new, step
        x = new
    raise AssertionError(f"not at rest after {limit} steps")


def test_sorted_hegselmann_krause_is_the_written_rule():
    x = np.random.default_rng(8).random(200)
    assert rules.hegselmann_krause(x, 0.15) == pytest.approx(
        hegselmann_krause_slow(x, 0.15), abs=1e-12
    )


@pytest.mark.parametrize(("bound", "number"), [(0.1, 5), (0.2, 1)])
def test_evenly_spaced_opinions_settle_in_the_known_number_of_clusters(bound, number):
    x, _ = settled(np.arange(1, 1002) / 1002, bound)
    sizes = clusters(x, gap=1e-6)
    assert sizes.size == number
    centres = np.sort(x)[np.cumsum(sizes) - 1]
    assert (np.diff(centres) > bound).all()


def test_hegselmann_krause_never_swaps_ranks():
    x = np.sort(np.random.default_rng(9).random(300))
    for _ in range(10):
        x = rules.hegselmann_krause(x, 0.12)
        assert (np.diff(x) >= -1e-15).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "consensus"), [(0.18, 0.0), (0.20, 0.10), (0.22, 0.68), (0.25, 0.98), (0.30, 1.0)]
)
def test_hegselmann_krause_consensus_as_tabulated(bound, consensus):
    """Seeds 0-39, N = 1000. Tolerance: 3 standard errors of a share of 40 against 50 runs."""
    found = []
    for seed in range(40):
        x, _ = settled(np.random.default_rng(seed).random(1000), bound)
        found.append(clusters(x, gap=1e-6).size == 1)
    tolerance = 3 * np.sqrt(max(consensus * (1 - consensus), 0.02) * (1 / 40 + 1 / 50))
    assert np.mean(found) == pytest.approx(consensus, abs=tolerance)


@pytest.mark.slow
def test_hegselmann_krause_mean_number_of_clusters_at_a_bound_of_a_tenth():
    """Seeds 0-29, N = 1000; reference 3.80 of 50 runs, sd about 0.6."""
    found = [
        clusters(settled(np.random.default_rng(seed).random(1000), 0.1)[0], gap=1e-6).size
        for seed in range(30)
    ]
    assert np.mean(found) == pytest.approx(3.80, abs=3 * 0.6 * np.sqrt(1 / 30 + 1 / 50))


# ------------------------------------------------------------------ biased assimilation


def two_islands(n, homophily):
    """Weights of two groups of n: each gives `homophily` to the own group for 1 to the other."""
    own = np.kron(np.eye(2), np.ones((n, n)) - np.eye(n)) * homophily / (n - 1)
    other = np.kron(np.ones((2, 2)) - np.eye(2), np.ones((n, n))) / n
    return (own + other) / (homophily + 1.0)


@pytest.mark.parametrize("bias", [0.2, 0.6, 0.8, 1.0, 1.5])
def test_two_islands_polarise_disagree_or_agree_as_bias_says(bias):
    """Homophily 3: consensus up to b = 1/2, disagreement up to b = 1, polarisation from there.

    The theorem is about mirror images. They are restored after every step, because a common shift
    grows from rounding errors when b > 0.
    """
    weights = two_islands(4, 3.0)
    x = np.repeat([0.6, 0.4], 4)
    for _ in range(5_000):
        x = rules.biased_assimilation(x, weights, bias, self_weight=0.1)
        x[4:] = 1.0 - x[:4]
    expected = rules.two_island_limit(bias, 3.0)
    assert x[0] == pytest.approx(expected, abs=2e-4)
    assert x[-1] == pytest.approx(1.0 - expected, abs=2e-4)


def test_the_threshold_of_disagreement_is_two_over_homophily_plus_one():
    assert rules.two_island_limit(0.5, 3.0) == 0.5
    assert 0.5 < rules.two_island_limit(0.5001, 3.0) < 0.52
    assert 0.99 < rules.two_island_limit(0.9, 3.0) < 1.0


def test_unbiased_assimilation_is_averaging():
    x = np.random.default_rng(10).random(8)
    weights = two_islands(4, 3.0)
    averaged = rules.averaged(x, weights @ x, 0.25)
    assert rules.biased_assimilation(x, weights, 0.0, 1.0 / 3.0) == pytest.approx(averaged)
