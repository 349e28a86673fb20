"""Networks as compressed sparse rows: who is tied to whom, in two flat arrays.

Row i of the matrix lists the nodes that i is tied to (in a directed network: that i points to,
"follows" or "reads"). An undirected network stores each tie in both rows. There are no self-loops
and no multiple edges, and the neighbours of a node are in ascending order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require

__all__ = ["Network"]

_LARGEST = 2**31 - 1


class Network:
    """n nodes and their ties in CSR form.

    Parameters
    ----------
    n
        Number of nodes, 0 <= n < 2**31. Node i is row i of a population.
    indptr
        Row borders, shape (n + 1,), from 0 to the number of stored entries.
    indices
        Neighbours, row after row, shape (n_entries,); ascending and distinct within a row.
    weights
        One finite number per entry, or `None` for an unweighted network.
    directed
        Whether ties have a direction. If not, the matrix must be symmetric.
    labels
        Names of the nodes, shape (n,), or `None`.

    Attributes
    ----------
    indptr : int64 array
    indices : int32 array
    weights : float64 array or None

    Raises
    ------
    NetworkError
        Borders, nodes, weights or symmetry do not hold together; names the offending values.

    Examples
    --------
    >>> triangle = Network.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> triangle.neighbours(0).tolist(), triangle.n_edges
    ([1, 2], 3)
    """

    __slots__ = ("_turned", "directed", "indices", "indptr", "labels", "n", "weights")
    _turned: Network | None

    def __init__(
        self,
        n: int,
        indptr: ArrayLike,
        indices: ArrayLike,
        weights: ArrayLike | None = None,
        directed: bool = False,
        *,
        labels: Sequence[Any] | NDArray[Any] | None = None,
    ) -> None:
        self.n = _size(n)
        self.directed = bool(directed)
        self._turned = None
        self.indptr = np.ascontiguousarray(indptr, dtype=np.int64)
        _check_borders(self.n, self.indptr, np.asarray(indices).size)
        self.indices = np.ascontiguousarray(_nodes(self.n, indices, "indices"), dtype=np.int32)
        self.weights = _weights(weights, self.indices.size)
        self.labels = _labels(labels, self.n)
        self._check_rows()

    @classmethod
    def from_edges(
        cls,
        edges: ArrayLike,
        n: int | None = None,
        *,
        weights: ArrayLike | None = None,
        directed: bool = False,
        self_loops: Literal["refuse", "drop"] = "refuse",
        duplicates: Literal["refuse", "merge"] = "refuse",
        labels: Sequence[Any] | NDArray[Any] | None = None,
    ) -> Network:
        """A network from a list of (source, target) pairs.

        Parameters
        ----------
        edges
            Shape (n_edges, 2), integers. An undirected tie is given once, in either direction.
        n
            Number of nodes; the largest node plus one if `None`.
        self_loops
            `refuse` them with an error, or `drop` them.
        duplicates
            `refuse` repeated ties, or `merge` them (weights add up).

        Examples
        --------
        >>> Network.from_edges([(0, 1), (1, 0)], duplicates="merge").n_edges
        1
        """
        pairs = _pairs(edges)
        size = (int(pairs.max()) + 1 if pairs.size else 0) if n is None else n
        size = _size(size)
        pairs = _nodes(size, pairs, "edges")
        values = _weights(weights, len(pairs))
        loops = pairs[:, 0] == pairs[:, 1]
        if loops.any():
            require(
                self_loops == "drop",
                NetworkError,
                f"edges: {int(loops.sum())} self-loops, first at node {int(pairs[loops][0, 0])}; "
                "pass self_loops='drop' to leave them out",
            )
            pairs = pairs[~loops]
            values = None if values is None else values[~loops]
        built = _compress(size, pairs, values, directed=directed, merge=duplicates == "merge")
        return cls._trusted(size, *built, directed=directed, labels=labels)

    @classmethod
    def _trusted(
        cls,
        n: int,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        weights: NDArray[np.float64] | None = None,
        *,
        directed: bool = False,
        labels: Sequence[Any] | NDArray[Any] | None = None,
    ) -> Network:
        """A network from arrays that are known to be sound: no checks, no copies."""
        made = cls.__new__(cls)
        made.n, made.directed, made._turned = n, directed, None
        made.indptr, made.indices, made.weights = indptr, indices, weights
        made.labels = _labels(labels, n)
        return made

    # ------------------------------------------------------------------ reading

    @property
    def degree(self) -> NDArray[np.int64]:
        """Number of ties in each row, shape (n,); out-degree if directed.

        Examples
        --------
        >>> Network.from_edges([(0, 1), (0, 2)]).degree.tolist()
        [2, 1, 1]
        """
        return np.diff(self.indptr)

    @property
    def in_degree(self) -> NDArray[np.int64]:
        """Number of ties that point to each node, shape (n,); the degree if undirected."""
        return np.bincount(self.indices, minlength=self.n).astype(np.int64)

    @property
    def n_edges(self) -> int:
        """Number of ties; an undirected tie counts once."""
        return int(self.indices.size) if self.directed else int(self.indices.size) // 2

    @property
    def starts(self) -> NDArray[np.int64]:
        """First entry of each row, shape (n,)."""
        return self.indptr[:-1]

    @property
    def stops(self) -> NDArray[np.int64]:
        """One past the last entry of each row, shape (n,)."""
        return self.indptr[1:]

    def neighbours(self, node: int) -> NDArray[np.int32]:
        """The nodes that `node` is tied to (points to), ascending; a view, not a copy."""
        i = self._node(node)
        return self.indices[self.indptr[i] : self.indptr[i + 1]]

    def in_neighbours(self, node: int) -> NDArray[np.int32]:
        """The nodes that are tied to (point to) `node`, ascending; a view, not a copy.

        The first call in a directed network turns all ties round, which is then kept.

        Examples
        --------
        >>> follows = Network.from_edges([(0, 2), (1, 2)], directed=True)
        >>> follows.in_neighbours(2).tolist(), follows.neighbours(2).tolist()
        ([0, 1], [])
        """
        return self.reversed().neighbours(node)

    def neighbour_weights(self, node: int) -> NDArray[np.float64]:
        """Weights of the ties of `node`, in the order of `neighbours`; ones if unweighted."""
        i = self._node(node)
        if self.weights is None:
            return np.ones(int(self.indptr[i + 1] - self.indptr[i]))
        return self.weights[self.indptr[i] : self.indptr[i + 1]]

    def has_edge(self, source: int, target: int) -> bool:
        """Whether there is a tie from `source` to `target`."""
        row, wanted = self.neighbours(source), self._node(target)
        place = int(np.searchsorted(row, wanted))
        return place < row.size and int(row[place]) == wanted

    def edges(self) -> NDArray[np.int64]:
        """All ties, shape (n_edges, 2), in ascending order; undirected ones once, as i < j.

        Examples
        --------
        >>> Network.from_edges([(2, 1), (0, 1)]).edges().tolist()
        [[0, 1], [1, 2]]
        """
        sources, targets = self._entries()
        keep = self._once(sources, targets)
        return np.stack([sources[keep], targets[keep]], axis=1)

    def edge_weights(self) -> NDArray[np.float64]:
        """Weights in the order of `edges`, shape (n_edges,); ones if unweighted."""
        if self.weights is None:
            return np.ones(self.n_edges)
        kept: NDArray[np.float64] = self.weights[self._once(*self._entries())]
        return kept

    def average(self, values: ArrayLike) -> NDArray[np.float64]:
        """Weighted mean of `values` over each node's neighbours, shape (n,); nan for none.

        Examples
        --------
        >>> Network.from_edges([(0, 1), (0, 2)]).average([5.0, 1.0, 3.0]).tolist()
        [2.0, 5.0, 5.0]
        """
        x = np.asarray(values, dtype=np.float64)
        require(
            x.shape == (self.n,),
            NetworkError,
            f"values has shape {x.shape}, expected ({self.n},), one per node",
        )
        sources, targets = self._entries()
        weights = np.ones(targets.size) if self.weights is None else self.weights
        total = np.bincount(sources, weights=weights * x[targets], minlength=self.n)
        mass = np.bincount(sources, weights=weights, minlength=self.n)
        means = np.full(self.n, np.nan)
        np.divide(total, mass, out=means, where=mass != 0)
        return means

    # ------------------------------------------------------------------ making others

    def subgraph(self, nodes: ArrayLike) -> Network:
        """The ties among `nodes`, renumbered 0..len(nodes)-1 in the order given.

        Examples
        --------
        >>> Network.from_edges([(0, 1), (1, 2)]).subgraph([2, 1]).edges().tolist()
        [[0, 1]]
        """
        kept = _nodes(self.n, np.asarray(nodes), "nodes").ravel()
        require(
            np.unique(kept).size == kept.size, NetworkError, "nodes: a node appears more than once"
        )
        place = np.full(self.n, -1, dtype=np.int64)
        place[kept] = np.arange(kept.size)
        pairs = place[self.edges()]
        inside = (pairs >= 0).all(axis=1)
        weights = None if self.weights is None else self.edge_weights()[inside]
        labels = None if self.labels is None else self.labels[kept]
        return Network.from_edges(
            pairs[inside], kept.size, weights=weights, directed=self.directed, labels=labels
        )

    def with_nodes(self, n: int) -> Network:
        """The same ties among n >= self.n nodes; the new ones have none, and labels `added 7`."""
        require(n >= self.n, NetworkError, f"n = {n}, expected at least the {self.n} nodes there")
        tail = np.full(n - self.n, self.indptr[-1], dtype=np.int64)
        return Network._trusted(
            n,
            np.concatenate([self.indptr, tail]),
            self.indices,
            self.weights,
            directed=self.directed,
            labels=more_labels(self.labels, n),
        )

    def reversed(self) -> Network:
        """Every tie turned round: row i lists those who point to i. Made once and kept."""
        if not self.directed:
            return self
        if self._turned is None:
            pairs = self.edges()[:, ::-1]
            weights = None if self.weights is None else self.edge_weights()
            self._turned = Network.from_edges(
                pairs, self.n, weights=weights, directed=True, labels=self.labels
            )
            self._turned._turned = self
        return self._turned

    def to_networkx(self) -> Any:
        """A NetworkX Graph or DiGraph; nodes carry their labels if there are any."""
        from abm.networks.convert import to_networkx

        return to_networkx(self)

    @classmethod
    def from_networkx(cls, graph: Any, *, weight: str | None = "weight") -> Network:
        """A network from a NetworkX graph; see `abm.networks.convert.from_networkx`."""
        from abm.networks.convert import from_networkx

        return from_networkx(graph, weight=weight)

    # ------------------------------------------------------------------ plumbing

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        return f"Network({self.n} nodes, {self.n_edges} ties, {kind})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        same = self.n == other.n and self.directed == other.directed
        same = same and np.array_equal(self.indptr, other.indptr)
        same = same and np.array_equal(self.indices, other.indices)
        weights = (self.edge_weights(), other.edge_weights()) if same else ((), ())
        return same and bool(np.array_equal(*weights))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.n, self.indptr, self.indices, self.weights, self.directed, self.labels)
        return _restore, state

    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sources = np.repeat(np.arange(self.n, dtype=np.int64), np.diff(self.indptr))
        return sources, self.indices.astype(np.int64)

    def _once(self, sources: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool_]:
        return np.ones(sources.size, dtype=bool) if self.directed else sources < targets

    def _node(self, node: int) -> int:
        require(
            0 <= node < self.n,
            NetworkError,
            f"node = {node}, expected 0 <= node < {self.n}",
            node=node,
        )
        return int(node)

    def _check_rows(self) -> None:
        sources, targets = self._entries()
        keys = sources * self.n + targets
        require(
            bool((np.diff(keys) > 0).all()),
            NetworkError,
            "indices: neighbours must be ascending and distinct within each row; "
            "build the network with Network.from_edges if they are not",
        )
        loops = np.flatnonzero(sources == targets)
        require(
            loops.size == 0,
            NetworkError,
            f"indices: {loops.size} self-loops, first at node {sources[loops[:1]].tolist()}",
        )
        if not self.directed:
            self._check_symmetry(sources, targets, keys)

    def _check_symmetry(
        self, sources: NDArray[Any], targets: NDArray[Any], keys: NDArray[Any]
    ) -> None:
        mirrored = targets * self.n + sources
        order = np.argsort(mirrored, kind="stable")
        lonely = keys[mirrored[order] != keys]
        good = lonely.size == 0
        if good and self.weights is not None:
            good = bool((self.weights[order] == self.weights).all())
        require(
            good,
            NetworkError,
            "an undirected network needs a symmetric matrix (ties and weights); "
            "pass directed=True, or build it with Network.from_edges",
        )


def _restore(
    n: int, indptr: Any, indices: Any, weights: Any, directed: bool, labels: Any
) -> Network:
    return Network._trusted(n, indptr, indices, weights, directed=directed, labels=labels)


def _size(n: int) -> int:
    require(0 <= n <= _LARGEST, NetworkError, f"n = {n}, expected 0 <= n < 2**31 nodes", n=n)
    return int(n)


def _check_borders(n: int, indptr: NDArray[np.int64], n_entries: int) -> None:
    good = indptr.shape == (n + 1,)
    good = good and int(indptr[0]) == 0 and int(indptr[-1]) == n_entries
    require(
        good and bool((np.diff(indptr) >= 0).all()),
        NetworkError,
        f"indptr has shape {indptr.shape} and ends at {indptr[-1:].tolist()}, expected shape "
        f"({n + 1},), never falling, from 0 to the {n_entries} entries of indices",
    )


def _pairs(edges: ArrayLike) -> NDArray[np.int64]:
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


def _nodes(n: int, nodes: ArrayLike, name: str) -> NDArray[np.int64]:
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


def _weights(weights: ArrayLike | None, n_entries: int) -> NDArray[np.float64] | None:
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


def _labels(labels: Any, n: int) -> NDArray[Any] | None:
    if labels is None:
        return None
    names = labels if isinstance(labels, np.ndarray) else _object_array(list(labels))
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
    return np.concatenate([labels.astype(object), _object_array(added)])


def _object_array(items: list[Any]) -> NDArray[Any]:
    return np.fromiter(items, dtype=object, count=len(items))


def _compress(
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
        twice = keys[~first][0]
        require(
            merge,
            NetworkError,
            f"edges: {int((~first).sum())} repeated ties, first ({twice // n}, {twice % n}); "
            "pass duplicates='merge' to add them up",
        )
        if weights is not None:
            weights = np.add.reduceat(weights, np.flatnonzero(first))
        keys = keys[first]
    sources, targets = np.divmod(keys, max(n, 1))
    counts = np.bincount(sources, minlength=n)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return indptr, targets.astype(np.int32), weights
