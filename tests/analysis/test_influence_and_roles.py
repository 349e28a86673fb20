"""Influence, roles, sources and directed ties: planted structure is found, chance is not."""

import itertools
import math

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.cascades import cascade_table
from abm.analysis.directed import (
    directed_assortativity,
    directed_correlation,
    followed_mean,
    follower_paradoxes,
    reciprocity,
)
from abm.analysis.influence import symbols, transfer_entropy
from abm.analysis.provenance import knowledge, provenance, provenance_cascades
from abm.analysis.roles import adjusted_rand, core_periphery, role_clusters
from abm.errors import AnalysisError


def led(rng, n, copy):
    """A leader who draws at random, and a follower who copies the last draw with some chance."""
    leader = rng.integers(0, 2, n)
    follower = np.where(rng.random(n) < copy, np.roll(leader, 1), rng.integers(0, 2, n))
    return leader, follower


def known_entropy(copy):
    """log 2 - H((1 + copy) / 2): the follower's next state given the leader's last one."""
    p = (1 + copy) / 2
    return math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)


def test_information_flows_from_the_leader_to_the_follower_and_not_back():
    # Seed 131, 5000 steps: the standard error of the estimate is about 0.006.
    rng = np.random.default_rng(131)
    leader, follower = led(rng, 5000, 0.5)
    there = transfer_entropy(leader, follower, rng=rng, n_permutations=99)
    back = transfer_entropy(follower, leader, rng=rng, n_permutations=99)
    assert there.value == pytest.approx(known_entropy(0.5), abs=0.02)
    assert there.p_value == 0.01
    assert there.excess.low > 0
    assert back.p_value > 0.05
    assert there.excess.estimate > 20 * abs(back.excess.estimate)


def test_the_lag_at_which_influence_acts_is_the_one_that_shows():
    rng = np.random.default_rng(132)
    leader = rng.integers(0, 3, 3000)
    follower = np.roll(leader, 3)
    values = [
        transfer_entropy(leader, follower, rng=rng, lag=lag, n_permutations=9).value
        for lag in (1, 2, 3, 4)
    ]
    assert int(np.argmax(values)) == 2
    assert values[2] == pytest.approx(math.log(3), abs=0.01)


def test_a_follower_of_its_own_past_owes_nothing_to_a_twin_with_the_same_past():
    # With a history of 1 a second-order process looks as if it were led by its own copy.
    rng = np.random.default_rng(133)
    x = list(rng.integers(0, 2, 2))
    for _ in range(3000):
        x.append(x[-2] if rng.random() < 0.9 else 1 - x[-2])
    own, copy = np.array(x)[1:], np.array(x)[:-1]
    short = transfer_entropy(copy, own, rng=rng, history=1, n_permutations=19)
    long = transfer_entropy(copy, own, rng=rng, history=2, n_permutations=19)
    assert short.value > 0.2
    assert long.value < 0.01


def test_series_without_influence_are_rarely_called_influential():
    # Seed 134, 200 pairs of persistent independent series, p <= 0.1 expected in 20.
    rng, n, found = np.random.default_rng(134), 200, 0
    for _ in range(n):
        stay = rng.random((300, 2)) < 0.8
        draws = rng.integers(0, 2, (300, 2))
        series = np.empty((300, 2), dtype=int)
        series[0] = draws[0]
        for t in range(1, 300):
            series[t] = np.where(stay[t], series[t - 1], draws[t])
        found += transfer_entropy(*series.T, rng=rng, n_permutations=19).p_value <= 0.1
    assert found <= stats.binom.ppf(0.9995, n, 0.1)


def test_the_excess_is_covered_at_the_nominal_rate_over_many_pairs():
    # Seed 135, 150 studies of 40 pairs of 30 steps, level 0.9; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(135), 150, 0
    for _ in range(n):
        pairs = [led(rng, 60, 0.4) for _ in range(40)]
        leaders, followers = (np.stack(side, axis=1) for side in zip(*pairs, strict=True))
        e = transfer_entropy(leaders, followers, rng=rng, n_permutations=9, level=0.9).excess
        inside += e.low <= known_entropy(0.4) <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_names_of_states_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 3, (2, 80))
    one = transfer_entropy(x, y, rng=np.random.default_rng(1), n_permutations=5)
    names = np.array(["c", "a", "b"])
    other = transfer_entropy(names[x], 10 - y, rng=np.random.default_rng(1), n_permutations=5)
    assert other.value == pytest.approx(one.value)
    assert other.null_mean == pytest.approx(one.null_mean)


def test_a_target_that_never_changes_has_no_transfer_entropy():
    found = transfer_entropy([0, 1, 0, 1], [1, 1, 1, 1], rng=np.random.default_rng(1))
    assert math.isnan(found.value)
    assert found.excess.reason == "the target is constant"
    with pytest.raises(AnalysisError, match="equal shapes"):
        transfer_entropy([0, 1], [0, 1, 1], rng=np.random.default_rng(1))
    with pytest.raises(AnalysisError, match="nan"):
        transfer_entropy([0, math.nan, 1], [0, 1, 1], rng=np.random.default_rng(1))
    with pytest.raises(AnalysisError, match="fewer symbols"):
        transfer_entropy(np.arange(500) / 7, np.arange(500) / 7, rng=np.random.default_rng(1))


def test_symbols_are_about_equally_common_and_keep_order():
    x = np.random.default_rng(136).normal(size=999)
    made = symbols(x, 3)
    assert np.bincount(made).tolist() == [333, 333, 333]
    assert np.all(np.diff(made[np.argsort(x)]) >= 0)


def slow_phi(edges, core, n, between="ignored"):
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(n), 2)
        if core[i] == core[j] or between == "tied"
    ]
    tied = {frozenset(e) for e in edges}
    a = [float(frozenset(p) in tied) for p in pairs]
    b = [float(core[i] or core[j]) for i, j in pairs]
    return np.corrcoef(a, b)[0, 1] if len(set(a)) == len(set(b)) == 2 else math.nan


@given(st.integers(0, 5000))
@settings(max_examples=25, deadline=None)
def test_the_correlation_of_a_core_is_that_of_all_pairs_and_of_no_better_core_than_there_is(seed):
    n, rng = 7, np.random.default_rng(seed)
    edges = np.array(nx.gnp_random_graph(n, rng.uniform(0.2, 0.8), seed=seed).edges)
    edges = edges.reshape(-1, 2)
    found = core_periphery(edges, n=n)
    if math.isnan(found.correlation):
        return
    assert found.correlation == pytest.approx(slow_phi(edges.tolist(), found.core, n))
    cores = [np.array(c, bool) for c in itertools.product([0, 1], repeat=n)]
    best = np.nanmax([slow_phi(edges.tolist(), core, n) for core in cores])
    assert found.correlation <= best + 1e-9


def test_a_planted_core_is_found_at_its_size():
    # Seed 137: 20 of 200 in the core.
    p = np.where(np.arange(200) < 20, 1.0, 0.0)
    rng = np.random.default_rng(137)
    chance = np.select(
        [p[:, None] + p[None, :] == 2, p[:, None] + p[None, :] == 1], [0.8, 0.2], 0.01
    )
    edges = np.argwhere(np.triu(rng.random((200, 200)) < chance, 1))
    found = core_periphery(edges)
    assert found.core.tolist() == (p == 1).tolist()
    assert found.correlation > 0.55
    assert found.density_core > found.density_between > found.density_periphery


def test_the_core_of_the_karate_club_holds_its_two_leaders():
    found = core_periphery(np.array(nx.karate_club_graph().edges))
    assert found.core[[0, 33]].all()
    assert 2 <= found.core.sum() <= 12


@given(st.integers(0, 5000), st.sampled_from(["ignored", "tied"]))
@settings(max_examples=30, deadline=None)
def test_a_core_does_not_hang_on_the_numbers_of_nodes_and_no_other_cut_by_degree_is_better(
    seed, between
):
    n, rng = 9, np.random.default_rng(seed)
    edges = np.array(nx.gnp_random_graph(n, rng.uniform(0.2, 0.8), seed=seed).edges).reshape(-1, 2)
    found = core_periphery(edges, n=n, between=between)
    degree = np.bincount(edges.ravel(), minlength=n)
    cuts = [degree >= least for least in np.unique(degree)[1:]]
    values = np.array([slow_phi(edges.tolist(), cut, n, between) for cut in cuts])
    if len(edges) == 0 or np.isnan(values).all():
        assert math.isnan(found.correlation)
        assert math.isnan(found.core_share)
        assert not found.core.any()
        return
    assert found.correlation == pytest.approx(np.nanmax(values))
    assert found.correlation == pytest.approx(slow_phi(edges.tolist(), found.core, n, between))
    assert found.core_share == found.core.sum() / n
    place = rng.permutation(n)
    other = core_periphery(place[edges], n=n, between=between)
    assert other.core[place].tolist() == found.core.tolist()
    assert other.correlation == found.correlation


def test_the_core_of_a_star_is_its_centre_where_ties_between_count():
    star = [(0, i) for i in range(1, 6)]
    found = core_periphery(star, between="tied")
    assert found.core.tolist() == [True] + [False] * 5
    assert (found.correlation, found.density_between, found.density_periphery) == (1, 1, 0)
    assert math.isnan(found.density_core)
    assert found.core_share == 1 / 6
    assert math.isnan(core_periphery(star).correlation)
    with pytest.raises(AnalysisError, match="between"):
        core_periphery(star, between="no")


def test_networks_without_two_kinds_of_pairs_have_no_core():
    assert math.isnan(core_periphery([(i, (i + 1) % 6) for i in range(6)]).core_share)
    assert math.isnan(core_periphery([], n=0).core_share)
    assert math.isnan(core_periphery(np.empty((0, 2)), n=5).correlation)
    assert math.isnan(core_periphery([(0, 1), (1, 2), (0, 2)]).correlation)
    with pytest.raises(AnalysisError, match="loop"):
        core_periphery([(0, 0), (1, 2)])


def test_clusters_and_their_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra `calibration` brings it")
    rng = np.random.default_rng(138)
    x = np.vstack([rng.normal(m, 1.0, (60, 3)) for m in (0, 3, 6)])
    found = role_clusters(x, 3, rng=rng)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert found.silhouette == pytest.approx(metrics.silhouette_score(z, found.labels))
    truth = np.repeat([0, 1, 2], 60)
    assert adjusted_rand(truth, found.labels) == pytest.approx(
        metrics.adjusted_rand_score(truth, found.labels)
    )
    assert adjusted_rand(truth, found.labels) > 0.8


def test_clusters_that_are_not_there_are_unstable():
    rng = np.random.default_rng(139)
    nothing = role_clusters(rng.uniform(size=(200, 4)), 5, rng=rng)
    two = np.repeat([[0.0] * 4, [9.0] * 4], 100, axis=0) + rng.normal(size=(200, 4))
    clear = role_clusters(two, 2, rng=rng)
    assert clear.stability > 0.99
    assert nothing.stability < 0.7
    assert clear.silhouette > 0.6 > nothing.silhouette
    assert math.isnan(role_clusters(two, 1, rng=rng).silhouette)


@given(st.integers(0, 5000))
@settings(max_examples=30, deadline=None)
def test_directed_measures_are_those_of_networkx(seed):
    graph = nx.gnp_random_graph(15, 0.2, seed=seed, directed=True)
    edges = np.array(graph.edges).reshape(-1, 2)
    if len(edges) < 3:
        return
    groups = np.random.default_rng(seed).integers(0, 2, 15)
    nx.set_node_attributes(graph, dict(enumerate(groups.tolist())), "group")
    assert reciprocity(edges, n=15).share == pytest.approx(nx.overall_reciprocity(graph))
    if len(np.unique(groups)) == 2:
        assert directed_assortativity(edges, groups) == pytest.approx(
            nx.attribute_assortativity_coefficient(graph, "group"), nan_ok=True
        )
    out, into = (np.array([d for _, d in way]) for way in (graph.out_degree, graph.in_degree))
    pairs = np.array([(out[a], into[b]) for a, b in edges], dtype=float)
    if np.ptp(pairs, axis=0).min() > 0:
        expected = np.corrcoef(pairs.T)[0, 1]
        assert directed_correlation(edges, out, into) == pytest.approx(expected)


def test_reciprocity_is_zero_on_average_in_random_networks():
    # Seed 140, 30 networks: standard error of the mean about 0.003.
    found = [
        reciprocity(np.array(nx.gnp_random_graph(60, 0.1, seed=s, directed=True).edges)).correlation
        for s in range(30)
    ]
    assert np.mean(found) == pytest.approx(0, abs=0.012)


def test_hearing_is_not_being_heard():
    edges = [(0, 1), (2, 1)]
    assert followed_mean(edges, [0.0, 1.0, 0.0]).tolist()[0] == 1.0
    assert math.isnan(followed_mean(edges, [0.0, 1.0, 0.0])[1])
    shares = follower_paradoxes(edges)
    assert shares["friends_have_more_followers"] == 1
    assert shares["followers_have_more_followers"] == 0
    assert math.isnan(follower_paradoxes(np.empty((0, 2)), n=3)["friends_have_more_friends"])
    with pytest.raises(AnalysisError, match="twice"):
        reciprocity([(0, 1), (0, 1)])


def slow_provenance(rows):
    known = {}
    for sender, receiver, time in rows:
        if sender == receiver:
            continue
        known.setdefault(sender, (time, None))
        known.setdefault(receiver, (time, sender))
    return known


TELLINGS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 9)), min_size=1)


@given(TELLINGS)
@settings(max_examples=60, deadline=None)
def test_everybody_hangs_below_the_one_who_told_them_first(rows):
    rows = sorted(rows, key=lambda r: r[2])
    frame = pl.DataFrame(rows, schema=["sender", "receiver", "time"], orient="row")
    tree = provenance(frame.with_columns(item=pl.lit("news")))
    found = {r["person"]: (r["time"], r["told_by"]) for r in tree.iter_rows(named=True)}
    assert found == slow_provenance(rows)
    parents = tree["parent"].to_list()
    people = tree["person"].to_list()
    assert [None if p < 0 else people[p] for p in parents] == tree["told_by"].to_list()
    assert cascade_table(parents)["size"].sum() == tree.height


def test_each_item_has_its_own_trees():
    said = pl.DataFrame(
        {"item": ["a", "b", "b"], "sender": [1, 2, 3], "receiver": [2, 1, 4], "time": [1, 1, 2]}
    )
    shapes = provenance_cascades(provenance(said))
    assert shapes.select("item", "source", "size").rows() == [("a", 1, 2), ("b", 2, 2), ("b", 3, 2)]


def test_knowing_without_having_been_told_is_not_called_spread():
    said = pl.DataFrame({"item": "x", "sender": [1, 1], "receiver": [2, 3], "time": [1.0, 5.0]})
    shown = pl.DataFrame({"item": "x", "person": [2, 3, 4], "time": [3.0, 4.0, 4.0]})
    found = knowledge(provenance(said), shown)
    kinds = dict(found.table.select("person", "kind").rows())
    assert kinds == {1: "source", 2: "told", 3: "unaccounted", 4: "unaccounted"}
    assert found.shares == pytest.approx({"told": 1 / 3, "source": 0.0, "unaccounted": 2 / 3})
    nobody = knowledge(provenance(said), shown.head(0))
    assert all(map(math.isnan, nobody.shares.values()))
