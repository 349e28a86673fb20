"""Cohorts on the clock: exact order, own chance, seen from outside, with births and deaths."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

import abm
from abm.engine.activation import Circadian, HawkesClocks, PoissonClocks
from abm.errors import EngineError, PopulationError, RuleError
from abm.kernels import (
    EventCohort,
    HawkesCohort,
    PairwiseCohort,
    PoissonCohort,
    RateCohort,
    has_numba,
)
from abm.networks import Network, barabasi_albert
from abm.population import Population

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
FORMS = [
    pytest.param({"compiled": False}, id="plain"),
    pytest.param({"compiled": True, "queue": "heap"}, marks=compiled, id="heap"),
    pytest.param({"compiled": True, "queue": "ladder"}, marks=compiled, id="ladder"),
]


def seeded(seed):
    return np.random.default_rng(seed)


class Acts(NamedTuple):
    done: np.ndarray


def restless(i, now, state, agenda, p, rng):
    """Gaps of all sizes, others' events moved and cancelled, some who stop for good."""
    state.done[i] += 1
    if rng.random() < 0.2:
        j = rng.integer(len(state.done))
        if rng.random() < 0.3:
            agenda.cancel(j)
        else:
            agenda.schedule(j, now + rng.exponential())
    kind = rng.random()
    if kind < 0.01:
        return math.inf
    if kind < 0.05:
        return 0.0
    if kind < 0.1:
        return 1e6 * rng.random()
    return 1e-9 * rng.random() if kind < 0.15 else rng.exponential() / p[0]


def run_restless(form):
    done = np.zeros(300, dtype=np.int64)
    first = np.round(seeded(1).random(300), 1)  # many at equal times
    cohort = EventCohort(restless, Acts(done), first, (1.0,), rng=seeded(2), **form)
    cohort.advance(4.0)
    cohort.schedule([3, 5], [4.5, 4.5])
    cohort.cancel([8])
    cohort.advance(30.0)
    return done.tolist(), cohort.n_updates, cohort.due.tolist()


@compiled
def test_heap_ladder_and_python_s_own_heap_give_the_same_events():
    plain, heap, ladder = (run_restless(form.values[0]) for form in FORMS)
    assert plain == heap == ladder
    assert plain[1] > 1000


@compiled
@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e12])
def test_a_ladder_keeps_the_order_when_gaps_are_pathological(spread):
    """All at one time, again and again, or gaps of 0 among gaps that grow a thousandfold."""

    def act(i, now, state, p):
        state[0][i] = now
        state[1][0] += 1
        state[2][0] += state[1][0] * (i + 1)
        state[3][i] += 1
        return p[0] * (i % 7) * 1000.0 ** state[3][i] if state[3][i] < 6 else math.inf

    made = []
    for queue in ("heap", "ladder"):
        state = (np.zeros(5000), *(np.zeros(k, dtype=np.int64) for k in (1, 1, 5000)))
        cohort = EventCohort(act, state, np.zeros(5000), (spread,), rng=seeded(1), queue=queue,
                             compiled=True)  # fmt: skip
        cohort.cancel([8, 9])
        cohort.advance(1e300)
        made.append((state[0].tolist(), state[1][0], state[2][0]))
    assert made[0] == made[1]
    assert made[0][1] == 6 * 4998


@compiled
def test_a_ladder_has_a_bucket_for_every_share():
    from abm.kernels.agenda import make_queue, share

    for n in (0, 1, 5, 639, 640, 1279, 20_000, 300_000, 3_000_000):
        queue = make_queue(np.broadcast_to(0.0, n), ladder=True)
        assert n // share(n) + 1 <= len(queue.tails)
        assert len(queue.run_times) // 2 + 2 <= len(queue.parts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gap", [-0.5, math.nan])
def test_a_negative_gap_names_agent_and_time(gap, form):
    def act(i, now, state, p):
        return p[0] if i == 2 else 1.0

    cohort = EventCohort(act, (np.zeros(4),), [0.0, 0.5, 1.25, 2.0], (gap,), rng=seeded(1), **form)
    with pytest.raises(RuleError, match=r"agent 2 at time 1\.25") as caught:
        cohort.advance(5.0)
    assert (caught.value.agent, caught.value.time) == (2, 1.25)


def test_times_in_the_past_are_refused():
    def act(i, now, state, agenda, p):
        agenda.schedule(1, now - 1)
        return 1.0

    cohort = EventCohort(act, (np.zeros(2),), [3.0, 9.0], rng=seeded(1), compiled=False)
    with pytest.raises(RuleError, match=r"agent 1 at 2\.0, when it was 3 already"):
        cohort.advance(5.0)
    with pytest.raises(EngineError, match="already reached"):
        cohort.schedule(0, -1.0)
    with pytest.raises(EngineError, match="first"):
        EventCohort(act, (np.zeros(2),), [-1.0, 0.0], rng=seeded(1))


# ---------------------------------------------------------------------- clocks


class Reader(abm.Agent):
    def __init__(self, model, key):
        super().__init__(model, key=key)
        self.times = []

    def read(self):
        self.times.append(self.model.now)


def note(i, now, state, p):
    """Writes the k-th time of agent i."""
    state[1][i, state[0][i]] = now
    state[0][i] += 1


def noted(n=6, room=400):
    return np.zeros(n, dtype=np.int64), np.full((n, room), np.nan)


@pytest.mark.parametrize("form", FORMS)
def test_a_poisson_cohort_acts_when_the_agents_clocks_would_ring(form):
    model = abm.Model(seed=4)
    readers = [Reader(model, k) for k in range(6)]
    PoissonClocks(model, Reader, "read", rate=2.0)
    model.run_until(20)
    state = noted()
    cohort = PoissonCohort(note, state, rate=2.0, seed=4, **form)
    cohort.advance(7.5)
    cohort.advance(20.0)
    for k, reader in enumerate(readers):
        assert reader.times == state[1][k, : state[0][k]].tolist()


@pytest.mark.parametrize("form", FORMS)
def test_a_hawkes_cohort_acts_when_the_agents_clocks_would_ring(form):
    profile = Circadian([0, 1, 3, 1], period=1.0)
    given = {"base_rate": 1.0, "branching": 0.6, "decay": 2.0, "profile": profile}
    model = abm.Model(seed=5)
    readers = [Reader(model, k) for k in range(6)]
    clocks = HawkesClocks(model, Reader, "read", **given)
    model.run_until(5)
    clocks.excite(readers[2], 2.0)
    model.run_until(20)
    state = noted()
    cohort = HawkesCohort(note, state, seed=5, **given, **form)
    cohort.advance(5.0)
    cohort.excite(2, 2.0)
    cohort.advance(20.0)
    assert cohort.intensity(2) == clocks.intensity(readers[2])
    for k, reader in enumerate(readers):
        assert reader.times == state[1][k, : state[0][k]].tolist()


def test_rates_may_follow_the_state_and_bad_ones_are_named():
    rates = np.array([1.0, 2.0, 0.0])

    def slow_down(i, now, state, p):
        state[0][i] -= 1.5

    cohort = PoissonCohort(slow_down, (rates,), rate=rates, seed=1, compiled=False)
    with pytest.raises(RuleError, match=r"the rate of agent \d at time .* is -"):
        cohort.advance(50.0)
    with pytest.raises(EngineError, match="agent 1 has"):
        PoissonCohort(slow_down, (rates,), rate=np.array([1.0, np.nan, 1.0]), seed=1)


# ---------------------------------------------------------------------- rates


def pace(state, counts, p):
    return p[0] * counts[1] if state == 0 else p[1] if state == 1 else 0.0


def change(state, counts, p):
    return state + 1


@compiled
def test_rates_are_the_same_in_both_forms_however_often_somebody_looks():
    friends = barabasi_albert(200, 3, rng=seeded(1))
    made = []
    for form, times in ((True, [9.0]), (False, [9.0]), (True, np.linspace(0.1, 9.0, 40))):
        states = np.zeros(200, dtype=np.int8)
        states[:5] = 1
        cohort = RateCohort(pace, change, states, friends, (0.4, 1.0), n_states=3, rng=seeded(2),
                            compiled=form)  # fmt: skip
        n = sum(cohort.advance(float(t)) for t in times)
        made.append((states.tolist(), n, cohort.totals.tolist(), cohort.next_time))
    assert made[0] == made[1] == made[2]


def test_two_agents_infect_and_recover_at_their_rates():
    """One infected of two, infection rate 2, recovery rate 1: the other is infected with
    probability 2/3, and the first event comes after Exp(3); 2,000 runs, seed 3, 4 sd."""
    pair = Network.from_edges([(0, 1)])
    infected, waits = 0, []
    for k in range(2000):
        states = np.array([1, 0])
        cohort = RateCohort(pace, change, states, pair, (2.0, 1.0), n_states=3, tell=(1, 2),
                            rng=seeded([3, k]), compiled=False)  # fmt: skip
        event = cohort.drain(1e9)
        waits.append(event.time)
        infected += event.code == 1
    assert infected / 2000 == pytest.approx(2 / 3, abs=4 * math.sqrt(2 / 9 / 2000))
    assert stats.kstest(waits, "expon", args=(0, 1 / 3)).pvalue > 0.001


@compiled
def test_an_epidemic_among_all_has_the_known_final_size():
    """R0 = 2 among 400 on a complete network: share 0.797 given a major outbreak; 40 runs,
    seed 4, tolerance 4 sd of the mean (sd 0.03 each)."""
    n = 400
    pairs = np.array([(i, j) for i in range(n) for j in range(i)])
    everybody = Network.from_edges(pairs)
    sizes = []
    for k in range(40):
        states = np.zeros(n, dtype=np.int8)
        states[:4] = 1
        cohort = RateCohort(pace, change, states, everybody, (2.0 / n, 1.0), n_states=3,
                            rng=seeded([4, k]), compiled=True)  # fmt: skip
        cohort.advance(200.0)
        sizes.append(cohort.totals[2] / n)
    major = [size for size in sizes if size > 0.4]
    assert len(major) > 30
    assert np.mean(major) == pytest.approx(0.797, abs=4 * 0.035 / math.sqrt(len(major)))


def test_states_written_by_others_are_noticed():
    states = np.array([1, 0, 0])
    line = Network.from_edges([(0, 1), (1, 2)])
    cohort = RateCohort(pace, change, states, line, (0.0, 0.0), n_states=3, rng=seeded(1))
    cohort.advance(1.0)
    assert cohort.next_time == math.inf
    states[2] = 2
    cohort.change(params=(0.0, 1.0))
    assert cohort.totals.tolist() == [1, 1, 1]
    cohort.advance(100.0)
    assert states.tolist() == [2, 0, 2]


def settled_anew(cohort, friends):
    """Whether counts, totals and groups are those of a cohort made from the states as they are."""
    fresh = RateCohort(pace, change, cohort.states.copy(), friends, cohort.params, n_states=3,
                       rng=seeded(1), compiled=False)  # fmt: skip
    return (
        cohort.totals.tolist() == fresh.totals.tolist()
        and cohort._counts.tolist() == fresh._counts.tolist()
        and cohort._groups[0].tolist() == fresh._groups[0].tolist()
    )


@pytest.mark.parametrize("form", [False, pytest.param(True, marks=compiled)])
def test_states_that_others_write_in_some_rows_are_taken_over(form):
    friends = barabasi_albert(200, 3, rng=seeded(1))
    states = np.zeros(200, dtype=np.int8)
    states[:5] = 1
    cohort = RateCohort(pace, change, states, friends, (0.4, 1.0), n_states=3, rng=seeded(2),
                        compiled=form)  # fmt: skip
    for time in range(1, 6):
        states[seeded(time).integers(0, 200, 3)] = time % 3
        cohort.advance(time / 4)
        assert settled_anew(cohort, friends)
    states[7] = 9
    with pytest.raises(PopulationError, match=r"first in row \[7\]"):
        cohort.advance(9.0)


def test_states_without_a_population_are_compared_once_per_advance_however_many_events_surface():
    friends = barabasi_albert(300, 3, rng=seeded(1))
    states = (np.arange(300) < 5).astype(np.int8)
    cohort = RateCohort(pace, change, states, friends, (0.4, 1.0), n_states=3, tell=(1, 2),
                        rng=seeded(2), compiled=False)  # fmt: skip
    assert cohort.advance(1.0) == len(cohort.surfaced) > 10
    assert cohort.n_compared == 300
    states[7] = 1
    cohort.advance(1.0)
    assert (cohort.n_compared, cohort.totals.sum()) == (600, 300)
    assert settled_anew(cohort, friends)


def test_the_group_of_a_rate_is_the_least_power_of_two_above_it_wherever_one_begins_to_look():
    from abm.kernels.rates import _POWERS, _group_of

    edges = [2.0**k * step for k in range(-70, 31) for step in (1 - 2**-53, 1.0, 1.3)]
    for rate in [*edges, 2.0**31 - 1, 5e-324, *seeded(1).exponential(size=20).tolist()]:
        least = max(math.frexp(rate)[1] + 64, 0)
        assert {_group_of(rate, group, _POWERS) for group in (0, 20, 64, 95)} == {least}
        assert rate < _POWERS[least]
    assert _group_of(0.0, 64, _POWERS) == -1


def epidemic_town(n):
    """A population where every infection and recovery surfaces, and somebody acts on it."""
    model = abm.Model(seed=1)
    friends = barabasi_albert(n, 3, rng=seeded(1))
    people = Population(model, health=np.array([1] * 5 + [0] * (n - 5), dtype=np.int8))
    cohort = RateCohort(pace, change, people.health, friends, (0.4, 1.0), n_states=3, tell=(1, 2),
                        rng=model.chance("c"), compiled=False)  # fmt: skip
    return model, people, cohort, friends


def test_the_work_per_surfaced_event_does_not_grow_with_the_number_of_agents():
    """Everybody looks at the cell of their event, a third write another's: a few rows each. An
    event is drained twice, with 64 more rows each time to find out who keeps columns."""
    per_event = []
    for n in (300, 3000):
        model, people, cohort, friends = epidemic_town(n)
        seen = []

        def act(event, people=people, seen=seen, n=n):
            seen.append(people.cell(event.row, "health") == event.code)
            if len(seen) % 3 == 0:
                people.write((event.row + 7) % n, "health", 2)

        people.attach(cohort, surface=act)
        model.run_until(0.1)
        before, told = cohort.n_compared, len(seen)
        model.run_until(1.5)
        assert all(seen)
        assert settled_anew(cohort, friends)
        per_event.append((cohort.n_compared - before) / (len(seen) - told))
    assert max(per_event) < 160


def test_who_writes_into_a_column_kept_from_earlier_is_told():
    model, people, cohort, _ = epidemic_town(300)
    kept = people.health
    people.attach(cohort, surface=lambda event: None)
    model.run_until(0.2)
    model.run_until(0.3)
    kept[np.flatnonzero(kept == 0)[0]] = 2
    with pytest.raises(EngineError, match="kept from earlier"):
        model.run_until(5.0)


@compiled
def test_a_ladder_with_few_events_left_is_a_heap():
    """Else everybody would be looked at for every few events; results are those of a heap."""
    n = 3000

    def act(i, now, state, p):
        state[0][i] += 1
        return 1.0 if i % 100 == 0 else math.inf

    made = []
    for queue in ("ladder", "heap"):
        done = np.zeros(n, dtype=np.int64)
        cohort = EventCohort(act, (done,), np.arange(n) / n, rng=seeded(1), queue=queue,
                             compiled=True)  # fmt: skip
        cohort.advance(0.1)
        assert cohort._queue.held.meta[5] == (queue == "ladder")
        cohort.advance(30.0)
        assert cohort._queue.held.meta[5] == 0
        cohort.schedule(np.arange(1, n, 2), 31.0)
        cohort.advance(32.0)
        made.append((done.tolist(), cohort.n_updates))
    assert made[0] == made[1]


@compiled
def test_the_next_time_of_events_is_known_without_looking_at_everybody():
    cohort = EventCohort(third, Acts(np.zeros(50, dtype=np.int64)), np.arange(50) + 1.0,
                         rng=seeded(1), surfaces=True, compiled=True)  # fmt: skip
    assert cohort.next_time == 1.0
    while cohort.drain(20.0) is not None:
        assert cohort.time <= cohort.next_time <= cohort.due.min()
    assert cohort.next_time == cohort.due.min()
    cohort.schedule([3], [20.25])
    assert cohort.next_time == min(20.25, cohort.due.min())
    cohort.cancel(np.arange(50))
    cohort.drain(21.0)
    assert cohort.next_time == math.inf


def test_a_negative_rate_names_agent_and_time():
    with pytest.raises(RuleError, match=r"gave -1\.0 for agent 0 at time 0"):
        RateCohort(lambda s, c, p: -1.0, change, np.array([0, 1]), Network.from_edges([(0, 1)]),
                   n_states=2, rng=seeded(1))  # fmt: skip


def test_a_profile_stops_all_changes_at_night():
    """Rates only in the second half of each unit of time; 200 agents that flip at rate 2."""
    flips = Network.from_edges(np.empty((0, 2), dtype=np.int64), 200)
    states = np.zeros(200, dtype=np.int64)
    cohort = RateCohort(lambda s, c, p: 2.0, lambda s, c, p: 1 - s, states, flips, n_states=2,
                        profile=Circadian([0, 1], period=1.0), tell=(0, 1), rng=seeded(6),
                        compiled=False)  # fmt: skip
    times = []
    while (event := cohort.drain(10.0)) is not None:
        times.append(event.time)
    assert (np.mod(times, 1.0) >= 0.5).all()
    assert len(times) == pytest.approx(4000, abs=4 * math.sqrt(4000))


# ---------------------------------------------------------------------- on the model's clock


def third(i, now, state, p, rng):
    """An act; the third of everybody surfaces."""
    state.done[i] += 1
    return rng.exponential(), 7 if state.done[i] == 3 else 0


def town(looks=(), form=False):
    model = abm.Model(seed=1)
    people = Population(model, done=np.zeros(5, dtype=np.int64))
    cohort = EventCohort(third, Acts(people.done), np.ones(5), rng=model.chance("acts"),
                         surfaces=True, compiled=form)  # fmt: skip
    seen = []
    people.attach(cohort, surface=lambda event: seen.append((model.now, event.row, event.code)))

    def visitor():
        for time in looks:
            yield model.at(time)
            people.done.sum()

    model.process(visitor())
    return model, people, cohort, seen


def test_surfaced_events_are_seen_at_their_time_whoever_else_looks():
    made = []
    for looks in ((), (0.7, 1.4, 2.1), np.linspace(0.1, 5.9, 50).tolist()):
        model, people, cohort, seen = town(looks)
        model.run_until(2.0)
        model.run_until(6.0)
        made.append((seen, people.done.tolist(), cohort.due.tolist()))
        assert cohort.time == 6.0
    assert made[0] == made[1] == made[2]
    assert len(made[0][0]) == sum(n >= 3 for n in made[0][1])
    assert sorted(made[0][0]) == made[0][0]


def test_what_a_surfaced_event_does_acts_from_its_time_on():
    model, people, _, seen = town()
    before = []

    def stop(event):
        before.append(people.done.copy())
        people.done[:] = 100

    people.detach(people._cohorts[0])
    cohort = EventCohort(third, Acts(people.done), np.ones(5), rng=model.chance("acts"),
                         surfaces=True, compiled=False)  # fmt: skip
    people.attach(cohort, surface=stop)
    model.run_until(6.0)
    assert len(before) == 1
    assert before[0].max() == 3
    assert (people.done >= 100).all()
    assert not seen


def test_two_cohorts_that_surface_keep_the_order_of_time():
    model = abm.Model(seed=2)
    people = Population(model, a=np.zeros(4, dtype=np.int64), b=np.zeros(4, dtype=np.int64))

    def always(i, now, state, p, rng):
        state.done[i] += 1
        return rng.exponential() / p[0], 1

    seen = []
    for name, rate in (("a", 1.0), ("b", 3.0)):
        cohort = EventCohort(always, Acts(people[name]), np.zeros(4), (rate,), surfaces=True,
                             rng=model.chance(name), compiled=False)  # fmt: skip
        people.attach(cohort, surface=lambda event, name=name: seen.append(
            (model.now, name, int(people.a.sum()), int(people.b.sum()))))  # fmt: skip
    model.run_until(5.0)
    times = [entry[0] for entry in seen]
    assert times == sorted(times)
    # All eight act at time 0: whoever looks then sees what all of them did, and all are shown.
    assert [entry[0] for entry in seen[:8]] == [0.0] * 8
    for k, (_, name, a, b) in enumerate(seen[8:], start=8):
        assert a == sum(entry[1] == "a" for entry in seen[: k + 1])
        assert b == sum(entry[1] == "b" for entry in seen[: k + 1])
        assert name in "ab"


def test_a_cohort_alone_moves_a_run_without_an_end():
    model = abm.Model(seed=3)
    people = Population(model, done=np.zeros(3, dtype=np.int64))

    def thrice(i, now, state, p):
        state.done[i] += 1
        return (1.0 if state.done[i] < 3 else math.inf), int(state.done[i] == 3)

    cohort = EventCohort(thrice, Acts(people.done), np.zeros(3), surfaces=True, rng=seeded(1))
    seen = []
    people.attach(cohort, surface=lambda event: seen.append(model.now))
    model.env.run()
    assert seen == [2.0, 2.0, 2.0]
    assert model.now == 2.0


def test_events_that_nobody_would_see_are_refused():
    _, people, cohort, _ = town()
    people.detach(cohort)
    with pytest.raises(PopulationError, match="nobody looks"):
        people.attach(cohort)


# ---------------------------------------------------------------------- births and deaths


def test_births_and_deaths_keep_the_clocks_of_the_others():
    """Ann's times do not depend on who else is born or dies: her chance is her own."""
    histories = []
    for change_ in (False, True):
        model = abm.Model(seed=7)
        people = Population(model, acts=np.zeros(6, dtype=np.int64))

        def act(i, now, state, p):
            state[0][i] += 1

        cohort = PoissonCohort(act, (people.acts,), rate=1.0, seed=7, keys=people.keys,
                               compiled=False)  # fmt: skip
        people.attach(cohort)
        model.run_until(5)
        if change_:
            people.remove([0, 3])
            people.add(acts=[0, 0])
        model.run_until(50)
        histories.append(dict(zip(people.ids.tolist(), people.acts.tolist(), strict=True)))
    stayed = [1, 2, 4, 5]
    assert [histories[0][i] for i in stayed] == [histories[1][i] for i in stayed]
    assert sorted(histories[1]) == [1, 2, 4, 5, 6, 7]
    assert histories[1][6] > 20


def test_pairs_go_on_meeting_through_births_and_deaths():
    """Averaging along a ring conserves the total of those who are there; the dead are not met.

    A tie (i, j) fires at rate 1/k_i + 1/k_j >= 1, and then the squared deviations from the mean
    lose (x_i - x_j)^2 / 2: their expectation falls at least as exp(-t g / 2), g = 2 (1 - cos a) the
    spectral gap of the ties, a = pi/9 on the line of 9 that a cut ring is, and 2 pi/10 on the ring
    of 10. From 83 (or 8,300) to 5e-25, when a range of 1e-9 has probability 1e-6, takes 1,001 units
    of time (or 341).
    """

    def average(own, other, p):
        return (own + other) / 2, (own + other) / 2

    model = abm.Model(seed=8)
    people = Population(model, x=np.arange(10.0))
    ring = Network.from_edges([(i, (i + 1) % 10) for i in range(10)])
    cohort = PairwiseCohort(average, people.x, rate=1.0, network=ring, rng=model.chance("c"))
    people.attach(cohort)
    model.run_until(1)
    people.remove([3])
    total, pending = people.x.sum(), cohort.next_time
    people.add(x=100.0)
    assert pending > 1
    model.run_until(1100)
    assert people.x[:9] == pytest.approx(total / 9, abs=1e-9)
    assert people.x[9] == 100.0  # without ties nobody meets the newcomer
    cohort.change(network=ring)
    model.run_until(1500)
    assert people.x == pytest.approx((total + 100.0) / 10, abs=1e-9)


def test_states_at_rates_go_on_through_births_and_deaths():
    model = abm.Model(seed=9)
    people = Population(model, s=np.array([1, 0, 0, 0]))
    line = Network.from_edges([(0, 1), (1, 2), (2, 3)])
    cohort = RateCohort(pace, change, people.s, line, (5.0, 0.0), n_states=3,
                        rng=model.chance("c"))  # fmt: skip
    people.attach(cohort)
    people.remove([1])
    model.run_until(50)
    assert people.s.tolist() == [1, 0, 0]  # the tie was cut
    people.add(s=0)
    cohort.change(network=line)
    model.run_until(100)
    assert people.s.tolist() == [1, 1, 1, 1]


def test_a_cohort_on_arrays_of_its_own_cannot_follow_births():
    model = abm.Model(seed=1)
    people = Population(model, x=np.zeros(4))
    mine = np.zeros(4)
    people.attach(EventCohort(lambda i, now, s, p: 1.0, (people.x, mine), np.zeros(4),
                              rng=seeded(1)))  # fmt: skip
    with pytest.raises(PopulationError, match=r"arrays \[1\] are no columns"):
        people.add(x=0.0)


@pytest.mark.parametrize("excited", [False, True])
def test_rates_that_others_change_act_at_once_when_clocks_are_drawn_anew(excited):
    """600 agents go from rate 0.01 to 5 at time 1, the last 100 do not; counts of five units of
    time, seed 9, four standard deviations. With branching 1/2 and slow decay few are set off."""
    model = abm.Model(seed=9)
    people = Population(model, acts=np.zeros(600, dtype=np.int64), rate=np.full(600, 0.01))

    def act(i, now, state, p):
        state[0][i] += 1

    given = {"seed": 9, "keys": people.keys, "compiled": False}
    state = (people.acts, people.rate)
    cohort = (
        HawkesCohort(act, state, base_rate=people.rate, branching=0.5, decay=1e-3, **given)
        if excited
        else PoissonCohort(act, state, rate=people.rate, **given)
    )
    people.attach(cohort)
    model.run_until(1)
    before, due = people.acts.copy(), cohort.due
    people.rate[:500] = 5.0
    cohort.redraw(np.arange(500))
    assert np.array_equal(cohort.due[500:], due[500:])
    model.run_until(6)
    made = people.acts - before
    low, high = 12_500 - 4 * math.sqrt(12_500), 12_500 + 4 * math.sqrt(12_500) + 200 * excited
    assert low < made[:500].sum() < high
    assert made[500:].sum() < 20
    people.rate[3] = -1.0
    with pytest.raises(EngineError, match=r"agent 3 has -1\.0"):
        cohort.redraw([3])


@pytest.mark.parametrize("form", FORMS)
def test_time_that_stands_still_is_an_error_and_no_endless_run(form):
    """Two agents wake each other at once, again and again."""

    def wake(i, now, state, agenda, p):
        state[0][i] += 1
        agenda.schedule(1 - i, now)
        return math.inf

    cohort = EventCohort(wake, (np.zeros(2, dtype=np.int64),), np.array([2.0, 9.0]),
                         rng=seeded(1), **form)  # fmt: skip
    with pytest.raises(RuleError, match="at time 2 would be act 3001 within one instant"):
        cohort.advance(5.0)
