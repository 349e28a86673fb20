"""Networks from and to other forms: NetworkX graphs and edge lists in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from abm.errors import NetworkError, require
from abm.networks.network import Network, _object_array

__all__ = ["from_networkx", "read_edge_list", "to_networkx"]

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


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
        not graph.is_multigraph(),
        NetworkError,
        "a multigraph has parallel ties; convert it with networkx.Graph(graph) first",
    )
    names = list(graph.nodes)
    place = {name: i for i, name in enumerate(names)}
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
        labels=_object_array(names),
    )


def to_networkx(network: Network) -> Any:
    """A NetworkX Graph or DiGraph with the same ties; weights become the attribute `weight`.

    Examples
    --------
    >>> to_networkx(Network.from_edges([(0, 1), (1, 2)])).number_of_edges()
    2
    """
    import networkx as nx

    graph = nx.DiGraph() if network.directed else nx.Graph()
    names = list(range(network.n)) if network.labels is None else network.labels.tolist()
    graph.add_nodes_from(names)
    pairs = [(names[a], names[b]) for a, b in network.edges().tolist()]
    if network.weights is None:
        graph.add_edges_from(pairs)
    else:
        values = network.edge_weights().tolist()
        graph.add_weighted_edges_from((a, b, w) for (a, b), w in zip(pairs, values, strict=True))
    return graph


def read_edge_list(
    path: str | Path,
    *,
    source: str | int = 0,
    target: str | int = 1,
    weight: str | int | None = None,
    directed: bool = False,
    header: bool = True,
    separator: str | None = None,
    nodes: Sequence[Any] | None = None,
    self_loops: Literal["refuse", "drop"] = "refuse",
    duplicates: Literal["refuse", "merge"] = "refuse",
) -> Network:
    """A network from a CSV or TSV file with one tie per line.

    Parameters
    ----------
    path
        File; `.csv` is read with commas, `.tsv` and `.tab` with tabs, unless `separator` is given.
    source, target, weight
        Column names or positions. Without `weight` the network is unweighted.
    nodes
        Names of all nodes in the order of the population, so that node i is row i and people
        without ties are kept. `None` numbers the names in the file in ascending order.

    Returns
    -------
    Network whose `labels` are the names.

    Raises
    ------
    NetworkError
        A file or column that is not there, an empty cell, or a name that `nodes` lacks.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "ties.csv"
    >>> _ = file.write_text("from,to\\nann,bob\\nbob,cyd\\n")
    >>> network = read_edge_list(file, nodes=["ann", "bob", "cyd", "dan"])
    >>> network.n, network.edges().tolist()
    (4, [[0, 1], [1, 2]])
    """
    frame = _read(Path(path), separator, header)
    ends = pl.DataFrame(
        {"source": _column(frame, source, path), "target": _column(frame, target, path)}
    )
    names = _names(ends) if nodes is None else list(nodes)
    values = None if weight is None else _column(frame, weight, path).cast(pl.Float64).to_numpy()
    pairs = np.stack(
        [_numbered(ends["source"], names, path), _numbered(ends["target"], names, path)], axis=1
    )
    return Network.from_edges(
        pairs,
        len(names),
        weights=values,
        directed=directed,
        self_loops=self_loops,
        duplicates=duplicates,
        labels=_object_array(names),
    )


def _read(path: Path, separator: str | None, header: bool) -> pl.DataFrame:
    require(path.is_file(), NetworkError, f"edge list {path}: no such file", path=str(path))
    mark = separator or _SEPARATORS.get(path.suffix.lower())
    require(
        mark is not None,
        NetworkError,
        f"edge list {path}: ending {path.suffix!r}, expected .csv or .tsv; or pass separator=...",
    )
    try:
        return pl.read_csv(path, separator=mark or ",", has_header=header)
    except pl.exceptions.PolarsError as error:
        raise NetworkError(f"edge list {path}: {error}") from error


def _column(frame: pl.DataFrame, which: str | int, path: str | Path) -> pl.Series:
    known = which in frame.columns if isinstance(which, str) else 0 <= which < frame.width
    require(
        known,
        NetworkError,
        f"edge list {path}: no column {which!r}; the file has {frame.columns}",
    )
    column = frame[which] if isinstance(which, str) else frame.to_series(which)
    empty = column.is_null().arg_true().to_list()
    require(
        not empty,
        NetworkError,
        f"edge list {path}: column {which!r} is empty in {len(empty)} lines, first data line "
        f"{[line + 1 for line in empty[:1]]}",
    )
    return column


def _names(ends: pl.DataFrame) -> list[Any]:
    return pl.concat([ends["source"], ends["target"]]).unique().sort().to_list()


def _numbered(column: pl.Series, names: list[Any], path: str | Path) -> Any:
    place = {name: i for i, name in enumerate(names)}
    unknown = [name for name in column.unique().to_list() if name not in place]
    require(
        not unknown,
        NetworkError,
        f"edge list {path}: {len(unknown)} names are not among the {len(names)} nodes, "
        f"for example {sorted(map(str, unknown))[:3]} (text and numbers differ: '1' is not 1)",
    )
    return np.array([place[name] for name in column.to_list()], dtype=np.int64)
