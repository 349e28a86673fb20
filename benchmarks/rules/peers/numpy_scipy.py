"""NumPy and SciPy as one would write the models by hand."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from graphs import barabasi_albert
from measure import main

EPS, MU = 0.2, 0.5


def deffuant_complete(n):
    """One interaction at a time on a NumPy array, pairs drawn in blocks."""
    rng = np.random.default_rng(1)
    x = rng.random(n)

    def step(count):
        first, second = rng.integers(0, n, count), rng.integers(0, n, count)
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            a, b = x[i], x[j]
            if i != j and abs(a - b) < EPS:
                x[i] = a + MU * (b - a)
                x[j] = b + MU * (a - b)
        return count

    return step, "interactions", {}


def hk_all_pairs(n):
    rng = np.random.default_rng(1)
    x = rng.random(n)

    def step(count):
        nonlocal x
        for _ in range(max(1, count // n)):
            near = np.abs(x[:, None] - x[None, :]) <= EPS
            x = near @ x / near.sum(1)
        return max(1, count // n) * n

    return step, "agent updates", {}


def hk_sorted(n):
    """Runs of fifty rounds, each from new opinions, which are sorted first."""
    rng = np.random.default_rng(1)

    def step(count):
        done = 0
        while done < count:
            x = np.sort(rng.random(n))
            for _ in range(50):
                total = np.concatenate([[0.0], np.cumsum(x)])
                low = np.searchsorted(x, x - EPS, "left")
                high = np.searchsorted(x, x + EPS, "right")
                x = (total[high] - total[low]) / (high - low)
            done += 50 * n
        return done

    return step, "agent updates", {}


def sir_discrete(n):
    """Infection by a sparse matrix product per step, beta 0.05, gamma 0.1; whole epidemics."""
    rng = np.random.default_rng(1)
    indptr, indices = barabasi_albert(n, 3, 1)
    ties = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(n, n))
    state = np.zeros(n, np.int8)

    def step(count):
        done = 0
        while done < count:
            state[:] = 0
            state[rng.integers(0, n, max(1, n // 100))] = 1
            while (sick := state == 1).any():
                pressure = ties @ sick.astype(np.float32)
                chance = -np.expm1(pressure * np.log1p(-0.05))
                caught = (state == 0) & (rng.random(n) < chance)
                healed = sick & (rng.random(n) < 0.1)
                state[caught] = 1
                state[healed] = 2
                done += n
        return done

    return step, "node-steps", {}


if __name__ == "__main__":
    main(
        "NumPy/SciPy",
        {
            "deffuant_complete": deffuant_complete,
            "hk": hk_all_pairs,
            "hk_sorted": hk_sorted,
            "sir_discrete": sir_discrete,
        },
    )
