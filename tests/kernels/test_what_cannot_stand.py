"""What a rule leaves behind that cannot stand, and what it raises: told with agent and time."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from abm.errors import EngineError, PopulationError, RuleError
from abm.kernels import (
    EventCohort,
    PairwiseCohort,
    PoissonCohort,
    RateCohort,
    has_numba,
    run_neighbours,
    run_pairwise,
    run_population,
    run_rows,
    run_transitions,
    run_within,
)
from abm.kernels.reach import writes_elsewhere
from abm.networks import Network

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
FORMS = [False, pytest.param(True, marks=compiled)]
FEW = Network.from_edges([(0, 1), (1, 2)], 6)
RING = Network.from_edges([(i, (i + 1) % 6) for i in range(6)])


def seeded(seed):
    return np.random.default_rng(seed)


class State(NamedTuple):
    x: np.ndarray
    y: np.ndarray


def spoil(i, j, state, p):
    state.y[j] = p[0] if i == 3 else 0.5


def spoiled(i, now, state, p):
    state.y[i] = p[0] if i == 3 and now > 2.0 else 0.5
    return 1.0


@pytest.mark.parametrize("form", FORMS)
def test_pairs_on_rows_name_agent_partner_array_and_time(form):
    for value, bounds, told in (
        (math.nan, None, "expected a number"),
        (1.5, {"y": (0, 1)}, "expected 0 <= value <= 1"),
    ):
        state = State(np.zeros(6), np.zeros(6))
        cohort = PairwiseCohort(spoil, state, rate=1.0, rng=seeded(1), params=(value,),
                                bounds=bounds, compiled=form)  # fmt: skip
        with pytest.raises(
            RuleError, match=rf"with agent 3 at time .* array 'y', {told}"
        ) as caught:
            cohort.advance(50.0)
        bad = np.flatnonzero(~(state.y <= 1)).tolist()
        assert [caught.value.agent] == bad
        assert 0 < caught.value.time < 50


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("queue", ["heap", "ladder"])
def test_events_name_agent_array_and_time(form, queue):
    state = State(np.zeros(6), np.zeros(6))
    cohort = EventCohort(spoiled, state, np.arange(6) / 8, (math.nan,), rng=seeded(1),
                         compiled=form, queue=queue)  # fmt: skip
    with pytest.raises(RuleError, match=r"agent 3 at time 2\.375 left nan in row 3 of array 'y'"):
        cohort.advance(9.0)


def test_poisson_cohorts_guard_the_state_of_their_rule():
    def act(i, now, state, p):
        state[0][i] = -1.0

    cohort = PoissonCohort(act, (np.zeros(4),), rate=1.0, seed=1, bounds={0: (0, 2)},
                           compiled=False)  # fmt: skip
    with pytest.raises(RuleError, match=r"agent \d at time .* left -1\.0 .* 0 <= value <= 2"):
        cohort.advance(9.0)


def test_what_may_be_nan_may_be_nan():
    """By its start, or as asked."""

    def forget(i, now, state, p):
        state.x[i] = math.nan
        return 1.0

    started = State(np.array([0.0, math.nan]), np.zeros(2))
    assert EventCohort(forget, started, np.zeros(2), rng=seeded(1)).advance(2.0) == 6
    asked = State(np.zeros(2), np.zeros(2))
    given = {"rng": seeded(1), "bounds": {"x": None}, "compiled": False}
    assert EventCohort(forget, asked, np.zeros(2), **given).advance(2.0) == 6


def test_rows_and_populations_that_leave_nan_are_stopped():
    def act(i, state, p):
        state[1][i // 3, i % 3] = 0.0 if i != 4 else math.nan

    def all_act(state, p):
        state[0][2] = math.inf - math.inf

    with pytest.raises(RuleError, match=r"left nan in row 1 of array 1 in rounds 0 to 2"):
        run_rows(act, (np.zeros(6), np.ones((2, 3))), rounds=3, schedule="sweep", rng=seeded(1))
    with pytest.raises(RuleError, match=r"left nan in row 2 of array 0 in rounds 0 to 1"):
        run_population(all_act, (np.zeros(6),), rounds=2, rng=seeded(1))


@pytest.mark.parametrize(
    ("bounds", "kind", "told"),
    [
        ({"z": (0, 1)}, EngineError, "one of"),
        ({"x": (1, 0)}, EngineError, "lowest, highest"),
        ((0, 1), EngineError, "a dictionary"),
        ({"y": (0.5, 1)}, PopulationError, r"array 'y' starts .* first in row \[\[0\]\]"),
    ],
)
def test_bounds_that_cannot_be_are_refused(bounds, kind, told):
    with pytest.raises(kind, match=told):
        PairwiseCohort(spoil, State(np.zeros(6), np.zeros(6)), rate=1.0, rng=seeded(1),
                       bounds=bounds)  # fmt: skip


# ---------------------------------------------------------------------- exceptions


def inverse(value, p):
    return p[0] / value


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_names_the_agent_in_every_driver(form):
    """Only agent 2 raises; pairs name whoever met it, or was met."""
    x = np.array([1.0, 2.0, 0.0, 3.0, 4.0, 5.0])
    states = np.array([0, 0, 1, 0, 0, 0])
    given = {"rng": seeded(1), "compiled": form}

    def pair(own, other, p):
        return (own, other) if own != 0 else (p[0] / own, other)

    def many(own, others, p):
        return own + 0 * p[0] / own

    def near(own, n_near, mean_near, p):
        return own + 0 * p[0] / own

    def change(state, counts, p):
        return 0 if state == 0 else int(p[0]) // (1 - state)

    def act(i, state, p):
        state[0][i] += 0 * (1 // int(state[0][i]))

    def clock(i, now, state, p):
        return p[0] // int(state[0][i])

    runs = {
        "pair": lambda: run_pairwise(pair, x, None, 500, (1.0,), **given),
        "rows": lambda: run_pairwise(lambda i, j, s, p: act(i, s, p), (x,), None, 500, (1.0,),
                                     rng=seeded(1), compiled=False),
        "many": lambda: run_neighbours(many, x, RING, (1.0,), rounds=1, schedule="sweep", **given),
        "near": lambda: run_within(near, x, 0.1, (1.0,), rounds=1, **given),
        "states": lambda: run_transitions(change, states, RING, (1.0,), n_states=2, rounds=1,
                                          schedule="synchronous", **given),
        "act": lambda: run_rows(act, (x,), (1.0,), rounds=1, schedule="sweep", **given),
        "clock": lambda: EventCohort(clock, (x,), np.arange(6) / 8, (9.0,), **given).advance(2.0),
        "rate": lambda: RateCohort(lambda s, c, p: 0.0 if s == 0 else p[0] / (1.0 - s), change,
                                   states, RING, (1.0,), n_states=2, **given),
    }  # fmt: skip
    for name, run in runs.items():
        with pytest.raises(RuleError, match="raised ZeroDivisionError for agent 2") as caught:
            run()
        assert caught.value.agent == 2, name
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(RuleError, match=r"for agent 2 at time 0\.25"):
        runs["clock"]()


# ---------------------------------------------------------------------- in which round


def lasting(own, p, drawn):
    """Counts up to p[0], and then fails in one of two ways."""
    return own + 1.0 if own < p[0] else math.nan if p[1] > 0 else drawn / (own - p[0])


def lasting_pair(own, other, p, rng):
    drawn = 1.0 + rng.random()
    return (own + 1.0 if own < p[0] else math.nan if p[1] > 0 else drawn / (own - p[0])), other


def lasting_rows(i, j, state, p):
    x = state[0]
    x[i] = x[i] + 1 if x[i] < p[0] else math.nan if p[1] > 0 else 1 // int(x[i] - p[0])


def lasting_many(own, others, p):
    return own + 1.0 if own < p[0] else math.nan if p[1] > 0 else 1.0 / (own - p[0])


def lasting_state(state, counts, p):
    return state + 1 if state < p[0] else 9 if p[1] > 0 else int(1 // (state - p[0]))


def lasting_own(own, other, p, u):
    return lasting(own, p, 1.0 + u), other


def lasting_arrays(own, other, p, u):
    return np.where(own < p[0], own + 1.0, math.nan), other


DRIVERS = {
    **{f"{what} {schedule}": (run_pairwise, schedule, rule, make)
       for schedule in ("asynchronous", "sweep", "synchronous", "matching")
       for what, rule, make in (
           ("pairs", lasting_pair, lambda: np.zeros(12)),
           ("whole numbers", lasting_pair, lambda: np.zeros(12, dtype=np.int64)),
           ("rows", lasting_rows, lambda: (np.zeros(12),)),
       ) if (what, schedule) != ("rows", "synchronous")},
    **{f"{name} {schedule}": (run, schedule, rule, make)
       for schedule in ("asynchronous", "sweep", "synchronous")
       for name, run, rule, make in (
           ("neighbours", run_neighbours, lasting_many, lambda: np.zeros(12)),
           ("states", run_transitions, lasting_state, lambda: np.zeros(12, dtype=np.int8)),
       )},
}  # fmt: skip
COMPILED = ("pairs asynchronous", "whole numbers sweep", "neighbours sweep", "states synchronous")


def told_by(run):
    """Message, agent and round of a run that fails."""
    with pytest.raises(RuleError) as caught:
        run()
    return str(caught.value).split(": ")[0], caught.value.agent, caught.value.time


@pytest.mark.parametrize("fails", [0.0, 1.0])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_failure_names_agent_and_round_in_every_driver_and_schedule(driver, fails):
    """The round is the one in which it happens: those before pass, one more does not."""
    run, schedule, rule, make = DRIVERS[driver]
    more = {"n_states": 7} if run is run_transitions else {}

    def go(rounds, form=False):
        run(rule, make(), Network.from_edges([(i, (i + 1) % 12) for i in range(12)]),
            params=(5.0, fails), rounds=rounds, schedule=schedule, rng=seeded(3), compiled=form,
            **more)  # fmt: skip

    told, agent, when = told_by(lambda: go(60))
    assert f"agent {agent}" in told
    assert f" in round {when:g}" in told
    go(int(when))
    assert told_by(lambda: go(int(when) + 1)) == (told, agent, when)
    if has_numba() and driver in COMPILED:
        assert told_by(lambda: go(60, True)) == (told, agent, when)


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_of_rules_on_all_columns_names_the_round(form):
    """Rules that act for all at once name no agent. Arrays are looked at every 2,000 rounds."""

    def act(i, state, p):
        state[0][i] += 1
        state[1][i] = 1.0 / (p[0] - int(state[0][i]))

    def all_act(state, p):
        state[0][0] += 1
        state[1][0] = 1.0 / (p[0] - int(state[0][0]))

    given = {"rounds": 5000, "rng": seeded(1), "compiled": form}
    counts = np.zeros(10, dtype=np.int64)
    with pytest.raises(RuleError, match=r"ZeroDivisionError for agent \d in round 3006") as caught:
        run_rows(act, (counts, np.zeros(10)), (3007,), schedule="sweep", **given)
    assert caught.value.time == 3006
    assert counts[caught.value.agent] == 3007
    with pytest.raises(RuleError, match=r"raised ZeroDivisionError in round 3006"):
        run_population(all_act, (np.zeros(10, dtype=np.int64), np.zeros(10)), (3007,), **given)


OUTSIDE = """
import numpy as np
from abm.kernels import run_rows
def act(i, state, p):
    state[0][i + 1] = p[0]
run_rows(act, (np.zeros(6),), (1.0,), rounds=2, schedule="sweep", rng=np.random.default_rng(1),
         compiled=True)
"""


@compiled
def test_a_place_outside_an_array_is_an_error_of_compiled_rules_where_numba_is_told_to_look():
    told = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True,
                          check=False, env={**os.environ, "NUMBA_BOUNDSCHECK": "1"})  # fmt: skip
    assert "'act' raised IndexError for agent 5 in round 0: index is out of bounds" in told.stderr


@pytest.mark.parametrize("fails", [0.0, 1.0])
@pytest.mark.parametrize("schedule", ["asynchronous", "sweep"])
def test_in_layers_a_failure_names_agent_and_round(schedule, fails):
    """The same as interpreted; and a cohort names the time of the clock."""
    given = {"params": (5.0, fails), "compiled": False}
    told = [
        told_by(lambda twin=twin: run_pairwise(
            lasting_own, np.zeros(300), None, rounds=40, schedule=schedule, rng=seeded(3),
            vectorised=twin, **given))
        for twin in (None, lasting_arrays)
    ]  # fmt: skip
    assert told[0] == told[1]
    assert f" in round {told[0][2]:g}" in told[0][0]
    cohorts = [
        PairwiseCohort(lasting_own, np.zeros(300), rate=1.0, rng=seeded(3), start=100.0,
                       vectorised=twin, **given)
        for twin in (None, lasting_arrays)
    ]  # fmt: skip
    told = [told_by(lambda cohort=cohort: cohort.advance(140.0)) for cohort in cohorts]
    assert told[0] == told[1]
    assert f" at time {told[0][2]:g}" in told[0][0]
    assert 100 < told[0][2] < 140


# ---------------------------------------------------------------------- the agenda


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("whom", "delay", "told"),
    [
        (2, math.nan, "scheduled agent 2 at nan, when it was 3 already"),
        (2, -0.5, r"scheduled agent 2 at 2\.5, when it was 3 already"),
        (7, 1.0, r"named agent 7 to its agenda, expected 0\.\.3"),
        (-1, 1.0, "named agent -1 to its agenda"),
        (9, math.inf, "named agent 9 to its agenda"),
    ],
)
def test_an_agenda_refuses_times_and_agents_that_cannot_be(whom, delay, told, form):
    def act(i, now, state, agenda, p):
        if i == 1 and now == 3.0:
            if p[1] == math.inf:
                agenda.cancel(int(p[0]))
            else:
                agenda.schedule(int(p[0]), now + p[1])
        return 1.0

    cohort = EventCohort(act, (np.zeros(4),), [0.0, 1.0, 5.0, 8.0], (whom, delay), rng=seeded(1),
                         compiled=form)  # fmt: skip
    with pytest.raises(RuleError, match=f"of agent 1 at time 3 {told}") as caught:
        cohort.advance(5.0)
    assert (caught.value.agent, caught.value.time) == (1, 3.0)
    assert cohort.due[2] == 5.0


def test_nobody_is_scheduled_at_no_time_from_outside():
    cohort = EventCohort(lambda i, now, s, p: 1.0, (np.zeros(4),), np.zeros(4), rng=seeded(1))
    with pytest.raises(EngineError, match=r"time \[nan\] for agent \[2\], expected a time from"):
        cohort.schedule([1, 2], [0.5, math.nan])
    for row in (-1, 4):
        with pytest.raises(EngineError, match=rf"agents \[{row}\], expected rows 0\.\.3"):
            cohort.schedule(row, 0.5)


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("form", FORMS)
def test_a_rate_that_is_none_names_agent_and_time(rate, form):
    """At the start, and after a change of state."""

    def later(state, counts, p):
        return 1.0 if state == 0 else p[0]

    def onwards(state, counts, p):
        return state + 1

    given = {"n_states": 3, "rng": seeded(1), "compiled": form}
    with pytest.raises(RuleError, match=r"for agent 0 at time 0, expected 0 <= rate"):
        RateCohort(later, onwards, np.array([1, 0]), Network.from_edges([(0, 1)]), (rate,), **given)
    cohort = RateCohort(later, onwards, np.array([0, 0]), Network.from_edges([(0, 1)]), (rate,),
                        **given)  # fmt: skip
    with pytest.raises(RuleError, match=r"for agent [01] at time 0\.\d+, expected 0 <= rate"):
        cohort.advance(9.0)


# ---------------------------------------------------------------------- those who did not act


def spoil_another(i, j, state, p):
    state.y[(i + 3) % 6] = p[0] if state.x[i] > 2 else 0.5
    state.x[i] += 1


def spoil_a_place(i, j, state, p):
    state.y[i, 1] = p[0] if state.x[i] > 2 else 0.5
    state.x[i] += 1


def spoil_another_later(i, now, state, p):
    state.y[(i + 3) % 6] = p[0] if now > 2 else 0.5
    return 1.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [math.nan, 1.5])
def test_what_a_rule_leaves_with_others_is_found_when_its_driver_is_done(form, value):
    bounds = None if math.isnan(value) else {"y": (0, 1)}
    state = State(np.zeros(6), np.zeros(6))
    cohort = PairwiseCohort(spoil_another, state, rate=1.0, rng=seeded(1), params=(value,),
                            network=FEW, bounds=bounds, compiled=form)  # fmt: skip
    assert cohort.advance(1.5) > 0
    with pytest.raises(
        RuleError, match=r"another agent left .* between time 1\.5 and 40"
    ) as caught:
        cohort.advance(40.0)
    first = int(np.flatnonzero(~(state.y <= 1))[0])
    assert (caught.value.agent, caught.value.time) == (first, 40.0)
    state = State(np.zeros(6), np.zeros(6))
    with pytest.raises(RuleError, match=r"applied to another agent left .* in row \d of array 'y'"):
        run_pairwise(spoil_another, state, FEW, 200, (value,), rng=seeded(1), bounds=bounds,
                     compiled=form)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_an_event_leaves_with_others_is_found_before_anybody_sees_it(form):
    state = State(np.zeros(6), np.zeros(6))
    cohort = EventCohort(spoil_another_later, state, [0.25, 0.5, *[math.inf] * 4], (math.nan,),
                         rng=seeded(1), compiled=form)  # fmt: skip
    assert cohort.advance(2.0) == 4
    with pytest.raises(RuleError, match=r"left nan in row 3 .* between time 2 and 3\.5") as caught:
        cohort.advance(4.0)
    assert (caught.value.agent, caught.value.time) == (3, 3.5)


def test_places_are_looked_at_when_the_driver_is_done():
    state = State(np.zeros(6), np.zeros((6, 2)))
    with pytest.raises(RuleError, match=r"in row \d of array 'y' in rounds 0 to 33, expected 0 <="):
        run_pairwise(spoil_a_place, state, None, 200, (1.5,), rng=seeded(1),
                     bounds={"y": (0, 1)}, compiled=False)  # fmt: skip


def own_rows(i, j, state, p):
    x, y = state.x, state[1]
    gap = x[j] - x[i]
    if abs(gap) < p[0]:
        x[i] += p[1] * gap
        x[j] = x[i]
    y[i], y[j] = max(y[i], y[j]), min(y[i], 1.0)


def through_a_helper(i, j, state, p):
    spoil(i, j, state, p)


def through_another_name(i, j, state, p):
    x = state.x
    z = x if p[0] > 0 else state.y
    z += 1.0


def through_a_moved_row(i, j, state, p):
    i = j + 1
    state.x[i] = 0.0


def through_a_method(i, j, state, p):
    state.x.sort()


def through_a_slice(i, j, state, p):
    state.x[i:] = 0.0


def through_a_row_of_arrays(i, j, state, p):
    which = state[i]
    which[i] = 0.0
    np.copyto(which, 1.0)


def through_a_loop(i, j, state, p):
    for k in range(len(state.x)):
        state.x[k] = 0.0


def test_which_rules_may_write_elsewhere_is_read_off_their_source():
    assert not writes_elsewhere(own_rows, 2, 2)
    assert not writes_elsewhere(spoil, 2, 2)
    assert not writes_elsewhere(spoiled, 1, 2)
    for rule in (
        spoil_another, through_a_helper, through_another_name, through_a_moved_row,
        through_a_method, through_a_slice, through_a_row_of_arrays, through_a_loop,
    ):  # fmt: skip
        assert writes_elsewhere(rule, 2, 2)
    assert writes_elsewhere(lambda i, j, state, p: None, 2, 2)
    assert writes_elsewhere(eval("lambda i, j, state, p: None"), 2, 2)


@pytest.mark.parametrize("rng", [1, None, np.random.RandomState(1)])
def test_what_is_no_generator_is_refused(rng):
    with pytest.raises(EngineError, match=r"rng = .*expected a generator: np.random.default_rng"):
        run_pairwise(lambda own, other, p: (own, other), np.zeros(4), None, 1, rng=rng)
