"""Snapshots: which part of a network to draw, and where its nodes stand."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from abm.analysis.networks import checked_edges, node_values
from abm.errors import AnalysisError, require

__all__ = ["Snapshot", "snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Tables for `network_snapshot`, and what they leave out.

    Attributes
    ----------
    nodes
        Columns `node` (number in the whole network), `x`, `y` and `opinion`.
    edges
        Columns `source` and `target`: all ties between the nodes shown.
    note
        Which part is shown, for the foot of the figure; empty for the whole network.
    """

    nodes: pl.DataFrame
    edges: pl.DataFrame
    note: str


def snapshot(
    edges: ArrayLike,
    opinions: ArrayLike,
    *,
    rng: np.random.Generator,
    most: int = 250,
) -> Snapshot:
    """Choose and place the nodes of a readable picture of a network.

    A network of up to `most` nodes is shown whole. Of a larger one the part shown is what a random
    walk in the largest component meets first, starting anew from its origin with probability 0.15
    at each step; it keeps groups and clustering better than nodes or ties drawn one by one, and
    shows more of the well connected than there are.

    Parameters
    ----------
    edges
        Undirected, shape (m, 2).
    opinions
        Shape (n,).
    most
        Nodes shown, 2 to 600.

    Returns
    -------
    Tables of nodes and ties with places in [-1, 1]; an undefined opinion stays nan.

    References
    ----------
    Leskovec and Faloutsos (2006), KDD '06, 631-636; Fruchterman and Reingold (1991), Software:
    Practice and Experience 21, 1129-1164 (placing).

    Examples
    --------
    >>> ring = [(i, (i + 1) % 400) for i in range(400)]
    >>> shown = snapshot(ring, np.linspace(0, 1, 400), rng=np.random.default_rng(1), most=50)
    >>> shown.nodes.height, shown.note
    (50, '50 of 400 nodes: those that a random walk met first')
    """
    x = node_values(opinions, "opinions")
    ties, _ = checked_edges(edges, x.size, None)
    require(2 <= most <= 600, AnalysisError, f"most = {most}, expected 2 to 600")
    whole = x.size <= most
    chosen = np.arange(x.size) if whole else _walked(ties, x.size, rng, most)
    inside = np.zeros(x.size, dtype=bool)
    inside[chosen] = True
    held = ties[inside[ties].all(axis=1)]
    graph = nx.Graph()
    graph.add_nodes_from(chosen.tolist())
    graph.add_edges_from(held.tolist())
    apart = 2.2 / np.sqrt(max(chosen.size, 1))
    placed = nx.spring_layout(graph, k=apart, seed=int(rng.integers(2**31)), iterations=80)
    at = np.array([placed[node] for node in chosen.tolist()]).reshape(-1, 2)
    note = f"{chosen.size} of {x.size} nodes: those that a random walk met first"
    return Snapshot(
        pl.DataFrame({"node": chosen, "x": at[:, 0], "y": at[:, 1], "opinion": x[chosen]}),
        pl.DataFrame({"source": held[:, 0], "target": held[:, 1]}),
        "" if whole else note,
    )


def _walked(
    ties: NDArray[np.int64], n: int, rng: np.random.Generator, most: int
) -> NDArray[np.int64]:
    """Nodes that a walk with restarts meets first, ascending."""
    half = sparse.coo_array((np.ones(len(ties)), (ties[:, 0], ties[:, 1])), shape=(n, n))
    both = sparse.csr_array(half + half.T)
    _, component = connected_components(both, directed=False)
    largest = np.flatnonzero(component == np.bincount(component).argmax())
    origin = here = int(rng.choice(largest))
    met, steps = {origin}, 0
    while len(met) < min(most, largest.size):
        row = both.indices[both.indptr[here] : both.indptr[here + 1]]
        here = origin if rng.random() < 0.15 else int(row[int(rng.random() * row.size)])
        met.add(here)
        steps += 1
        if steps % (20 * most) == 0:  # the origin lies in a corner: start from another node met
            origin = here = int(rng.choice(sorted(met)))
    return np.array(sorted(met), dtype=np.int64)
