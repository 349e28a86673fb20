"""Ties that change during a run: follow, unfollow and rewire, in time proportional to a degree."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require
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

    Examples
    --------
    >>> network = DynamicNetwork(3)
    >>> network.follow(0, 2), network.follow(0, 2), network.unfollow(0, 1)
    (True, False, False)
    >>> network.neighbours(0).tolist(), network.n_edges
    ([2], 1)
    """

    weights = None

    def __init__(self, n: int, directed: bool = True) -> None:
        require(0 <= n < 2**31, NetworkError, f"n = {n}, expected 0 <= n < 2**31 nodes")
        self.n = int(n)
        self.directed = bool(directed)
        self.starts = np.zeros(n, dtype=np.int64)
        self.stops = np.zeros(n, dtype=np.int64)
        self._room = np.zeros(n, dtype=np.int64)
        self.indices = np.empty(0, dtype=np.int32)
        self._used = 0
        self._n_entries = 0

    @classmethod
    def from_network(cls, network: Network) -> DynamicNetwork:
        """A changeable copy of an unweighted network.

        Examples
        --------
        >>> triangle = Network.from_edges([(0, 1), (1, 2), (2, 0)])
        >>> DynamicNetwork.from_network(triangle).freeze() == triangle
        True
        """
        require(
            network.weights is None,
            NetworkError,
            "a DynamicNetwork has no weights; drop them first",
        )
        made = cls(network.n, network.directed)
        made.starts[:], made.stops[:] = network.starts, network.stops
        made._room[:] = network.degree
        made.indices = network.indices.copy()
        made._used = made._n_entries = int(network.indices.size)
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
        i = self._node(node)
        return self.indices[self.starts[i] : self.stops[i]].copy()

    def has_edge(self, source: int, target: int) -> bool:
        """Whether there is a tie from `source` to `target`."""
        return self._find(self._node(source), self._node(target)) >= 0

    def freeze(self) -> Network:
        """The network as it is now."""
        sources = np.repeat(np.arange(self.n), self.degree)
        places = np.arange(sources.size) + np.repeat(
            self.starts - np.cumsum(self.degree) + self.degree, self.degree
        )
        pairs = np.stack([sources, self.indices[places]], axis=1).astype(np.int64)
        if not self.directed:
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        return Network.from_edges(pairs, self.n, directed=self.directed)

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        return f"DynamicNetwork({self.n} nodes, {self.n_edges} ties, {kind})"

    # ------------------------------------------------------------------ changing

    def follow(self, source: int, target: int) -> bool:
        """Make a tie; returns whether it is new.

        Raises
        ------
        NetworkError
            A node outside the network, or a tie to oneself.
        """
        i, j = self._node(source), self._node(target)
        require(i != j, NetworkError, f"node {i} cannot be tied to itself", node=i)
        if self._find(i, j) >= 0:
            return False
        self._append(i, j)
        if not self.directed:
            self._append(j, i)
        return True

    def unfollow(self, source: int, target: int) -> bool:
        """Cut a tie; returns whether it was there."""
        i, j = self._node(source), self._node(target)
        if not self._cut(i, j):
            return False
        if not self.directed:
            self._cut(j, i)
        return True

    def rewire(self, source: int, old: int, new: int) -> bool:
        """Cut the tie to `old` and make one to `new`; False, and no change, if that is impossible.

        Impossible means that the old tie is not there, or the new one is, or is to oneself.
        """
        i, j, k = self._node(source), self._node(old), self._node(new)
        if i == k or self._find(i, j) < 0 or self._find(i, k) >= 0:
            return False
        self.unfollow(i, j)
        self.follow(i, k)
        return True

    def add_nodes(self, n: int) -> NDArray[np.int64]:
        """Add n nodes without ties; returns their numbers."""
        require(n >= 0, NetworkError, f"n = {n}, expected n >= 0")
        first, more = self.n, np.zeros(n, dtype=np.int64)
        self.starts = np.concatenate([self.starts, more])
        self.stops = np.concatenate([self.stops, more])
        self._room = np.concatenate([self._room, more])
        self.n += int(n)
        return np.arange(first, self.n)

    def isolate(self, node: int) -> None:
        """Cut all ties of a node, and in a directed network also those that point to it."""
        i = self._node(node)
        for j in self.neighbours(i).tolist():
            self.unfollow(i, j)
        if self.directed:
            for j in range(self.n):
                self._cut(j, i)

    # ------------------------------------------------------------------ plumbing

    def _append(self, i: int, j: int) -> None:
        if self.stops[i] - self.starts[i] == self._room[i]:
            self._move(i)
        self.indices[self.stops[i]] = j
        self.stops[i] += 1
        self._n_entries += 1

    def _cut(self, i: int, j: int) -> bool:
        place = self._find(i, j)
        if place < 0:
            return False
        self.stops[i] -= 1
        self.indices[place] = self.indices[self.stops[i]]
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
        self.starts, self.stops, self._used = firsts, firsts + degree, used

    def _node(self, node: ArrayLike) -> int:
        i = int(node)  # type: ignore[arg-type]
        require(0 <= i < self.n, NetworkError, f"node = {i}, expected 0 <= node < {self.n}", node=i)
        return i
