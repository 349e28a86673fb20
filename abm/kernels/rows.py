"""Ties into compressed sparse rows: count, place, sort within the row. No temporaries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.kernels.library import library

__all__ = ["count", "finish", "pack", "place"]

_SHORT = 48


@library
def count(sources: Any, targets: Any, both: Any, indptr: Any) -> None:
    """Add each tie to indptr[node + 1]: at its source, and at its target if `both`."""
    for t in range(sources.size):
        indptr[sources[t] + 1] += 1
        if both:
            indptr[targets[t] + 1] += 1


@library
def open_rows(indptr: Any) -> None:
    """Turn counts at indptr[i + 1] into the first place of row i, kept at indptr[i + 1]."""
    total = 0
    for i in range(indptr.size - 1):
        size = indptr[i + 1]
        indptr[i + 1] = total
        total += size


@library
def place(sources: Any, targets: Any, both: Any, indptr: Any, indices: Any) -> None:
    """Write the ties; when all are written, indptr[i + 1] is the end of row i."""
    for t in range(sources.size):
        i, j = sources[t], targets[t]
        indices[indptr[i + 1]] = j
        indptr[i + 1] += 1
        if both:
            indices[indptr[j + 1]] = i
            indptr[j + 1] += 1


@library
def finish(indptr: Any, indices: Any) -> None:
    """Sort each row; short rows, which are most, by insertion."""
    for i in range(indptr.size - 1):
        first, stop = indptr[i], indptr[i + 1]
        if stop - first > _SHORT:
            indices[first:stop].sort()
            continue
        for a in range(first + 1, stop):
            value = indices[a]
            b = a
            while b > first and indices[b - 1] > value:
                indices[b] = indices[b - 1]
                b -= 1
            indices[b] = value


def pack(
    n: int, sources: NDArray[Any], targets: NDArray[Any], *, both: bool
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row borders and sorted neighbours of n nodes; ties are distinct and no loops.

    Parameters
    ----------
    sources, targets
        Integer arrays, shape (n_ties,).
    both
        Whether a tie is entered in both rows (undirected).
    """
    indptr = np.zeros(n + 1, dtype=np.int64)
    indices = np.empty(sources.size * (2 if both else 1), dtype=np.int32)
    count(sources, targets, both, indptr)
    open_rows(indptr)
    place(sources, targets, both, indptr, indices)
    finish(indptr, indices)
    return indptr, indices
