"""Columns: named arrays of one length that can grow, shrink and be checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import PopulationError, require

__all__ = ["Columns", "as_column", "from_series", "is_one", "objects", "to_series"]


class Columns:
    """Arrays of one length n, by name, in room that grows by a quarter when it is full.

    Examples
    --------
    >>> columns = Columns(2)
    >>> columns.put("age", as_column("age", [30, 40], 2))
    >>> columns.append(1, {"age": [50]})
    >>> columns["age"].tolist()
    [30, 40, 50]
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._room: dict[str, NDArray[Any]] = {}
        self._shown: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._shown[name]

    def __contains__(self, name: object) -> bool:
        return name in self._shown

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown)

    def __getstate__(self) -> dict[str, Any]:
        return {"n": self.n, "columns": dict(self._shown)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies have no spare room, and what is shown is what is kept.
        self.n = state["n"]
        self._room, self._shown = dict(state["columns"]), dict(state["columns"])

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Add or replace a column; `values` is kept, not copied."""
        self._room[name] = self._shown[name] = values

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Keep these rows, in this order."""
        self.n = rows.size
        for name, values in self._shown.items():
            self._room[name] = values[rows]
        self._show()

    def append(self, extra: int, values: dict[str, Any]) -> None:
        """Add `extra` rows at the end; `values` has all columns, each of that length."""
        first, self.n = self.n, self.n + extra
        for name, array in self._room.items():
            if len(array) < self.n:
                room = np.empty(
                    (max(len(array) + len(array) // 4, self.n), *array.shape[1:]), array.dtype
                )
                room[:first] = array[:first]
                self._room[name] = room
            self._room[name][first : self.n] = values[name]
        self._show()

    def _show(self) -> None:
        self._shown = {name: array[: self.n] for name, array in self._room.items()}


def as_column(name: str, values: Any, n: int) -> NDArray[Any]:
    """A writable array of length n from an array, a series, a sequence, or one value for all.

    Text becomes an object array (fixed-width text would cut longer values off in silence).
    """
    if isinstance(values, pl.Series):
        array = from_series(values)
    elif is_one(values):
        array = np.full(n, values, dtype=object if isinstance(values, (str, bytes)) else None)
    else:
        array = _array(values)
    require(
        array.ndim >= 1 and len(array) == n,
        PopulationError,
        f"column {name!r} has shape {array.shape}, expected {n} rows",
        column=name,
    )
    return array


def is_one(values: Any) -> bool:
    """Whether this is one value for all rather than one per row."""
    return isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or _flat(values)


def _flat(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 0


def _array(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind in "US" else values.copy()
    items = list(values)
    if items and all(isinstance(item, (tuple, list)) for item in items):
        return _table_of(items)
    if any(isinstance(item, (str, bytes, tuple, list, dict)) or item is None for item in items):
        return objects(items)
    return np.array(items)


def _table_of(items: list[Any]) -> NDArray[Any]:
    """Rows of numbers of one length as shape (n, k); anything else as objects."""
    try:
        table = np.array(items)
    except ValueError:
        return objects(items)
    return table if table.ndim == 2 and table.dtype.kind in "fiub" else objects(items)


def objects(items: Sequence[Any]) -> NDArray[Any]:
    """An array of Python objects, one per item, even where the items are tuples of one length."""
    return np.fromiter(items, dtype=object, count=len(items))


def from_series(series: pl.Series) -> NDArray[Any]:
    """A writable array from a Polars series.

    Raises
    ------
    PopulationError
        Integers or truth values with missing entries, which no NumPy column can hold.
    """
    holes = series.null_count()
    kind = series.dtype
    require(
        holes == 0 or not (kind.is_integer() or kind == pl.Boolean),
        PopulationError,
        f"column {series.name!r} of type {kind} has {holes} missing values; drop those rows, "
        "fill them (fill_null), or cast the column to Float64 to have nan",
        column=series.name,
    )
    if kind.is_numeric() or kind == pl.Boolean or kind.is_temporal():
        return np.array(series.to_numpy())
    if isinstance(kind, pl.Array):
        return np.array(series.to_numpy())
    return objects(series.to_list())


def to_series(name: str, values: NDArray[Any]) -> pl.Series:
    """A Polars series; objects that Polars has no type for stay Python objects.

    Dates come as days or in their own unit; units that Polars lacks become the next finer one.
    """
    if values.dtype.kind in "mM":
        values = values.astype(_polars_unit(values.dtype))
    if values.dtype != object:
        return pl.Series(name, values)
    items = values.tolist()
    if any(isinstance(item, complex) for item in items):
        return pl.Series(name, items, dtype=pl.Object)
    try:
        return pl.Series(name, items)
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        return pl.Series(name, values.tolist(), dtype=pl.Object)


def _polars_unit(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A unit of time that Polars has: at least as fine, but for those finer than nanoseconds."""
    unit, kind = np.datetime_data(dtype)[0], dtype.kind
    if kind == "M" and unit in ("Y", "M", "W", "D"):
        unit = "D"
    elif unit in ("Y", "M", "W", "D", "h", "m", "s", "generic"):
        unit = "ms"
    elif unit in ("ps", "fs", "as"):
        unit = "ns"
    return np.dtype(f"{kind}8[{unit}]")
