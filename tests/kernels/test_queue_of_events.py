"""The queue of a cohort of events, whatever it is made of: one order, and memory fetched ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest

import abm.kernels.events as events
from abm.kernels import EventCohort, has_numba
from abm.kernels.ahead import Needs, needs_of
from abm.networks import barabasi_albert

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")


def fall_ill(i, now, state, agenda, p, rng):
    """Ill at the earliest of what friends sent; a log of who acted when."""
    stage, start, whom, rows, times, filled = state
    rows[filled[0]], times[filled[0]] = i, now
    filled[0] += 1
    stage[i] += 1
    if stage[i] == 2:
        return math.inf
    spell = rng.exponential() / p[1]
    for place in range(start[i], start[i + 1]):
        j, delay = whom[place], rng.exponential() / p[0]
        if stage[j] == 0 and delay < spell and now + delay < agenda.due(j):
            agenda.schedule(j, now + delay)
    return spell


def epidemic(n, n_first, looks, form):
    """Everybody who acted, when, and the cohort."""
    friends = barabasi_albert(n, 3, rng=np.random.default_rng(1))
    log = (np.full(2 * n, -1), np.zeros(2 * n), np.zeros(1, dtype=np.int64))
    state = (np.zeros(n, dtype=np.int8), friends.indptr, friends.indices, *log)
    first = np.where(np.arange(n) < n_first, 0.0, math.inf)
    cohort = EventCohort(fall_ill, state, first, (0.5, 1.0), rng=np.random.default_rng(2), **form)
    kinds = []
    for look in looks:
        cohort.advance(look)
        if form["compiled"]:
            meta = cohort._queue.held.meta
            kinds.append((int(meta[5]), int(meta[9])))  # a ladder; a list of what is far
    return (log[0].tolist(), log[1].tolist(), cohort.n_updates), kinds


@compiled
def test_an_epidemic_is_the_same_in_a_queue_that_changes_its_form(monkeypatch):
    """From a heap that is outgrown to a ladder, with all or few pending, and back to a heap."""
    monkeypatch.setattr(events, "_LADDER_FROM", 64)
    looks = np.linspace(0.1, 12.0, 60).tolist()
    plain, _ = epidemic(12_000, 20, looks, {"compiled": False})
    for queue, wanted in (
        ("auto", {(0, 0), (1, 0), (1, 1)}),
        ("ladder", {(0, 0), (1, 0), (1, 1)}),
        ("heap", {(0, 0)}),
    ):
        made, kinds = epidemic(12_000, 20, looks, {"compiled": True, "queue": queue})
        assert made == plain
        assert set(kinds) == wanted
    assert plain[2] > 10_000


def test_what_a_turn_will_need_is_read_off_the_shapes_of_a_state():
    friends = barabasi_albert(50, 3, rng=np.random.default_rng(1))
    weights = np.ones(len(friends.indices))
    stage, table, other = np.zeros(50, np.int8), np.zeros((50, 2)), np.zeros(51)
    state = (stage, friends.indptr, friends.indices, table, other, weights)
    assert needs_of(state, 50) == Needs((0, 3), ((1, 2), (1, 5)))
    assert needs_of((stage, other), 50) == Needs((0,))
