"""The library's page is true and whole, and its rules are bit-equal compiled and interpreted."""

from __future__ import annotations

import doctest
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from abm.errors import EngineError, RuleError
from abm.kernels import (
    EventCohort,
    noting,
    rules,
    run_neighbours,
    run_pairwise,
    run_population,
    run_rows,
    run_transitions,
    run_within,
)
from abm.networks import watts_strogatz

PAGE = Path(__file__).parents[2] / "docs" / "rule_library.md"
N = 40
NET = watts_strogatz(N, 6, 0.3, rng=np.random.default_rng(1))
HEAVY = np.random.default_rng(2).random(NET.indices.size)


def seeded(seed):
    return np.random.default_rng(seed)


def uniform(low=0.0):
    return seeded(3).uniform(low, 1.0, N)


def coins():
    return seeded(4).integers(0, 2, N).astype(np.int8)


def money():
    return seeded(5).integers(0, 9, N).astype(np.int64)


def pairs(rule, params, *columns):
    return lambda c: (run_pairwise(rule, columns if len(columns) > 1 else columns[0], NET, 600,
                                   params, rng=seeded(6), compiled=c), columns)  # fmt: skip


def near(rule, params, column):
    return lambda c: (run_neighbours(rule, column, NET, params, rounds=5, schedule="sweep",
                                     rng=seeded(6), compiled=c), (column,))  # fmt: skip


def rows(rule, params, state):
    return lambda c: (run_rows(rule, state, params, rounds=6, schedule="asynchronous",
                               rng=seeded(6), compiled=c), state)  # fmt: skip


def whole(rule, params, state):
    return lambda c: (run_population(rule, state, params, rounds=6, rng=seeded(6), compiled=c),
                      state)  # fmt: skip


def states(rule, params, n_states):
    column = seeded(7).integers(0, n_states, N).astype(np.int8)
    return lambda c: (run_transitions(rule, column, NET, params, n_states=n_states, rounds=6,
                                      schedule="synchronous", rng=seeded(6), compiled=c).run,
                      (column,))  # fmt: skip


def play(rule, params, ties=NET):
    return rows(rule, params, rules.players(coins(), [[3.0, 0.0], [5.0, 1.0]], ties))


def within(rule, params, column):
    return lambda c: (run_within(rule, column, 0.2, params, rounds=5, rng=seeded(6), compiled=c),
                      (column,))  # fmt: skip


def events(rule, params, state, due):
    def run(c):
        cohort = EventCohort(rule, state, due, params, rng=seeded(6), compiled=c)
        with noting() as notes:
            cohort.advance(5.0)
        (entry,) = notes.table()
        return SimpleNamespace(compiled=entry["compiled"] == entry["updates"] > 0), (*state, due)

    return run


TIES = (NET.starts, NET.stops, NET.indices)
RUNS = {
    "deffuant": lambda: pairs(rules.deffuant, rules.Deffuant(0.3, 0.4), uniform()),
    "hegselmann_krause": lambda: within(rules.hegselmann_krause, (), uniform()),
    "hegselmann_krause_ties": lambda: near(
        rules.hegselmann_krause_ties, rules.HegselmannKrause(0.3), uniform()
    ),
    "relative_agreement": lambda: pairs(
        rules.relative_agreement, rules.RelativeAgreement(0.4), uniform(-1), uniform(0.3)
    ),
    "degroot": lambda: near(rules.degroot, rules.DeGroot(0.3), uniform()),
    "friedkin_johnsen": lambda: whole(
        rules.friedkin_johnsen, (), rules.anchored(uniform(), NET, 0.7, own_weight=0.2)
    ),
    "biased_assimilation": lambda: near(
        rules.biased_assimilation, rules.BiasedAssimilation(1.3, 0.4), uniform()
    ),
    "social_judgement": lambda: pairs(
        rules.social_judgement, rules.SocialJudgement(0.3, 0.8, 0.2), uniform(-1)
    ),
    "voter": lambda: pairs(rules.voter, (), coins()),
    "q_voter": lambda: rows(rules.q_voter, rules.QVoter(2, 0.1), (2 * coins() - 1,)),
    "q_voter_ties": lambda: near(rules.q_voter_ties, rules.QVoter(3, 0.2), 2 * coins() - 1),
    "majority": lambda: near(rules.majority, (), coins()),
    "axelrod": lambda: pairs(
        rules.axelrod, (), seeded(9).integers(0, 3, (N, 4)).astype(np.int8), coins()
    ),
    "fermi": lambda: play(rules.fermi, rules.Fermi(0.4)),
    "proportional_imitation": lambda: play(rules.proportional_imitation, ()),
    "moran": lambda: play(rules.moran, rules.Moran(0.4), None),
    "death_birth": lambda: play(rules.death_birth, rules.Moran(0.4)),
    "galam": lambda: whole(rules.galam, rules.Galam(3, -1), (coins(), np.arange(N))),
    "sznajd": lambda: rows(rules.sznajd, (), (coins(), *TIES)),
    "si": lambda: states(rules.si, rules.Epidemic(0.1, 0.0), 2),
    "sis": lambda: states(rules.sis, rules.Epidemic(0.1, 0.4), 2),
    "sir": lambda: states(rules.sir, rules.Epidemic(0.1, 0.4), 3),
    "seir": lambda: states(rules.seir, rules.SlowEpidemic(0.1, 0.5, 0.4), 4),
    "sir_events": lambda: events(
        rules.sir_events,
        rules.EpidemicRates(0.5, 1.0),
        rules.cases(np.zeros(N, np.int8), NET),
        np.where(coins() == 1, 0.0, np.inf),
    ),
    "by_share": lambda: states(rules.by_share, rules.Threshold(0.6), 2),
    "by_number": lambda: states(rules.by_number, rules.Threshold(4), 2),
    "independent_cascade": lambda: states(
        rules.independent_cascade, rules.IndependentCascade(0.2), 3
    ),
    "linear_threshold": lambda: rows(
        rules.linear_threshold, (), (coins(), uniform(), *TIES, HEAVY / 6)
    ),
    "granovetter": lambda: whole(rules.granovetter, (), (coins(), money() * 4)),
    "information_cascade": lambda: rows(
        rules.information_cascade, rules.Signal(0.6), (coins(), np.zeros(2, dtype=np.int64))
    ),
    "zero_intelligence": lambda: rows(
        rules.zero_intelligence, (), rules.market(uniform(), uniform()[:9], 1.0)
    ),
    "bass": lambda: whole(rules.bass, rules.Bass(0.05, 0.4, 0.5), (coins(),)),
    "rumour": lambda: pairs(rules.rumour, rules.Rumour(0.8, 0.5), coins()),
    "boltzmann_wealth": lambda: pairs(rules.boltzmann_wealth, (), money()),
    "random_split": lambda: pairs(rules.random_split, rules.Saving(0.3), uniform()),
    "donation": lambda: pairs(rules.donation, rules.Donation(0.1, 1.5), uniform()),
    "yard_sale": lambda: pairs(rules.yard_sale, rules.YardSale(0.4), uniform()),
    "schelling": lambda: rows(
        rules.schelling, rules.Schelling(0.5), rules.city((7, 7), [20, 20], rng=seeded(8))
    ),
}
HELPERS = {"anchored", "cases", "city", "earnings", "like_share", "market", "players"}


def test_the_page_is_true():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0


def test_the_table_lists_every_rule_with_its_parameters():
    table = "\n".join(line for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`(\w+)", table))
    assert set(rules.__all__) - HELPERS - {"Anchored", "Cases", "City", "Game", "Market"} <= named
    functions = {name for name in rules.__all__ if name.islower()} - HELPERS
    assert functions == set(RUNS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rules.Deffuant(-1, 0.5), "Deffuant: confidence_bound = -1, expected 0 <="),
        (lambda: rules.Deffuant(0.3, rate=50), "Deffuant: rate = 50, expected 0 < rate <= 0.5"),
        (lambda: rules.Epidemic(0.1, np.nan), "Epidemic: recovery = nan"),
        (lambda: rules.EpidemicRates(-0.1, 1.0), "EpidemicRates: infection = -0.1"),
        (lambda: rules.Saving(0.5)._replace(saving=2.0), "Saving: saving = 2.0"),
        (lambda: rules.QVoter(0, 0.1), "QVoter: q = 0, expected a whole number, 1 <= q < inf"),
        (lambda: rules.QVoter(2.5, 0.1), "QVoter: q = 2.5, expected a whole number"),
        (lambda: rules.Deffuant(0.3, "0.5"), "Deffuant: rate = '0.5', expected 0 < rate <= 0.5"),
        (lambda: rules.EpidemicRates(1.0, 0.0), "EpidemicRates: recovery = 0.0, expected 0 <"),
        (lambda: rules.Saving(1.0), "Saving: saving = 1.0, expected 0 <= saving < 1"),
        (
            lambda: rules.SocialJudgement(0.5, 0.2, 0.1),
            "SocialJudgement: rejection = 0.2, expected rejection >= acceptance, which is 0.5",
        ),
    ],
)
def test_parameters_outside_their_ranges_are_refused_when_they_are_made(make, told):
    with pytest.raises(EngineError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rules.cases(np.zeros(N), NET), "expected a NumPy column of integers"),
        (lambda: rules.cases(np.zeros(3, np.int8), NET), "each of the 40 nodes"),
        (lambda: rules.cases(np.eye(N, dtype=int)[5], NET), r"stage\[5\] = 1, expected 0, or 2"),
        (lambda: rules.anchored(uniform(), NET, 1.5), r"susceptibility\[0\] = 1.5, expected 0 <="),
        (lambda: rules.anchored(uniform(), NET, [0.5, 0.5]), r"shape \(2,\), expected one number"),
        (lambda: rules.anchored(coins(), NET, 0.5), "opinion of type int8"),
        (lambda: rules.anchored([0.5] * N, NET, 0.5), "opinion of type list"),
        (lambda: rules.anchored(uniform(), NET, 0.5, own_weight="a"), "own_weight = 'a'"),
    ],
)
def test_states_that_cannot_be_are_refused_when_they_are_made(make, told):
    with pytest.raises(EngineError, match=told):
        make()


WRONG = np.array([2, -1, 2, -1, 2, -1, 2, -1])


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("q_voter", rows(rules.q_voter, rules.QVoter(2, 0.0), (np.zeros(8, dtype=np.int8),))),
        ("galam", whole(rules.galam, rules.Galam(3, -1), (WRONG.copy(), np.arange(8)))),
        ("granovetter", whole(rules.granovetter, (), (WRONG.copy(), np.arange(8)))),
        ("bass", whole(rules.bass, rules.Bass(0.1, 0.1, 1.0), (WRONG.copy(),))),
        ("majority", near(rules.majority, (), np.full(N, -1))),
        ("q_voter_ties", near(rules.q_voter_ties, rules.QVoter(2, 0.0), np.zeros(N, np.int8))),
    ],
)
def test_states_of_another_rule_are_refused_by_name(name, run):
    with pytest.raises(RuleError, match=f"states of {name} are"):
        run(False)


def test_opinions_of_another_scale_stop_the_run():
    with pytest.raises(RuleError, match="from 0 to 1"):
        near(rules.biased_assimilation, rules.BiasedAssimilation(1.0, 1.0), 2 * uniform())(False)
    for layers in (None, rules.social_judgement.vectorised):
        opinions = np.linspace(0.0, 100.0, N)
        with pytest.raises(RuleError, match="nan for agent"):
            run_pairwise(rules.social_judgement, opinions, None, 600,
                         rules.SocialJudgement(0.1, 0.2, 0.1), rng=seeded(1), compiled=False,
                         vectorised=layers)  # fmt: skip
        assert opinions.tolist() == np.linspace(0.0, 100.0, N).tolist()


def test_parameters_travel():
    p = rules.SocialJudgement(0.3, 0.8, rate=0.2)
    assert pickle.loads(pickle.dumps(p)) == p


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_a_crowd_is_counted_whole_in_a_column_of_eight_bits(dtype):
    """Interpreted, as small crowds are: sums of 8-bit numbers would end at 127 or 255."""
    rioters = np.zeros(400, dtype=dtype)
    run_population(rules.granovetter, (rioters, np.arange(400)), rounds=400, rng=seeded(1),
                   compiled=False)  # fmt: skip
    assert int((rioters == 1).sum()) == 400
    voters = np.repeat([0, 1], [100, 300]).astype(dtype)
    run_population(rules.galam, (voters, np.arange(400)), rules.Galam(400, -1), rounds=1,
                   rng=seeded(1), compiled=False)  # fmt: skip
    assert int((voters == 1).sum()) == 400


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_compiled_and_interpreted_rules_give_the_same_bits(name):
    """Compiles every rule of the library: seconds each."""
    results = []
    for compiled in (True, False):
        run, state = RUNS[name]()(compiled)
        assert run.compiled is compiled
        results.append([np.array(column) for column in state])
    for fast, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, plain)  # nan where somebody has not traded
