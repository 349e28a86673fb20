"""Joining half-ties at random into a simple network with given degrees."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from abm.errors import NetworkError, require

__all__ = ["match"]


def match(
    degrees: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sources and targets of a simple network with these degrees, which must allow one."""
    from abm.kernels.exchanges import find_wrong, mend, shuffle
    from abm.kernels.tools import start

    n, n_stubs = degrees.size, int(degrees.sum())
    require(
        n_stubs < 2**31,
        NetworkError,
        f"degrees sum to {n_stubs}, expected fewer than 2**31 half-ties",
    )
    starts = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    owner = np.repeat(np.arange(n, dtype=np.int32), degrees)
    mate, words = _joined(rng.permutation(np.arange(n_stubs, dtype=np.int32))), start(rng)
    left = n_stubs
    if 2 * n_stubs < n * (n - 1):
        wrong = np.empty(n_stubs // 2, dtype=np.int32)
        n_wrong = find_wrong(starts, owner, mate, np.full(n, -1, dtype=np.int32), wrong)
        left = mend(starts, owner, mate, wrong, n_wrong, 100 * n_wrong + 1000, words)
    if left:
        # Dense: random joining rarely comes out simple. Shuffle a simple network instead.
        mate = _joined(np.array(_greedy(degrees, starts), dtype=np.int32))
        shuffle(starts, owner, mate, 5, words)
    first = np.flatnonzero(mate > np.arange(n_stubs))
    return owner[first], owner[mate[first]]


def _joined(order: NDArray[np.int32]) -> NDArray[np.int32]:
    """Mates when stubs are joined two by two in this order."""
    mate = np.empty_like(order)
    mate[order[::2]], mate[order[1::2]] = order[1::2], order[::2]
    return mate


def _greedy(degrees: NDArray[np.int64], starts: NDArray[np.int64]) -> list[int]:
    """Havel (1955) and Hakimi (1962): the neediest node takes the next neediest as partners."""
    heap = [(-int(d), node) for node, d in enumerate(degrees) if d > 0]
    heapq.heapify(heap)
    free = starts[:-1].tolist()
    order: list[int] = []
    while heap:
        need, node = heapq.heappop(heap)
        partners = [heapq.heappop(heap) for _ in range(-need)]
        for rest, other in partners:
            order += [free[node], free[other]]
            free[node] += 1
            free[other] += 1
            if rest + 1 < 0:
                heapq.heappush(heap, (rest + 1, other))
    return order
