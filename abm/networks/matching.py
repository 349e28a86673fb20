"""Joining half-ties at random into a simple network with given degrees."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

__all__ = ["match"]

_Tie = tuple[int, int]


def match(degrees: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Ties of a simple network with these degrees (which must allow one), shape (n_ties, 2)."""
    halves = np.repeat(np.arange(degrees.size), degrees)
    if 2 * halves.size < degrees.size * (degrees.size - 1):
        joined = _exchange(_listed(rng.permutation(halves)), rng, only_wrong=True)
        if joined is not None:
            return joined
    # Dense: random joining rarely comes out simple. Start from a simple network and shuffle it.
    shuffled = _exchange(_greedy(degrees), rng, only_wrong=False)
    assert shuffled is not None
    return shuffled


def _listed(halves: NDArray[np.int64]) -> list[_Tie]:
    return [(a, b) for a, b in halves.reshape(-1, 2).tolist()]


def _exchange(
    ties: list[_Tie], rng: np.random.Generator, *, only_wrong: bool
) -> NDArray[np.int64] | None:
    """Exchange ends of random pairs of ties: until all are simple, or ten times per tie.

    An exchange is made only if both new ties are simple, and keeps every degree. `None` if loops or
    repeated ties are left after many attempts.
    """
    count: dict[_Tie, int] = {}
    for tie in ties:
        count[_sorted(*tie)] = count.get(_sorted(*tie), 0) + 1
    wrong = [i for i, (a, b) in enumerate(ties) if a == b or count[_sorted(a, b)] > 1]
    attempts = 100 * len(wrong) + 1000 if only_wrong else 10 * len(ties)
    for attempt in range(attempts):
        while only_wrong and wrong and _simple(ties[wrong[-1]], count):
            wrong.pop()
        if only_wrong and not wrong:
            break
        i = wrong[-1] if only_wrong else attempt % len(ties)
        _try(ties, count, i, int(rng.integers(len(ties))), flip=rng.random() < 0.5)
    if any(not _simple(tie, count) for tie in ties):
        return None
    return np.array(ties, dtype=np.int64).reshape(-1, 2)


def _try(ties: list[_Tie], count: dict[_Tie, int], i: int, j: int, *, flip: bool) -> None:
    (a, b), (c, d) = ties[i], ties[j][::-1] if flip else ties[j]
    first, second = _sorted(a, d), _sorted(c, b)
    taken = count.get(first, 0) or count.get(second, 0)
    if i == j or a == d or c == b or first == second or taken:
        return
    count[_sorted(a, b)] -= 1
    count[_sorted(c, d)] -= 1
    count[first] = count[second] = 1
    ties[i], ties[j] = (a, d), (c, b)


def _simple(tie: _Tie, count: dict[_Tie, int]) -> bool:
    return tie[0] != tie[1] and count[_sorted(*tie)] == 1


def _sorted(a: int, b: int) -> _Tie:
    return (a, b) if a < b else (b, a)


def _greedy(degrees: NDArray[np.int64]) -> list[_Tie]:
    """Havel (1955) and Hakimi (1962): the neediest node takes the next neediest as partners."""
    heap = [(-int(d), node) for node, d in enumerate(degrees) if d > 0]
    heapq.heapify(heap)
    ties: list[_Tie] = []
    while heap:
        need, node = heapq.heappop(heap)
        partners = [heapq.heappop(heap) for _ in range(-need)]
        ties += [(node, other) for _, other in partners]
        for rest, other in partners:
            if rest + 1 < 0:
                heapq.heappush(heap, (rest + 1, other))
    return ties
