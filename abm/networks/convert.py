"""Networks from and to NetworkX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.errors import NetworkError, require
from abm.networks.arrays import object_array
from abm.networks.network import Network

__all__ = ["from_networkx", "to_networkx"]


def from_networkx(graph: Any, *, weight: str | None = "weight") -> Network:
    """A network from a NetworkX graph; nodes are numbered in the graph's own order.

    Parameters
    ----------
    graph
        Graph or DiGraph without self-loops. Multigraphs are refused.
    weight
        Edge attribute with the weights; used if every edge has it. `None` ignores weights.

    Raises
    ------
    NetworkError
        Self-loops, parallel edges, or an attribute that only some edges have.

    Examples
    --------
    >>> import networkx as nx
    >>> from_networkx(nx.karate_club_graph(), weight=None).n_edges
    78
    """
    require(
        hasattr(graph, "is_multigraph"),
        NetworkError,
        f"graph is a {type(graph).__name__}, expected a networkx.Graph or DiGraph; for pairs of "
        "numbers there is Network.from_edges",
    )
    require(
        not graph.is_multigraph(),
        NetworkError,
        "a multigraph has parallel ties; convert it with networkx.Graph(graph) first",
    )
    names = list(graph.nodes)
    place = {name: i for i, name in enumerate(names)}
    loops = [a for a, b in graph.edges() if a == b]
    require(
        not loops,
        NetworkError,
        f"{len(loops)} self-loops, first at {loops[:1]}; take them out with "
        "graph.remove_edges_from(list(networkx.selfloop_edges(graph)))",
    )
    triples = [(place[a], place[b], data) for a, b, data in graph.edges(data=True)]
    pairs = np.array([(a, b) for a, b, _ in triples], dtype=np.int64).reshape(-1, 2)
    values = [data[weight] for _, _, data in triples if weight is not None and weight in data]
    require(
        len(values) in (0, len(triples)),
        NetworkError,
        f"only {len(values)} of {len(triples)} ties have the attribute {weight!r}; "
        "give it to all, or pass weight=None",
    )
    return Network.from_edges(
        pairs,
        len(names),
        weights=values or None,
        directed=graph.is_directed(),
        labels=object_array(names),
    )


def to_networkx(network: Network) -> Any:
    """A NetworkX Graph or DiGraph with the same ties; weights become the attribute `weight`.

    Raises
    ------
    NetworkError
        Two nodes with one label.

    Examples
    --------
    >>> to_networkx(Network.from_edges([(0, 1), (1, 2)])).number_of_edges()
    2
    """
    import networkx as nx

    graph = nx.DiGraph() if network.directed else nx.Graph()
    names = list(range(network.n)) if network.labels is None else network.labels.tolist()
    graph.add_nodes_from(names)
    require(
        graph.number_of_nodes() == network.n,
        NetworkError,
        f"labels: only {graph.number_of_nodes()} of {network.n} differ, so that nodes would be "
        "merged; give every node a name of its own",
    )
    pairs = [(names[a], names[b]) for a, b in network.edges().tolist()]
    if network.weights is None:
        graph.add_edges_from(pairs)
    else:
        values = network.edge_weights().tolist()
        graph.add_weighted_edges_from((a, b, w) for (a, b), w in zip(pairs, values, strict=True))
    return graph
