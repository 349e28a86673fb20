"""Rules of imitation and selection take over with the probabilities of their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abm.errors import EngineError, RuleError
from abm.kernels import rules, run_rows
from abm.networks import Network

COORDINATION = np.array([[3.0, 0.0], [1.0, 2.0]])


def seeded(seed):
    return np.random.default_rng(seed)


def cliques(size, number):
    """Groups in which everybody is tied to everybody, as one network."""
    pairs = [(i, j) for i in range(size) for j in range(i)]
    ties = [(size * g + i, size * g + j) for g in range(number) for i, j in pairs]
    return Network.from_edges(ties, size * number)


def payoffs(payoff, n, k):
    """Mean payoffs of the two strategies if k of n play the first and nobody plays oneself."""
    (a, b), (c, d) = payoff
    return ((k - 1) * a + (n - k) * b) / (n - 1), (k * c + (n - k - 1) * d) / (n - 1)


def taken_over(ratios):
    """One mutant's chance if `ratios[k - 1]` is how much likelier k lose one than win one."""
    return 1.0 / (1.0 + np.cumprod(ratios).sum())


def share_won(rule, params, game, size, rng):
    """Share of groups that the first strategy takes over; those that are decided rest."""
    while True:
        groups = game.strategy.reshape(-1, size).sum(axis=1)
        open_ones = np.flatnonzero(np.repeat((groups > 0) & (groups < size), size))
        if not open_ones.size:
            assert game.number.tolist() == np.bincount(game.strategy, minlength=2).tolist()
            return (groups == 0).mean()
        run_rows(rule, game, params, rounds=2, schedule="asynchronous", rng=rng,
                 members=open_ones, compiled=False)  # fmt: skip


def near(probability, number):
    """Four standard errors of a share of so many."""
    return pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / number))


def mutants(size, number):
    strategy = np.ones(size * number, dtype=np.int8)
    strategy[::size] = 0
    return strategy


class Dealt:
    """Chance that was dealt beforehand: whom `integer` names, and what `random` gives."""

    def __init__(self, whom, u):
        self.integer, self.random = lambda _: whom, lambda: u


@pytest.mark.parametrize("n_first", [1, 3, 5])
@pytest.mark.parametrize("intensity", [0.0, 0.7, 5.0, math.inf])
def test_somebody_is_copied_with_the_probability_of_the_fermi_function(n_first, intensity):
    """Six players; player 0 plays the first strategy, player 5 the second."""
    one, two = payoffs(COORDINATION, 6, n_first)
    gap = two - one
    steep = intensity * gap if gap else 0.0
    probability = 1 / (1 + math.exp(-steep)) if abs(steep) < 700 else float(steep > 0)
    for u in (probability - 1e-9, probability + 1e-9):
        game = rules.players(np.array([0] * n_first + [1] * (6 - n_first)), COORDINATION)
        rules.fermi(0, game, rules.Fermi(intensity), Dealt(4, u))  # the fifth of the others
        assert (game.strategy[0] == 1) == (u < probability)


def test_pairwise_comparison_takes_over_with_its_closed_form():
    """Traulsen, Nowak & Pacheco (2006): 600 groups of five, seed 1. Players of the same group alone
    meet, so that the ties say what a crowd of five would."""
    w, gaps = 0.8, [np.subtract(*payoffs(COORDINATION, 5, k)) for k in range(1, 5)]
    game = rules.players(mutants(5, 600), COORDINATION, cliques(5, 600))
    won = share_won(rules.fermi, rules.Fermi(w), game, 5, seeded(1))
    assert won == near(taken_over(np.exp(-w * np.array(gaps))), 600)


def test_death_and_birth_among_neighbours_take_over_with_their_closed_form():
    """Ohtsuki et al. (2006): the others of the group compete for the place; 600 groups of five,
    seed 2."""
    w, n, ratios = 0.8, 5, []
    for k in range(1, n):
        one, two = np.exp(w * np.array(payoffs(COORDINATION, n, k)))
        win = (n - k) * k * one / (k * one + (n - k - 1) * two)
        lose = k * (n - k) * two / ((k - 1) * one + (n - k) * two)
        ratios.append(lose / win)
    game = rules.players(mutants(n, 600), COORDINATION, cliques(n, 600))
    won = share_won(rules.death_birth, rules.Moran(w), game, n, seeded(2))
    assert won == near(taken_over(ratios), 600)


def test_constant_fitness_takes_over_as_in_the_moran_process():
    """(1 - 1/r) / (1 - 1/r^n), 0.3656 for r = 1.5 and six players; 400 crowds, seed 3."""
    r, won, rng = 1.5, 0, seeded(3)
    for _ in range(400):
        game = rules.players(mutants(6, 1), [[math.log(r)] * 2, [0.0, 0.0]])
        while 0 < game.number[0] < 6:
            run_rows(rules.moran, game, rules.Moran(1.0), rounds=5, schedule="asynchronous",
                     rng=rng, compiled=False)  # fmt: skip
        won += game.number[0] == 6
    assert won / 400 == near((1 - 1 / r) / (1 - 1 / r**6), 400)


def test_proportional_imitation_follows_the_replicator_equation():
    """A cost that all cooperators bear: x' = -c x (1 - x) / spread, a logistic curve; 4,000
    players, seed 4. Four standard deviations of a share of 4,000 independent ones."""
    benefit, cost, n = 2.0, 1.0, 4000
    game = rules.players(
        np.arange(n) % 2, [[benefit - cost, -cost], [benefit, 0.0]]
    )  # half of them cooperate
    run_rows(rules.proportional_imitation, game, rounds=6, schedule="asynchronous", rng=seeded(4),
             compiled=False)  # fmt: skip
    expected = 1 / (1 + math.exp(cost / (benefit + cost) * 6))
    assert game.number[0] / n == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(n))


def test_nobody_copies_who_earns_less_and_loners_stay():
    """Everybody who is tied to the best imitates it or stays; the last player has no ties."""
    network = Network.from_edges([(0, 1), (1, 2)], 4)
    game = rules.players(np.array([0, 1, 1, 1]), [[0.0, 0.0], [9.0, 9.0]], network)
    for rule, params in (
        (rules.proportional_imitation, ()),
        (rules.fermi, rules.Fermi(math.inf)),
        (rules.death_birth, rules.Moran(1.0)),
    ):
        game = rules.players(np.array([0, 1, 1, 0]), [[0.0, 0.0], [9.0, 9.0]], network)
        run_rows(rule, game, params, rounds=40, schedule="sweep", rng=seeded(5), compiled=False)
        assert game.strategy.tolist() == [1, 1, 1, 0]
    assert rules.earnings(game).tolist() == [9.0, 9.0, 9.0, 0.0]


def test_processes_with_and_without_ties_are_not_mixed_up():
    crowd = rules.players(np.array([0, 1, 1]), COORDINATION)
    tied = rules.players(np.array([0, 1, 1]), COORDINATION, cliques(3, 1))
    for rule, game in ((rules.moran, tied), (rules.death_birth, crowd)):
        with pytest.raises(RuleError, match="players with"):
            run_rows(rule, game, rules.Moran(1.0), rounds=1, schedule="sweep", rng=seeded(1),
                     compiled=False)  # fmt: skip


def test_earnings_are_those_of_all_games_played_one_by_one():
    network = Network.from_edges([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)], 5)
    payoff = seeded(6).random((3, 3))
    strategy = np.array([0, 1, 2, 1, 0])
    for ties, pairs in ((network, network.to_networkx().adj), (None, None)):
        game = rules.players(strategy, payoff, ties)
        for i, earned in enumerate(rules.earnings(game)):
            others = [j for j in range(5) if j != i] if pairs is None else list(pairs[i])
            games = [payoff[strategy[i], strategy[j]] for j in others]
            assert earned == pytest.approx(np.mean(games) if games else 0.0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rules.players(np.array([0, 2]), COORDINATION), r"strategy\[1\] = 2, expected 0"),
        (lambda: rules.players(np.array([0.0, 1.0]), COORDINATION), "a NumPy column of integers"),
        (lambda: rules.players(np.array([0]), COORDINATION), "two players"),
        (lambda: rules.players(np.array([0, 1]), [1.0, 2.0]), r"shape \(2,\), expected a square"),
        (lambda: rules.players(np.array([0, 0]), [[math.nan]]), r"payoff\[0, 0\] = nan"),
        (
            lambda: rules.players(np.array([0, 1]), COORDINATION, cliques(3, 1)),
            "with 3 nodes, expected a Network of 2",
        ),
        (lambda: rules.Fermi(-1.0), "Fermi: intensity = -1.0, expected 0 <= intensity"),
        (lambda: rules.Moran(math.nan), "Moran: intensity = nan"),
    ],
)
def test_games_that_cannot_be_played_are_refused(make, told):
    with pytest.raises(EngineError, match=told):
        make()
