"""SimPy by itself: a process per agent."""

from __future__ import annotations

import math
import random

import simpy
from graphs import barabasi_albert
from measure import main


def timers(n):
    """`n` processes that wait exponential times of mean 1."""
    draw = random.Random(1)
    env = simpy.Environment()
    fired = 0

    def life():
        nonlocal fired
        while True:
            yield env.timeout(-math.log(1.0 - draw.random()))
            fired += 1

    for _ in range(n):
        env.process(life())
    env.run(until=1e-9)

    def step(count):
        before = fired
        env.run(until=env.now + count / n)
        return max(1, fired - before)

    return step, "events", {"version": simpy.__version__}


def sir_continuous(n):
    """Whole epidemics by processes: each case recovers, and sends an infection down each tie."""
    draw = random.Random(1)
    indptr, indices = barabasi_albert(n, 3, 1)
    friends = [indices[indptr[k] : indptr[k + 1]].tolist() for k in range(n)]

    def epidemic():
        env, state, events = simpy.Environment(), bytearray(n), 0

        def case(k):
            nonlocal events
            if state[k]:
                return
            state[k] = 1
            events += 1
            span = -math.log(1.0 - draw.random())
            for j in friends[k]:
                delay = -math.log(1.0 - draw.random()) / 0.2
                if delay < span and not state[j]:
                    env.process(later(j, delay))
            yield env.timeout(span)
            state[k] = 2
            events += 1

        def later(k, delay):
            yield env.timeout(delay)
            yield from case(k)

        for k in range(max(1, n // 100)):
            env.process(case(k))
        env.run()
        return events

    def step(count):
        done = 0
        while done < count:
            done += epidemic()
        return done

    return step, "events", {"version": simpy.__version__}


if __name__ == "__main__":
    main("SimPy", {"timers": timers, "sir_continuous": sir_continuous})
