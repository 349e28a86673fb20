"""Published and exact results of the voter and q-voter models. Seeds and tolerances as stated."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from abm.errors import ScenarioError
from abm.models.opinion_network import rules


def complete(n):
    """CSR of the complete graph."""
    indices = np.array([j for i in range(n) for j in range(n) if j != i])
    return np.arange(n + 1) * (n - 1), indices


def run_to_consensus(n, n_plus, rng, csr):
    """Final common state and the number of sweeps, at a resolution of one sweep."""
    states = np.repeat([1.0, -1.0], [n_plus, n - n_plus])
    for sweep in range(1, 100_000):
        states = rules.voter(states, *csr, n_updates=n, rng=rng)
        if abs(states.sum()) == n:
            return states[0], sweep
    raise AssertionError("no consensus")


def test_mean_consensus_time_of_the_birth_death_system():
    assert rules.voter_consensus_time(100, 50) == pytest.approx(68.129, abs=5e-4)
    assert rules.voter_consensus_time(100, 30) == pytest.approx(59.984, abs=5e-4)
    large = rules.voter_consensus_time(20_000, 10_000)
    assert large == pytest.approx(20_000 * np.log(2), rel=1e-3)
    assert rules.voter_consensus_time(100, 0) == 0.0


def test_exit_probability_and_time_on_the_complete_graph():
    """Seed 1, 600 runs, N = 40, 12 start at +1: exit 0.3 (3 se 0.056), time exact (sd about 0.9 of
    it, 3 se 11 %, and half a sweep of resolution)."""
    rng, csr = np.random.default_rng(1), complete(40)
    ends = np.array([run_to_consensus(40, 12, rng, csr) for _ in range(600)])
    assert (ends[:, 0] > 0).mean() == pytest.approx(0.3, abs=0.056)
    exact = rules.voter_consensus_time(40, 12)
    assert ends[:, 1].mean() - 0.5 == pytest.approx(exact, rel=0.11)


def mean_after(update, weights, seed):
    """Weighted mean state of a star after 2 sweeps, over 20,000 runs from +1 at the hub only."""
    graph = nx.to_scipy_sparse_array(nx.star_graph(9), format="csr")
    rng = np.random.default_rng(seed)
    start = np.repeat([1.0, -1.0], [1, 9])
    total = 0.0
    for _ in range(20_000):
        end = rules.voter(start, graph.indptr, graph.indices, n_updates=20, update=update, rng=rng)
        total += weights @ end
    return total / 20_000


@pytest.mark.slow
@pytest.mark.parametrize(("update", "degree_weighted"), [("node", True), ("link", False)])
def test_what_node_and_link_update_conserve_on_a_star(update, degree_weighted):
    """Seed 2. A hub with 9 leaves: degree-weighted mean 0 at the start, plain mean -0.8. The
    conserved one stays within 3 standard errors (0.021), the other does not."""
    degrees = np.repeat([9.0, 1.0], [1, 9]) / 18.0
    plain = np.full(10, 0.1)
    kept, other = (degrees, plain) if degree_weighted else (plain, degrees)
    start = np.repeat([1.0, -1.0], [1, 9])
    assert mean_after(update, kept, 2) == pytest.approx(kept @ start, abs=0.021)
    assert abs(mean_after(update, other, 2) - other @ start) > 0.1


def q_voter_slow(states, q, independence, readers, uniforms):
    """The panel by really shuffling: the j-th pick among those left, in increasing order."""
    s = list(states)
    for reader, u in zip(readers, uniforms, strict=True):
        if u[0] < independence:
            s[reader] = 1.0 if u[1] < 0.5 else -1.0
            continue
        left = [i for i in range(len(s)) if i != reader]
        panel = [left.pop(int(u[2 + j] * len(left))) for j in range(q)]
        if abs(sum(s[i] for i in panel)) == q:
            s[reader] = s[panel[0]]
    return np.array(s)


@pytest.mark.parametrize("q", [1, 2, 3, 4])
def test_compiled_q_voter_is_the_written_rule_update_by_update(q):
    """Seed 3, bit for bit."""
    start = np.random.default_rng(3).choice([-1.0, 1.0], 7)
    fast = rules.q_voter(start, q=q, independence=0.2, n_updates=400, rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    readers, uniforms = rng.integers(0, 7, 400), rng.random((400, q + 2))
    assert np.array_equal(fast, q_voter_slow(start, q, 0.2, readers, uniforms))


@pytest.mark.parametrize(("independence", "expected"), [(0.1, 0.8819), (0.2, 0.7071)])
def test_q_voter_magnetisation_follows_the_closed_form(independence, expected):
    """Seed 5, N = 2000 from all +1, 600 sweeps, second half; tolerance 0.01."""
    rng = np.random.default_rng(5)
    states = rules.q_voter(
        np.ones(2000), q=2, independence=independence, n_updates=600_000, rng=rng
    )
    found = []
    for _ in range(300):
        states = rules.q_voter(states, q=2, independence=independence, n_updates=2000, rng=rng)
        found.append(abs(states.mean()))
    assert rules.q_voter_magnetisation(independence) == pytest.approx(expected, abs=5e-5)
    assert np.mean(found) == pytest.approx(expected, abs=0.01)


def test_order_is_lost_at_the_critical_independence():
    """p_c = 1/3 for q = 2; seed 6, at p = 0.45 the mean state is of the order of 1/sqrt(N)."""
    assert rules.q_voter_critical(2) == pytest.approx(1 / 3)
    assert rules.q_voter_critical(4) == pytest.approx(3 / 11)
    assert rules.q_voter_magnetisation(1 / 3) == pytest.approx(0.0, abs=1e-7)
    rng = np.random.default_rng(6)
    states = rules.q_voter(np.ones(2000), q=2, independence=0.45, n_updates=400_000, rng=rng)
    assert abs(states.mean()) < 0.2


def test_consensus_without_independence_is_absorbing():
    rng = np.random.default_rng(7)
    assert (rules.q_voter(np.ones(50), q=3, independence=0.0, n_updates=500, rng=rng) == 1.0).all()


def test_discrete_rules_refuse_impossible_settings():
    rng = np.random.default_rng(8)
    with pytest.raises(ScenarioError, match="1 <= q < n"):
        rules.q_voter([1, 1], q=2, independence=0.1, n_updates=1, rng=rng)
    with pytest.raises(ScenarioError, match="'node' or 'link'"):
        rules.voter([1, 1], [0, 1, 2], [1, 0], n_updates=1, update="nodes", rng=rng)
