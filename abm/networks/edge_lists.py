"""Edge lists in files: one tie per line, with names that are mapped to agents."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import NetworkError, require
from abm.networks.arrays import object_array, whole
from abm.networks.network import Network

__all__ = ["read_edge_list"]

_SEPARATORS = {
    ".csv": ",", ".tsv": "\t", ".tab": "\t",
    ".txt": " ", ".edges": " ", ".edgelist": " ", ".el": " ",
}  # fmt: skip
_OPENS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_edge_list(
    path: str | Path,
    *,
    source: str | int = 0,
    target: str | int = 1,
    weight: str | int | None = None,
    directed: bool = False,
    header: bool | None = None,
    separator: str | None = None,
    comment: str = "#",
    nodes: Sequence[Any] | NDArray[Any] | None = None,
    self_loops: Literal["refuse", "drop"] = "refuse",
    duplicates: Literal["refuse", "merge"] = "refuse",
) -> Network:
    """A network from a file with one tie per line.

    Parameters
    ----------
    path
        File, in UTF-8; `.csv` is read with commas, `.tsv` and `.tab` with tabs, `.txt`, `.edges`,
        `.edgelist` and `.el` with any white space, unless `separator` is given (`" "` is any white
        space). A further ending `.gz`, `.bz2` or `.xz` tells how it is compressed.
    source, target, weight
        Column names or positions. Without `weight` the network is unweighted.
    header
        Whether the first line names the columns; `None`: yes, except where columns are separated
        by white space. A first line that looks like a tie (numbers, or names that other ties have)
        is refused then, so that none is lost.
    comment
        Lines that begin with this are passed over, and between white space what follows it.
    nodes
        Names of all nodes in the order of the population, such as `population.respondent`, so that
        node i is row i and people without ties are kept. `None` numbers the names in the file in
        ascending order. Names are whole numbers where all are written as such (1, not 01 or 1.0),
        and texts otherwise. White space around a name is no part of it.
    self_loops, duplicates
        As in `Network.from_edges`. Without `directed`, "a b" and "b a" are the same tie.

    Returns
    -------
    Network whose `labels` are the names.

    Raises
    ------
    NetworkError
        A file or column that is not there, an empty cell, a weight that is no number, a name that
        `nodes` lacks, a loop or a repeated tie. Names the lines.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "ties.csv"
    >>> _ = file.write_text("from,to\\nann,bob\\nbob,cyd\\n")
    >>> network = read_edge_list(file, nodes=["ann", "bob", "cyd", "dan"])
    >>> network.n, network.edges().tolist()
    (4, [[0, 1], [1, 2]])
    """
    frame, lines = _read(Path(path), separator, header, comment)
    if header is None:
        _refuse_names_of_a_tie(frame, [source, target, weight], path)
    ends = _whole_if_all(*(_column(frame, which, path, lines) for which in (source, target)))
    values = None if weight is None else _numbers(frame, weight, path, lines)
    names = _names(*ends) if nodes is None else _listed(nodes)
    pairs = np.stack([_numbered(end, names, path, lines) for end in ends], axis=1)
    if self_loops == "refuse":
        _refuse_loops(pairs, names, path, lines)
    if duplicates == "refuse":
        _refuse_repeats(pairs, names, path, lines, directed)
    return Network.from_edges(
        pairs,
        len(names),
        weights=values,
        directed=directed,
        self_loops=self_loops,
        duplicates=duplicates,
        labels=object_array(names),
    )


def _read(
    path: Path, separator: str | None, header: bool | None, comment: str
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """The table, and the line of the file from which each row comes."""
    require(path.is_file(), NetworkError, f"edge list {path}: no such file", path=str(path))
    packed = path.suffix.lower() in _OPENS
    ending = Path(path.stem).suffix if packed else path.suffix
    mark = separator or _SEPARATORS.get(ending.lower(), "")
    require(
        len(mark.encode()) == 1,
        NetworkError,
        f"edge list {path}: separator {mark!r}, expected one character"
        if mark
        else f"edge list {path}: ending {ending!r}, expected one of {sorted(_SEPARATORS)}; or pass "
        "separator=...",
    )
    named = mark != " " if header is None else header
    text = _text(path).split("\n")
    numbers = [i for i, line in enumerate(text, 1) if line.strip() and not line.startswith(comment)]
    kept = [text[i - 1] for i in numbers]
    if mark == " ":
        kept = [line.split(comment)[0] if comment else line for line in kept]
        mark, kept = "\t", [re.sub(r"\s+", "\t", line.strip()) for line in kept]
    require(len(kept) > named, NetworkError, f"edge list {path}: there are no ties in it")
    lines = np.array(numbers, dtype=np.int64)
    frame = _table(path, kept, mark, named, lines)
    return frame, lines[named:]


def _table(
    path: Path, kept: list[str], mark: str, named: bool, lines: NDArray[np.int64]
) -> pl.DataFrame:
    """Cells as texts without white space around them."""
    try:
        frame = pl.read_csv(
            io.StringIO("\n".join(kept)), separator=mark, has_header=named, infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        width = [len(row) for row in csv.reader(kept, delimiter=mark)]
        wide = [i for i, cells in enumerate(width) if cells > width[0]]
        raise NetworkError(
            f"edge list {path}: line {lines[wide[0]]} has {width[wide[0]]} columns, expected "
            f"{width[0]} as in line {lines[0]}"
            if wide and len(width) == len(kept)
            else f"edge list {path}: {error}"
        ) from error
    return frame.select(pl.all().str.strip_chars())


def _refuse_names_of_a_tie(
    frame: pl.DataFrame, used: list[str | int | None], path: str | Path
) -> None:
    """Refuse names of columns that are numbers, or names of nodes: a tie would be lost."""
    cells = frame.select(name for i, name in enumerate(frame.columns) if i in used)
    looks = [
        name
        for name in map(str.strip, cells.columns)
        if re.fullmatch(r"[+-]?[0-9.]+", name) or any((column == name).any() for column in cells)
    ]
    require(
        not looks,
        NetworkError,
        f"edge list {path}: the first line should name the columns, but {looks[:1]} looks like "
        "part of a tie; pass header=False if it is one, header=True if not",
    )


def _column(
    frame: pl.DataFrame, which: str | int, path: str | Path, lines: NDArray[np.int64]
) -> pl.Series:
    at = which if isinstance(which, str) else whole("column", which)
    known = at in frame.columns if isinstance(at, str) else 0 <= at < frame.width
    require(
        known,
        NetworkError,
        f"edge list {path}: no column {which!r}; the file has {frame.columns}",
    )
    column = frame[at] if isinstance(at, str) else frame.to_series(at)
    empty = (column.is_null() | (column == "")).arg_true().to_numpy()
    require(
        empty.size == 0,
        NetworkError,
        f"edge list {path}: column {which!r} is empty in {empty.size} lines, first in line "
        f"{_first(lines, empty)}",
    )
    return column


def _text(path: Path) -> str:
    """What stands in a file, compressed or not."""
    try:
        with _OPENS.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8-sig") as file:
            return str(file.read())
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise NetworkError(
            f"edge list {path}: {error}; expected a text in UTF-8, compressed as its ending says",
            path=str(path),
        ) from error


def _whole_if_all(*columns: pl.Series) -> list[pl.Series]:
    """Names as whole numbers, if all of them are written as such."""
    whole = [column.cast(pl.Int64, strict=False) for column in columns]
    same = [
        (number.cast(pl.String) == name).fill_null(False).all()
        for number, name in zip(whole, columns, strict=True)
    ]
    return whole if all(same) else list(columns)


def _numbers(
    frame: pl.DataFrame, which: str | int, path: str | Path, lines: NDArray[np.int64]
) -> NDArray[np.float64]:
    column = _column(frame, which, path, lines)
    values = column.cast(pl.Float64, strict=False)
    bad = (values.is_null() | ~values.is_finite()).arg_true().to_numpy()
    require(
        bad.size == 0,
        NetworkError,
        f"edge list {path}: weight {column[int(bad[0])] if bad.size else ''!r} in line "
        f"{_first(lines, bad)}, expected finite numbers in column {which!r}",
    )
    return values.to_numpy()


def _listed(nodes: Sequence[Any] | NDArray[Any]) -> list[Any]:
    """Names as Python's own values."""
    return nodes.tolist() if isinstance(nodes, np.ndarray) else list(nodes)


def _names(first: pl.Series, second: pl.Series) -> list[Any]:
    if first.dtype != second.dtype:
        first, second = first.cast(pl.String), second.cast(pl.String)
    return pl.concat([first.alias("name"), second.alias("name")]).unique().sort().to_list()


def _numbered(
    column: pl.Series, names: list[Any], path: str | Path, lines: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Place of every cell among the names; names that are texts match numbers written out."""
    place = {name: i for i, name in enumerate(names)}
    require(len(place) == len(names), NetworkError, "nodes: a name appears more than once in them")
    if column.dtype != pl.String and names and all(isinstance(name, str) for name in names):
        column = column.cast(pl.String)
    distinct = column.unique()
    unknown = [name for name in distinct.to_list() if name not in place]
    at = column.is_in(unknown).arg_true().to_numpy() if unknown else np.empty(0, np.int64)
    require(
        not unknown,
        NetworkError,
        f"edge list {path}: {len(unknown)} names are not among the {len(names)} nodes of the "
        f"population, for example {sorted(map(str, unknown))[:3]}, first in line "
        f"{_first(lines, at)} (text and numbers differ: 'a1' is not 1)",
        names=unknown[:5],
    )
    where = pl.Series([place[name] for name in distinct.to_list()], dtype=pl.Int64)
    return column.replace_strict(distinct, where, return_dtype=pl.Int64).to_numpy()


def _refuse_loops(
    pairs: NDArray[np.int64], names: list[Any], path: str | Path, lines: NDArray[np.int64]
) -> None:
    loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    require(
        loops.size == 0,
        NetworkError,
        f"edge list {path}: {loops.size} self-loops, first {names[pairs[loops[0], 0]]!r} in line "
        f"{_first(lines, loops)}; pass self_loops='drop' to leave them out"
        if loops.size
        else "",
    )


def _refuse_repeats(
    pairs: NDArray[np.int64],
    names: list[Any],
    path: str | Path,
    lines: NDArray[np.int64],
    directed: bool,
) -> None:
    ordered = pairs if directed else np.sort(pairs, axis=1)
    keys = ordered[:, 0] * len(names) + ordered[:, 1]
    order = np.argsort(keys, kind="stable")
    again = np.sort(order[1:][np.diff(keys[order]) == 0])
    require(
        again.size == 0,
        NetworkError,
        f"edge list {path}: {again.size} repeated ties, first {names[pairs[again[0], 0]]!r} - "
        f"{names[pairs[again[0], 1]]!r} in line {_first(lines, again)}; pass duplicates='merge' to "
        "add them up"
        if again.size
        else "",
    )


def _first(lines: NDArray[np.int64], rows: NDArray[Any]) -> int:
    return int(lines[rows[0]]) if rows.size else 0
