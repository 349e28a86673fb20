"""The arrays that networks are made of, checked: sizes, nodes, pairs, weights, labels.

Everything that does not hold together is refused with its values, before a network is made of it.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require

__all__ = [
    "as_labels",
    "as_node",
    "as_nodes",
    "as_numbers",
    "as_pairs",
    "as_weights",
    "check_borders",
    "compress",
    "more_labels",
    "object_array",
    "size_of",
    "whole",
]

_LARGEST = 2**31 - 1


def whole(name: str, value: Any) -> int:
    """A whole number as Python's own; 10.0 and "10" are refused, as 10.5 would be cut to 10.

    Examples
    --------
    >>> whole("n", np.int32(10))
    10
    >>> whole("n", 10.5)
    Traceback (most recent call last):
    abm.errors.NetworkError: n = 10.5, expected a whole number
    """
    try:
        return index(value)
    except TypeError as error:
        raise NetworkError(f"{name} = {value!r}, expected a whole number") from error


def size_of(n: int) -> int:
    """A number of nodes."""
    size = whole("n", n)
    require(0 <= size <= _LARGEST, NetworkError, f"n = {n}, expected 0 <= n < 2**31 nodes", n=n)
    return size


def as_node(node: Any, n: int) -> int:
    """One of n nodes."""
    try:
        i = index(node)
    except TypeError as error:
        raise NetworkError(
            f"node = {node!r}, expected a whole number, 0 <= node < {n}", node=node
        ) from error
    require(0 <= i < n, NetworkError, f"node = {i}, expected 0 <= node < {n}", node=i)
    return i


def as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """An array of numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name}: {error}, expected numbers") from error


def check_borders(n: int, indptr: NDArray[np.int64], n_entries: int) -> None:
    good = indptr.shape == (n + 1,)
    good = good and int(indptr[0]) == 0 and int(indptr[-1]) == n_entries
    require(
        good and bool((np.diff(indptr) >= 0).all()),
        NetworkError,
        f"indptr has shape {indptr.shape} and ends at {indptr[-1:].tolist()}, expected shape "
        f"({n + 1},), never falling, from 0 to the {n_entries} entries of indices",
    )


def as_pairs(edges: ArrayLike) -> NDArray[np.int64]:
    pairs = np.asarray(edges)
    if pairs.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    require(
        pairs.ndim == 2 and pairs.shape[1] == 2 and pairs.dtype.kind in "iu",
        NetworkError,
        f"edges has shape {pairs.shape} and type {pairs.dtype}, expected integers of shape "
        "(n_edges, 2)",
    )
    return pairs.astype(np.int64, copy=False)


def as_nodes(n: int, nodes: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(nodes)
    if array.size == 0:
        return array.astype(np.int64)
    require(
        array.dtype.kind in "iu",
        NetworkError,
        f"{name} has type {array.dtype}, expected integers",
    )
    outside = array[(array < 0) | (array >= n)]
    require(
        outside.size == 0,
        NetworkError,
        f"{name}: {outside.size} nodes outside 0..{n - 1}, among them "
        f"{np.unique(outside)[:5].tolist()}; the network has n = {n} nodes",
        nodes=outside[:5].tolist(),
    )
    return array.astype(np.int64, copy=False)


def as_weights(weights: ArrayLike | None, n_entries: int) -> NDArray[np.float64] | None:
    if weights is None:
        return None
    try:
        values = np.ascontiguousarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"weights: {error}, expected one number per tie") from error
    require(
        values.shape == (n_entries,),
        NetworkError,
        f"weights has shape {values.shape}, expected ({n_entries},), one per tie",
    )
    bad = np.flatnonzero(~np.isfinite(values))
    require(
        bad.size == 0,
        NetworkError,
        f"weights: {bad.size} are not finite, first weights[{bad[:1].tolist()}] = "
        f"{values[bad[:1]].tolist()}; drop those ties or give them a number",
        places=bad[:5].tolist(),
    )
    return values


def as_labels(labels: Any, n: int) -> NDArray[Any] | None:
    if labels is None:
        return None
    names = labels if isinstance(labels, np.ndarray) else object_array(list(labels))
    require(
        names.shape == (n,),
        NetworkError,
        f"labels has shape {names.shape}, expected ({n},), one per node",
    )
    return names


def more_labels(labels: NDArray[Any] | None, n: int) -> NDArray[Any] | None:
    """Labels of n nodes, of which the last ones were added and are called by their number."""
    if labels is None or len(labels) == n:
        return labels
    added = [f"added {i}" for i in range(len(labels), n)]
    return np.concatenate([labels.astype(object), object_array(added)])


def object_array(items: list[Any]) -> NDArray[Any]:
    return np.fromiter(items, dtype=object, count=len(items))


def compress(
    n: int,
    pairs: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    *,
    directed: bool,
    merge: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64] | None]:
    """Sort pairs into rows. Ties are sorted as single integers source * n + target."""
    keys = pairs[:, 0] * n + pairs[:, 1]
    if not directed:
        keys = np.concatenate([keys, pairs[:, 1] * n + pairs[:, 0]])
        weights = None if weights is None else np.concatenate([weights, weights])
    if weights is None:
        keys = np.sort(keys)
    else:
        order = np.argsort(keys, kind="stable")
        keys, weights = keys[order], weights[order]
    first = np.concatenate([[True], np.diff(keys) != 0])[: keys.size]
    if not first.all():
        twice, n_twice = keys[~first][0], int((~first).sum()) // (1 if directed else 2)
        require(
            merge,
            NetworkError,
            f"edges: {n_twice} repeated ties, first ({twice // n}, {twice % n}); "
            "pass duplicates='merge' to add them up",
        )
        if weights is not None:
            weights = np.add.reduceat(weights, np.flatnonzero(first))
        keys = keys[first]
    sources, targets = np.divmod(keys, max(n, 1))
    counts = np.bincount(sources, minlength=n)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return indptr, targets.astype(np.int32), weights
