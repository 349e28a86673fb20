"""Random networks have the counts and distributions of their definitions."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import polars as pl
import pytest
from scipy import stats

from abm.errors import NetworkError
from abm.networks import (
    Network,
    barabasi_albert,
    complete,
    configuration,
    erdos_renyi,
    homophilous,
    random_regular,
    stochastic_block,
    watts_strogatz,
)


def seeded(seed):
    return np.random.default_rng(seed)


FAMILIES = {
    "erdos_renyi": lambda rng: erdos_renyi(300, 0.03, rng=rng),
    "directed": lambda rng: erdos_renyi(300, 0.03, directed=True, rng=rng),
    "watts_strogatz": lambda rng: watts_strogatz(300, 6, 0.3, rng=rng),
    "barabasi_albert": lambda rng: barabasi_albert(300, 4, rng=rng),
    "stochastic_block": lambda rng: stochastic_block(
        [100, 200], [[0.1, 0.01], [0.01, 0.05]], rng=rng
    ),
    "directed_blocks": lambda rng: stochastic_block(
        [100, 200], [[0.1, 0.01], [0.02, 0.05]], directed=True, rng=rng
    ),
    "regular": lambda rng: random_regular(300, 5, rng=rng),
    "homophilous": lambda rng: homophilous(rng.normal(size=(300, 3)), 7, 2.0, rng=rng),
    "complete": lambda _: complete(40),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_generator_makes_a_sound_network_and_equal_seeds_make_equal_ones(family):
    make = FAMILIES[family]
    network = make(seeded(1))
    # The constructor checks order, range, loops, repeats and symmetry.
    Network(network.n, network.indptr, network.indices, directed=network.directed)
    assert make(seeded(1)) == network
    if family != "complete":
        assert make(seeded(2)) != network


def test_the_ties_of_an_erdos_renyi_network_are_binomial():
    """Seed 3; 200 networks; the chi-square of the counts may fail 1 time in 1,000."""
    counts = [erdos_renyi(40, 0.1, rng=seeded([3, i])).n_edges for i in range(200)]
    pairs = 40 * 39 // 2
    z = (np.array(counts) - pairs * 0.1) / np.sqrt(pairs * 0.09)
    assert stats.chi2.ppf(0.0005, 200) < (z**2).sum() < stats.chi2.ppf(0.9995, 200)
    assert abs(z.mean()) < 3.3 / np.sqrt(200)


def test_every_pair_of_an_erdos_renyi_network_is_equally_likely():
    """Seed 4; 3,000 networks of 7 nodes; all 21 pairs; fails 1 time in 1,000."""
    for directed, pairs in ((False, 21), (True, 42)):
        times = np.zeros((7, 7))
        for i in range(3000):
            edges = erdos_renyi(7, 0.4, directed=directed, rng=seeded([4, i])).edges()
            times[edges[:, 0], edges[:, 1]] += 1
        seen = times[times > 0]
        assert seen.size == pairs
        statistic = ((seen - 1200) ** 2 / (3000 * 0.4 * 0.6)).sum()
        assert statistic < stats.chi2.ppf(0.999, pairs)


def test_probability_one_ties_everybody_and_zero_nobody():
    assert erdos_renyi(30, 1.0, rng=seeded(1)) == complete(30)
    assert erdos_renyi(30, 1.0, directed=True, rng=seeded(1)).n_edges == 30 * 29
    assert erdos_renyi(30, 0.0, rng=seeded(1)).n_edges == 0
    assert erdos_renyi(1, 0.5, rng=seeded(1)).n_edges == 0
    assert erdos_renyi(0, 0.5, rng=seeded(1)).n == 0


def test_a_large_sparse_network_costs_its_ties_and_not_its_pairs():
    network = erdos_renyi(1_000_000, 2e-7, rng=seeded(5))
    assert abs(network.n_edges - 1e5) < 5 * np.sqrt(1e5)


def test_a_ring_without_rewiring_is_networkx_s_ring():
    ours = watts_strogatz(20, 6, 0.0, rng=seeded(1))
    assert ours == Network.from_networkx(nx.watts_strogatz_graph(20, 6, 0.0))


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_rewiring_keeps_the_number_of_ties_and_moves_a_share_p(p):
    """Seed 6. A rewired tie may fall on a free place of the ring: about k / n of them."""
    n, k = 2000, 10
    network = watts_strogatz(n, k, p, rng=seeded(6))
    ends = network.edges()
    gap = ends[:, 1] - ends[:, 0]
    long = (np.minimum(gap, n - gap) > k // 2).mean()
    assert network.n_edges == n * k // 2
    assert network.degree.min() >= k // 2 * (p < 1)
    assert long == pytest.approx(
        p * (1 - k / n), abs=4 * np.sqrt(p * (1 - p) / (n * k / 2)) + 0.003
    )


def test_a_little_rewiring_shortens_paths_and_keeps_clustering():
    """Watts & Strogatz (1998), figure 2, n = 1000, k = 10: at p = 0.01 the mean path is far below
    that of the ring (50.45) and clustering is close to the ring's 2/3."""
    graph = watts_strogatz(1000, 10, 0.01, rng=seeded(7)).to_networkx()
    rng = seeded(8)
    lengths = [
        np.mean(list(nx.single_source_shortest_path_length(graph, int(s)).values()))
        for s in rng.integers(0, 1000, 40)
    ]
    assert np.mean(lengths) < 0.35 * 50.45
    assert nx.average_clustering(graph) > 0.9 * 2 / 3


def test_dense_rings_can_be_rewired_too():
    assert watts_strogatz(7, 6, 1.0, rng=seeded(1)) == complete(7)
    assert watts_strogatz(9, 6, 0.7, rng=seeded(1)).n_edges == 27


def test_friends_have_more_friends_in_a_barabasi_albert_network():
    """Reference: N = 1000, m = 3, 20 seeds: 89 % of nodes have friends with more friends on
    average, and the mean neighbour degree is about 2.6 times the mean degree."""
    share, ratio = [], []
    for seed in range(20):
        network = barabasi_albert(1000, 3, rng=seeded([9, seed]))
        degree = network.degree
        friends = network.average(degree)
        share.append((friends > degree).mean())
        ratio.append(friends.mean() / degree.mean())
    assert np.mean(share) == pytest.approx(0.89, abs=0.015)
    assert np.mean(ratio) == pytest.approx(2.6, abs=0.2)


def test_barabasi_albert_degrees_follow_their_exact_limit():
    """P(k) = 2 m (m + 1) / (k (k + 1) (k + 2)), Bollobas et al. (2001); n = 50,000, seed 10."""
    m, n = 3, 50_000
    network = barabasi_albert(n, m, rng=seeded(10))
    assert network.n_edges == m * (n - m)
    assert network.degree.min() == m
    for k in range(m, 12):
        limit = 2 * m * (m + 1) / (k * (k + 1) * (k + 2))
        assert (network.degree == k).mean() == pytest.approx(
            limit, abs=4 * np.sqrt(limit / n) + 1e-3
        )


WITHOUT_NUMBA = """
import sys
import numpy as np
from abm.kernels import tools
tools.has_numba = lambda: False
from abm.networks import barabasi_albert, configuration, homophilous, watts_strogatz
rng = np.random.default_rng(33)
for network in (
    barabasi_albert(300, 4, rng=rng),
    watts_strogatz(300, 6, 0.4, rng=rng),
    watts_strogatz(9, 8, 0.9, rng=rng),
    configuration([30] + [2] * 140, rng=rng),
    configuration([7] * 10, rng=rng),
    homophilous(rng.normal(size=(300, 2)), 9, 2.0, pool=80, rng=rng),
    homophilous(rng.normal(size=30), 20, 30.0, rng=rng),
):
    print(network.indices.tolist(), network.indptr.tolist())
assert "numba" not in sys.modules or "--compiled" in sys.argv
"""


def test_interpreted_and_compiled_generators_make_the_same_networks():
    compiled = WITHOUT_NUMBA.replace("tools.has_numba = lambda: False", "")
    interpreted, fast = (
        subprocess.run(
            [sys.executable, "-c", code, "--compiled"[: 99 * (code is compiled)]],
            capture_output=True, text=True, check=True,
        ).stdout
        for code in (WITHOUT_NUMBA, compiled)
    )  # fmt: skip
    assert interpreted == fast
    assert interpreted.count("\n") == 7


def test_blocks_have_their_own_densities():
    """Seed 11; each block's count within 4 standard deviations of its binomial."""
    sizes, p = [300, 500], np.array([[0.05, 0.01], [0.01, 0.02]])
    network = stochastic_block(sizes, p, rng=seeded(11))
    group = np.repeat([0, 1], sizes)
    ends = group[network.edges()]
    pairs = {(0, 0): 300 * 299 / 2, (0, 1): 300 * 500, (1, 1): 500 * 499 / 2}
    for (a, b), total in pairs.items():
        count = int((np.sort(ends, axis=1) == (a, b)).all(axis=1).sum())
        assert abs(count - total * p[a, b]) < 4 * np.sqrt(total * p[a, b])


def test_configuration_has_exactly_its_degrees():
    """Heavy tails, regular, dense, and the star; seed 12."""
    rng = seeded(12)
    tail = np.minimum(rng.zipf(2.2, 2000), 60)
    tail[0] += tail.sum() % 2
    for degrees in (tail, np.full(50, 3), np.full(8, 7), [5, 1, 1, 1, 1, 1], [3, 3, 3, 3], [0, 0]):
        assert configuration(degrees, rng=rng).degree.tolist() == list(degrees)


def test_a_matching_is_uniform_over_the_simple_networks():
    """Six nodes of degree 1: 15 matchings, 6,000 draws, seed 13; fails 1 time in 1,000."""
    rng = seeded(13)
    seen: dict[str, int] = {}
    for _ in range(6000):
        name = str(configuration([1] * 6, rng=rng).edges().tolist())
        seen[name] = seen.get(name, 0) + 1
    assert len(seen) == 15
    assert stats.chisquare(list(seen.values())).pvalue > 0.001


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: erdos_renyi(10, 1.5, rng=r), "p = 1.5"),
        (lambda r: erdos_renyi(-1, 0.5, rng=r), "n = -1"),
        (lambda r: watts_strogatz(10, 3, 0.1, rng=r), "even"),
        (lambda r: watts_strogatz(10, 10, 0.1, rng=r), "k = 10"),
        (lambda r: barabasi_albert(3, 3, rng=r), "m = 3"),
        (lambda r: stochastic_block([2, 2], [[1]], rng=r), "shape"),
        (lambda r: stochastic_block([2, 2], [[1, 0.5], [0, 1]], rng=r), "symmetric"),
        (lambda r: random_regular(5, 3, rng=r), "even"),
        (lambda r: configuration([1, 2], rng=r), "fit no|expected one number"),
        (lambda r: configuration([3, 3, 1, 1], rng=r), "fit no"),
        (lambda r: configuration([1.5, 1.5], rng=r), r"no whole numbers, first degrees\[\[0\]"),
        (lambda r: configuration([1, np.nan], rng=r), r"degrees\[\[1\]\] = \[nan\]"),
        (lambda r: erdos_renyi(10, "a", rng=r), "p: .*'a', expected numbers"),
        (lambda r: erdos_renyi(10.0, 0.5, rng=r), "n = 10.0, expected a whole number"),
        (lambda r: stochastic_block([2, 2], [[1], [1, 0]], rng=r), "probabilities: .*numbers"),
        (lambda r: homophilous([1.0, 2.0], np.nan, 1.0, rng=r), "mean_degree = nan"),
        (lambda r: homophilous([1.0, 2.0], 2, 1.0, rng=r), "mean_degree = 2"),
        (lambda r: homophilous([1.0, np.nan, 2.0], 1, 1.0, rng=r), r"row \[1\]"),
        (lambda r: homophilous(["a", None, "b"], 1, 1.0, rng=r), r"row \[1\]"),
        (lambda r: homophilous([1.0, 2.0, 3.0], 1, -1.0, rng=r), "homophily = -1"),
        (lambda r: homophilous(np.arange(90.0), 10, 1.0, pool=5, rng=r), "pool = 5"),
        (lambda r: homophilous({"a": [1.0], "b": [1.0, 2.0]}, 1, 1.0, rng=r), "lengths"),
    ],
)
def test_impossible_networks_are_refused_with_the_reason(make, message):
    with pytest.raises(NetworkError, match=message):
        make(seeded(1))


@pytest.mark.parametrize("homophily", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("mean_degree", [3, 8, 8.5])
def test_a_homophilous_network_has_its_mean_degree_and_leaves_nobody_alone(homophily, mean_degree):
    n = 400
    features = seeded(14).normal(size=(n, 2))
    network = homophilous(features, mean_degree, homophily, rng=seeded(15))
    assert network.n_edges == round(n * mean_degree / 2)
    assert network.degree.min() >= mean_degree // 2 >= 1


def test_the_odds_of_choosing_a_like_person_are_exp_homophily():
    """Two equal groups, one choice each: P(like) = e^h / (e^h + 1) for large n; n = 3,000, seed 16.

    Five choices of thousands leave the shares as they are; 4 standard deviations.
    """
    group = np.repeat(["a", "b"], 1500)
    for homophily in (0.0, 0.5, 2.0):
        ends = homophilous(group, 10, homophily, rng=seeded(16), pool=3000).edges()
        like = (group[ends[:, 0]] == group[ends[:, 1]]).mean()
        expected = np.exp(homophily) / (np.exp(homophily) + 1)
        assert like == pytest.approx(expected, abs=4 * np.sqrt(0.25 / len(ends)))


def test_homophily_grows_with_its_strength_and_vanishes_at_zero():
    """Assortativity by one opinion, n = 1500, mean degree 8, seed 17."""
    opinion = seeded(17).normal(size=1500)
    found = []
    for homophily in (0.0, 0.5, 1.0, 2.0, 4.0):
        ends = homophilous(opinion, 8, homophily, rng=seeded(18)).edges()
        both = np.concatenate([ends, ends[:, ::-1]])
        found.append(np.corrcoef(opinion[both].T)[0, 1])
    assert abs(found[0]) < 4 / np.sqrt(2 * 6000)
    assert found == sorted(found)
    assert found[-1] > 0.8


def test_features_of_any_scale_and_kind_weigh_the_same():
    """A feature in other units is the same feature. Categories may be texts or truth values."""
    rng = seeded(19)
    age, vote = rng.normal(50, 15, 300), rng.random(300) < 0.4
    frame = pl.DataFrame({"age": age, "vote": vote})
    base = homophilous({"age": age, "vote": vote}, 6, 2.0, rng=seeded(20))
    assert homophilous(frame, 6, 2.0, rng=seeded(20)) == base
    texts = {"age": age, "vote": np.where(vote, "yes", "no")}
    assert homophilous(texts, 6, 2.0, rng=seeded(20)) == base
    days = homophilous({"age": age * 365.25, "vote": vote}, 6, 2.0, rng=seeded(20))
    same = set(map(tuple, days.edges().tolist())) & set(map(tuple, base.edges().tolist()))
    assert len(same) > 0.99 * base.n_edges


def test_a_pool_makes_everybody_meet_some_with_equal_chances():
    """Without homophily a pool of 30 of 500 leaves all pairs equally likely; 40 networks, seed 21:
    the degrees of a node summed over networks vary as without a pool."""
    total = np.zeros(500)
    for i in range(40):
        total += homophilous(np.zeros(500), 6, 0.0, pool=30, rng=seeded([21, i])).degree
    z = (total - 240) / np.sqrt(40 * 3)  # the three ties one chooses oneself do not vary
    assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / 500)
