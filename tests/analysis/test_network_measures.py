"""Measures of networks: NetworkX and dense algebra as slow references, published constants."""

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.analysis.controversy import random_walk_controversy
from abm.analysis.networks import (
    assortativity,
    disagreement,
    ei_index,
    homophily_slope,
    mixing_matrix,
    modularity,
    neighbour_correlation,
    neighbour_mean,
)
from abm.analysis.paradox import friendship_paradox
from abm.errors import AnalysisError


@pytest.fixture(scope="module")
def karate():
    graph = nx.karate_club_graph()
    clubs = np.array([graph.nodes[node]["club"] for node in graph])
    return graph, np.array(graph.edges), clubs


def random_graph(seed, n=30, p=0.15):
    graph = nx.gnp_random_graph(n, p, seed=seed)
    rng = np.random.default_rng(seed)
    return graph, np.array(graph.edges).reshape(-1, 2), rng


def test_the_karate_club_has_its_known_constants(karate):
    _, edges, clubs = karate
    assert (len(clubs), len(edges)) == (34, 78)
    assert assortativity(edges, clubs) == pytest.approx(0.717531, abs=5e-7)
    assert modularity(edges, clubs) == pytest.approx(0.358235, abs=5e-7)
    assert ei_index(edges, clubs) == pytest.approx(-0.717949, abs=5e-7)
    assert disagreement(edges, np.where(clubs == "Mr. Hi", 1, -1)) == 44


def test_the_florentine_families_agree_with_networkx():
    graph = nx.convert_node_labels_to_integers(nx.florentine_families_graph())
    edges = np.array(graph.edges)
    groups = np.arange(len(graph)) % 3
    sides = [set(np.flatnonzero(groups == g)) for g in range(3)]
    assert (len(graph), len(edges)) == (15, 20)
    assert modularity(edges, groups) == pytest.approx(nx.community.modularity(graph, sides))
    degree = np.array([d for _, d in graph.degree])
    assert neighbour_correlation(edges, degree) == pytest.approx(-0.374838, abs=5e-7)
    assert (degree.max(), nx.florentine_families_graph().degree["Medici"]) == (6, 6)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_vectorised_measures_equal_networkx_on_random_weighted_graphs(seed):
    graph, edges, rng = random_graph(seed)
    if len(edges) == 0:
        return
    groups, weights = rng.integers(0, 3, 30), rng.random(len(edges)) + 0.1
    values = rng.integers(0, 5, 30)
    for (a, b), w in zip(edges, weights, strict=True):
        graph.edges[a, b]["weight"] = w
    nx.set_node_attributes(graph, dict(enumerate(groups.tolist())), "group")
    nx.set_node_attributes(graph, dict(enumerate(values.tolist())), "value")
    parts = [set(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)]
    assert modularity(edges, groups, weights=weights) == pytest.approx(
        nx.community.modularity(graph, parts, weight="weight")
    )
    assert assortativity(edges, groups) == pytest.approx(
        nx.attribute_assortativity_coefficient(graph, "group")
    )
    assert neighbour_correlation(edges, values) == pytest.approx(
        nx.numeric_assortativity_coefficient(graph, "value")
    )
    laplacian = nx.laplacian_matrix(graph, weight="weight").toarray()
    assert disagreement(edges, values, weights=weights) == pytest.approx(
        values @ laplacian @ values
    )


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_network_measures_do_not_change_when_nodes_are_renumbered(seed):
    _, edges, rng = random_graph(seed)
    groups, values, new = rng.integers(0, 2, 30), rng.random(30), rng.permutation(30)
    moved = new[edges]
    groups_moved, values_moved = np.empty(30, int), np.empty(30)
    groups_moved[new], values_moved[new] = groups, values
    for measure in (assortativity, modularity, ei_index):
        one, other = measure(edges, groups), measure(moved, groups_moved)
        assert one == pytest.approx(other, nan_ok=True)
    for measure in (disagreement, neighbour_correlation, homophily_slope):
        one, other = measure(edges, values), measure(moved, values_moved)
        assert one == pytest.approx(other, nan_ok=True, abs=1e-9)
    if len(np.unique(groups)) == 2:
        one = random_walk_controversy(edges, groups, n_hubs=3).score
        other = random_walk_controversy(moved, groups_moved, n_hubs=3).score
        assert one == pytest.approx(other, nan_ok=True, abs=1e-9)


def test_measures_without_edges_are_undefined():
    none = np.empty((0, 2))
    for measure in (assortativity, modularity, ei_index):
        assert math.isnan(measure(none, [0, 1]))
    assert math.isnan(neighbour_correlation(none, [0.0, 1.0]))
    assert math.isnan(homophily_slope(none, [0.0, 1.0]))
    assert np.isnan(neighbour_mean(none, [0.0, 1.0])).all()
    assert np.isnan(mixing_matrix(none, [0, 1])).all()
    assert math.isnan(friendship_paradox(none, n=3).share)
    assert math.isnan(assortativity([(0, 1)], [0, 0]))


def test_edges_of_unknown_nodes_are_refused():
    with pytest.raises(AnalysisError, match="0 to 1"):
        ei_index([(0, 5)], [0, 1])


def test_the_mean_of_neighbours_is_weighted_and_leaves_out_the_undefined():
    means = neighbour_mean([(0, 1), (0, 2), (2, 3)], [0.0, 1.0, 4.0, math.nan], weights=[3, 1, 1])
    assert means == pytest.approx([(3 * 1 + 4) / 4, 0.0, 0.0, 4.0])


def test_a_two_sided_echo_chamber_has_homophily_slope_one_and_a_bipartite_one_minus_one():
    x = [0.0, 0.0, 1.0, 1.0]
    assert homophily_slope([(0, 1), (2, 3)], x) == pytest.approx(1)
    assert homophily_slope([(0, 2), (1, 3)], x) == pytest.approx(-1)


def test_barabasi_albert_networks_show_the_friendship_paradox():
    # 20 seeds: 89 % of nodes have friends with more friends; neighbour over mean degree about 2.6.
    found = [
        friendship_paradox(np.array(nx.barabasi_albert_graph(1000, 3, seed=s).edges))
        for s in range(20)
    ]
    assert np.mean([f.share for f in found]) == pytest.approx(0.89, abs=0.01)
    assert np.mean([f.ratio for f in found]) == pytest.approx(2.6, abs=0.15)


def test_nobody_in_a_regular_network_has_friends_with_more_friends():
    edges = np.array(nx.random_regular_graph(4, 50, seed=1).edges)
    found = friendship_paradox(edges)
    assert found.share == 0
    assert found.ratio == pytest.approx(1)


def test_the_generalised_paradox_vanishes_for_a_value_that_ignores_degree():
    # Seed 5, 20 shuffles: the ratio of means is 1 in expectation.
    rng = np.random.default_rng(5)
    edges = np.array(nx.barabasi_albert_graph(1000, 3, seed=1).edges)
    ratios = [friendship_paradox(edges, rng.random(1000)).ratio for _ in range(20)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


def slow_controversy(graph, sides, n_hubs):
    """Dense absorbing Markov chain: one step, then (I - Q)^-1 R."""
    n = len(graph)
    adjacency = nx.to_numpy_array(graph, nodelist=range(n))
    degree = adjacency.sum(axis=1)
    step = adjacency / degree[:, None]
    hubs = []
    for side in (0, 1):
        nodes = [i for i in range(n) if sides[i] == side]
        cut = sorted((degree[i] for i in nodes), reverse=True)[: min(n_hubs, len(nodes))][-1]
        hubs.append([i for i in nodes if degree[i] >= cut])
    absorbing = np.isin(np.arange(n), hubs[0] + hubs[1])
    reached = np.zeros((n, 2))
    for side in (0, 1):
        reached[hubs[side], side] = 1
    free = ~absorbing
    q, r = step[free][:, free], step[free] @ reached
    reached[free] = np.linalg.solve(np.eye(free.sum()) - q, r)
    ends = step @ reached
    given_start = np.stack([ends[np.array(sides) == side].mean(axis=0) for side in (0, 1)])
    p = given_start / given_start.sum(axis=0)
    return p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0]


def test_controversy_of_the_karate_club_is_that_of_the_dense_absorbing_chain(karate):
    graph, edges, clubs = karate
    plain = nx.Graph(list(graph.edges))
    for n_hubs in (1, 2, 5, 30):
        sides = (clubs != "Mr. Hi").astype(int)
        found = random_walk_controversy(edges, sides, n_hubs=n_hubs)
        assert found.score == pytest.approx(slow_controversy(plain, sides, n_hubs), abs=1e-10)


def test_controversy_is_that_of_many_random_walks():
    # Seed 6, 40,000 walks; standard error of the score about 0.005.
    graph = nx.random_partition_graph([20, 25], 0.25, 0.03, seed=3)
    graph = nx.convert_node_labels_to_integers(graph.subgraph(max(nx.connected_components(graph))))
    n = len(graph)
    sides = np.array([graph.nodes[i]["block"] for i in range(n)])
    found = random_walk_controversy(np.array(graph.edges), sides, n_hubs=3)
    hubs = {int(h): side for side in (0, 1) for h in found.hubs[side]}
    rng = np.random.default_rng(6)
    neighbours = [list(graph[i]) for i in range(n)]
    ended = np.zeros((2, 2))
    for start_side in (0, 1):
        starts = rng.choice(np.flatnonzero(sides == start_side), 20_000)
        for node in starts:
            here = int(node)
            while True:
                here = neighbours[here][int(rng.random() * len(neighbours[here]))]
                if here in hubs:
                    break
            ended[start_side, hubs[here]] += 1
    p = ended / ended.sum(axis=0)
    walked = p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0]
    assert found.score == pytest.approx(walked, abs=0.03)


def test_controversy_falls_as_sides_mix():
    scores = []
    for bridge in (0.001, 0.01, 0.05, 0.1):
        graph = nx.random_partition_graph([100, 100], 0.1, bridge, seed=4)
        sides = [graph.nodes[i]["block"] for i in graph]
        scores.append(random_walk_controversy(np.array(graph.edges), sides, n_hubs=5).score)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.7
    assert abs(scores[-1]) < 0.15


def test_controversy_does_not_change_when_the_sides_swap_names(karate):
    _, edges, clubs = karate
    one = random_walk_controversy(edges, clubs == "Mr. Hi", n_hubs=3).score
    assert random_walk_controversy(edges, clubs != "Mr. Hi", n_hubs=3).score == pytest.approx(one)


def test_the_iterative_solution_for_large_networks_equals_the_direct_one(monkeypatch):
    graph = nx.barabasi_albert_graph(2000, 3, seed=2)
    edges, sides = np.array(graph.edges), np.arange(2000) % 2
    direct = random_walk_controversy(edges, sides, n_hubs=10)
    monkeypatch.setattr("abm.analysis.controversy._DIRECT", 10)
    assert random_walk_controversy(edges, sides, n_hubs=10).score == pytest.approx(
        direct.score, abs=1e-9
    )


def test_nodes_that_reach_no_hub_and_lonely_nodes_never_end():
    edges = [(0, 1), (1, 2), (3, 4), (4, 5), (2, 3)]
    base = random_walk_controversy(edges, [0, 0, 0, 1, 1, 1], n_hubs=1)
    lonely = random_walk_controversy(edges, [0, 0, 0, 1, 1, 1, 0, 1], n_hubs=1)
    assert lonely.score == pytest.approx(base.score)


def test_controversy_of_a_side_without_ties_is_undefined():
    found = random_walk_controversy([(0, 1)], [0, 0, 1], n_hubs=1)
    assert math.isnan(found.score)


def test_controversy_needs_two_sides():
    with pytest.raises(AnalysisError, match="two values"):
        random_walk_controversy([(0, 1)], [0, 0])
