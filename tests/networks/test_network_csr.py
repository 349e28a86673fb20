"""Networks in CSR form: sound by construction, or refused with the values that are wrong."""

from __future__ import annotations

import pickle

import networkx as nx
import numpy as np
import pytest

from abm.errors import NetworkError
from abm.networks import (
    DynamicNetwork,
    Layers,
    Network,
    erdos_renyi,
    from_networkx,
    to_networkx,
)

SQUARE = [(0, 1), (1, 2), (2, 3), (3, 0)]


def test_an_undirected_tie_is_seen_from_both_ends_and_counted_once():
    network = Network.from_edges([(2, 0), (0, 1)], 4)
    assert [network.neighbours(i).tolist() for i in range(4)] == [[1, 2], [0], [0], []]
    assert network.degree.tolist() == [2, 1, 1, 0]
    assert network.n_edges == 2
    assert network.edges().tolist() == [[0, 1], [0, 2]]
    assert (network.indptr.dtype, network.indices.dtype) == (np.int64, np.int32)


def test_a_directed_tie_is_seen_from_its_source_alone():
    network = Network.from_edges([(2, 0), (0, 1)], 3, directed=True)
    assert [network.neighbours(i).tolist() for i in range(3)] == [[1], [], [0]]
    assert network.in_degree.tolist() == [1, 1, 0]
    assert network.edges().tolist() == [[0, 1], [2, 0]]
    assert network.reversed().edges().tolist() == [[0, 2], [1, 0]]
    assert network.has_edge(2, 0)
    assert not network.has_edge(0, 2)


def test_weights_follow_their_ties():
    network = Network.from_edges([(2, 1), (0, 2)], weights=[5.0, 7.0])
    assert network.neighbour_weights(2).tolist() == [7.0, 5.0]
    assert network.edge_weights().tolist() == [7.0, 5.0]
    assert network.subgraph([2, 1]).edge_weights().tolist() == [5.0]
    assert network.average([1.0, 2.0, 0.0])[2] == pytest.approx((7 * 1 + 5 * 2) / 12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Network.from_edges([(0, 9)], 3), r"outside 0\.\.2.*\[9\]"),
        (lambda: Network.from_edges([(0, -1)], 3), r"\[-1\]"),
        (lambda: Network.from_edges([(0, 1)], 2, weights=[np.nan]), r"not finite.*nan"),
        (lambda: Network.from_edges([(0, 1)], 2, weights=[1.0, 2.0]), r"expected \(1,\)"),
        (lambda: Network.from_edges([(1, 1)], 2), "self-loops, first at node 1"),
        (lambda: Network.from_edges([(0, 1), (1, 0)]), r"1 repeated ties, first \(0, 1\)"),
        (lambda: Network.from_edges([(0.0, 1.0)]), "expected integers"),
        (lambda: Network.from_edges([[0, 1, 2]]), "expected integers of shape"),
        (lambda: Network(2, [0, 1, 1], [1]), "symmetric"),
        (lambda: Network(2, [0, 1, 2], [1, 0], [1.0, 2.0]), "symmetric"),
        (lambda: Network(2, [0, 1], [1]), "indptr"),
        (lambda: Network(3, [0, 2, 1, 2], [1, 0]), "never falling"),
        (lambda: Network(2, [0, 2, 2], [1, 1], directed=True), "ascending and distinct"),
        (lambda: Network(2, [0, 1, 1], [2], directed=True), "outside"),
        (lambda: Network(2, [0, 1, 1], [0], directed=True), "self-loops"),
        (lambda: Network(-1, [0], []), "n = -1"),
        (lambda: Network.from_edges(SQUARE).neighbours(4), "node = 4"),
        (lambda: Network.from_edges(SQUARE).neighbours(1.5), "node = 1.5, expected a whole"),
        (lambda: Network.from_edges(SQUARE).has_edge(0, "1"), "node = '1', expected a whole"),
        (lambda: Network.from_edges(SQUARE, 4.5), "n = 4.5, expected a whole number"),
        (lambda: Network.from_edges(SQUARE).with_nodes("5"), "n = '5', expected a whole number"),
        (lambda: Network.from_edges(SQUARE).average(list("abcd")), "values: .*expected numbers"),
        (lambda: DynamicNetwork(2.5), "n = 2.5, expected a whole number"),
        (lambda: DynamicNetwork(2).add_nodes(1.5), "n = 1.5, expected a whole number"),
        (lambda: DynamicNetwork(2, weighted=True).follow(0, 1, "x"), "weight: .*expected numbers"),
        (lambda: Network.from_edges(SQUARE).average([1.0]), "expected"),
        (lambda: Network.from_edges(SQUARE).subgraph([0, 0]), "more than once"),
        (lambda: Layers(), "at least one"),
        (lambda: Layers(a=Network.from_edges(SQUARE), b=Network.from_edges([], 3)), "same nodes"),
    ],
)
def test_what_does_not_hold_together_is_refused_with_its_values(build, message):
    with pytest.raises(NetworkError, match=message):
        build()


def test_loops_and_repeated_ties_can_be_dropped_and_merged_on_request():
    network = Network.from_edges(
        [(0, 0), (0, 1), (1, 0)],
        weights=[9.0, 1.0, 2.0],
        self_loops="drop",
        duplicates="merge",
    )
    assert network.edge_weights().tolist() == [3.0]


def test_a_subgraph_keeps_the_ties_among_its_nodes_in_the_order_given():
    network = Network.from_edges(SQUARE)
    assert network.subgraph([3, 0, 2]).edges().tolist() == [[0, 1], [0, 2]]
    assert network.with_nodes(6).degree.tolist() == [2, 2, 2, 2, 0, 0]


def test_the_empty_network_is_a_network():
    assert Network.from_edges([], 0).n_edges == 0
    assert Network.from_edges([], 3).degree.tolist() == [0, 0, 0]
    assert Network(3, [0, 0, 0, 0], []).edges().shape == (0, 2)


def test_networkx_and_back_is_the_same_network():
    for directed in (False, True):
        network = erdos_renyi(60, 0.1, directed=directed, rng=np.random.default_rng(2))
        weights = np.random.default_rng(3).random(network.n_edges)
        heavy = Network.from_edges(network.edges(), 60, weights=weights, directed=directed)
        for one in (network, heavy):
            assert from_networkx(to_networkx(one)) == one
            assert pickle.loads(pickle.dumps(one)) == one


def test_the_karate_club_has_its_published_assortativity_and_modularity():
    """Reference values by Mr. Hi's and the Officer's factions."""
    network = Network.from_networkx(nx.karate_club_graph(), weight=None)
    club = dict(nx.karate_club_graph().nodes(data="club"))
    graph = network.to_networkx()
    nx.set_node_attributes(graph, club, "club")
    sides = [{n for n in graph if club[n] == side} for side in ("Mr. Hi", "Officer")]
    assert (network.n, network.n_edges) == (34, 78)
    assert nx.attribute_assortativity_coefficient(graph, "club") == pytest.approx(
        0.717531, abs=1e-6
    )
    assert nx.community.modularity(graph, sides) == pytest.approx(0.358235, abs=1e-6)


def test_networkx_graphs_with_parallel_ties_or_half_given_weights_are_refused():
    with pytest.raises(NetworkError, match="multigraph"):
        from_networkx(nx.MultiGraph([(0, 1), (0, 1)]))
    graph = nx.Graph([(0, 1), (1, 2)])
    graph[0][1]["weight"] = 2.0
    with pytest.raises(NetworkError, match="only 1 of 2"):
        from_networkx(graph)
    assert from_networkx(graph, weight=None).weights is None


def test_what_is_no_simple_graph_is_refused_with_a_remedy_that_works():
    graph = nx.Graph([("x", "x"), ("x", "y")])
    with pytest.raises(NetworkError, match=r"1 self-loops, first at \['x'\]; take them out with"):
        Network.from_networkx(graph)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    assert Network.from_networkx(graph).n_edges == 1
    with pytest.raises(NetworkError, match="graph is a list, expected a networkx"):
        Network.from_networkx([(0, 1)])


def test_layers_share_their_nodes_and_add_up():
    layers = Layers(
        family=Network.from_edges([(0, 1)], 3),
        follows=Network.from_edges([(2, 0)], 3, directed=True),
    )
    both = layers.union(family=2.0)
    assert both.directed
    assert both.edges().tolist() == [[0, 1], [1, 0], [2, 0]]
    assert both.edge_weights().tolist() == [2.0, 2.0, 1.0]
    assert list(layers) == ["family", "follows"]
    assert layers.subgraph([0, 2])["follows"].edges().tolist() == [[1, 0]]


@pytest.mark.parametrize("directed", [True, False])
def test_ties_that_change_agree_with_a_set_of_pairs(directed):
    """3,000 random follows, unfollows and rewirings against an obvious reference; seed 4."""
    rng = np.random.default_rng(4)
    start = erdos_renyi(25, 0.1, directed=directed, rng=rng)
    network = DynamicNetwork.from_network(start)

    def pair(i, j):
        return (i, j) if directed else (min(i, j), max(i, j))

    ties = {pair(*edge) for edge in start.edges().tolist()}
    for _ in range(3000):
        i, j, k = rng.integers(0, 25, 3).tolist()
        kind = rng.integers(3)
        if kind == 0 and i != j:
            assert network.follow(i, j) == (pair(i, j) not in ties)
            ties.add(pair(i, j))
        elif kind == 1:
            assert network.unfollow(i, j) == (pair(i, j) in ties)
            ties.discard(pair(i, j))
        elif kind == 2:
            possible = i != k and pair(i, j) in ties and pair(i, k) not in ties
            assert network.rewire(i, j, k) == possible
            if possible:
                ties = ties - {pair(i, j)} | {pair(i, k)}
        assert network.n_edges == len(ties)
    assert network.freeze() == Network.from_edges(sorted(ties), 25, directed=directed)
    for node in range(25):
        assert set(network.neighbours(node)) == set(network.freeze().neighbours(node))


def test_a_node_that_leaves_has_no_ties_in_either_direction():
    network = DynamicNetwork(4)
    network.follow(0, 1)
    network.follow(1, 2)
    network.follow(3, 1)
    network.isolate(1)
    assert network.n_edges == 0
    assert network.add_nodes(2).tolist() == [4, 5]
    assert network.follow(5, 0)
    with pytest.raises(NetworkError, match="itself"):
        network.follow(2, 2)


@pytest.mark.parametrize("directed", [True, False])
def test_weights_that_change_agree_with_a_table_of_pairs(directed):
    """4,000 random changes against an obvious reference; seed 8."""
    rng = np.random.default_rng(8)
    network, table = DynamicNetwork(12, directed, weighted=True), {}

    def keys(i, j):
        return [(i, j)] if directed else [(i, j), (j, i)]

    for _ in range(4000):
        i, j, k = (int(v) for v in rng.choice(12, 3, replace=False))
        weight, what = float(rng.random()), rng.integers(4)
        if what == 0 and network.follow(i, j, weight):
            table.update(dict.fromkeys(keys(i, j), weight))
        elif what == 1 and network.unfollow(i, j):
            for key in keys(i, j):
                del table[key]
        elif what == 2 and network.rewire(i, j, k):
            kept = table[i, j]
            for key in keys(i, j):
                del table[key]
            table.update(dict.fromkeys(keys(i, k), kept))
        elif what == 3 and (i, j) in table:
            network.set_weight(i, j, weight)
            table.update(dict.fromkeys(keys(i, j), weight))
    frozen = network.freeze()
    found = dict(zip(map(tuple, frozen.edges().tolist()), frozen.edge_weights(), strict=True))
    assert found == {key: w for key, w in table.items() if directed or key[0] < key[1]}
    assert all(network.weight(*key) == w for key, w in table.items())
    # What compiled kernels read: no weight is left outside the rows.
    assert network.weights.sum() == pytest.approx(sum(table.values()))
    assert DynamicNetwork.from_network(frozen).freeze() == frozen
    for i in range(12):
        assert network.in_neighbours(i).tolist() == sorted(a for a, b in table if b == i)
    network.isolate(3)
    assert network.in_neighbours(3).size == network.neighbours(3).size == 0


def test_weights_are_refused_where_they_make_no_sense():
    plain, heavy = DynamicNetwork(3), DynamicNetwork(3, weighted=True)
    with pytest.raises(NetworkError, match="weighted=True"):
        plain.follow(0, 1, 2.0)
    with pytest.raises(NetworkError, match="weight = nan"):
        heavy.follow(0, 1, float("nan"))
    with pytest.raises(NetworkError, match="no weighted tie from 0 to 1"):
        heavy.set_weight(0, 1, 2.0)


def test_who_points_to_a_node_is_read_from_the_ties_turned_round():
    network = erdos_renyi(50, 0.1, directed=True, rng=np.random.default_rng(9))
    pairs = network.edges()
    for node in range(50):
        assert network.in_neighbours(node).tolist() == sorted(pairs[pairs[:, 1] == node][:, 0])
    assert network.reversed().reversed() is network
    ring = Network.from_edges(SQUARE)
    assert ring.in_neighbours(0).tolist() == ring.neighbours(0).tolist()
