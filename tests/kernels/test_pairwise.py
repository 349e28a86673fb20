"""Encounters in pairs: exactly sequential, exactly Poisson, the same compiled and interpreted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from abm.errors import EngineError, NetworkError, PopulationError
from abm.kernels import PairwiseCohort, has_numba, run_pairwise
from abm.kernels.tools import plain_tools, start, tools
from abm.networks import DynamicNetwork, Network, watts_strogatz

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
EITHER = pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=compiled)])

# xoroshiro128++ 1.0 by Blackman and Vigna from the state (1, 2): first outputs.
KNOWN = [393217, 669327710093319, 1732421326133921491, 11394790081659126983, 9555452776773192676]


def seeded(seed):
    return np.random.default_rng(seed)


def compromise(own, other, p):
    gap = other - own
    return (own + p[0] * gap, other - p[0] * gap) if abs(gap) < p[1] else (own, other)


def copy(own, other, p):
    return other, other


class Rule(NamedTuple):
    rate: float
    bound: float


@EITHER
def test_the_generator_gives_its_published_numbers(compiled):
    pieces = tools(compiled=compiled)
    s0, s1 = np.uint64(1) if compiled else 1, np.uint64(2) if compiled else 2
    found = []
    for _ in KNOWN:
        word, s0, s1 = pieces.draw(*map(np.uint64, (s0, s1))) if compiled else pieces.draw(s0, s1)
        found.append(int(word))
    assert found == KNOWN


@compiled
def test_bounded_integers_are_exact_in_both_forms():
    from abm.kernels.compiled import compiled_tools

    quick, plain = compiled_tools(), plain_tools()
    for n in (1, 2, 3, 10, 1000, 2**31, 2**32 - 1):
        for word in (0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 0x9E3779B97F4A7C15):
            expected = word * n // 2**64
            assert plain.bounded(word, n) == expected
            assert quick.bounded(np.uint64(word), n) == expected
            assert quick.unit(np.uint64(word)) == plain.unit(word)


def obvious(x, network, n_interactions, p, words):
    """The definition, one encounter after another, written out."""
    draw = plain_tools().draw
    s0, s1 = int(words[0]), int(words[1])
    x = list(x)
    for _ in range(n_interactions):
        word, s0, s1 = draw(s0, s1)
        i, word = word * len(x) >> 64, word * len(x) & (2**64 - 1)  # the rest draws the partner
        if network is None:
            others = [j for j in range(len(x)) if j != i]
        else:
            others = network.neighbours(i).tolist()
        if not others:
            continue
        j = others[word * len(others) >> 64]
        if abs(x[i] - x[j]) < p[1]:
            x[i], x[j] = x[i] + p[0] * (x[j] - x[i]), x[j] - p[0] * (x[j] - x[i])
    return x


NETWORKS = {
    "complete": None,
    "ring": watts_strogatz(60, 4, 0.2, rng=np.random.default_rng(1)),
    "loners": Network.from_edges([(0, 1), (1, 2)], 60),
    "directed": Network.from_edges([(i, (i + 7) % 60) for i in range(60)], 60, directed=True),
}


@EITHER
@pytest.mark.parametrize("name", NETWORKS)
def test_encounters_are_applied_one_after_another(name, compiled):
    network, p = NETWORKS[name], (0.3, 0.4)
    x = seeded(2).random(60)
    expected = obvious(x, network, 4000, p, start(seeded(3)))
    run_pairwise(compromise, x, network, 4000, p, rng=seeded(3), compiled=compiled)
    assert x.tolist() == expected


@EITHER
def test_named_parameters_are_parameters(compiled):
    def rule(own, other, p):
        return (own + p.rate * (other - own), other) if abs(other - own) < p.bound else (own, other)

    x = np.array([0.0, 0.25, 1.0])
    run_pairwise(rule, x, None, 500, Rule(0.5, 0.5), rng=seeded(1), compiled=compiled)
    assert x[2] == 1.0
    assert 0 < x[0] < 0.25


@compiled
def test_symmetric_compromise_conserves_the_mean_and_never_widens_the_range():
    """100,000 agents, a million encounters, seed 4."""
    x = seeded(4).random(100_000)
    mean, low, high = x.mean(), x.min(), x.max()
    run_pairwise(compromise, x, None, 1_000_000, (0.5, 0.3), rng=seeded(5))
    assert x.mean() == pytest.approx(mean, abs=1e-12)
    assert low <= x.min() <= x.max() <= high
    assert x.std() < 0.2


@compiled
def test_deffuant_clusters_as_published():
    """N = 1000, mu = 0.5, bound 0.5 gives one cluster, 0.2 about two major ones (reference 2.00,
    30 seeds); here 8 seeds, 1,500 sweeps, tolerance 0.4."""
    major = {}
    for bound in (0.2, 0.5):
        counts = []
        for seed in range(8):
            x = seeded([6, seed]).random(1000)
            run_pairwise(compromise, x, None, 1_500_000, (0.5, bound), rng=seeded([7, seed]))
            ordered = np.sort(x)
            groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > 0.02) + 1)
            counts.append(sum(len(group) >= 50 for group in groups))
        major[bound] = np.mean(counts)
    assert major[0.5] == 1.0
    assert major[0.2] == pytest.approx(2.0, abs=0.4)


def test_a_voter_consensus_is_reached_in_proportion_to_the_start():
    """Complete graph, 20 agents, 8 ones: exit probability 0.4; 400 runs, seed 8, 4 sd."""
    ones = 0
    for seed in range(400):
        x = np.array([1] * 8 + [0] * 12)
        rng = seeded([8, seed])
        while 0 < x.sum() < 20:
            run_pairwise(one_sided, x, None, 50, rng=rng, compiled=False)
        ones += x[0]
    assert ones / 400 == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 400))


def one_sided(own, other, p):
    return other, other


@EITHER
def test_a_rule_may_use_chance(compiled):
    """Copying with probability 0.25: an agent keeps its value with probability 0.75; seed 9."""

    def sometimes(own, other, p, u):
        return (1.0, other) if u < p[0] else (own, other)

    x = np.zeros(20_000)
    run_pairwise(sometimes, x, None, 20_000, (0.25,), rng=seeded(9), compiled=compiled)
    expected = 1 - np.exp(-0.25)
    assert x.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


class State(NamedTuple):
    opinion: np.ndarray
    anchor: np.ndarray
    meetings: np.ndarray


def anchored(i, j, state, p):
    state.opinion[i] = p[0] * state.anchor[i] + (1 - p[0]) * state.opinion[j]
    state.meetings[i] += 1


@compiled
def test_a_rule_on_rows_writes_several_columns_the_same_in_both_forms():
    made = []
    for form in (True, False):
        opinion = seeded(10).random(40)
        state = State(opinion, opinion.copy(), np.zeros(40, dtype=np.int64))
        run_pairwise(anchored, state, None, 3000, (0.5,), rng=seeded(11), compiled=form)
        made.append(state)
    assert made[0].opinion.tolist() == made[1].opinion.tolist()
    assert made[0].meetings.sum() == made[1].meetings.sum() == 3000


@compiled
def test_a_noisy_rule_on_rows_is_the_same_in_both_forms():
    def noisy(i, j, state, p, u):
        state[0][i] = state[0][j] + p[0] * (u - 0.5)

    made = []
    for form in (True, False):
        x = np.zeros(30)
        run_pairwise(noisy, (x,), NETWORKS["ring"].subgraph(range(30)), 500, (0.1,),
                     rng=seeded(12), compiled=form)  # fmt: skip
        made.append(x.tolist())
    assert made[0] == made[1]


@EITHER
def test_members_start_encounters_and_others_are_met_and_stay(compiled):
    x = seeded(13).random(50)
    before = x.copy()
    members = np.arange(10, 50)
    run_pairwise(compromise, x, None, 5000, (0.5, 2.0), rng=seeded(14), members=members,
                 compiled=compiled)  # fmt: skip
    assert (x[:10] == before[:10]).all()
    assert (x[10:] != before[10:]).all()


@EITHER
def test_partners_are_drawn_by_weight(compiled):
    """Weights 1, 2, 5 and 0 on a directed star; 20,000 draws, seed 15; fails 1 time in 1,000."""
    edges = [(0, 1), (0, 2), (0, 3), (0, 4)]
    star = Network.from_edges(edges, 5, weights=[1.0, 2.0, 0.0, 5.0], directed=True)
    counts = np.zeros(5, dtype=np.int64)

    def count(i, j, state, p):
        state[0][j] += 1

    run_pairwise(count, (counts,), star, 20_000, rng=seeded(15), members=[0], compiled=compiled)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert stats.chisquare(counts[[1, 2, 4]], np.array([1, 2, 5]) * 2500).pvalue > 0.001


# ---------------------------------------------------------------------- the clock


@EITHER
def test_a_cohort_s_encounters_are_a_poisson_process(compiled):
    """50 agents at rate 2, 2,000 unit intervals: counts are Poisson(100), independent; seed 16."""
    cohort = PairwiseCohort(copy, np.zeros(50), rate=2.0, rng=seeded(16), compiled=compiled)
    counts = np.array([cohort.advance(t) for t in range(1, 2001)])
    z = (counts - 100) / 10
    assert abs(z.mean()) < 4 / np.sqrt(2000)
    assert stats.chi2.ppf(0.0005, 2000) < (z**2).sum() < stats.chi2.ppf(0.9995, 2000)
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 4 / np.sqrt(2000)


def test_the_gaps_between_encounters_are_exponential():
    """Seed 17; 3,000 gaps at a total rate of 6; Kolmogorov-Smirnov p above 0.001."""
    cohort = PairwiseCohort(copy, np.zeros(3), rate=2.0, rng=seeded(17), compiled=False)
    times = []
    for _ in range(3000):
        times.append(cohort.next_time)
        assert cohort.advance(cohort.next_time) == 1
    assert stats.kstest(np.diff([0.0, *times]), "expon", args=(0, 1 / 6)).pvalue > 0.001


@compiled
def test_looking_more_often_changes_nothing():
    """Looked at once, at every tenth, and at 100 random times, compiled or not: the same bits."""
    ends = []
    for form, times in (
        (True, [5.0]),
        (False, [5.0]),
        (True, np.arange(1, 51) / 10),
        (True, [*np.sort(seeded(18).random(100) * 5).tolist(), 5.0]),
    ):
        x = seeded(19).random(40)
        cohort = PairwiseCohort(compromise, x, rate=3.0, params=(0.3, 0.5), rng=seeded(20),
                                network=watts_strogatz(40, 4, 0.1, rng=seeded(21)),
                                compiled=form)  # fmt: skip
        made = sum(cohort.advance(float(t)) for t in times)
        ends.append((x.tolist(), made, cohort.next_time))
    assert ends[0] == ends[1] == ends[2] == ends[3]


def test_a_change_of_rate_acts_from_now_on():
    """1,000 units at rate 1, then 1,000 at rate 3, with 20 agents; seed 22, 4 sd each."""
    cohort = PairwiseCohort(copy, np.zeros(20), rate=1.0, rng=seeded(22), compiled=False)
    slow = cohort.advance(1000.0)
    cohort.change(rate=3.0)
    quick = cohort.advance(2000.0)
    cohort.change(rate=0.0)
    assert cohort.advance(3000.0) == 0
    cohort.change(rate=1.0)
    assert cohort.next_time > 3000
    assert slow == pytest.approx(20_000, abs=4 * np.sqrt(20_000))
    assert quick == pytest.approx(60_000, abs=4 * np.sqrt(60_000))


def test_a_new_rate_stretches_the_time_left_in_proportion():
    cohort = PairwiseCohort(copy, np.zeros(9), rate=1.0, rng=seeded(24), compiled=False)
    cohort.advance(1.0)
    left = cohort.next_time - 1.0
    cohort.change(rate=4.0)
    assert cohort.next_time - 1.0 == pytest.approx(left / 4)


def test_changed_parameters_and_ties_act_from_now_on():
    x = np.array([0.0, 1.0, 5.0])
    ties = DynamicNetwork(3, directed=False)
    ties.follow(0, 1)
    cohort = PairwiseCohort(
        compromise, x, rate=1.0, params=(0.0, 9.0), network=ties, rng=seeded(23), compiled=False
    )
    cohort.advance(100.0)
    assert x.tolist() == [0.0, 1.0, 5.0]
    cohort.change(params=(0.5, 9.0))
    cohort.advance(200.0)
    assert x.tolist() == [0.5, 0.5, 5.0]
    ties.follow(1, 2)
    cohort.advance(400.0)
    assert x == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: run_pairwise(copy, np.zeros(3), None, -1, rng=seeded(1)), EngineError, "-1"),
        (lambda: run_pairwise(copy, np.zeros(1), None, 1, rng=seeded(1)), PopulationError, "pairs"),
        (
            lambda: run_pairwise(copy, np.zeros(3), NETWORKS["ring"], 1, rng=seeded(1)),
            NetworkError,
            "60 nodes, expected 3",
        ),
        (
            lambda: run_pairwise(copy, np.zeros(3), None, 1, [0.5], rng=seeded(1)),
            EngineError,
            "tuple",
        ),
        (
            lambda: run_pairwise(copy, np.zeros(3), None, 1, (np.ones(3),), rng=seeded(1)),
            EngineError,
            "columns belong to the state",
        ),
        (
            lambda: run_pairwise(lambda a, b: (a, b), np.zeros(3), None, 1, rng=seeded(1)),
            EngineError,
            "own, other, params",
        ),
        (
            lambda: run_pairwise(copy, np.zeros(3), None, 1, rng=seeded(1), members=[3]),
            PopulationError,
            "members",
        ),
        (
            lambda: PairwiseCohort(copy, np.zeros(3), rate=-1.0, rng=seeded(1)),
            EngineError,
            "rate = -1",
        ),
        (
            lambda: PairwiseCohort(copy, np.zeros(3), rate=np.ones(3), rng=seeded(1)),
            EngineError,
            "expected one finite number",
        ),
        (
            lambda: PairwiseCohort(
                copy,
                np.zeros(2),
                rate=1.0,
                rng=seeded(1),
                network=Network.from_edges([(0, 1)], weights=[-1.0]),
            ),
            NetworkError,
            "weights >= 0",
        ),
        (
            lambda: PairwiseCohort(copy, (np.zeros(2), np.zeros(3)), rate=1.0, rng=seeded(1)),
            PopulationError,
            "one length",
        ),
    ],
)
def test_a_cohort_that_cannot_work_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_time_does_not_run_backwards_or_away():
    cohort = PairwiseCohort(copy, np.zeros(3), rate=1.0, rng=seeded(1), compiled=False)
    cohort.advance(2.0)
    for until in (1.0, np.inf, np.nan):
        with pytest.raises(EngineError, match="advance"):
            cohort.advance(until)
