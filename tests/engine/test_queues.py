"""Queues match theory: M/M/1 and M/M/3 (Erlang C), simulated with agents that live as processes.

Seeds are fixed. Intervals come from the means of independent runs; an interval at 4 standard errors
misses a true value once in 16,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import simpy

import abm

RUNS, WARM, END = 16, 500.0, 4_500.0


class Customer(abm.Agent):
    def __init__(self, model, key):
        super().__init__(model, key=key)

    def life(self):
        model, arrived = self.model, self.model.now
        with model.clerks.request() as turn:
            yield turn
            started = model.now
            yield self.wait(-math.log1p(-self.uniform("service")))
        if arrived >= WARM:
            model.stays.append((model.now - arrived, started - arrived))
        self.remove()


class Queue(abm.Model):
    """Customers arrive at a rate, are served at rate 1 by each of some clerks."""

    def __init__(self, seed, rate, clerks):
        super().__init__(seed=seed)
        self.rate, self.clerks = rate, simpy.Resource(self.env, clerks)
        self.stays, self.lengths = [], []
        self.process(self.arrivals())
        self.observe(self.count, every=0.5, start=WARM)

    def arrivals(self):
        gaps = self.chance("arrivals")
        number = 0
        while True:
            yield self.timeout(gaps.exponential(1 / self.rate))
            Customer(self, number)
            number += 1

    def count(self):
        waiting = len(self.clerks.queue)
        self.lengths.append((waiting + self.clerks.count, waiting))


def simulated(rate, clerks, seed):
    """Means over runs and their standard errors: L, Lq, W, Wq, P(wait)."""
    rows = []
    for run in range(RUNS):
        model = Queue(seed + run, rate, clerks)
        model.run_until(END)
        lengths, stays = np.array(model.lengths), np.array(model.stays)
        waited = float((stays[:, 1] > 0).mean())
        rows.append([*lengths.mean(axis=0), *stays.mean(axis=0), waited])
    values = np.array(rows)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "clerks", "theory"),
    [
        # L, Lq, W, Wq, P(wait) for mu = 1
        (0.8, 1, (4.0, 3.2, 5.0, 4.0, 0.8)),
        (2.0, 3, (2 + 8 / 9, 8 / 9, 1 + 4 / 9, 4 / 9, 4 / 9)),
    ],
    ids=["M/M/1", "M/M/3"],
)
def test_a_queue_matches_theory(rate, clerks, theory):
    mean, error = simulated(rate, clerks, seed=100 * clerks)
    assert (error < 0.12 * np.array(theory)).all()  # sharp enough to tell
    assert (np.abs(mean - theory) < 4 * error).all(), (mean, error, theory)
