"""Contagion and cascade rules of the library meet exact and published results."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from abm.kernels import (
    EventCohort,
    RateCohort,
    rules,
    run_pairwise,
    run_population,
    run_rows,
    run_transitions,
)
from abm.networks import Network, complete, random_regular, watts_strogatz


def seeded(seed):
    return np.random.default_rng(seed)


def spread(rule, network, p, first, *, n_states, rounds, seed, compiled=None):
    states = np.zeros(network.n, dtype=np.int8)
    states[first] = 1
    return run_transitions(
        rule, states, network, p, n_states=n_states, rounds=rounds, schedule="synchronous",
        rng=seeded(seed), compiled=compiled,
    ).totals  # fmt: skip


CROWD = 1000
EVERYBODY = complete(CROWD)


@pytest.mark.parametrize(
    ("rule", "p", "n_states"),
    [
        (rules.sir, rules.Epidemic(2 / CROWD, 1.0), 3),
        (rules.seir, rules.SlowEpidemic(2 / CROWD, 0.5, 1.0), 4),
    ],
)
def test_the_final_size_of_an_epidemic_solves_its_equation(rule, p, n_states):
    """s = s0 exp(-R0 (1 - s)), R0 = 2, 20 of 1,000 at the start; a latency changes nothing. Mean of
    12 runs, seed 1; the sd of a run is about 0.02."""
    sizes = []
    for i in range(12):
        states = np.zeros(CROWD, dtype=np.int8)
        states[:20] = n_states - 2
        totals = run_transitions(
            rule, states, EVERYBODY, p, n_states=n_states, rounds=150, schedule="synchronous",
            rng=seeded([1, i]), compiled=True,
        ).totals  # fmt: skip
        assert (totals.sum(axis=1) == CROWD).all()
        assert totals[-1, 1:-1].sum() == 0
        sizes.append(totals[-1, -1] / CROWD)
    s = brentq(lambda s: s - 0.98 * np.exp(-2 * (1 - s)), 0, 0.9)
    assert np.mean(sizes) == pytest.approx(1 - s, abs=4 * 0.02 / np.sqrt(12))


def test_a_small_outbreak_has_the_probability_of_a_branching_process():
    """Everybody infects Poisson(2) others in one round: q = exp(-2 (1 - q)) = 0.2032; 300 runs, one
    infected each, seed 2; four standard errors."""
    small = 0
    for i in range(300):
        totals = spread(
            rules.sir, EVERYBODY, rules.Epidemic(2 / CROWD, 1.0), [0], n_states=3, rounds=40,
            seed=[2, i], compiled=True,
        )  # fmt: skip
        small += totals[-1, 2] < 100
    assert small / 300 == pytest.approx(0.2032, abs=4 * np.sqrt(0.2032 * 0.7968 / 300))


def test_without_immunity_the_infection_stays_at_its_fixed_point():
    """x = x (1 - g) + (1 - x) (1 - (1 - b)^(n x)); b = 0.6 / n, g = 0.3; mean of rounds 60 to 200,
    seed 3; without chance it would be met up to O(1/n)."""
    b, g = 0.6 / CROWD, 0.3
    totals = spread(
        rules.sis, EVERYBODY, rules.Epidemic(b, g), range(100), n_states=2, rounds=200, seed=3,
        compiled=True,
    )  # fmt: skip
    x = brentq(lambda x: (1 - x) * (1 - (1 - b) ** (CROWD * x)) - g * x, 0.01, 0.99)
    assert totals[60:, 1].mean() / CROWD == pytest.approx(x, abs=0.012)


def test_without_recovery_everybody_is_infected_in_the_end():
    """On the complete graph the share follows x' = x + (1 - x) (1 - (1 - b)^(n x)); seed 4, 200 at
    the start, four rounds; about sqrt(1/4n) per round."""
    b = 0.5 / CROWD
    totals = spread(
        rules.si, EVERYBODY, rules.Epidemic(b, 0.0), range(200), n_states=2, rounds=60, seed=4
    )
    x = 0.2
    for r in range(1, 5):
        x += (1 - x) * (1 - (1 - b) ** (CROWD * x))
        assert totals[r, 1] / CROWD == pytest.approx(x, abs=0.06)
    assert totals[-1, 1] == CROWD


def by_events(network, p, first, *, seed, until=1e6, compiled=False):
    """Stages at `until`."""
    stage, due = np.zeros(network.n, dtype=np.int8), np.full(network.n, np.inf)
    due[first] = 0.0
    cohort = EventCohort(
        rules.sir_events, rules.cases(stage, network), due, rules.EpidemicRates(*p),
        rng=seeded(seed), compiled=compiled,
    )  # fmt: skip
    cohort.advance(until)
    return stage


def test_an_epidemic_by_events_passes_along_a_chain_with_the_exact_probability():
    """5,000 chains 0 - 1 - 2, the first ill: the second falls ill with b / (b + g) = 0.4, the
    third with 0.16; somebody is ill at t = 0.5 with exp(-g t) if he was the first. Seed 8; four
    standard errors."""
    n, start = 5000, np.arange(0, 15000, 3)
    ties = np.concatenate([np.stack([start, start + 1], 1), np.stack([start + 1, start + 2], 1)])
    network = Network.from_edges(ties, 3 * n)
    stage = by_events(network, (1.0, 1.5), start, seed=8).reshape(n, 3)
    assert (stage[:, 0] == 2).all()
    for place, share in ((1, 0.4), (2, 0.16)):
        error = np.sqrt(share * (1 - share) / n)
        assert (stage[:, place] == 2).mean() == pytest.approx(share, abs=4 * error)
    early = by_events(network, (1.0, 1.5), start, seed=9, until=0.5).reshape(n, 3)
    share = np.exp(-0.75)
    assert (early[:, 0] == 1).mean() == pytest.approx(
        share, abs=4 * np.sqrt(share * (1 - share) / n)
    )


def test_an_epidemic_by_events_is_the_one_by_rates():
    """Numbers ill and recovered at t = 2 on a rewired ring, 60 runs each way, seed 10: means within
    four standard errors of their difference."""
    network = watts_strogatz(300, 6, 0.2, rng=seeded(10))

    def weigh(state, counts, p):
        return p[0] * counts[1] if state == 0 else p[1] if state == 1 else 0.0

    def by_rates(seed):
        stage = np.zeros(300, dtype=np.int8)
        stage[:10] = 1
        RateCohort(
            weigh, lambda state, counts, p: state + 1, stage, network, (0.5, 1.0), n_states=3,
            rng=seeded(seed), compiled=False,
        ).advance(2.0)  # fmt: skip
        return stage

    def numbers(stage):
        return [(stage == 1).sum(), (stage == 2).sum()]

    events = np.array([
        numbers(by_events(network, (0.5, 1.0), range(10), seed=[10, k], until=2.0))
        for k in range(60)
    ])  # fmt: skip
    rates = np.array([numbers(by_rates([11, k])) for k in range(60)])
    error = np.sqrt(events.var(axis=0, ddof=1) / 60 + rates.var(axis=0, ddof=1) / 60)
    assert (np.abs(events.mean(axis=0) - rates.mean(axis=0)) < 4 * error).all()


def test_an_epidemic_by_events_is_the_same_compiled_and_interpreted():
    network = watts_strogatz(200, 6, 0.2, rng=seeded(12))
    found = [
        by_events(network, (0.8, 1.0), range(5), seed=12, until=3.0, compiled=form).tolist()
        for form in (True, False)
    ]
    assert found[0] == found[1]
    assert {0, 1, 2} <= set(found[0])


def test_one_adopter_starts_a_cascade_if_thresholds_are_below_one_over_the_degree():
    """Watts (2002): on a connected network of degree 5, one neighbour is enough up to a share of
    1/5, and beyond it nothing happens; exact."""
    network = random_regular(400, 5, rng=seeded(5))
    for threshold, reached in ((0.2, 400), (0.201, 1)):
        totals = spread(
            rules.by_share, network, rules.Threshold(threshold), [7], n_states=2, rounds=100, seed=1
        )
        assert totals[-1, 1] == reached


def test_long_ties_speed_simple_and_stop_complex_contagion():
    """Centola & Macy (2007). Two neighbours needed: on a ring of k = 6 everybody adopts, on a
    rewired one hardly anybody; one neighbour needed: faster on the rewired one. Seed 6."""
    ring = watts_strogatz(600, 6, 0.0, rng=seeded(6))
    rewired = watts_strogatz(600, 6, 1.0, rng=seeded(6))
    found = {}
    for name, network in (("ring", ring), ("rewired", rewired)):
        for needed in (1, 2):
            found[name, needed] = spread(
                rules.by_number, network, rules.Threshold(needed), [0, 1, 2], n_states=2,
                rounds=300, seed=1,
            )[:, 1]  # fmt: skip
    assert found["ring", 2][-1] == 600
    assert found["rewired", 2][-1] < 60
    assert (found["rewired", 1] < 600).sum() < 0.2 * (found["ring", 1] < 600).sum()


DIAMOND = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]


def test_independent_cascades_reach_whom_open_ties_reach():
    """Five ties, each open with probability 0.4: P(3 is reached from 0) by listing all 32 cases,
    against 4,000 cascades, seed 7; four standard errors."""
    exact = 0.0
    for kept in itertools.product([0, 1], repeat=5):
        reached, ties = {0}, [t for t, k in zip(DIAMOND, kept, strict=True) if k]
        for _ in range(4):
            reached |= {b for a, b in ties if a in reached} | {a for a, b in ties if b in reached}
        exact += (3 in reached) * 0.4 ** sum(kept) * 0.6 ** (5 - sum(kept))
    # 1,000 copies of the small network side by side are one network.
    n = 4000
    copies = (4 * np.arange(n)[:, None, None] + np.array(DIAMOND)[None]).reshape(-1, 2)
    states = np.zeros(4 * n, dtype=np.int8)
    states[::4] = 1
    run_transitions(
        rules.independent_cascade, states, Network.from_edges(copies, 4 * n),
        rules.IndependentCascade(0.4), n_states=3, rounds=5, schedule="synchronous", rng=seeded(7),
    )  # fmt: skip
    assert (states != 1).all()
    share = (states[3::4] == 2).mean()
    assert share == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / n))


def test_linear_thresholds_activate_whom_chosen_ties_reach():
    """Kempe et al. (2003): with uniform thresholds the active are those reached when everybody
    keeps one of the ties to them, by weight. Diamond, weights 1/degree; 4,000 copies, seed 8.
    """
    n = 4000
    neighbours = {v: [a + b - v for a, b in DIAMOND if v in (a, b)] for v in range(4)}
    exact = np.zeros(4)
    for chosen in itertools.product(*(neighbours[v] for v in range(1, 4))):
        reached = {0}
        for _ in range(4):
            reached |= {v for v, from_whom in enumerate(chosen, 1) if from_whom in reached}
        weight = np.prod([1 / len(neighbours[v]) for v in range(1, 4)])
        exact[list(reached)] += weight
    copies = (4 * np.arange(n)[:, None, None] + np.array(DIAMOND)[None]).reshape(-1, 2)
    net = Network.from_edges(copies, 4 * n)
    active = np.zeros(4 * n, dtype=np.int8)
    active[::4] = 1
    weights = np.repeat(1.0 / net.degree, net.degree)
    state = (active, 1.0 - seeded(8).random(4 * n), net.starts, net.stops, net.indices, weights)
    run_rows(rules.linear_threshold, state, rounds=5, schedule="sweep", rng=seeded(9))
    found = active.reshape(n, 4).mean(axis=0)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(0.25 / n))
    assert found[0] == 1.0


def test_one_missing_threshold_ends_granovetter_s_riot():
    """Thresholds 0 to 99: 100 rioters; replace the 1 by a 2, and it is 1."""
    for second, rioters in ((1, 100), (2, 1)):
        threshold = np.arange(100)
        threshold[1] = second
        acting = np.zeros(100, dtype=np.int64)
        run_population(rules.granovetter, (acting, threshold), rounds=150, rng=seeded(1))
        assert acting.sum() == rioters


@pytest.mark.parametrize(("deviation", "all_riot"), [(12.1, False), (12.35, True)])
def test_a_little_more_variety_of_thresholds_makes_nearly_everybody_riot(deviation, all_riot):
    """Granovetter (1978): normal thresholds of mean 25 in a hundred; beyond the deviation 12.2221
    the small equilibrium is gone. 2,000 people at the quantiles of the law, no chance."""
    threshold = 20 * norm.ppf((np.arange(2000) + 0.5) / 2000, 25, deviation)
    acting = np.zeros(2000, dtype=np.int8)
    run_population(rules.granovetter, (acting, threshold), rounds=150, rng=seeded(1),
                   compiled=False)  # fmt: skip
    assert (acting.mean() > 0.9) == all_riot
    riot = int(acting.sum())
    assert riot == (threshold <= riot).sum()


@pytest.mark.parametrize(("step", "expected"), [(0.01, 0.331199), (1.0, 0.263)])
def test_bass_adoption_converges_to_the_closed_form_as_steps_shrink(step, expected):
    """p = .03, q = .38, F(5) = .331199; yearly steps give .263. 20,000 people, mean of 4, seed 10;
    early adoption makes runs vary: four standard errors of 0.006."""
    shares = []
    for i in range(4):
        adopted = np.zeros(20_000, dtype=np.int8)
        run_population(
            rules.bass, (adopted,), rules.Bass(0.03, 0.38, step), rounds=round(5 / step),
            rng=seeded([10, i]),
        )  # fmt: skip
        shares.append(adopted.mean())
    assert np.mean(shares) == pytest.approx(expected, abs=4 * 0.006 / 2)


@pytest.mark.parametrize(("stifling", "unheard"), [(1.0, 0.2032), (0.5, 0.0595)])
def test_a_fifth_of_a_crowd_never_hears_a_rumour(stifling, unheard):
    """Maki & Thompson (1973): x = exp(-2 (1 - x)) never hear it, exp(-3 (1 - x)) if half as many
    stop; with 1 in 200 who start, y0 + (1 + a) (x0 - x) + a log(x / x0) = 0, a = stifling. 20,000
    people, mean of 3, seed 11; the sd of a run is below 0.005, four standard errors."""
    shares = []
    for i in range(3):
        knows = np.zeros(20_000, dtype=np.int8)
        knows[:100] = 1
        run_pairwise(
            rules.rumour, knows, None, rounds=60, params=rules.Rumour(1.0, stifling),
            rng=seeded([11, i]),
        )  # fmt: skip
        assert (knows == 1).sum() == 0
        shares.append((knows == 0).mean())
    a = stifling
    limit = brentq(lambda x: x - np.exp(-(1 + 1 / a) * (1 - x)), 0, 0.9)
    assert limit == pytest.approx(unheard, abs=1e-4)
    x = brentq(lambda x: 0.005 + (1 + a) * (0.995 - x) + a * np.log(x / 0.995), 1e-9, 0.9)
    assert np.mean(shares) == pytest.approx(x, abs=4 * 0.005 / np.sqrt(3))


def test_information_cascades_begin_and_err_with_their_closed_forms():
    """Bikhchandani, Hirshleifer & Welch (1992), accuracy 0.6: none after ten people with
    probability (p - p^2)^5; right with probability p (p + 1) / 2 / (1 - p + p^2). 2,000 rows of
    ten, seed 30."""
    p, rng, ends = 0.6, seeded(30), []
    for _ in range(2000):
        action, counts = np.zeros(10, dtype=np.int8), np.zeros(2, dtype=np.int64)
        run_rows(rules.information_cascade, (action, counts), rules.Signal(p), rounds=1,
                 schedule="sweep", rng=rng, compiled=False)  # fmt: skip
        assert counts.sum() == 10
        assert counts[1] == action.sum()
        ends.append(counts[1] - counts[0])
    none = (p - p**2) ** 5
    right = (1 - none) * p * (p + 1) / 2 / (1 - p + p**2)
    for found, expected in ((np.equal(ends, 0), none), (np.greater(ends, 0), right)):
        spread = np.sqrt(expected * (1 - expected) / 2000)
        assert found.mean() == pytest.approx(expected, abs=4 * spread)
