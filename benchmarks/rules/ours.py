"""The same works with rules that a user writes, through the public API."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "peers"))

import measure
from graphs import barabasi_albert, watts_strogatz

import abm
from abm.kernels import (
    EventCohort,
    RateCohort,
    run_pairwise,
    run_rows,
    run_transitions,
    run_within,
)
from abm.networks import Network

FACTS = {"version": abm.__version__}


def compromise(own, other, p):
    bound, rate = p
    gap = other - own
    if abs(gap) < bound:
        return own + rate * gap, other - rate * gap
    return own, other


def network_of(csr):
    indptr, indices = csr
    return Network(len(indptr) - 1, indptr, indices)


def compromise_many(own, other, p):
    bound, rate = p
    gap = other - own
    move = np.where(np.abs(gap) < bound, rate * gap, 0.0)
    return own + move, other - move


def _deffuant(n, network, **form):
    rng = np.random.default_rng(1)
    x = rng.random(n, np.float32)
    form = form or {"compiled": True}

    def step(count):
        run_pairwise(compromise, x, network, count, (0.2, 0.5), rng=rng, **form)
        return count

    return step, "interactions", FACTS


def deffuant_complete(n):
    return _deffuant(n, None)


def deffuant_ws(n):
    return _deffuant(n, network_of(watts_strogatz(n, 10, 0.1, 1)))


def deffuant_complete_numpy(n):
    """Without a compiler: the same rule, given for arrays too."""
    return _deffuant(n, None, compiled=False, vectorised=compromise_many)


def deffuant_ws_numpy(n):
    network = network_of(watts_strogatz(n, 10, 0.1, 1))
    return _deffuant(n, network, compiled=False, vectorised=compromise_many)


def near_mean(own, n_near, mean_near, p):
    return mean_near


def hk(n):
    """Runs of fifty rounds, each from new opinions, which are in no order."""
    rng = np.random.default_rng(1)

    def step(count):
        done = 0
        while done < count:
            run_within(near_mean, rng.random(n), 0.2, rounds=50, rng=rng, compiled=True)
            done += 50 * n
        return done

    return step, "agent updates", FACTS


def imitate(own, other, p):
    return other, other


def voter(n):
    """Somebody takes the opinion of a random neighbour."""
    rng = np.random.default_rng(1)
    network = network_of(watts_strogatz(n, 10, 0.1, 1))
    x = (np.arange(n) % 2).astype(np.int8)

    def step(count):
        run_pairwise(imitate, x, network, count, rng=rng, compiled=True)
        return count

    return step, "updates", FACTS


def give(i, state, p, rng):
    wealth = state[0]
    if wealth[i] > 0:
        wealth[i] -= 1
        wealth[rng.integer(len(wealth))] += 1


def boltzmann(n):
    rng = np.random.default_rng(1)
    wealth = np.ones(n, np.int32)
    facts = dict(FACTS)

    def step(count):
        rounds = max(1, count // n)
        run_rows(give, (wealth,), rounds=rounds, schedule="sweep", rng=rng, compiled=True)
        return rounds * n

    return step, "agent-steps", facts


def epidemic(state, counts, p, rng):
    if state == 0 and counts[1] > 0:
        return 1 if rng.random() < 1.0 - (1.0 - p[0]) ** counts[1] else 0
    if state == 1:
        return 2 if rng.random() < p[1] else 1
    return state


def sir_discrete(n):
    """Rounds at once, as the others do; whole epidemics, whose rounds cost more at the height."""
    rng = np.random.default_rng(1)
    network = network_of(barabasi_albert(n, 3, 1))
    states = np.zeros(n, np.int8)

    def step(count):
        done = 0
        while done < count:
            states[:] = 0
            states[rng.integers(0, n, max(1, n // 100))] = 1
            while (states == 1).any():
                made = run_transitions(epidemic, states, network, (0.05, 0.1), n_states=3,
                                       rounds=50, schedule="synchronous", rng=rng,
                                       compiled=True)  # fmt: skip
                done += int((made.totals[:-1, 1] > 0).sum()) * n  # idle rounds are not counted
        return done

    return step, "node-steps", FACTS


def leaving(state, counts, p):
    return p[0] * counts[1] if state == 0 else p[1] if state == 1 else 0.0


def next_state(state, counts, p):
    return state + 1


def fall_ill(i, now, state, agenda, p, rng):
    """Ill at the earliest of what friends sent; each tie's delay is drawn once, as is the end."""
    stage, start, friends = state
    stage[i] += 1
    if stage[i] == 2:
        return math.inf
    span = rng.exponential() / p[1]
    escape = math.exp(-p[0] * span)  # chance that a tie takes longer than that
    for place in range(start[i], start[i + 1]):
        j = friends[place]
        if stage[j] == 0:
            u = rng.random()  # the tie takes -log(u) / p[0]
            if u > escape and now - math.log(u) / p[0] < agenda.due(j):
                agenda.schedule(j, now - math.log(u) / p[0])
    return span


def sir_events(n):
    """Whole epidemics, 0.2 per tie, recovery 1: by events, as the peers do."""
    rng = np.random.default_rng(1)
    network = network_of(barabasi_albert(n, 3, 1))
    ill = max(1, n // 100)

    def step(count):
        done = 0
        while done < count:
            state = np.zeros(n, np.int8), network.indptr, network.indices
            first = np.where(np.arange(n) < ill, 0.0, math.inf)
            cohort = EventCohort(fall_ill, state, first, (0.2, 1.0), rng=rng, compiled=True)
            done += cohort.advance(1e9)
        return done

    return step, "events", FACTS


def sir_rates(n):
    """The same by rates that are weighed anew at every event."""
    rng = np.random.default_rng(1)
    network = network_of(barabasi_albert(n, 3, 1))

    def step(count):
        done = 0
        while done < count:
            states = np.zeros(n, np.int8)
            states[: max(1, n // 100)] = 1
            cohort = RateCohort(leaving, next_state, states, network, (0.2, 1.0), n_states=3,
                                rng=rng, compiled=True)  # fmt: skip
            done += cohort.advance(1e9)
        return done

    return step, "events", FACTS


def ring(i, now, state, p, u):
    state[0][i] += 1
    return -math.log(1.0 - u)


def _timers(n, queue):
    """`n` agents that act after exponential times, as one participant of a model's clock."""
    rng = np.random.default_rng(1)
    model = abm.Model(seed=1)
    people = abm.Population(model, n, rung=np.zeros(n, np.int32))
    cohort = EventCohort(ring, (people["rung"],), rng.exponential(size=n), rng=rng, queue=queue,
                         compiled=True)  # fmt: skip
    people.attach(cohort)

    def step(count):
        before = cohort.n_updates
        model.run_until(model.now + count / n)
        people.catch_up()
        return max(1, cohort.n_updates - before)

    return step, "events", FACTS


def timers(n):
    return _timers(n, "auto")


def timers_heap(n):
    return _timers(n, "heap")


class Ringer(abm.Agent):
    """An agent with a life of its own, in Python."""

    def life(self):
        draw = self.model.random
        while True:
            yield self.wait(-math.log(1.0 - draw.random()))
            self.model.rung += 1


def timers_python(n):
    model = abm.Model(seed=1)
    model.rung = 0
    for _ in range(n):
        Ringer(model)

    def step(count):
        before = model.rung
        model.run_until(model.now + count / n)
        return max(1, model.rung - before)

    return step, "events", FACTS


def settle(i, state, p, rng):
    """Schelling: move to a random empty cell if fewer than p[0] of the neighbours are alike."""
    place, group, empty = state
    rows, columns = group.shape
    here = place[i]
    r, c = here // columns, here % columns
    like, near = 0, 0
    for dr in range(-1, 2):
        y = r + dr if 0 <= r + dr < rows else (r + dr + rows) % rows  # the grid is a torus
        for dc in range(-1, 2):
            x = c + dc if 0 <= c + dc < columns else (c + dc + columns) % columns
            other = group[y, x]
            near += other != 0
            like += other == group[r, c]
    near, like = near - 1, like - 1
    if like < p[0] * near:
        k = rng.integer(len(empty))
        there = empty[k]
        group[there // columns, there % columns] = group[r, c]
        group[r, c] = 0
        place[i] = there
        empty[k] = here


def schelling(n):
    rng = np.random.default_rng(1)
    people = int(0.8 * n * n)
    cells = rng.permutation(n * n)
    group = np.zeros(n * n, np.int8)
    group[cells[:people]] = 1 + (rng.random(people) < 0.5)
    state = (cells[:people].copy(), group.reshape(n, n), cells[people:].copy())

    def step(count):
        rounds = max(1, count // people)
        run_rows(settle, state, (0.5,), rounds=rounds, schedule="sweep", rng=rng, compiled=True)
        return rounds * people

    return step, "agent-steps", {**FACTS, "agents": people}


def memory(n):
    """Nothing but `n` agents with three floats."""
    import tracemalloc

    tracemalloc.start()
    columns = {name: np.full(n, 1.5, np.float32) for name in "abc"}
    people = abm.Population(abm.Model(seed=1), n, **columns)
    del columns
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    facts = {**FACTS, "bytes_per_agent": size / n, "held": len(people)}
    return (lambda count: count), "nothing", facts


if __name__ == "__main__":
    measure.main(
        "Agora",
        {
            "deffuant_complete": deffuant_complete,
            "deffuant_ws": deffuant_ws,
            "deffuant_complete_numpy": deffuant_complete_numpy,
            "deffuant_ws_numpy": deffuant_ws_numpy,
            "hk": hk,
            "voter": voter,
            "boltzmann": boltzmann,
            "sir_discrete": sir_discrete,
            "sir_events": sir_events,
            "sir_rates": sir_rates,
            "timers": timers,
            "timers_heap": timers_heap,
            "timers_python": timers_python,
            "schelling": schelling,
            "memory": memory,
        },
    )
