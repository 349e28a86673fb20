"""Ties that change during a run: follow, unfollow and rewire, in time proportional to a degree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import NetworkError, require
from abm.networks.arrays import as_node, as_numbers, more_labels, size_of, whole
from abm.networks.network import Network

__all__ = ["DynamicNetwork"]


class DynamicNetwork:
    """A network whose ties can be made and cut.

    Rows lie in one array with room to grow; a row that is full moves to the end with twice the
    room. `starts`, `stops` and `indices` are what compiled kernels read. Neighbours are in no
    particular order, but the same sequence of changes gives the same order.

    Parameters
    ----------
    n
        Number of nodes.
    directed
        Whether i may follow j without being followed. If not, every change is made at both ends.
    weighted
        Whether ties have weights, 1 unless given.

    Attributes
    ----------
    starts, stops : int64 arrays, shape (n,)
        First entry of each row, and one past its last.
    indices : int32 array
        Neighbours. Entries outside the rows mean nothing.
    weights : float64 array or None
        Weights, in the places of `indices`; 0 outside the rows.
    labels
        Names of the nodes, or `None`; nodes that are added are called `added 7` by their number.
    changes
        How many changes there were: whoever keeps something made of the ties sees when it is old.

    Examples
    --------
    >>> network = DynamicNetwork(3)
    >>> network.follow(0, 2), network.follow(0, 2), network.unfollow(0, 1)
    (True, False, False)
    >>> network.neighbours(0).tolist(), network.n_edges
    ([2], 1)
    """

    def __init__(self, n: int, directed: bool = True, *, weighted: bool = False) -> None:
        self.n = size_of(n)
        self.directed = bool(directed)
        self.starts = np.zeros(n, dtype=np.int64)
        self.stops = np.zeros(n, dtype=np.int64)
        self._room = np.zeros(n, dtype=np.int64)
        self.indices = np.empty(0, dtype=np.int32)
        self.weights: NDArray[np.float64] | None = np.empty(0) if weighted else None
        self._used = 0
        self._n_entries = 0
        self.labels: NDArray[Any] | None = None
        self.changes = 0
        self._watchers: list[Callable[[], None]] = []

    @classmethod
    def from_network(cls, network: Network) -> DynamicNetwork:
        """A changeable copy of a network, with its weights if there are any.

        Examples
        --------
        >>> triangle = Network.from_edges([(0, 1), (1, 2), (2, 0)])
        >>> DynamicNetwork.from_network(triangle).freeze() == triangle
        True
        """
        made = cls(network.n, network.directed, weighted=network.weights is not None)
        made.starts[:], made.stops[:] = network.starts, network.stops
        made._room[:] = network.degree
        made.indices = network.indices.copy()
        made.weights = None if network.weights is None else network.weights.copy()
        made._used = made._n_entries = int(network.indices.size)
        made.labels = network.labels
        return made

    # ------------------------------------------------------------------ reading

    @property
    def degree(self) -> NDArray[np.int64]:
        """Number of ties in each row, shape (n,)."""
        return self.stops - self.starts

    @property
    def n_edges(self) -> int:
        """Number of ties; an undirected tie counts once."""
        return self._n_entries if self.directed else self._n_entries // 2

    def neighbours(self, node: int) -> NDArray[np.int32]:
        """The nodes that `node` is tied to, as they are now; a copy."""
        i = as_node(node, self.n)
        return self.indices[self.starts[i] : self.stops[i]].copy()

    def has_edge(self, source: int, target: int) -> bool:
        """Whether there is a tie from `source` to `target`."""
        return self._find(as_node(source, self.n), as_node(target, self.n)) >= 0

    def in_neighbours(self, node: int) -> NDArray[np.int32]:
        """The nodes that are tied to `node` now, ascending; reads all ties if directed."""
        i = as_node(node, self.n)
        sources, places = self._entries()
        found: NDArray[np.int32] = sources[self.indices[places] == i].astype(np.int32)
        return found

    def weight(self, source: int, target: int) -> float:
        """The weight of a tie: 1 if the network has none, 0 if the tie is not there."""
        place = self._find(as_node(source, self.n), as_node(target, self.n))
        if place < 0:
            return 0.0
        return 1.0 if self.weights is None else float(self.weights[place])

    def edges(self) -> NDArray[np.int64]:
        """All ties as they are now; see `Network.edges`."""
        return self.freeze().edges()

    def freeze(self) -> Network:
        """The network as it is now."""
        sources, places = self._entries()
        pairs = np.stack([sources, self.indices[places]], axis=1).astype(np.int64)
        kept = np.ones(len(pairs), dtype=bool) if self.directed else pairs[:, 0] < pairs[:, 1]
        weights = None if self.weights is None else self.weights[places[kept]]
        return Network.from_edges(
            pairs[kept], self.n, weights=weights, directed=self.directed, labels=self.labels
        )

    def to_networkx(self) -> Any:
        """The ties as they are now as a NetworkX Graph or DiGraph; see `Network.to_networkx`."""
        return self.freeze().to_networkx()

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        return f"DynamicNetwork({self.n} nodes, {self.n_edges} ties, {kind})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_watchers": []}  # copies are nobody's yet

    # ------------------------------------------------------------------ changing

    def watch(self, before_change: Callable[[], None]) -> None:
        """Call a function before every change: what used the ties so far is brought up to now.

        `Population.attach` does it for the ties of a cohort.
        """
        if before_change not in self._watchers:
            self._watchers.append(before_change)

    def unwatch(self, before_change: Callable[[], None]) -> None:
        """Call it no more."""
        if before_change in self._watchers:
            self._watchers.remove(before_change)

    def follow(self, source: int, target: int, weight: float = 1.0) -> bool:
        """Make a tie; returns whether it is new. A tie that is there keeps its weight.

        Raises
        ------
        NetworkError
            A node outside the network, a tie to oneself, a weight that is not finite, or a weight
            other than 1 in an unweighted network.
        """
        i, j = as_node(source, self.n), as_node(target, self.n)
        require(i != j, NetworkError, f"node {i} cannot be tied to itself", node=i)
        value = self._weight(weight)
        if self._find(i, j) >= 0:
            return False
        self._change()
        self._append(i, j, value)
        if not self.directed:
            self._append(j, i, value)
        return True

    def unfollow(self, source: int, target: int) -> bool:
        """Cut a tie; returns whether it was there."""
        i, j = as_node(source, self.n), as_node(target, self.n)
        if self._find(i, j) < 0:
            return False
        self._change()
        self._cut(i, j)
        if not self.directed:
            self._cut(j, i)
        return True

    def rewire(self, source: int, old: int, new: int) -> bool:
        """Cut the tie to `old` and make one to `new`, which takes over its weight.

        Returns False, and changes nothing, if that is impossible: the old tie is not there, or the
        new one is, or is to oneself.
        """
        i, j, k = as_node(source, self.n), as_node(old, self.n), as_node(new, self.n)
        if i == k or self._find(i, j) < 0 or self._find(i, k) >= 0:
            return False
        value = self.weight(i, j)
        self.unfollow(i, j)
        return self.follow(i, k, value)

    def set_weight(self, source: int, target: int, weight: float) -> None:
        """Give a tie that is there another weight, at both ends if undirected.

        Examples
        --------
        >>> network = DynamicNetwork(3, directed=False, weighted=True)
        >>> _ = network.follow(0, 1, 2.0)
        >>> network.set_weight(1, 0, 0.5)
        >>> network.weight(0, 1), network.freeze().edge_weights().tolist()
        (0.5, [0.5])
        """
        i, j = as_node(source, self.n), as_node(target, self.n)
        value, place = self._weight(weight), self._find(i, j)
        require(
            place >= 0 and self.weights is not None,
            NetworkError,
            f"there is no weighted tie from {i} to {j}; make one with follow(..., weight), in a "
            "network made with weighted=True",
        )
        assert self.weights is not None
        self._change()
        self.weights[place] = value
        if not self.directed:
            self.weights[self._find(j, i)] = value

    def add_nodes(self, n: int) -> NDArray[np.int64]:
        """Add n nodes without ties; returns their numbers."""
        more = whole("n", n)
        require(more >= 0, NetworkError, f"n = {n}, expected n >= 0")
        self._change()
        self._grow(more)
        return np.arange(self.n - more, self.n)

    def resize(self, kept: NDArray[np.int64], n: int) -> None:
        """Follow births and deaths: the ties among those who stay, and n nodes in all.

        `Population.add` and `Population.remove` do it for the ties of attached cohorts, which they
        have brought up to now.

        Parameters
        ----------
        kept
            Former number of each of the first nodes, shape (n_kept,); the rest are newcomers.

        Examples
        --------
        >>> network = DynamicNetwork.from_network(Network.from_edges([(0, 1), (1, 2), (2, 3)]))
        >>> network.resize(np.array([1, 2, 3]), 4)
        >>> network.n, network.edges().tolist()
        (4, [[0, 1], [1, 2]])
        """
        if len(kept) < self.n:
            made = DynamicNetwork.from_network(self.freeze().subgraph(kept))
            own = {"changes": self.changes, "_watchers": self._watchers}
            self.__dict__.update({**made.__dict__, **own})
        self._grow(n - self.n)
        self.changes += 1

    def isolate(self, node: int) -> None:
        """Cut all ties of a node, and in a directed network also those that point to it."""
        i = as_node(node, self.n)
        self._change()
        for j in self.neighbours(i).tolist():
            self.unfollow(i, j)
        if self.directed:
            for j in self.in_neighbours(i).tolist():
                self._cut(j, i)

    # ------------------------------------------------------------------ plumbing

    def _change(self) -> None:
        """Tell the watchers, before ties change."""
        for watcher in self._watchers:
            watcher()
        self.changes += 1

    def _grow(self, n: int) -> None:
        more = np.zeros(n, dtype=np.int64)
        self.starts = np.concatenate([self.starts, more])
        self.stops = np.concatenate([self.stops, more])
        self._room = np.concatenate([self._room, more])
        self.labels = more_labels(self.labels, self.n + int(n))
        self.n += int(n)

    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Source and place of every entry, row after row."""
        degree = self.degree
        sources = np.repeat(np.arange(self.n), degree)
        places = np.arange(sources.size) + np.repeat(
            self.starts - np.cumsum(degree) + degree, degree
        )
        return sources, places

    def _weight(self, weight: float) -> float:
        value = float(as_numbers("weight", weight))
        require(
            bool(np.isfinite(value)) and (self.weights is not None or value == 1.0),
            NetworkError,
            f"weight = {value}, expected "
            + ("1 (make the network with weighted=True)" if self.weights is None else "a number"),
        )
        return value

    def _append(self, i: int, j: int, weight: float) -> None:
        if self.stops[i] - self.starts[i] == self._room[i]:
            self._move(i)
        self.indices[self.stops[i]] = j
        if self.weights is not None:
            self.weights[self.stops[i]] = weight
        self.stops[i] += 1
        self._n_entries += 1

    def _cut(self, i: int, j: int) -> bool:
        place = self._find(i, j)
        if place < 0:
            return False
        self.stops[i] -= 1
        last = self.stops[i]
        self.indices[place] = self.indices[last]
        if self.weights is not None:
            self.weights[place] = self.weights[last]
            self.weights[last] = 0.0
        self._n_entries -= 1
        return True

    def _find(self, i: int, j: int) -> int:
        start = int(self.starts[i])
        places = np.flatnonzero(self.indices[start : self.stops[i]] == j)
        return start + int(places[0]) if places.size else -1

    def _move(self, i: int) -> None:
        """Give row i twice the room at the end; close the gaps when they have grown too large."""
        room = max(4, 2 * int(self._room[i]))
        if self._used + room > self.indices.size:
            self._pack(room)
        start, stop = int(self.starts[i]), int(self.stops[i])
        self.indices[self._used : self._used + stop - start] = self.indices[start:stop]
        if self.weights is not None:
            self.weights[self._used : self._used + stop - start] = self.weights[start:stop]
            self.weights[start:stop] = 0.0
        self.starts[i], self.stops[i] = self._used, self._used + stop - start
        self._room[i] = room
        self._used += room

    def _pack(self, room: int) -> None:
        degree = self.degree
        firsts = np.cumsum(self._room) - self._room
        used = int(self._room.sum())
        packed = np.zeros(2 * (used + room) + 64, dtype=np.int32)
        old = np.repeat(self.starts - np.cumsum(degree) + degree, degree)
        new = np.repeat(firsts - np.cumsum(degree) + degree, degree)
        steps = np.arange(old.size)
        packed[new + steps] = self.indices[old + steps]
        self.indices = packed
        if self.weights is not None:
            mass = np.zeros(packed.size)
            mass[new + steps] = self.weights[old + steps]
            self.weights = mass
        self.starts, self.stops, self._used = firsts, firsts + degree, used
