"""The compiled cohort against slow and obvious references. Seeds as stated."""

from __future__ import annotations

import numpy as np
import pytest

from abm.models.opinion_network import OpinionScenario, kernel, rules
from abm.models.opinion_network.cohort import Citizens, ReadingCohort
from abm.models.opinion_network.scale import opinion_of, stance_of
from abm.networks import erdos_renyi

N = 60
NETWORK = erdos_renyi(N, 0.1, rng=np.random.default_rng(11))


def citizens(seed=1, stubborn=0):
    opinion = np.random.default_rng(seed).uniform(-1, 1, N)
    return Citizens(
        opinion=opinion,
        initial=opinion.copy(),
        baseline=stance_of(opinion),
        stance=stance_of(opinion),
        posted=np.zeros(N),
        n_read=np.zeros(N, dtype=np.int64),
        bound=np.full(N, 0.6),
        stubborn=np.arange(N) < stubborn,
    )


def cohort(columns=None, seed=5, **parameters):
    scenario = OpinionScenario(n_citizens=N, n_asked=0, mean_degree=6, **parameters)
    return ReadingCohort(columns or citizens(), NETWORK, np.arange(N), scenario, seed=seed)


def feed(own, stance, exposure, word, size=3, reader=0, network=NETWORK):
    out, pool = np.empty(size, dtype=np.int64), np.empty(N, dtype=np.int64)
    n = kernel.select_feed(
        reader,
        own,
        stance,
        network.indptr.astype(np.int64),
        network.indices.astype(np.int64),
        exposure,
        np.uint64(word),
        np.uint64(77),
        out,
        pool,
    )
    return out[:n].tolist()


# ------------------------------------------------------------------ what is shown


def test_without_exposure_nothing_is_shown():
    assert feed(6, citizens().stance, 0, 1) == []


def test_ordinary_feeds_are_distinct_neighbours_each_as_often():
    """Seed-free: words 0-19,999. Each neighbour's share within 5 standard errors."""
    friends = NETWORK.neighbours(0).tolist()
    shown = [feed(6, citizens().stance, 1, word) for word in range(20_000)]
    assert all(len(set(item)) == len(item) == min(3, len(friends)) for item in shown)
    counts = np.bincount(np.concatenate(shown), minlength=N)
    assert set(np.flatnonzero(counts)) == set(friends)
    p = min(3, len(friends)) / len(friends)
    tolerance = 5 * np.sqrt(p * (1 - p) / 20_000)
    assert np.abs(counts[friends] / 20_000 - p).max() <= tolerance


@pytest.mark.parametrize(
    ("exposure", "own", "fits"),
    [
        (2, 6, lambda t: t > 4),
        (2, 2, lambda t: t < 4),
        (2, 4, lambda t: 3 <= t <= 5),
        (3, 6, lambda t: t < 4),
        (3, 2, lambda t: t > 4),
        (3, 4, lambda t: t < 3 or t > 5),
    ],
)
def test_selected_feeds_hold_only_what_fits_and_friends_come_first(exposure, own, fits):
    stance = citizens().stance
    friends = [f for f in NETWORK.neighbours(0).tolist() if fits(stance[f])]
    for word in range(300):
        shown = feed(own, stance, exposure, word)
        assert len(shown) == 3
        assert len(set(shown)) == 3
        assert 0 not in shown
        assert all(fits(stance[author]) for author in shown)
        expected = min(3, len(friends))
        assert sum(author in friends for author in shown) >= expected


def test_a_reader_meets_the_same_strangers_every_day():
    alone = erdos_renyi(N, 0.0, rng=np.random.default_rng(1))
    shown = {tuple(feed(6, citizens().stance, 3, word, network=alone)) for word in range(50)}
    others = tuple(feed(6, citizens().stance, 3, 1, network=alone, reader=1))
    assert len(shown) == 1
    assert others not in shown


def test_equal_sets_of_authors_are_shown_in_one_order():
    made = cohort(citizens(), exposure="ordinary")
    shown = [tuple(made.feed(3, word=word).tolist()) for word in range(300)]
    assert len(set(shown)) == len({frozenset(authors) for authors in shown}) > 5


def test_nobody_is_shown_when_nobody_fits():
    assert feed(6, np.full(N, 6, dtype=np.int8), 3, 1) == []


# ------------------------------------------------------------------ what reading does


def read_slow(rule, own, initial, read, s, word):
    """The table of rules in ODD.md, from the published functions."""
    mean = np.mean(read)
    if rule == "degroot":
        return rules.degroot([own, mean], [[s.self_weight, 1 - s.self_weight], [0, 1]])[0]
    if rule == "friedkin_johnsen":
        weights = [[s.self_weight, 1 - s.self_weight], [0, 1]]
        return rules.friedkin_johnsen([own, mean], [initial, mean], weights, s.susceptibility)[0]
    if rule == "deffuant":
        for y in read:
            own = rules.compromise(own, y, s.confidence_bound, s.rate)
        return own
    if rule == "hegselmann_krause":
        return np.mean([own, *[y for y in read if abs(y - own) <= s.confidence_bound]])
    if rule == "voter":
        return own if read[0] == 0 else np.sign(read[0])
    if rule == "biased_assimilation":
        weight = s.self_weight / (1 - s.self_weight)
        return 2 * rules.assimilated((own + 1) / 2, (mean + 1) / 2, s.bias, weight) - 1
    raise AssertionError(rule)


@pytest.mark.parametrize("rule", [r for r in rules.RULES if r != "q_voter"])
def test_each_rule_moves_a_reader_as_published(rule):
    """Seed 2, three posts at once, 20 readers."""
    rng = np.random.default_rng(2)
    for stances in rng.integers(1, 8, (20, 3)):
        columns = citizens(seed=int(stances.sum()))
        before = columns.opinion.copy()
        if rule == "voter":
            columns.opinion[:] = before = np.sign(before)
        made = cohort(columns, rule=rule)
        read = opinion_of(stances)
        kernel.expose(
            columns.opinion,
            columns.initial,
            columns.stubborn,
            np.array([7]),
            read,
            made.scenario.rule_code,
            columns.bound,
            made._numbers,
            np.array([1], dtype=np.uint64),
        )
        expected = read_slow(rule, before[7], columns.initial[7], read, made.scenario, 1)
        assert columns.opinion[7] == pytest.approx(expected, abs=1e-12)
        assert np.array_equal(np.delete(columns.opinion, 7), np.delete(before, 7))


def test_q_voter_follows_unanimity_and_is_independent_as_often_as_told():
    """Words 0-3,999: independence 0.3 and a unanimous feed of +1: -1 with probability 0.15
    (5 se 0.028); a divided feed changes only the independent, half of them to -1."""
    made = cohort(rule="q_voter", independence=0.3)
    columns = made.citizens
    for read, start in (([1.0, 1.0, 1.0], 1.0), ([1.0, -1.0, 1.0], 1.0)):
        found = []
        for word in range(4000):
            columns.opinion[3] = start
            args = (np.array([3]), np.array(read), made.scenario.rule_code, columns.bound)
            kernel.expose(
                columns.opinion,
                columns.initial,
                columns.stubborn,
                *args,
                made._numbers,
                np.array([word * 7919], dtype=np.uint64),
            )
            found.append(columns.opinion[3])
        assert np.mean(np.array(found) < 0) == pytest.approx(0.15, abs=0.028)


def test_the_stubborn_never_move_but_others_do():
    columns = citizens(stubborn=20)
    cohort(columns).advance(10.0)
    moved = columns.opinion != columns.initial
    assert not moved[:20].any()
    assert moved[20:].mean() > 0.5


# ------------------------------------------------------------------ continuous time


def test_looking_often_changes_nothing():
    once, often = citizens(), citizens()
    cohort(once, rule="biased_assimilation").advance(12.0)
    looked = cohort(often, rule="biased_assimilation")
    for time in np.sort(np.random.default_rng(3).uniform(0, 12, 500)):
        looked.advance(time)
    looked.advance(12.0)
    for a, b in zip(vars(once).values(), vars(often).values(), strict=True):
        assert np.array_equal(a, b)


def test_events_of_a_cohort_are_applied_in_the_written_order():
    """A loop in plain Python over the same drawn events gives the same opinions, bit for bit."""
    fast, slow = citizens(), citizens()
    cohort(fast).advance(1.0)
    drawn = cohort(slow)
    pool, out = np.empty(N, dtype=np.int64), np.empty(3, dtype=np.int64)
    for event in range(drawn._times.size):
        i, word = drawn._rows[event], drawn._words[event]
        if drawn._writes[event]:
            slow.stance[i] = stance_of(slow.opinion[i])
            continue
        own = int(slow.baseline[i])
        links = (drawn.indptr, drawn.indices)
        n = kernel.select_feed(i, own, slow.stance, *links, 1, word, drawn._salt, out, pool)
        for author in out[:n]:
            other = float(opinion_of(slow.stance[author]))
            slow.opinion[i] = rules.compromise(slow.opinion[i], other, 0.6, 0.1)
    assert np.array_equal(fast.opinion, slow.opinion)
    assert np.array_equal(fast.stance, slow.stance)


def test_clocks_tick_at_their_rates():
    """Seed 5, 60 citizens, 200 days: reads 12,000 +- 5 sd (548), writes 2,400 +- 5 sd (245)."""
    made = cohort()
    reads = writes = 0
    for day in range(200):
        made._draw(float(day))
        reads += int((~made._writes).sum())
        writes += int(made._writes.sum())
        assert ((made._times >= day) & (made._times < day + 1)).all()
        assert (np.diff(made._times) >= 0).all()
    assert reads == pytest.approx(12_000, abs=548)
    assert writes == pytest.approx(2_400, abs=245)


def test_a_changed_parameter_leaves_the_clocks_and_a_changed_rate_restarts_them():
    a, b, c = (cohort() for _ in range(3))
    for made in (a, b, c):
        made.advance(2.5)
    b.change(b.scenario.replaced(exposure="opposing"), 2.5)
    c.change(c.scenario.replaced(reading_rate=5.0), 2.5)
    assert np.array_equal(a._times, b._times)
    assert (c._times >= 2.5).all()
    assert (~c._writes).sum() > 2 * ((~a._writes) & (a._times > 2.5)).sum()
