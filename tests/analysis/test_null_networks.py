"""Null networks keep degrees, are simple, and are drawn evenly."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.directed import reciprocity
from abm.analysis.networks import assortativity
from abm.analysis.nulls import against_null, rewired
from abm.analysis.paradox import friendship_paradox
from abm.errors import AnalysisError


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_every_node_keeps_its_degree_and_no_loop_or_double_edge_appears(seed):
    edges = np.array(nx.gnp_random_graph(20, 0.2, seed=seed).edges).reshape(-1, 2)
    new = rewired(edges, rng=np.random.default_rng(seed))
    assert np.bincount(new.ravel(), minlength=20).tolist() == (
        np.bincount(edges.ravel(), minlength=20).tolist()
    )
    assert len({frozenset(edge) for edge in new.tolist()}) == len(edges)
    assert all(a != b for a, b in new.tolist())


def test_all_networks_with_the_same_degrees_are_equally_likely():
    # Six nodes of degree one: 15 perfect matchings. Seed 61, 3000 draws; false alarm 1 in 1000.
    rng = np.random.default_rng(61)
    found = Counter(
        frozenset(map(frozenset, rewired([(0, 1), (2, 3), (4, 5)], rng=rng).tolist()))
        for _ in range(3000)
    )
    assert len(found) == 15
    assert stats.chisquare(list(found.values())).pvalue > 0.001


def test_planted_homophily_stands_out_and_a_random_network_does_not():
    graph = nx.random_partition_graph([30, 30], 0.2, 0.05, seed=1)
    sides = np.repeat([0, 1], 30)
    rng = np.random.default_rng(62)

    def measure(edges):
        return assortativity(edges, sides)

    planted = against_null(measure, np.array(graph.edges), rng=rng, n_networks=99)
    assert planted.p_value == 0.01
    assert planted.value > planted.null_high
    chance = against_null(
        measure, np.array(nx.gnp_random_graph(60, 0.1, seed=2).edges), rng=rng, n_networks=99
    )
    assert chance.null_low <= chance.value <= chance.null_high


def test_a_generalised_paradox_that_degrees_do_not_explain_stands_out():
    # Everybody has four friends, so degrees explain nothing; the active avoid each other, and
    # everybody else has an active friend: by construction, that is the share.
    graph = nx.random_regular_graph(4, 60, seed=3)
    active = np.zeros(60)
    active[list(nx.maximal_independent_set(graph, seed=3))] = 1.0
    edges, rng = np.array(graph.edges), np.random.default_rng(63)
    share = against_null(
        lambda e: friendship_paradox(e, active).share, edges, rng=rng, n_networks=99
    )
    assert share.value == pytest.approx(1 - active.mean())
    assert share.value > share.null_high
    assert share.p_value == 0.01
    ratio = friendship_paradox(edges, active).ratio
    assert ratio == pytest.approx(1.0)  # of means: nobody has more friends than others


def test_a_double_edge_is_refused():
    with pytest.raises(AnalysisError, match="simple network"):
        rewired([(0, 1), (1, 0)], rng=np.random.default_rng(1))


def test_equal_seeds_give_equal_null_networks():
    edges = np.array(nx.gnp_random_graph(20, 0.2, seed=1).edges)
    one, other = (rewired(edges, rng=np.random.default_rng(7)) for _ in range(2))
    assert (one == other).all()


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_directed_null_keeps_followers_and_followed_apart(seed):
    graph = nx.gnp_random_graph(15, 0.2, seed=seed, directed=True)
    edges = np.array(graph.edges).reshape(-1, 2)
    new = rewired(edges, rng=np.random.default_rng(seed), directed=True)
    for end in (0, 1):
        before, after = (np.bincount(x[:, end], minlength=15).tolist() for x in (edges, new))
        assert after == before
    assert len({tuple(edge) for edge in new.tolist()}) == len(edges)
    assert all(a != b for a, b in new.tolist())


def test_all_ways_in_which_four_follow_one_each_are_equally_likely():
    # Nobody follows themselves: 9 derangements. Seed 66, 1800 draws; false alarm 1 in 1000.
    rng = np.random.default_rng(66)
    start = [(0, 1), (1, 0), (2, 3), (3, 2)]
    found = Counter(
        tuple(sorted(map(tuple, rewired(start, rng=rng, directed=True).tolist())))
        for _ in range(1800)
    )
    assert len(found) == 9
    assert stats.chisquare(list(found.values())).pvalue > 0.001


def test_mutual_following_stands_out_from_its_degrees():
    # Thirty pairs who follow each other and nobody else: the null returns one in 60 or so.
    pairs = np.arange(60).reshape(30, 2)
    edges = np.concatenate([pairs, pairs[:, ::-1]])
    found = against_null(
        lambda e: reciprocity(e).share,
        edges,
        rng=np.random.default_rng(64),
        n_networks=99,
        directed=True,
    )
    assert (found.value, found.p_value) == (1, 0.01)
    assert found.null_high < 0.2
    with pytest.raises(AnalysisError, match="twice"):
        rewired(edges, rng=np.random.default_rng(65))
