"""Degrees and clustering of random networks follow their theory and agree with NetworkX's own."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from abm.networks import (
    barabasi_albert,
    configuration,
    erdos_renyi,
    random_regular,
    stochastic_block,
    watts_strogatz,
)


def seeded(seed):
    return np.random.default_rng(seed)


def chi_square(values, probability, least=10):
    """p value of counts of integers against a probability function; thin cells are joined."""
    n, top = len(values), int(max(values)) + 1
    expected = n * np.array([probability(k) for k in range(top)])
    counts = np.bincount(values, minlength=top)
    thick = expected >= least
    seen = np.append(counts[thick], counts[~thick].sum())
    wanted = np.append(expected[thick], n - expected[thick].sum())
    statistic = ((seen - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    return stats.chi2.sf(statistic, thick.sum())


def test_erdos_renyi_degrees_are_binomial_and_clustering_is_p():
    """n = 20,000, mean degree 10, seed 1: fails 1 time in 1,000. Clustering: n = 1,000, p = 0.05;
    about 21,000 closed triples, so that 3 % is four standard deviations."""
    degrees = erdos_renyi(20_000, 10 / 19_999, rng=seeded(1)).degree
    assert chi_square(degrees, stats.binom(19_999, 10 / 19_999).pmf) > 0.001
    graph = erdos_renyi(1000, 0.05, rng=seeded(2)).to_networkx()
    assert nx.transitivity(graph) == pytest.approx(0.05, rel=0.03)


def test_watts_strogatz_degrees_follow_barrat_and_weigt():
    """Barrat & Weigt (2000), eq. 5: k/2 own ties stay at their start; of the k/2 that point to a
    node on the ring each stays with probability 1 - p, and Poisson(p k/2) rewired ones arrive.
    n = 30,000, seed 3. Degrees are nearly independent; fails about 1 time in 1,000."""
    half, p = 4, 0.4
    degrees = watts_strogatz(30_000, 2 * half, p, rng=seeded(3)).degree
    kept = stats.binom(half, 1 - p).pmf(np.arange(half + 1))
    come = stats.poisson(p * half)

    def probability(k):
        return sum(kept[a] * come.pmf(k - half - a) for a in range(half + 1))

    assert chi_square(degrees, probability) > 0.001


@pytest.mark.parametrize("p", [0.0, 0.05, 0.2, 0.5])
def test_clustering_of_small_worlds_falls_as_the_third_power(p):
    """C(p) = 3 (k - 2) / (4 (k - 1)) (1 - p)**3 up to O(1/n), for the share of closed triples;
    Barrat & Weigt (2000). n = 4,000, k = 10, seed 4; tolerance 0.012."""
    found = nx.transitivity(watts_strogatz(4000, 10, p, rng=seeded(4)).to_networkx())
    # Their mean number of connected triples per node is that of equal degrees, k (k - 1) / 2; the
    # variance of the degrees, p (2 - p) k / 2, adds half of itself.
    spread = p * (2 - p) * 5
    assert found == pytest.approx(3 * 8 / (4 * 9) * (1 - p) ** 3 / (1 + spread / 90), abs=0.012)


def test_small_worlds_have_networkx_s_degrees_and_clustering():
    """40 small dense networks of each, where blocking ties matter; n = 12, k = 8, p = 0.6, seed 5;
    four standard errors of the difference."""
    ours = [watts_strogatz(12, 8, 0.6, rng=seeded([5, i])) for i in range(200)]
    theirs = [nx.watts_strogatz_graph(12, 8, 0.6, seed=i) for i in range(200)]
    for measure in (
        lambda graph: np.var([d for _, d in graph.degree]),
        nx.average_clustering,
        lambda graph: float(graph.has_edge(0, 1)) + graph.has_edge(3, 7),
    ):
        a, b = [measure(net.to_networkx()) for net in ours], [measure(g) for g in theirs]
        error = np.sqrt((np.var(a) + np.var(b)) / 200)
        assert abs(np.mean(a) - np.mean(b)) < 4 * error


def test_barabasi_albert_grows_like_networkx_s():
    """Means over 40 networks of n = 400, m = 3: third of ties at the top tenth of nodes, largest
    degree; seed 6; four standard errors of the difference."""

    def top(degrees):
        return np.sort(degrees)[-40:].sum() / np.sum(degrees), np.max(degrees)

    ours = np.array([top(barabasi_albert(400, 3, rng=seeded([6, i])).degree) for i in range(40)])
    theirs = np.array(
        [top([d for _, d in nx.barabasi_albert_graph(400, 3, seed=i).degree]) for i in range(40)]
    )
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 40)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error).all()


def test_clustering_of_a_configuration_network_is_what_its_degrees_say():
    """C = (<k^2> - <k>)^2 / (n <k>^3) (Newman 2003, eq. 47). Degrees 2 to 12, n = 3,000, mean over
    5 networks, seed 7; about 130 triangles each, so 20 % is four standard errors."""
    degrees = seeded(7).integers(2, 13, 3000)
    degrees[0] += degrees.sum() % 2
    made = [configuration(degrees, rng=seeded([8, i])) for i in range(5)]
    first, second = degrees.mean(), (degrees**2.0).mean()
    expected = (second - first) ** 2 / (3000 * first**3)
    found = np.mean([nx.transitivity(net.to_networkx()) for net in made])
    assert found == pytest.approx(expected, rel=0.2)


def test_dense_regular_networks_are_spread_over_all_there_are():
    """Six nodes of degree 3: 70 labelled cubic graphs, 60 complements of two hexagons' kind
    (connected prism: 60) and 10 complete bipartite ones; 3,500 draws, seed 9."""
    seen: dict[str, int] = {}
    for i in range(3500):
        name = str(random_regular(6, 3, rng=seeded([9, i])).edges().tolist())
        seen[name] = seen.get(name, 0) + 1
    assert len(seen) == 70
    share = sum(v for k, v in seen.items() if nx.is_bipartite(nx.Graph(eval(k)))) / 3500
    assert share == pytest.approx(1 / 7, abs=4 * np.sqrt(6 / 49 / 3500))


def test_members_of_a_block_have_binomial_ties_in_each_direction():
    """Directed, two groups of 4,000, ties from the first to the second; seed 10; 1 in 1,000."""
    net = stochastic_block(
        [4000, 4000], [[0.0, 0.002], [0.0005, 0.001]], directed=True, rng=seeded(10)
    )
    assert chi_square(net.degree[:4000], stats.binom(4000, 0.002).pmf) > 0.001
    from_first = [(net.in_neighbours(i) < 4000).sum() for i in range(4000, 8000)]
    assert chi_square(np.array(from_first), stats.binom(4000, 0.002).pmf) > 0.001
