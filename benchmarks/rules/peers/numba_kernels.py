"""What hand-written kernels and the machine itself reach: the ceilings."""

from __future__ import annotations

import numpy as np
from graphs import barabasi_albert
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


@njit
def _rise(times, rows, place, time, row):
    """Let an entry rise in a heap of four children each."""
    while place > 0:
        above = (place - 1) >> 2
        if times[above] <= time:
            break
        times[place], rows[place] = times[above], rows[above]
        place = above
    times[place], rows[place] = time, row


@njit
def _sink(times, rows, size, time, row):
    """Let an entry sink from the top of the heap."""
    place = 0
    while 4 * place + 1 < size:
        child = 4 * place + 1
        for other in range(child + 1, min(4 * place + 5, size)):
            child = other if times[other] < times[child] else child
        if times[child] >= time:
            break
        times[place], rows[place] = times[child], rows[child]
        place = child
    times[place], rows[place] = time, row


@njit
def _unit(s0, s1):
    """A uniform number above 0, and the new state."""
    word, s0, s1 = _next(s0, s1)
    return (np.float64(word >> np.uint64(11)) + 0.5) * 2.0**-53, s0, s1


@njit
def _infect(i, now, net, state, heap, size, s0, s1):
    """Somebody falls ill and sends down each tie that is quick enough."""
    (indptr, indices), (stage, due), (times, rows) = net, state, heap
    u, s0, s1 = _unit(s0, s1)
    span = -np.log(u)
    escape = np.exp(-0.2 * span)
    for k in range(indptr[i], indptr[i + 1]):
        j = indices[k]
        if stage[j] == 0:
            u, s0, s1 = _unit(s0, s1)
            if u > escape and now - np.log(u) / 0.2 < due[j]:
                due[j] = now - np.log(u) / 0.2
                _rise(times, rows, size, due[j], j)
                size += 1
    due[i] = now + span
    _rise(times, rows, size, due[i], i)
    return size + 1, s0, s1


@njit
def _sir(net, state, heap, size, s0, s1):
    """A whole epidemic, 0.2 per tie, recovery 1; an entry that is not due any more is passed."""
    (stage, due), (times, rows), made = state, heap, 0
    while size > 0:
        now, i = times[0], rows[0]
        size -= 1
        _sink(times, rows, size, times[size], rows[size])
        if due[i] == now:
            due[i] = np.inf
            stage[i] += 1
            made += 1
            if stage[i] == 1:
                size, s0, s1 = _infect(i, now, net, state, heap, size, s0, s1)
    return made, s0, s1


def sir_continuous(n):
    net, ill = barabasi_albert(n, 3, 1), max(1, n // 100)
    heap = np.empty(len(net[1]) + n), np.empty(len(net[1]) + n, np.int32)
    words = [np.uint64(11), np.uint64(29)]

    def step(count):
        done = 0
        while done < count:
            state = np.zeros(n, np.int8), np.where(np.arange(n) < ill, 0.0, np.inf)
            heap[0][:ill], heap[1][:ill] = 0.0, np.arange(ill)
            made, *new = _sir(net, state, heap, ill, *words)
            words[:] = map(np.uint64, new)
            done += made
        return done

    return step, "events", {}


if __name__ == "__main__":
    main(
        "Numba by hand",
        {
            "deffuant_complete": deffuant_complete,
            "pair_updates": pair_updates,
            "hk": hk,
            "boltzmann": boltzmann,
            "sir_continuous": sir_continuous,
        },
    )
