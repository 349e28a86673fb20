"""Ties that change under those who use them: cohorts, layers, births and deaths, names."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest

import abm
from abm.errors import NetworkError
from abm.kernels import PairwiseCohort, RateCohort
from abm.networks import DynamicNetwork, Layers, Network, watts_strogatz


def adopt(own, other, p):
    return other, other


def ring(n=12, **options):
    pairs = [(i, (i + 1) % n) for i in range(n)]
    return DynamicNetwork.from_network(Network.from_edges(pairs, n, **options))


def attached(ties, n=12, rate=3.0):
    model = abm.Model(seed=4)
    people = abm.Population(model, opinion=np.arange(float(n)))
    cohort = PairwiseCohort(
        adopt, people.opinion, rate=rate, network=ties, rng=model.chance("c"), compiled=False
    )
    people.attach(cohort)
    return model, people, cohort


@pytest.mark.parametrize("weighted", [False, True])
def test_a_tie_that_changes_acts_from_its_own_time_on(weighted):
    """Nobody calls catch_up: the change itself brings the cohort up to now, first."""
    options = {"weights": np.ones(12)} if weighted else {}
    model, people, _ = attached(ring(**options))
    ties = people._cohorts[0].network

    def rewiring():
        yield model.at(1.5)
        ties.rewire(0, 1, 6)
        yield model.at(2.5)
        ties.unfollow(3, 4)

    model.process(rewiring())
    model.run_until(4.0)

    reference = PairwiseCohort(
        adopt, np.arange(12.0), rate=3.0, network=ring(**options), rng=abm.chance(4, "c"),
        compiled=False,
    )  # fmt: skip
    reference.advance(1.5)
    reference.network.rewire(0, 1, 6)
    reference.advance(2.5)
    reference.network.unfollow(3, 4)
    reference.advance(4.0)
    assert people.opinion.tolist() == reference.arrays[0].tolist()


def test_weights_that_change_are_the_weights_that_partners_are_drawn_by():
    """0 may meet 1 or 2; the weight moves from one to the other, and so do the encounters."""
    ties = DynamicNetwork(3, weighted=True)
    ties.follow(0, 1, 1.0)
    ties.follow(0, 2, 0.0)
    cohort = PairwiseCohort(
        lambda own, other, p: (other, other), np.array([0.0, 1.0, 2.0]), rate=9.0, network=ties,
        members=[0], rng=np.random.default_rng(1), compiled=False,
    )  # fmt: skip
    cohort.advance(1.0)
    assert cohort.arrays[0][0] == 1.0
    ties.set_weight(0, 1, 0.0)
    ties.set_weight(0, 2, 1.0)
    cohort.advance(2.0)
    assert cohort.arrays[0][0] == 2.0
    ties.set_weight(0, 2, -1.0)
    with pytest.raises(NetworkError, match="expected weights >= 0"):
        cohort.advance(3.0)


def test_an_epidemic_crosses_a_tie_from_the_moment_it_is_made():
    """Two islands: the infection reaches the second through a tie made at time 5."""
    model = abm.Model(seed=1)
    island = [(i, j) for i in range(6) for j in range(i)]
    pairs = island + [(a + 6, b + 6) for a, b in island]
    ties = DynamicNetwork.from_network(Network.from_edges(pairs, 12))
    town = abm.Population(model, state=np.array([1] + [0] * 11, dtype=np.int8))

    def rate(state, counts, p):
        return p[0] * counts[1] if state == 0 else 0.0

    def change(state, counts, p):
        return 1

    town.attach(
        RateCohort(rate, change, town.state, ties, (2.0,), n_states=2, rng=model.chance("e"))
    )
    model.run_until(5.0)
    assert town.state.tolist() == [1] * 6 + [0] * 6
    ties.follow(0, 6)
    model.run_until(15.0)
    assert town.state.tolist() == [1] * 12


def test_changing_ties_follow_births_and_deaths_themselves():
    model, people, cohort = attached(ring())
    ties = cohort.network
    model.run_until(1.0)
    people.remove([0, 5])
    assert cohort.network is ties
    assert ties.n == 10
    assert ties.edges().tolist() == [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7], [7, 8], [8, 9]]
    people.add(opinion=[99.0])
    assert ties.n == 11
    assert ties.follow(10, 0)
    model.run_until(4.0)
    assert people.opinion[10] != 99.0 or 99.0 in people.opinion[:10]


def test_nodes_outside_the_population_are_refused_before_they_are_met():
    model, people, cohort = attached(ring())
    cohort.network.add_nodes(3)
    cohort.network.follow(0, 13)
    model.run_until(5.0)
    with pytest.raises(NetworkError, match="15 nodes, expected 12"):
        people.catch_up()


def test_a_cohort_that_left_and_a_copy_are_told_nothing():
    model, people, cohort = attached(ring())
    copied = copy.deepcopy(cohort.network)
    people.detach(cohort)
    assert cohort.network._watchers == copied._watchers == []
    model.run_until(2.0)
    cohort.network.unfollow(0, 1)
    assert cohort.time == 0.0
    assert copied.has_edge(0, 1)


def test_layers_may_change_and_are_read_as_they_are():
    work = DynamicNetwork(4, directed=False)
    layers = Layers(family=Network.from_edges([(0, 1)], 4), work=work)
    work.follow(2, 3)
    assert layers.union().edges().tolist() == [[0, 1], [2, 3]]
    work.rewire(2, 3, 1)
    assert layers.union(family=2.0).edge_weights().tolist() == [2.0, 1.0]
    assert layers.subgraph([1, 2])["work"].edges().tolist() == [[0, 1]]


def test_names_of_any_kind_survive_changes_and_the_way_to_networkx_and_back():
    grid = nx.grid_2d_graph(3, 4)  # nodes are pairs
    nx.set_edge_attributes(grid, 2.5, "weight")
    network = Network.from_networkx(grid)
    back = network.to_networkx()
    assert nx.utils.graphs_equal(back, grid)
    changing = DynamicNetwork.from_network(network)
    changing.unfollow(0, 1)
    changing.add_nodes(1)
    changed = changing.freeze().to_networkx()
    assert set(changed) == {*grid, "added 12"}
    lost = set(map(frozenset, grid.edges)) - set(map(frozenset, changed.edges))
    assert lost == {frozenset(network.labels[:2])}
    twins = Network.from_edges([(0, 1)], 3, labels=["a", "b", "a"])
    with pytest.raises(NetworkError, match="only 2 of 3 differ"):
        twins.to_networkx()
    with pytest.raises(NetworkError, match=r"weights: .*one number per tie"):
        Network.from_edges([(0, 1)], weights=["heavy"])


def test_a_small_world_in_place_is_what_it_was_beside_a_table():
    """Degrees, symmetry and order hold where rows overlap most: few nodes, all ties rewired."""
    for n, k, p in ((7, 6, 1.0), (8, 4, 1.0), (40, 10, 0.5), (5, 0, 0.3), (0, 0, 0.1)):
        made = watts_strogatz(n, k, p, rng=np.random.default_rng(n))
        Network(made.n, made.indptr, made.indices)  # checks order, symmetry, loops, repeats
        assert made.n_edges == n * k // 2


def test_ties_are_given_as_they_are_now_and_nodes_are_whole_numbers():
    follows = DynamicNetwork(3)
    follows.follow(0, np.int64(2))
    assert list(follows.to_networkx().edges) == [(0, 2)]
    with pytest.raises(NetworkError, match=r"node = 1\.5, expected a whole number"):
        follows.follow(0, 1.5)
    with pytest.raises(NetworkError, match=r"network of type Layers, .* take one layer, or union"):
        PairwiseCohort(adopt, np.zeros(3), rate=1.0, network=Layers(follows=follows),
                       rng=np.random.default_rng(1))  # fmt: skip
