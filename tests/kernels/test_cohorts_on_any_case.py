"""On any case that Hypothesis finds, compiled cohorts give the bits of the slow, obvious ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abm.engine.activation import Circadian
from abm.kernels import EventCohort, RateCohort, has_numba
from abm.networks import Network

pytestmark = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

GAPS = (0.0, 5e-324, 1e-12, 0.1, 0.25, 0.25000000000000006, 1.0, 1e6, 1e300, math.inf)
ACTS = 4


class Script(NamedTuple):
    """What each agent does at its k-th event, and a log of what happened."""

    gap: np.ndarray  # (n, ACTS)
    whom: np.ndarray  # (n, ACTS): whose event it moves, -1 for nobody's
    delay: np.ndarray  # (n, ACTS): to when, from now; infinite cancels
    acts: np.ndarray
    rows: np.ndarray
    times: np.ndarray
    filled: np.ndarray


def play(i, now, state, agenda, p):
    k = state.acts[i]
    state.acts[i] += 1
    state.rows[state.filled[0]] = i
    state.times[state.filled[0]] = now
    state.filled[0] += 1
    if k >= state.gap.shape[1]:
        return math.inf
    j = state.whom[i, k]
    if j >= 0:
        if state.delay[i, k] == math.inf:
            agenda.cancel(j)
        else:
            agenda.schedule(j, now + state.delay[i, k])
    return state.gap[i, k]


@st.composite
def scripts(draw):
    n = draw(st.integers(1, 24))
    gaps = st.sampled_from(GAPS)
    table = arrays(np.float64, (n, ACTS), elements=gaps)
    whom = arrays(np.int64, (n, ACTS), elements=st.integers(-1, n - 1))
    looks = draw(st.lists(st.sampled_from([0.1, 0.25, 1.0, 1e6, 1e301]), max_size=3))
    meddling = st.tuples(st.integers(0, n - 1), gaps)
    return (
        draw(table), draw(whom), draw(table), draw(arrays(np.float64, n, elements=gaps)),
        [(look, draw(st.lists(meddling, max_size=4))) for look in sorted(looks)],
    )  # fmt: skip


def played(script, form):
    gap, whom, delay, first, looks = script
    n, room = len(gap), len(gap) * (2 * ACTS + 1) + 12
    state = Script(
        gap, whom, delay, np.zeros(n, dtype=np.int64), np.full(room, -1), np.full(room, -1.0),
        np.zeros(1, dtype=np.int64),
    )  # fmt: skip
    cohort = EventCohort(play, state, first, rng=np.random.default_rng(1), **form)
    seen = []
    for look, moved in looks:
        seen.append((cohort.advance(look), cohort.next_time))
        for row, wait in moved:
            cohort.schedule(row, look + wait)
    cohort.advance(1e305)
    return state.rows.tolist(), state.times.tolist(), cohort.due.tolist(), seen


@given(scripts())
@often
def test_any_script_of_events_plays_the_same_in_every_queue(script):
    plain, heap, ladder = (
        played(script, form)
        for form in (
            {"compiled": False},
            {"compiled": True, "queue": "heap"},
            {"compiled": True, "queue": "ladder"},
        )
    )
    assert plain == heap == ladder
    times = [time for time in plain[1] if time >= 0]
    assert times == sorted(times)


RATES = (0.0, 1e-30, 2.0**-64, 1e-3, 0.3, 1.0, 2.0, 1000.0, 1e9)


def by_table(state, counts, p):
    """Rates by own state and how many (up to 2) are in the next; none in state 2."""
    return p[3 * state + min(counts[state + 1], 2)] if state < 2 else 0.0


def onwards(state, counts, p, rng):
    return 2 if rng.random() < 0.25 else state + 1


@given(
    st.integers(2, 14).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3 * n),
            arrays(np.int8, n, elements=st.integers(0, 2)),
        )
    ),
    st.tuples(*[st.sampled_from(RATES)] * 6),
    st.booleans(),
    st.lists(st.sampled_from([0.3, 1.0, 2.5, 1e3]), max_size=2),
)
@often
def test_any_states_change_the_same_in_both_forms(case, rates, by_day, looks):
    n, pairs, begin = case
    ties = Network.from_edges(sorted({(min(i, j), max(i, j)) for i, j in pairs if i != j}), n)
    profile = Circadian([1, 3], period=1.0) if by_day else None
    made = []
    for form, times in ((False, [1e4]), (True, [1e4]), (True, [*sorted(looks), 1e4])):
        states = begin.copy()
        cohort = RateCohort(by_table, onwards, states, ties, rates, n_states=3, profile=profile,
                            rng=np.random.default_rng(2), compiled=form)  # fmt: skip
        done = sum(cohort.advance(time) for time in times)
        assert cohort.totals.tolist() == np.bincount(states, minlength=3).tolist()
        made.append((states.tolist(), done, cohort.next_time))
    assert made[0] == made[1] == made[2]
