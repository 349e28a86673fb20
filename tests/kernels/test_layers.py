"""Encounters in layers give the bits of the plain loop, whatever the network and the rule."""

from __future__ import annotations

import types

import numpy as np
import pytest

from abm.errors import EngineError, RuleError
from abm.kernels import PairwiseCohort, RuleWarning, rules, run_pairwise
from abm.kernels import building as building_module
from abm.kernels.tools import plain_tools, start
from abm.kernels.words import Words, bounded_all, unit_all
from abm.networks import Network, watts_strogatz

N = 240
NETWORKS = {
    "all": None,
    "ring": watts_strogatz(N, 6, 0.2, rng=np.random.default_rng(1)),
    "directed": Network.from_edges([(i, (i + 7) % N) for i in range(0, N, 3)], N, directed=True),
    "weights": Network.from_edges(
        [(i, (i + k) % N) for i in range(0, N, 2) for k in (1, 7, 9)],
        N,
        weights=np.random.default_rng(2).integers(0, 3, 3 * N // 2).astype(float),
    ),
    "nobody": Network.from_edges(np.empty((0, 2), dtype=np.int64), N),
}


def seeded(seed):
    return np.random.default_rng(seed)


def compromise(own, other, p):
    gap = other - own
    return (own + p[0] * gap, other - p[0] * gap) if abs(gap) < p[1] else (own, other)


def compromises(own, other, p):
    gap = other - own
    step = np.where(np.abs(gap) < p[1], p[0] * gap, 0.0)
    return own + step, other - step


def drawn(own, other, p, u):
    return (own + u * (other - own), other) if u < p[0] else (own, other)


def drawn_many(own, other, p, u):
    return np.where(u < p[0], own + u * (other - own), own), other


# ---------------------------------------------------------------------- the words


def test_many_words_at_once_are_those_of_the_generator():
    draw, bounded = plain_tools().draw, plain_tools().bounded
    state = start(seeded(3))
    s0, s1 = map(int, state)
    wanted, after = [], [(s0, s1)]
    for _ in range(3000):
        word, s0, s1 = draw(s0, s1)
        wanted.append(word)
        after.append((s0, s1))
    reader = Words(state)
    parts = [reader.take(k) for k in (1, 0, 31, 32, 33, 500, 7, 1000)]
    reader.give_back(600)
    parts[-1] = parts[-1][:-600]
    parts += [reader.take(k) for k in (64, 900)]
    found = np.concatenate(parts)
    assert found.tolist() == wanted[: len(found)]
    reader.leave()
    assert tuple(map(int, state)) == after[len(found)]
    for n in (1, 7, 2**32 - 1):
        assert bounded_all(found, n).tolist() == [bounded(word, n) for word in wanted[: len(found)]]
    assert unit_all(found[:9]).tolist() == [plain_tools().unit(word) for word in wanted[:9]]


# ---------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("schedule", ["asynchronous", "sweep"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("some", [False, True], ids=["all", "members"])
def test_layers_give_the_numbers_of_the_plain_loop(name, schedule, some):
    for rule, twin in ((compromise, compromises), (drawn, drawn_many)):
        made = []
        for form in (None, twin):
            x = seeded(3).random(N).astype(np.float32)
            run = run_pairwise(
                rule, x, NETWORKS[name], 2111, (0.3, 0.4), rng=seeded(4), schedule=schedule,
                members=np.arange(10, N, 3) if some else None, compiled=False, vectorised=form,
            )  # fmt: skip
            made.append((x.tolist(), run.n_updates, run.schedule))
        assert "in layers" in run.why
        assert made[0] == made[1]


@pytest.mark.parametrize("name", ["all", "weights"])
def test_a_cohort_in_layers_keeps_its_clock(name):
    made = []
    for twin in (None, drawn_many):
        x = seeded(3).random(N)
        cohort = PairwiseCohort(drawn, x, rate=2.0, network=NETWORKS[name], params=(0.4,),
                                rng=seeded(4), compiled=False, vectorised=twin)  # fmt: skip
        counts = [cohort.advance(t) for t in (5.0, 5.1, 11.0)]
        made.append((x.tolist(), counts, cohort.next_time, cohort._words.tolist()))
        assert ("in layers" in cohort._why) == (twin is not None)
    assert made[0] == made[1]


PUBLISHED = [
    (rules.deffuant, rules.Deffuant(0.3, 0.5)),
    (rules.social_judgement, rules.SocialJudgement(0.2, 0.6, 0.3)),
    (rules.voter, ()),
    (rules.boltzmann_wealth, ()),
    (rules.random_split, rules.Saving(0.25)),
    (rules.yard_sale, rules.YardSale(0.5)),
    (rules.donation, rules.Donation(0.1, 1.5)),
]


@pytest.mark.parametrize(("rule", "p"), PUBLISHED, ids=[rule.__name__ for rule, _ in PUBLISHED])
def test_published_rules_bring_their_form_on_arrays(rule, p):
    made = []
    for twin in (None, types.FunctionType(rule.__code__, rule.__globals__)):  # a rule without one
        x = seeded(3).uniform(*(-1, 1) if rule is rules.social_judgement else (0, 4), N)
        run = run_pairwise(twin or rule, x, NETWORKS["ring"], 2100, p, rng=seeded(4),
                           compiled=False)  # fmt: skip
        made.append(x.tolist())
        assert ("in layers" in run.why) == (twin is None)
    assert made[0] == made[1]


def test_whole_numbers_stay_whole():
    def give(own, other, p):
        return (own - 1, other + 1) if own > 0 else (own, other)

    def gives(own, other, p):
        return np.where(own > 0, own - 1, own), np.where(own > 0, other + 1, other)

    made = []
    for twin in (None, gives):
        wealth = np.ones(N, dtype=np.int16)
        run_pairwise(give, wealth, None, 3000, rng=seeded(5), compiled=False, vectorised=twin)
        made.append(wealth.tolist())
    assert made[0] == made[1]
    assert sum(made[0]) == N


def test_numbers_of_32_bits_among_the_parameters_change_nothing():
    ends = []
    for kind in (np.float64, np.float32):
        x = seeded(3).random(N)
        run_pairwise(compromise, x, None, 300, (kind(0.25), kind(0.375)), rng=seeded(4),
                     compiled=False)  # fmt: skip
        ends.append(x.tolist())
    assert ends[0] == ends[1]


# ---------------------------------------------------------------------- what cannot stand


def doubled(own, other, p):
    return (own + p[0] * (other - own), other) if other > own else (own, other)


def doubled_many(own, other, p):
    return np.where(other > own, own + p[0] * (other - own), own), other


def divided(own, other, p):
    return (own / (other - p[0]), other) if own > 0.9 else (own, 0.5 * other)


def divided_many(own, other, p):
    return np.where(own > 0.9, own / (other - p[0]), own), np.where(own > 0.9, other, 0.5 * other)


@pytest.mark.parametrize(
    ("rule", "twin", "p", "told"),
    [
        (doubled, doubled_many, (3.0,), "expected 0 <= value <= 1"),
        (divided, divided_many, (0.5**9,), "value"),
    ],
)
def test_a_value_that_cannot_stand_leaves_what_the_plain_loop_leaves(rule, twin, p, told):
    found = []
    for form in (None, twin):
        x = np.concatenate([seeded(6).random(N // 2) * 0.4, np.full(N // 2, 2.0**-9)])
        x[0] = 0.95
        cohort = PairwiseCohort(rule, x, rate=5.0, params=p, rng=seeded(7), bounds=(0, 1),
                                compiled=False, vectorised=form)  # fmt: skip
        with pytest.raises(RuleError, match=told) as caught:
            cohort.advance(9.0)
        values = caught.value.values
        found.append((x.tolist(), cohort.n_updates, values["agent"], values["time"]))
    assert found[0] == found[1]


def test_an_exception_of_the_rule_comes_in_its_turn():
    def halve(own, other, p):
        return own, other / 2 if own != p[0] else other / (own - p[0])

    def halves(own, other, p):
        return own, np.where(own != p[0], other / 2, other / (own - p[0]))

    left = []
    for twin in (None, halves):
        x = seeded(8).random(2 * N)
        x[17] = 0.0
        with pytest.raises(RuleError, match="ZeroDivisionError"):
            run_pairwise(halve, x, None, 4000, (0.0,), rng=seeded(9), compiled=False,
                         vectorised=twin)  # fmt: skip
        left.append(x.tolist())
    assert left[0] == left[1]


def test_a_twin_that_differs_is_refused_before_anything_is_changed():
    def wrong(own, other, p):
        return compromises(own, other, (p[0], p[1] + 0.3))

    x = seeded(3).random(N)
    before = x.tolist()
    with pytest.raises(EngineError, match=r"gives .* and the rule 'compromise' gives"):
        run_pairwise(compromise, x, None, 3000, (0.3, 0.4), rng=seeded(1), compiled=False,
                     vectorised=wrong)  # fmt: skip
    assert x.tolist() == before


def test_a_twin_that_differs_later_is_found_on_the_way():
    def drift(own, other, p):
        return own + 0.25, other

    def drifts(own, other, p):
        return np.where(own > 40.0, own, own + 0.25), other

    with pytest.raises(EngineError, match="must agree"):
        run_pairwise(drift, np.zeros(N), None, 90_000, rng=seeded(1), compiled=False,
                     vectorised=drifts)  # fmt: skip


@pytest.mark.parametrize(
    ("twin", "told"),
    [
        (lambda own, other: (own, other), r"expected \(own, other, params\)"),
        (lambda own, other, p: (own, p[9]), "IndexError"),
        (lambda own, other, p: own, "expected a pair of arrays"),
        (3, "expected a function of arrays"),
    ],
)
def test_what_is_no_twin_is_refused_by_name(twin, told):
    with pytest.raises(EngineError, match=told):
        run_pairwise(compromise, seeded(3).random(N), None, 3000, (0.3, 0.4), rng=seeded(1),
                     compiled=False, vectorised=twin)  # fmt: skip


# ---------------------------------------------------------------------- without Numba


def test_without_numba_a_warning_tells_the_cost_and_what_would_be_quicker(monkeypatch):
    monkeypatch.setattr(building_module, "has_numba", lambda: False)
    plain, quick, known = (seeded(3).random(N) for _ in range(3))
    with pytest.warns(RuleWarning, match="30 to 450 times slower.*Numba is not.*vectorised="):
        run_pairwise(compromise, plain, None, 20_000, (0.3, 0.4), rng=seeded(4))
    with pytest.warns(RuleWarning, match="in layers, 5 to 20 times slower.*Numba is not"):
        run = run_pairwise(compromise, quick, None, 20_000, (0.3, 0.4), rng=seeded(4),
                           vectorised=compromises)  # fmt: skip
    assert not run.compiled
    assert plain.tolist() == quick.tolist()
    with pytest.warns(RuleWarning, match="'deffuant' is applied to arrays"):
        run_pairwise(rules.deffuant, known, None, 20_000, rules.Deffuant(0.4, 0.3), rng=seeded(4))
    assert plain.tolist() == known.tolist()


def test_a_rule_that_draws_as_it_likes_is_interpreted_and_told_why(monkeypatch):
    def moody(own, other, p, rng):
        return (other, other) if rng.random() < p[0] else (own, other)

    monkeypatch.setattr(building_module, "has_numba", lambda: False)
    with pytest.warns(RuleWarning, match="30 to 450 times slower.*In layers.*`rng`"):
        run_pairwise(moody, seeded(3).random(N), None, 20_000, (0.3,), rng=seeded(4),
                     vectorised=compromises)  # fmt: skip
