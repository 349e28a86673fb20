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
from abm.networks.arrays import (
    as_labels,
    as_node,
    as_nodes,
    as_numbers,
    as_pairs,
    as_weights,
    check_borders,
    compress,
    more_labels,
    size_of,
)

__all__ = ["Network"]


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
        self.n = size_of(n)
        self.directed = bool(directed)
        self._turned = None
        self.indptr = np.ascontiguousarray(indptr, dtype=np.int64)
        check_borders(self.n, self.indptr, np.asarray(indices).size)
        self.indices = np.ascontiguousarray(as_nodes(self.n, indices, "indices"), dtype=np.int32)
        self.weights = as_weights(weights, self.indices.size)
        self.labels = as_labels(labels, self.n)
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
        pairs = as_pairs(edges)
        size = (int(pairs.max()) + 1 if pairs.size else 0) if n is None else n
        size = size_of(size)
        pairs = as_nodes(size, pairs, "edges")
        values = as_weights(weights, len(pairs))
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
        built = compress(size, pairs, values, directed=directed, merge=duplicates == "merge")
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
        made.labels = as_labels(labels, n)
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
        i = as_node(node, self.n)
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
        i = as_node(node, self.n)
        if self.weights is None:
            return np.ones(int(self.indptr[i + 1] - self.indptr[i]))
        return self.weights[self.indptr[i] : self.indptr[i + 1]]

    def has_edge(self, source: int, target: int) -> bool:
        """Whether there is a tie from `source` to `target`."""
        row, wanted = self.neighbours(source), as_node(target, self.n)
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
        x = as_numbers("values", values)
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
        kept = as_nodes(self.n, np.asarray(nodes), "nodes").ravel()
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
        size = size_of(n)
        require(
            size >= self.n, NetworkError, f"n = {n}, expected at least the {self.n} nodes there"
        )
        tail = np.full(size - self.n, self.indptr[-1], dtype=np.int64)
        return Network._trusted(
            size,
            np.concatenate([self.indptr, tail]),
            self.indices,
            self.weights,
            directed=self.directed,
            labels=more_labels(self.labels, size),
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
