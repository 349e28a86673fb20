"""Opinion rules of the library, run through the public drivers, do what is published of them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from abm.errors import EngineError
from abm.kernels import rules, run_neighbours, run_pairwise, run_population, run_rows, run_within
from abm.networks import Network, complete, erdos_renyi, lattice


def seeded(seed):
    return np.random.default_rng(seed)


def clusters(x, gap=0.02):
    """Sizes of the groups that gaps larger than `gap` part."""
    borders = np.flatnonzero(np.diff(np.sort(x)) > gap)
    return np.diff(np.concatenate([[-1], borders, [len(x) - 1]]))


@pytest.mark.parametrize(
    ("bound", "sweeps", "majors", "single"),
    [(0.1, 3000, 4.33, 0.0), (0.2, 1500, 2.0, 0.0), (0.3, 1500, 1.0, 0.2), (0.5, 1500, 1.0, 1.0)],
)
def test_deffuant_settles_in_the_tabulated_number_of_clusters(bound, sweeps, majors, single):
    """N = 1000, rate 0.5, 20 seeds against 30 of the table; sd of the major clusters below 0.6."""
    found, alone = [], []
    for seed in range(20):
        x = seeded([1, seed]).random(1000)
        before = x.mean()
        run_pairwise(
            rules.deffuant, x, None, 1000 * sweeps, rules.Deffuant(bound, 0.5), rng=seeded(seed)
        )
        assert x.mean() == pytest.approx(before, abs=1e-11)
        sizes = clusters(x)
        found.append((sizes >= 50).sum())
        alone.append(sizes.size == 1)
    error = np.sqrt(1 / 20 + 1 / 30)
    assert np.mean(found) == pytest.approx(majors, abs=4 * 0.6 * error)
    tolerance = 4 * np.sqrt(max(single * (1 - single), 0.01)) * error
    assert np.mean(alone) == pytest.approx(single, abs=tolerance)


@pytest.mark.parametrize(("bound", "number"), [(0.1, 5), (0.2, 1)])
def test_evenly_spaced_hegselmann_krause_opinions_settle_as_tabulated(bound, number):
    x = np.arange(1, 1002) / 1002
    run_within(rules.hegselmann_krause, x, bound, rounds=1000, stop_when_still=True, rng=seeded(1))
    sizes = clusters(x, gap=1e-6)
    assert sizes.size == number
    centres = np.sort(x)[np.cumsum(sizes) - 1]
    assert (np.diff(centres) > bound).all()


def test_hegselmann_krause_on_a_complete_network_is_the_one_without():
    x = seeded(2).random(150)
    y = x.copy()
    bound = rules.HegselmannKrause(0.2)
    for driver in (1, 2):
        if driver == 1:
            run_within(rules.hegselmann_krause, x, 0.2, rounds=4, rng=seeded(1))
        else:
            run_neighbours(
                rules.hegselmann_krause_ties, y, complete(150), bound,
                rounds=4, schedule="synchronous", rng=seeded(1),
            )  # fmt: skip
    assert y == pytest.approx(x, abs=1e-12)


def extremists(uncertainty, share, seed):
    """Deffuant et al. (2002): N = 200, rate 0.5, extremists with uncertainty 0.1 at both ends;
    share of the initially moderate that end beyond 0.6 on each side."""
    n, rng = 200, seeded(seed)
    x, u = rng.uniform(-1, 1, n), np.full(n, uncertainty)
    order = np.argsort(x)
    k = round(share * n / 2)
    ends = np.concatenate([order[:k], order[n - k :]])
    u[ends] = 0.1
    run_pairwise(
        rules.relative_agreement, (x, u), None, n * 300, rules.RelativeAgreement(0.5), rng=rng,
        compiled=True,
    )  # fmt: skip
    calm = np.setdiff1d(np.arange(n), ends)
    return (x[calm] > 0.6).mean(), (x[calm] < -0.6).mean()


def test_relative_agreement_converges_to_the_centre_or_to_the_extremes():
    """Deffuant et al. (2002), figures 5 and 6: central convergence at U = 0.4 and 20 % extremists,
    both extremes at U = 1.2 and 25 %. Medians of 10 runs."""
    central = [sum(extremists(0.4, 0.2, [3, i])) for i in range(10)]
    assert np.median(central) < 0.5
    both = np.array([extremists(1.2, 0.25, [4, i]) for i in range(10)])
    assert np.median(both.sum(axis=1)) > 0.95
    assert np.median(both.min(axis=1)) > 0.2


def test_equal_uncertainties_stay_equal_and_the_mean_is_kept():
    x, u = seeded(5).uniform(-1, 1, 300), np.full(300, 0.5)
    before = x.mean()
    run_pairwise(
        rules.relative_agreement, (x, u), None, 100_000, rules.RelativeAgreement(0.3), rng=seeded(6)
    )
    assert (u == 0.5).all()
    assert x.mean() == pytest.approx(before, abs=1e-11)
    assert 1 <= (clusters(x) >= 15).sum() <= 3  # about 2 / (2 U) = 2 in the paper


def test_degroot_reaches_the_consensus_of_the_three_person_example():
    """T = [[0, .5, .5], [1, 0, 0], [0, 1, 0]]: influence (.4, .4, .2), x0 = (1, 0, 0) gives 0.4."""
    ties = Network.from_edges(
        [(0, 1), (0, 2), (1, 0), (2, 1)], weights=[0.5, 0.5, 1.0, 1.0], directed=True
    )
    x = np.array([1.0, 0.0, 0.0])
    run_neighbours(
        rules.degroot, x, ties, rules.DeGroot(0.0), rounds=400, schedule="synchronous",
        rng=seeded(1),
    )  # fmt: skip
    assert x.tolist() == pytest.approx([0.4, 0.4, 0.4], abs=1e-12)


def test_friedkin_johnsen_reaches_its_published_equilibrium():
    """Friedkin & Johnsen (1999): (60, 60, 75, 75) rounded."""
    w = np.array(
        [[0.22, 0.12, 0.36, 0.3], [0.147, 0.215, 0.344, 0.294], [0, 0, 1, 0],
         [0.09, 0.178, 0.446, 0.286]]
    )  # fmt: skip
    off = [(i, j) for i in range(4) for j in range(4) if i != j and w[i, j] > 0]
    ties = Network.from_edges(off, 4, weights=[w[i, j] for i, j in off], directed=True)
    x = np.array([25.0, 25.0, 75.0, 85.0])
    state = rules.anchored(x, ties, 1 - np.diag(w), own_weight=np.diag(w))
    run_population(rules.friedkin_johnsen, state, rounds=300, rng=seeded(1))
    assert x.tolist() == pytest.approx([60.020849, 59.983966, 75.0, 74.986205], abs=1e-6)


def test_without_anchors_the_karate_club_agrees_by_degree():
    """With oneself as a neighbour, influence is (degree + 1) / sum: 0.515789473684."""
    graph = nx.karate_club_graph()
    ties = Network.from_networkx(graph, weight=None)
    x = np.array([float(club == "Mr. Hi") for _, club in graph.nodes(data="club")])
    state = rules.anchored(x, ties, 1.0, own_weight=1.0)
    run_population(rules.friedkin_johnsen, state, rounds=400, rng=seeded(1))
    assert x.tolist() == pytest.approx([0.515789473684] * 34, abs=1e-9)
    with pytest.raises(EngineError, match="susceptibility"):
        rules.anchored(x, ties, 1.5)


@pytest.mark.parametrize("bias", [0.2, 0.8, 1.5])
def test_two_islands_agree_disagree_or_polarise_as_bias_says(bias):
    """Dandekar et al. (2013): homophily 3; consensus up to b = 1/2, disagreement up to b = 1, where
    r = x / (1 - x) obeys r^(1 - b) = (h r + 1) / (h + r), and polarisation from there."""
    n, h = 4, 3.0
    pairs = [(i, j) for i in range(2 * n) for j in range(i)]
    weights = [h / (n - 1) if (i < n) == (j < n) else 1 / n for i, j in pairs]
    ties = Network.from_edges(pairs, weights=weights)
    x = np.repeat([0.6, 0.4], n)
    run_neighbours(
        rules.biased_assimilation, x, ties, rules.BiasedAssimilation(bias, 0.1), rounds=200,
        schedule="synchronous", rng=seeded(1), bounds=(0, 1),
    )  # fmt: skip
    if bias > 1:
        assert x[0] > 0.99
        assert x[-1] < 0.01
    elif bias < 0.5:
        assert x == pytest.approx(np.full(2 * n, x[0]), abs=1e-3)
    else:
        r = x[0] / (1 - x[0])
        assert 0.55 < x[0] < 0.999
        assert r ** (1 - bias) == pytest.approx((h * r + 1) / (h + r), rel=1e-3)


def test_attraction_and_repulsion_give_consensus_two_camps_or_many():
    """Jager & Amblard (2005): much acceptance, consensus; little tolerance, two camps at the ends;
    little acceptance and no rejection, several groups. N = 400, seeds 7-9."""
    ends = []
    for seed, (acceptance, rejection) in enumerate([(1.5, 2.0), (0.1, 0.6), (0.2, 2.0)], 7):
        x = seeded(seed).uniform(-1, 1, 400)
        p = rules.SocialJudgement(acceptance, rejection, 0.2)
        run_pairwise(
            rules.social_judgement, x, None, 400 * 1000, p, rng=seeded(seed), bounds=(-1, 1)
        )
        ends.append(x)
    consensus, camps, many = ends
    assert np.ptp(consensus) < 1e-6
    assert (np.abs(camps) > 0.99).mean() > 0.95
    assert 0.2 < (camps > 0).mean() < 0.8
    assert (clusters(many) >= 20).sum() >= 3


# ---------------------------------------------------------------------- discrete


def test_voters_agree_on_a_state_with_the_probability_of_its_share():
    """Complete graph, N = 40, 12 start with 1: exit probability 0.3; 600 runs, seed 10."""
    won = 0
    for i in range(600):
        x = np.zeros(40, dtype=np.int8)
        x[:12] = 1
        run_pairwise(rules.voter, x, None, 40 * 600, rng=seeded([10, i]), compiled=True)
        assert x.min() == x.max()
        won += int(x[0])
    assert won / 600 == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 600))


@pytest.mark.parametrize(("independence", "expected"), [(0.1, 0.8819), (0.2, 0.7071)])
def test_q_voters_keep_the_magnetisation_of_the_closed_form(independence, expected):
    """q = 2: m**2 = (1 - 3 p) / (1 - p). N = 2000 from all +1, 300 sweeps, second half; seed 11."""
    s, p, means = np.ones(2000, dtype=np.int8), rules.QVoter(2, independence), []
    for sweep in range(60):
        rng = seeded([11, sweep])
        run_rows(rules.q_voter, (s,), p, rounds=5, schedule="asynchronous", rng=rng)
        means.append(s.mean())
    assert np.mean(means[30:]) == pytest.approx(expected, abs=0.012)


def test_a_panel_of_neighbours_in_a_complete_network_is_a_panel_of_anybody():
    """N = 600, independence 0.1; 36 sweeps, the second half; the sd of a mean is about 0.004."""
    s, everybody = np.ones(600, dtype=np.int8), complete(600)
    means = []
    for sweep in range(12):
        run_neighbours(
            rules.q_voter_ties, s, everybody, rules.QVoter(2, 0.1), rounds=3,
            schedule="asynchronous", rng=seeded([18, sweep]), compiled=True,
        )  # fmt: skip
        means.append(s.mean())
    assert np.mean(means[4:]) == pytest.approx(0.8819, abs=0.03)


def test_local_majorities_follow_galam_s_orbit():
    """Groups of 3 from 0.45: .42525, .38871, .33582, .26258; 300,000 people, seed 12; the deviation
    of a round is about sqrt(p q / N), and the map multiplies those before it by up to 1.5."""
    n = 300_000
    x = np.zeros(n, dtype=np.int8)
    x[: round(0.45 * n)] = 1
    state = (x, np.arange(n, dtype=np.int32))
    for r, expected in enumerate((0.42525, 0.38871, 0.33582, 0.26258)):
        run_population(rules.galam, state, rules.Galam(3, -1), rounds=1, rng=seeded([12, r]))
        assert x.mean() == pytest.approx(expected, abs=4 * 1.5**r * np.sqrt(0.25 / n))


def test_even_groups_take_the_state_that_ties_favour():
    """Groups of 4, ties to 1: p' = p^4 + 4 p^3 q + 6 p^2 q^2; from 0.3 (above the threshold 0.23)
    the minority wins; seed 13."""
    n = 100_000
    x = (seeded(13).random(n) < 0.3).astype(np.int8)
    p, q = x.mean(), 1 - x.mean()
    state = (x, np.arange(n, dtype=np.int32))
    run_population(rules.galam, state, rules.Galam(4, 1), rounds=1, rng=seeded(14))
    expected = p**4 + 4 * p**3 * q + 6 * p**2 * q**2
    assert x.mean() == pytest.approx(expected, abs=4 * np.sqrt(4 * 0.25 / n))
    run_population(rules.galam, state, rules.Galam(4, 1), rounds=15, rng=seeded(15))
    assert x.mean() == 1.0


@pytest.mark.parametrize("start", [0.3, 0.4])
def test_sznajd_on_a_ring_leaves_with_the_squared_odds(start):
    """Exit probability x^2 / (x^2 + (1 - x)^2) (Lambiotte & Redner 2008, Slanina et al. 2008);
    40 people, 600 runs, seed 16; four standard errors."""
    n, runs, won = 40, 600, 0
    ring = Network.from_edges([(i, (i + 1) % n) for i in range(n)])
    for i in range(runs):
        x = (seeded([16, i]).random(n) < start).astype(np.int8)
        state = (x, ring.starts, ring.stops, ring.indices)
        run_rows(
            rules.sznajd, state, rounds=3000, schedule="asynchronous", rng=seeded([17, i]),
            compiled=True,
        )  # fmt: skip
        assert x.min() == x.max()
        won += int(x[0])
    expected = start**2 / (start**2 + (1 - start) ** 2)
    error = np.sqrt(expected * (1 - expected) / runs)
    assert won / runs == pytest.approx(expected, abs=4 * error)


def test_majorities_rest_or_go_to_and_fro():
    """Goles & Olivos (1981): at once, periods of one or two; one after another, rest. Ten networks
    of 60 people, seeds [20, k]."""
    for seed in range(10):
        network = erdos_renyi(60, 0.1, rng=seeded([20, seed]))
        x = seeded([21, seed]).integers(0, 2, 60).astype(np.int8)
        y, past = x.copy(), []
        for _ in range(60):
            past.append(x.copy())
            run_neighbours(rules.majority, x, network, rounds=1, schedule="synchronous",
                           rng=seeded(1), compiled=False)  # fmt: skip
        assert np.array_equal(x, past[-2])
        for k in range(20):
            before = y.copy()
            run_neighbours(rules.majority, y, network, rounds=1, schedule="sweep",
                           rng=seeded([22, k]), compiled=False)  # fmt: skip
            assert disagreeing(y, network) <= disagreeing(before, network)
        assert np.array_equal(y, before)


def disagreeing(x, network):
    ends = network.edges()
    return int((x[ends[:, 0]] != x[ends[:, 1]]).sum())


def test_two_cultures_become_one_in_the_expected_time():
    """With d of F features different, one in F / (F - d) encounters changes one: 1 + ... = F times
    the harmonic number of F - 1 from one feature in common. 200 pairs, seeds [23, k]; four
    standard errors."""
    n_features, needed = 4, []
    for k in range(200):
        culture, k_met = np.array([[0, 0, 0, 0], [0, 1, 2, 3]]), 0
        rng = seeded([23, k])
        while (culture[0] != culture[1]).any():
            run_pairwise(rules.axelrod, (culture,), None, 1, rng=rng, compiled=False)
            k_met += 1
        needed.append(k_met)
    expected = n_features * (1 + 1 / 2 + 1 / 3)
    assert np.mean(needed) == pytest.approx(expected, abs=4 * np.std(needed) / np.sqrt(200))


def test_more_traits_keep_more_cultures_and_more_features_fewer():
    """Axelrod (1997): on a grid of 6 x 6, until neighbours share everything or nothing; seed 24."""
    grid, regions = lattice((6, 6), torus=False), {}
    ends = grid.edges()
    for n_features, n_traits in ((3, 2), (3, 15), (12, 15)):
        culture = seeded(24).integers(0, n_traits, (36, n_features)).astype(np.int8)
        for k in range(200):
            run_pairwise(rules.axelrod, (culture,), grid, rounds=100, rng=seeded([25, k]))
            same = (culture[ends[:, 0]] == culture[ends[:, 1]]).sum(axis=1)
            if np.isin(same, (0, n_features)).all():
                break
        assert np.isin(same, (0, n_features)).all()
        regions[n_features, n_traits] = len(np.unique(culture, axis=0))
    assert regions[3, 2] < regions[3, 15] > regions[12, 15]


def test_a_panel_of_one_makes_noisy_voters_of_kirman_s_law():
    """Stationary distribution of the birth and death chain of how many are in favour; 20 people,
    p = 0.2. Its variance from 2,000 looks, seed 26, ten rounds apart: they are nearly independent
    (deviations halve in 3.5 rounds), so that four standard errors are 0.13 of it at most."""
    n, p = 20, 0.2
    k = np.arange(n + 1.0)
    up = (n - k) / n * (p / 2 + (1 - p) * k / (n - 1))
    down = k / n * (p / 2 + (1 - p) * (n - k) / (n - 1))
    law = np.cumprod(np.concatenate([[1.0], up[:-1] / down[1:]]))
    variance = ((k - n / 2) ** 2 * law).sum() / law.sum()
    s, found, rng = np.ones(n, dtype=np.int8), [], seeded(26)
    for _ in range(2000):
        run_rows(rules.q_voter, (s,), rules.QVoter(1, p), rounds=10, schedule="asynchronous",
                 rng=rng, compiled=True)  # fmt: skip
        found.append((s == 1).sum() - n / 2)
    assert np.mean(np.square(found)) == pytest.approx(variance, rel=0.13)


def test_zealots_spread_opinions_as_a_beta_binomial_law():
    """Mobilia, Petersen & Redner (2007): 20 free voters among two zealots of 1 and one of 0, who
    are met and stay. In favour are 2/3 on average, with the variance of the beta-binomial law; 800
    looks, 15 rounds apart (deviations fall to 1/e in 7), seed 27; four standard errors."""
    x, rng, found = np.zeros(23, dtype=np.int8), seeded(27), []
    x[20:22] = 1
    for _ in range(800):
        run_pairwise(rules.voter, x, None, rounds=15, members=np.arange(20), rng=rng)
        found.append(int(x[:20].sum()))
    assert x[20:].tolist() == [1, 1, 0]
    variance = 20 * 2 / 3 * 1 / 3 * (20 + 3) / (1 + 3)
    assert np.mean(found) == pytest.approx(20 * 2 / 3, abs=4 * np.sqrt(variance / 700))
    assert np.var(found) == pytest.approx(variance, rel=0.2)
