"""The same works with rules that a user writes, through the public API."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "peers"))

import measure
from graphs import watts_strogatz

import abm
from abm.kernels import run_neighbours, run_pairwise, run_population, run_rows
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


def _deffuant(n, network):
    rng = np.random.default_rng(1)
    x = rng.random(n, np.float32)
    bound, rate = np.float32(0.2), np.float32(0.5)

    def step(count):
        run_pairwise(compromise, x, network, count, (bound, rate), rng=rng, compiled=True)
        return count

    return step, "interactions", FACTS


def deffuant_complete(n):
    return _deffuant(n, None)


def deffuant_ws(n):
    return _deffuant(n, network_of(watts_strogatz(n, 10, 0.1, 1)))


def near_mean(state, p):
    """Everybody moves to the mean of those within the bound; `x` is sorted, and stays sorted."""
    x, moved = state
    n, bound = len(x), p[0]
    low = high = 0
    total = 0.0
    for i in range(n):
        while high < n and x[high] <= x[i] + bound:
            total += x[high]
            high += 1
        while x[low] < x[i] - bound:
            total -= x[low]
            low += 1
        moved[i] = total / (high - low)
    for i in range(n):
        x[i] = moved[i]


def hk(n):
    rng = np.random.default_rng(1)
    x = np.sort(rng.random(n))
    moved = np.empty_like(x)

    def step(count):
        rounds = max(1, count // n)
        run_population(near_mean, (x, moved), (0.2,), rounds=rounds, rng=rng, compiled=True)
        return rounds * n

    return step, "agent updates", FACTS


def imitate(own, others, p, rng):
    return others[rng.integer(len(others))] if len(others) else own


def voter(n):
    rng = np.random.default_rng(1)
    network = network_of(watts_strogatz(n, 10, 0.1, 1))
    x = (np.arange(n) % 2).astype(np.int8)

    def step(count):
        rounds = max(1, count // n)
        run_neighbours(imitate, x, network, rounds=rounds, schedule="asynchronous", rng=rng,
                       compiled=True)  # fmt: skip
        return rounds * n

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


if __name__ == "__main__":
    measure.main(
        "Agora",
        {
            "deffuant_complete": deffuant_complete,
            "deffuant_ws": deffuant_ws,
            "hk": hk,
            "voter": voter,
            "boltzmann": boltzmann,
        },
    )
