"""What hand-written kernels and the machine itself reach: the ceilings."""

from __future__ import annotations

import numpy as np
from measure import main
from numba import njit

EPS, MU = np.float32(0.2), np.float32(0.5)


@njit
def _next(s0, s1):
    """xoroshiro128+: one 64-bit word and the new state."""
    word = s0 + s1
    s1 ^= s0
    s0 = ((s0 << np.uint64(24)) | (s0 >> np.uint64(40))) ^ s1 ^ (s1 << np.uint64(16))
    s1 = (s1 << np.uint64(37)) | (s1 >> np.uint64(27))
    return word, s0, s1


@njit
def _pair(word, n):
    low = (word & np.uint64(0xFFFFFFFF)) * np.uint64(n)
    high = (word >> np.uint64(32)) * np.uint64(n)
    return np.int64(low >> np.uint64(32)), np.int64(high >> np.uint64(32))


@njit
def _deffuant(x, count, s0, s1, eps, mu):
    """Blocks of 512 pairs: draw, touch, then apply strictly in order."""
    n = len(x)
    first, second = np.empty(512, np.int64), np.empty(512, np.int64)
    touched = np.float32(0)
    for start in range(0, count, 512):
        size = min(512, count - start)
        for k in range(size):
            word, s0, s1 = _next(s0, s1)
            first[k], second[k] = _pair(word, n)
        for k in range(size):
            touched += x[first[k]] + x[second[k]]
        for k in range(size):
            i, j = first[k], second[k]
            a, b = x[i], x[j]
            gap = b - a
            if abs(gap) < eps:
                x[i] = a + mu * gap
                x[j] = b - mu * gap
    return s0, s1, touched


@njit
def _pairs(x, count, s0, s1):
    """The limit: two gathers and two scatters at independent random places."""
    n = len(x)
    for _ in range(count):
        word, s0, s1 = _next(s0, s1)
        i, j = _pair(word, n)
        a, b = x[i], x[j]
        x[i] = b
        x[j] = a
    return s0, s1


def deffuant_complete(n):
    x = np.random.default_rng(1).random(n, np.float32)
    state = [np.uint64(11), np.uint64(29)]

    def step(count):
        a, b, _ = _deffuant(x, count, state[0], state[1], EPS, MU)
        state[:] = np.uint64(a), np.uint64(b)
        return count

    return step, "interactions", {}


def pair_updates(n):
    x = np.random.default_rng(1).random(n, np.float32)
    state = [np.uint64(11), np.uint64(29)]

    def step(count):
        state[:] = map(np.uint64, _pairs(x, count, state[0], state[1]))
        return count

    return step, "interactions", {}


@njit
def _hk(x, out, eps):
    for i in range(len(x)):
        total, number = 0.0, 0
        for j in range(len(x)):
            if abs(x[i] - x[j]) <= eps:
                total += x[j]
                number += 1
        out[i] = total / number


def hk(n):
    x = np.random.default_rng(1).random(n)
    out = np.empty_like(x)

    def step(count):
        nonlocal x, out
        for _ in range(max(1, count // n)):
            _hk(x, out, 0.2)
            x, out = out, x
        return max(1, count // n) * n

    return step, "agent updates", {}


@njit
def _purses(wealth, order, rounds, s0, s1):
    """Everybody once per round in a new order: blocks of 512 are drawn, touched, and then act."""
    n = len(order)
    who = np.empty(512, np.int64)
    touched = 0
    for _ in range(rounds):
        for start in range(0, n, 512):
            size = min(512, n - start)
            for k in range(size):
                word, s0, s1 = _next(s0, s1)
                who[k] = start + k + _pair(word, n - start - k)[1]
            for k in range(size):
                touched += order[who[k]]
            for k in range(size):
                order[who[k]], order[start + k] = order[start + k], order[who[k]]
                who[k] = order[start + k]
            for k in range(size):
                touched += wealth[who[k]]
            for k in range(size):
                if wealth[who[k]] > 0:
                    word, s0, s1 = _next(s0, s1)
                    wealth[who[k]] -= 1
                    wealth[_pair(word, n)[1]] += 1
    return s0, s1, touched


def boltzmann(n):
    wealth, order = np.ones(n, np.int32), np.arange(n, dtype=np.int32)
    state = [np.uint64(11), np.uint64(29)]

    def step(count):
        rounds = max(1, count // n)
        a, b, _ = _purses(wealth, order, rounds, state[0], state[1])
        state[:] = np.uint64(a), np.uint64(b)
        return rounds * n

    return step, "agent-steps", {}


if __name__ == "__main__":
    main(
        "Numba by hand",
        {
            "deffuant_complete": deffuant_complete,
            "pair_updates": pair_updates,
            "hk": hk,
            "boltzmann": boltzmann,
        },
    )
