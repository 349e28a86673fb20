"""The same graphs for every peer, as compressed rows, from NumPy alone."""

from __future__ import annotations

import numpy as np


def watts_strogatz(n, k, p, seed):
    """Ring of k neighbours, each tie moved with chance p. Returns (indptr, indices)."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(n, dtype=np.int64), k // 2)
    target = (source + np.tile(np.arange(1, k // 2 + 1), n)) % n
    moved = rng.random(len(target)) < p
    target[moved] = rng.integers(0, n, moved.sum())
    return rows(n, source, target)


def barabasi_albert(n, m, seed):
    """Preferential attachment by drawing from the list of ends. Returns (indptr, indices)."""
    rng = np.random.default_rng(seed)
    ends = np.empty(2 * m * n, np.int64)
    used = 0
    for new in range(m, n):
        picks = range(m) if used == 0 else ends[rng.integers(0, used, m)]
        for old in picks:
            ends[used], ends[used + 1] = new, old
            used += 2
    return rows(n, ends[0:used:2], ends[1:used:2])


def rows(n, source, target):
    keep = source != target
    source, target = source[keep], target[keep]
    low, high = np.minimum(source, target), np.maximum(source, target)
    pairs = np.unique(low * n + high)
    low, high = pairs // n, pairs % n
    a, b = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((b, a))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(a, minlength=n))]).astype(np.int64)
    return indptr, b[order].astype(np.int32)
