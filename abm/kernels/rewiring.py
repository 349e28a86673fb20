"""A ring of ties, rewired one after another in place: Watts and Strogatz's network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.kernels.library import below, library, unit
from abm.kernels.rows import finish
from abm.kernels.tools import start

__all__ = ["small_world"]


def small_world(
    n: int, k: int, p: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row borders and sorted neighbours; beside them 4 bytes per node are used.

    A tie belongs to the node from which it starts on the ring, so i and j are tied if j is among
    the targets of i or i among those of j: no other table is needed. The targets lie in the first
    half of the array that the neighbours will fill.
    """
    indices = np.empty(n * k, dtype=np.int32)
    targets = indices[: n * (k // 2)].reshape(n, k // 2)
    degree = np.full(n, k, dtype=np.int32)
    ring(targets)
    if p > 0:
        rewire(targets, degree, float(p), start(rng))
    indptr = np.zeros(n + 1, dtype=np.int64)
    borders(degree, indptr)
    enter(k // 2, indptr, indices, degree)
    finish(indptr, indices)
    return indptr, indices


@library
def ring(targets: Any) -> None:
    """Tie every node to the next ones."""
    n, laps = targets.shape
    for i in range(n):
        for lap in range(laps):
            targets[i, lap] = (i + lap + 1) % n


@library
def among(targets: Any, i: Any, j: Any) -> Any:
    """Whether j is in row i."""
    for lap in range(targets.shape[1]):  # noqa: SIM110 - any() does not compile
        if targets[i, lap] == j:
            return True
    return False


@library
def rewire(targets: Any, degree: Any, p: Any, words: Any) -> None:
    """Lap by lap, give a tie with probability p a new end that its node is not tied to yet."""
    n, laps = targets.shape
    for lap in range(laps):
        for i in range(n):
            if unit(words) >= p or degree[i] >= n - 1:
                continue
            j = below(words, n)
            while j == i or among(targets, i, j) or among(targets, j, i):
                j = below(words, n)
            degree[targets[i, lap]] -= 1
            degree[j] += 1
            targets[i, lap] = j


@library
def borders(degree: Any, indptr: Any) -> None:
    """Where rows of these lengths end; NumPy's sum would make a copy in 64 bits."""
    for i in range(degree.size):
        indptr[i + 1] = indptr[i] + degree[i]


@library
def enter(laps: Any, indptr: Any, indices: Any, filled: Any) -> None:
    """Move the targets to the heads of their rows, and write every tie into its other end's row.

    A row never begins before the place where its targets lie, so that the last can move first.
    `filled` is overwritten with the number of entries of each row.
    """
    n = filled.size
    for i in range(n - 1, -1, -1):
        for lap in range(laps - 1, -1, -1):
            indices[indptr[i] + lap] = indices[i * laps + lap]
        filled[i] = laps
    for i in range(n):
        for lap in range(laps):
            j = indices[indptr[i] + lap]
            indices[indptr[j] + filled[j]] = i
            filled[j] += 1
